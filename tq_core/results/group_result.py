"""Handles of many results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic

from tq_core import current, states
from tq_core.contracts.backend import ResultRecord
from tq_core.errors import ImproperlyConfigured, IncompleteStream, TimeoutError
from tq_core.result_stores import some_apart
from tq_core.results import waiting
from tq_core.results.async_result import AsyncResult, ancestors, result_from_tuple
from tq_core.results.descendants import Ancestor
from tq_core.results.progress import shown
from tq_core.results.values import document, raise_of, value_of
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from typing_extensions import Self

    from tq_core.app import Celery
    from tq_core.contracts.backend import Backend


class ResultSet(Generic[R_co]):
    """Some results. Questions about all of them cost one look at the backend, waiting for them one watch.

    Args:
        results: the results; may be changed by :meth:`add` and its like.
        app: the application; that of the first result by default.
        ready_barrier: accepted for compatibility.

    Attributes:
        results: the results.
        parent: the result of the task before, or None.
    """

    parent: Any = None

    def __init__(
        self, results: Iterable[Any], app: Celery | None = None, ready_barrier: Any = None, **kwargs: Any
    ) -> None:
        self.results: list[Any] = list(results)
        self._app = app

    @property
    def app(self) -> Celery:
        """The application."""
        if self._app is not None:
            return self._app
        return self.results[0].app if self.results else current.get_current_app()

    @property
    def backend(self) -> Backend:
        """Where results are.

        Raises:
            ImproperlyConfigured: they are in several backends, of which no single wait can hear.
        """
        if some_apart() and len({leaf.backend for leaf in self.leaves()}) > 1:
            raise ImproperlyConfigured(
                f"The results of {self!r} are in several backends, as some of its tasks have one of their own: wait "
                "for each result by itself, or give the tasks of a group the same backend"
            )
        return self.results[0].backend if self.results else self.app.backend

    # its members

    def add(self, result: Any) -> None:
        """Add a result unless it is there.

        Args:
            result: a result, or another set.
        """
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        """Remove a result, given as an object or by id.

        Raises:
            KeyError: it is not there.
        """
        try:
            self.results.remove(self.app.AsyncResult(result) if isinstance(result, str) else result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        """Remove a result if it is there."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Any]) -> None:
        """Add those results that are not there."""
        for result in results:
            self.add(result)

    def clear(self) -> None:
        """Remove all results."""
        self.results[:] = []

    # questions

    def successful(self) -> bool:
        """Tell whether all ended without an error."""
        return all(record is not None and record.state == states.SUCCESS for record in self._records())

    def failed(self) -> bool:
        """Tell whether any failed."""
        return any(record is not None and record.state == states.FAILURE for record in self._records())

    def ready(self) -> bool:
        """Tell whether all have ended."""
        return all(record is not None and record.state in states.READY_STATES for record in self._records())

    def waiting(self) -> bool:
        """Tell whether any has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        """Return how many ended without an error."""
        return sum(record is not None and record.state == states.SUCCESS for record in self._records())

    def maybe_throw(self, callback: Any = None, propagate: bool = True) -> None:
        """Raise the first error there is now, without waiting.

        Args:
            callback: called with id and value of each result.
            propagate: False raises nothing.
        """
        for result in self.results:
            result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    def _records(self) -> list[ResultRecord | None]:
        """Return every single result's record, asking once for those that are not here."""
        leaves = self.leaves()
        unknown = [leaf.id for leaf in leaves if not leaf.is_kept()]
        found: dict[str, ResultRecord] = {}
        if unknown:
            backend = self.backend
            if not backend.capabilities.stores:
                raise waiting.no_backend()
            found = backend.fetch(unknown)
        for leaf in leaves:
            record = found.get(leaf.id)
            if record is not None:
                leaf.keep(record)
        return [leaf._record if leaf.is_kept() else found.get(leaf.id) for leaf in leaves]

    def leaves(self) -> list[Any]:
        """Return the results of single tasks, also those of groups within."""
        found: list[Any] = []
        for result in self.results:
            found += result.leaves() if isinstance(result, ResultSet) else [result]
        return found

    # waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        no_ack: bool = True,
        on_message: Callable[[Any], Any] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
        progress: bool | Callable[[int, int], Any] = False,
    ) -> list[R_co]:
        """As :meth:`join`.

        Args:
            timeout, propagate, interval, callback, no_ack, on_message, disable_sync_subtasks, on_interval, progress: as
                there.
        """
        return self.join(
            timeout, propagate, interval, callback, no_ack, on_message, disable_sync_subtasks, on_interval, progress
        )

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        no_ack: bool = True,
        on_message: Callable[[Any], Any] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
        progress: bool | Callable[[int, int], Any] = False,
    ) -> list[R_co]:
        """Wait until all have ended and return their values in order.

        Args:
            timeout: seconds for all of it, None for ever.
            propagate: raise the first error that arrives; False puts exceptions into the list.
            interval: seconds between looks, where the backend cannot tell of itself.
            callback: called with id and value of each result, in order; the list is then empty.
            no_ack: accepted for compatibility.
            on_message: called with each result document as it arrives.
            disable_sync_subtasks: refuse to wait inside a task.
            on_interval: called every ``interval`` seconds while waiting.
            progress: called with the number of results that are here and that of all, at first and after each one; True
                draws a bar on standard error.

        Raises:
            TimeoutError: not all have ended within ``timeout``.
            RuntimeError: called inside a task.
            Exception: whatever a task raised.
        """
        if disable_sync_subtasks:
            waiting.assert_will_not_block()
        arriving = self._arriving(timeout, propagate, interval, on_message, on_interval)
        for _ in shown(arriving, len(self.leaves()), progress) if progress else arriving:
            pass
        if callback is None:
            return self._values(propagate)
        for leaf in self.leaves():
            callback(leaf.id, _kept_value(leaf, propagate))
        return []

    join_native = join

    async def aget(
        self, timeout: float | None = None, propagate: bool = True, disable_sync_subtasks: bool = True
    ) -> list[R_co]:
        """As :meth:`join`; the running loop turns meanwhile. ``await results`` is the same without arguments.

        Args:
            timeout: seconds for all of it, None for ever.
            propagate: raise the first error that arrives; False puts exceptions into the list.
            disable_sync_subtasks: refuse to wait inside a task.

        Raises:
            TimeoutError: not all have ended within ``timeout``.
            RuntimeError: called inside a task.
            BackendError: there is no result backend, it fails, or the application was closed meanwhile.
            Exception: whatever a task raised.
        """
        if disable_sync_subtasks:
            waiting.assert_will_not_block()
        awaited, parents = self._unready(propagate)
        if awaited:
            watcher = self.app.result_watcher(self.backend)
            with watcher.arrivals({*awaited, *parents}, timeout) as arrivals:
                async for record in arrivals:
                    if propagate:
                        raise_of(record)
                    for leaf in awaited.pop(record.task_id, ()):
                        leaf.keep(record)
                    if not awaited:
                        break
        return self._values(propagate)

    ajoin = aget

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        """Wait for all and return their values in order, or raise the first error; see :meth:`aget`."""
        return self.aget().__await__()

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[Any], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield id and result document of each result as it arrives; arguments as for :meth:`join`."""
        for leaf in self._arriving(timeout, False, interval, on_message, on_interval):
            yield leaf.id, document(leaf._record)

    def iterate(self, timeout: float | None = None, propagate: bool = True, interval: float = 0.5) -> Iterator[R_co]:
        """Yield each value as it arrives.

        Args:
            timeout, propagate, interval: as for :meth:`join`.

        Raises:
            TimeoutError: not all have ended within ``timeout``.
            Exception: whatever a task raised.
        """
        for leaf in self._arriving(timeout, propagate, interval, None, None):
            yield _kept_value(leaf, propagate)

    def then(
        self, callback: Callable[[Self], Any], on_error: Callable[[Self], Any] | None = None, weak: bool = False
    ) -> Self:
        """Call ``callback`` with this set once all are ready, or ``on_error`` when one failed; returns at once.

        See :meth:`AsyncResult.then` for where it is called.
        """
        leaves = self.leaves()
        awaited = [leaf for leaf in leaves if not leaf.is_kept()]
        answer = partial(self._answer, leaves, callback, on_error)
        if awaited:
            self.app.result_watcher(self.backend).call_when_ready(awaited, answer)
        else:
            answer()
        return self

    def _answer(
        self, leaves: Sequence[Any], callback: Callable[[Self], Any], on_error: Callable[[Self], Any] | None
    ) -> None:
        if all(leaf._record.state == states.SUCCESS for leaf in leaves):
            callback(self)
        elif on_error is not None:
            on_error(self)

    def _arriving(
        self,
        timeout: float | None,
        propagate: bool,
        interval: float,
        on_message: Callable[[Any], Any] | None,
        on_interval: Callable[[], Any] | None,
    ) -> Iterator[Any]:
        """Yield the single results as they become ready, those that are ready first."""
        awaited, parents = self._unready(propagate)
        yield from [leaf for leaf in self.leaves() if leaf.is_kept()]
        if not awaited:
            return
        wanted = [*awaited, *(task_id for task_id in parents if task_id not in awaited)]
        started = monotonic()
        for record in waiting.ready_records(
            self.backend, wanted, timeout=timeout, interval=interval, on_interval=on_interval
        ):
            if on_message is not None:
                on_message(document(record))
            if propagate:
                raise_of(record)
            for leaf in awaited.pop(record.task_id, ()):
                leaf.keep(record)
                yield leaf
            if not awaited:
                return
        if timeout is not None and monotonic() - started >= timeout:
            raise TimeoutError("The operation timed out.")
        raise IncompleteStream(f"The result backend stopped before {len(awaited)} results were there")

    def _unready(self, propagate: bool) -> tuple[dict[str, list[Any]], dict[str, AsyncResult]]:
        """Return the single results that are not here, and those before them, by id; an error that is here is raised.

        Those before a result are of interest where their errors are to be raised.
        """
        awaited: dict[str, list[Any]] = {}
        parents: dict[str, AsyncResult] = {}
        for leaf in self.leaves():
            if leaf.is_kept():
                if propagate:
                    raise_of(leaf._record)
                continue
            awaited.setdefault(leaf.id, []).append(leaf)
            if propagate and leaf.parent is not None:
                parents.update(ancestors(leaf))
        return awaited, parents

    def _values(self, propagate: bool) -> list[Any]:
        return [
            result._values(propagate) if isinstance(result, ResultSet) else _kept_value(result, propagate)
            for result in self.results
        ]

    # acting

    def forget(self) -> None:
        """Delete what is stored about all of them."""
        for leaf in self.leaves():
            leaf._record = None
        self.backend.forget([leaf.id for leaf in self.leaves()])

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Tell all workers to run none of them; arguments as for :meth:`AsyncResult.revoke`."""
        ids = [leaf.id for leaf in self.leaves()]
        self.app.control.revoke(ids, terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    @property
    def supports_native_join(self) -> bool:
        """True: waiting for many results costs one watch on every backend."""
        return True

    # a sequence

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        return bool(self.results)

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its members may change

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(str(result) for result in self.results)}]>"


class GroupResult(ResultSet[R_co], Ancestor):
    """The results of a group.

    Args:
        id: the group's id.
        results: its members' results.
        parent: the result of the task before.
        **kwargs: as for :class:`ResultSet`.

    Attributes:
        id: the group's id.
    """

    def __init__(
        self,
        id: str | None = None,
        results: Iterable[Any] | None = None,
        parent: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(results or (), **kwargs)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> Sequence[Any]:
        """The members' results."""
        return self.results

    def as_tuple(self) -> Any:
        """Return ``((id, parent), members)``, the form in which results travel."""
        parent = None if self.parent is None else self.parent.as_tuple()
        return ((self.id, parent), [result.as_tuple() for result in self.results])

    def as_list(self) -> list[str]:
        """Return the ids of the members."""
        return [leaf.id for leaf in self.leaves()]

    def save(self, backend: Backend | None = None) -> Any:
        """Keep the membership in the backend, for :meth:`restore`.

        Raises:
            NotSupported: the backend cannot keep groups.
        """
        assert self.id is not None
        return (backend or self.app.backend).save_group(self.id, self.as_tuple())

    def delete(self, backend: Backend | None = None) -> None:
        """Forget what :meth:`save` kept."""
        assert self.id is not None
        (backend or self.app.backend).delete_group(self.id)

    @classmethod
    def restore(cls, id: str, backend: Backend | None = None, app: Celery | None = None) -> Any:
        """Return the group that :meth:`save` kept, or None."""
        owner = app if app is not None else current.get_current_app()
        found = (backend or owner.backend).load_group(id)
        if found is None:
            return None
        restored = result_from_tuple(found, owner)
        if not isinstance(restored, GroupResult):
            raise ImproperlyConfigured(f"What is stored as group {id} is no group: {found!r}")
        return restored

    def __str__(self) -> str:
        return str(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results and other.parent == self.parent
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]  # by id, which does not change
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(str(result) for result in self.results)}]>"

    def __reduce__(self) -> Any:
        return (type(self), (self.id, self.results, self.parent))


def _kept_value(leaf: Any, propagate: bool) -> Any:
    if propagate:
        raise_of(leaf._record)
    return value_of(leaf._record)
