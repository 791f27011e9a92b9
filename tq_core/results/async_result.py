"""The handle of one task's result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

from tq_core import current, states
from tq_core.errors import IncompleteStream
from tq_core.result_stores import backend_of, some_apart
from tq_core.results import waiting
from tq_core.results.descendants import Ancestor
from tq_core.results.record_view import RecordView
from tq_core.results.values import document, raise_of, value_of
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from typing_extensions import Self

    from tq_core.app import Celery
    from tq_core.contracts.backend import Backend, ResultRecord
    from tq_core.results.group_result import GroupResult


class AsyncResult(RecordView, Ancestor, Generic[R_co]):
    """One task's result, by id.

    Making one costs nothing and asks nobody. A ready result is kept, so it is asked for once. Safe to read from any
    thread.

    Args:
        id: the task's id.
        backend: where results are; the application's by default.
        task_name: name of the task, where known.
        app: the application; the current one by default.
        parent: the result of the task before it.

    Attributes:
        id: the task's id.
        task_name: name of the task, or None.
        parent: the result of the task before it in a chain, a chord's header for its body, or None.
        on_interval: called while :meth:`get` waits.
    """

    __slots__ = ("__dict__", "__weakref__", "_app", "_backend", "_record", "id", "on_interval", "parent", "task_name")

    #: Waiting for it may block.
    _blocks = True

    def __init__(
        self,
        id: str,
        backend: Backend | None = None,
        task_name: str | None = None,
        app: Celery | None = None,
        parent: Any = None,
    ) -> None:
        if id is None:
            raise ValueError(f"AsyncResult requires valid id, not {type(id)}")
        self.id = id
        self.task_name = task_name
        self.parent = parent
        self.on_interval: Callable[[], Any] | None = None
        self._app = app
        self._backend = backend
        self._record: ResultRecord | None = None

    # where from

    @property
    def app(self) -> Celery:
        """The application."""
        return self._app if self._app is not None else current.get_current_app()

    @property
    def backend(self) -> Backend:
        """Where results are."""
        return self._backend if self._backend is not None else backend_of(self.app, self.task_name)

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.id

    @property
    def children(self) -> list[Any] | None:
        """Results of the tasks this one has sent; None while nothing is known."""
        record = self._fetched()
        return None if record is None else [result_from_tuple(child, self._app) for child in record.children or ()]

    # waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[Any], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: Any = states.EXCEPTION_STATES,
        PROPAGATE_STATES: Any = states.PROPAGATE_STATES,
    ) -> R_co:
        """Wait until the task has ended and return its value.

        Args:
            timeout: seconds, None for ever.
            propagate: raise the task's exception; False returns it.
            interval: seconds between looks, where the backend cannot tell of itself.
            no_ack: accepted for compatibility.
            follow_parents: raise the error of an earlier task of the chain, after which this one will never run.
            callback: called with id and value.
            on_message: called with the result document.
            on_interval: called every ``interval`` seconds while waiting.
            disable_sync_subtasks: refuse to wait inside a task.
            EXCEPTION_STATES, PROPAGATE_STATES: accepted for compatibility.

        Raises:
            TimeoutError: it has not ended within ``timeout``.
            RuntimeError: called inside a task.
            BackendError: there is no result backend, or it fails.
            Exception: whatever the task raised.
        """
        if disable_sync_subtasks and self._blocks:
            waiting.assert_will_not_block()
        if self._record is None:
            self._wait(timeout, propagate and follow_parents, interval, on_message, on_interval or self.on_interval)
        value: R_co = self._kept_value(propagate)
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        follow_parents: bool = True,
        disable_sync_subtasks: bool = True,
    ) -> R_co:
        """As :meth:`get`; the running loop turns meanwhile. ``await result`` is the same without arguments.

        All coroutines of a process, in whatever loops, wait over one subscription to the backend. Cancelling the wait
        leaves the task alone.

        Args:
            timeout: seconds, None for ever.
            propagate: raise the task's exception; False returns it.
            follow_parents: raise the error of an earlier task of the chain, after which this one will never run.
            disable_sync_subtasks: refuse to wait inside a task.

        Raises:
            TimeoutError: it has not ended within ``timeout``.
            RuntimeError: called inside a task.
            BackendError: there is no result backend, it fails, or the application was closed meanwhile.
            Exception: whatever the task raised.
        """
        if disable_sync_subtasks and self._blocks:
            waiting.assert_will_not_block()
        if self._record is None:
            await self._arrive(timeout, propagate and follow_parents)
        value: R_co = self._kept_value(propagate)
        return value

    def __await__(self) -> Generator[Any, None, R_co]:
        """Wait for the task and return its value, or raise its exception; see :meth:`aget`."""
        return self.aget().__await__()

    async def _arrive(self, timeout: float | None, follow_parents: bool) -> None:
        parents = ancestors(self) if follow_parents else {}
        watcher = self.app.result_watcher(self.backend)
        with watcher.arrivals([self.id, *parents], timeout) as arrivals:
            async for record in arrivals:
                if self._is_there(record, parents):
                    return

    def _wait(
        self,
        timeout: float | None,
        follow_parents: bool,
        interval: float,
        on_message: Callable[[Any], Any] | None,
        on_interval: Callable[[], Any] | None,
    ) -> None:
        parents = ancestors(self) if follow_parents else {}
        records = waiting.ready_records(
            self.backend, [self.id, *parents], timeout=timeout, interval=interval, on_interval=on_interval
        )
        for record in records:
            if on_message is not None:
                on_message(document(record))
            if self._is_there(record, parents):
                return
        raise IncompleteStream(f"The result backend stopped before the result of {self.id} was there")

    def _is_there(self, record: ResultRecord, parents: Mapping[str, AsyncResult]) -> bool:
        """Take in a record that has arrived, and tell whether it is the one; an earlier task's error is raised."""
        if record.task_id == self.id:
            self.keep(record)
            return True
        parents[record.task_id].keep(record)
        raise_of(record)
        return False

    def _kept_value(self, propagate: bool) -> Any:
        record = self._record
        assert record is not None
        if propagate:
            self._raise_of(record)
        return value_of(record)

    def _raise_of(self, record: ResultRecord) -> None:
        raise_of(record)

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], Any] | None = None) -> Any:
        """Return the value there is now, without waiting; raise it when it is an error.

        Args:
            propagate: False returns an error as well.
            callback: called with id and value.
        """
        record = self._fetched()
        value = None if record is None else value_of(record)
        if record is not None and propagate:
            self._raise_of(record)
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    def throw(self, *args: Any, **kwargs: Any) -> None:
        """Raise the task's exception, if there is one by now.

        Args:
            *args, **kwargs: accepted for compatibility.
        """
        record = self._fetched()
        if record is not None:
            self._raise_of(record)

    def then(
        self, callback: Callable[[Self], Any], on_error: Callable[[Self], Any] | None = None, weak: bool = False
    ) -> Self:
        """Call ``callback`` with this result once it is ready; returns at once.

        A result that is here already is answered in this thread; otherwise one thread of the process calls all
        callbacks, one after the other. They are not called any more once the application is closed.

        Args:
            callback: called after success, with this result.
            on_error: called after a failure, with this result.
            weak: accepted for compatibility.

        Returns:
            this result.

        Raises:
            BackendError: there is no result backend.
        """
        self._when_ready([self], partial(self._answer, callback, on_error))
        return self

    def _answer(self, callback: Callable[[Self], Any], on_error: Callable[[Self], Any] | None) -> None:
        assert self._record is not None
        if self._record.state == states.SUCCESS:
            callback(self)
        elif on_error is not None:
            on_error(self)

    def _when_ready(self, leaves: Sequence[AsyncResult], call: Callable[[], Any]) -> None:
        awaited = [leaf for leaf in leaves if not leaf.is_kept()]
        if awaited:
            self.app.result_watcher(self.backend).call_when_ready(awaited, call)
        else:
            call()

    # acting

    def forget(self) -> None:
        """Delete what is stored about this task, and about the tasks before it.

        Raises:
            BackendError: it cannot be deleted.
        """
        found: dict[Backend, list[str]] = {}
        node: Any = self
        while isinstance(node, AsyncResult):
            node._record = None
            found.setdefault(node.backend, []).append(node.id)
            node = node.parent
        for backend, ids in found.items():
            backend.forget(ids)

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Tell all workers not to run the task.

        Args:
            connection: accepted for compatibility.
            terminate: stop it if it runs.
            signal: with which signal.
            wait: wait for the workers' answers.
            timeout: seconds to wait for them.

        Raises:
            BrokerError: the workers cannot be told.
        """
        self.app.control.revoke(self.id, terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Tell all workers not to run tasks that carry these stamps.

        Args:
            headers: values of stamps, by name.
            connection, terminate, signal, wait, timeout: as for :meth:`revoke`.
        """
        self.app.control.revoke_by_stamped_headers(
            headers, terminate=terminate, signal=signal, reply=wait, timeout=timeout
        )

    # the graph of results

    def as_tuple(self) -> Any:
        """Return ``((id, parent), None)``, the form in which results travel."""
        before: list[Any] = []
        node: Any = self.parent
        while type(node) is type(self):  # a chain may be longer than Python's stack is deep
            before.append(node.id)
            node = node.parent
        parent = None if node is None else node.as_tuple()
        for task_id in reversed(before):
            parent = ((task_id, parent), None)
        return ((self.id, parent), None)

    def as_list(self) -> list[str]:
        """Return the ids of this result and those before it."""
        found: list[str] = []
        node: Any = self
        while type(node) is type(self):
            found.append(node.id)
            node = node.parent
        return found if node is None else [*found, *node.as_list()]

    # inside

    def keep(self, record: ResultRecord) -> None:
        """Take over a record that somebody else has fetched."""
        if record.state in states.READY_STATES:
            self._record = record

    def is_kept(self) -> bool:
        """Tell whether the result is ready and here."""
        return self._record is not None

    def _fetched(self) -> ResultRecord | None:
        if self._record is not None:
            return self._record
        backend = self.backend
        if not backend.capabilities.stores:
            raise waiting.no_backend()
        record = backend.fetch([self.id]).get(self.id)
        if record is not None:
            self.keep(record)
        return record

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __copy__(self) -> Self:
        return type(self)(self.id, self._backend, self.task_name, self._app, self.parent)

    def __reduce__(self) -> Any:
        return (type(self), (self.id, None, self.task_name, None, self.parent))


def ancestors(result: AsyncResult) -> dict[str, AsyncResult]:
    """Return the results whose failure means that this one will never be there, by id.

    A chord's header is not among them: when part of it fails the body gets a failure of its own. Nor are those whose
    results are elsewhere: this one's backend is told of their failures.
    """
    found: dict[str, AsyncResult] = {}
    node = result.parent
    while node is not None:
        if isinstance(node, AsyncResult) and (not some_apart() or node.backend is result.backend):
            found[node.id] = node
        node = node.parent
    return found


def result_from_tuple(value: Any, app: Celery | None = None) -> AsyncResult | GroupResult:
    """Return the result that a tuple ``((id, parent), members)`` stands for.

    Args:
        value: the tuple, also in the older form of a bare id; a result is returned as it is.
        app: the application of the new results.
    """
    if not isinstance(value, (list, tuple)):
        return value if hasattr(value, "as_tuple") else AsyncResult(value, app=app)
    head, members = value
    task_id, parent = head if isinstance(head, (list, tuple)) else (head, None)
    before = None if parent is None else result_from_tuple(parent, app)
    if members is None:
        return AsyncResult(task_id, app=app, parent=before)
    from tq_core.results.group_result import GroupResult

    return GroupResult(task_id, [result_from_tuple(member, app) for member in members], parent=before, app=app)
