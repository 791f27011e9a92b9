"""The chord: a group, and a task that runs with all its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tq_core.canvas.freezing import Place, attach
from tq_core.canvas.graph import counts_towards, lightened
from tq_core.canvas.group import group, members, running_request
from tq_core.canvas.making import maybe_signature
from tq_core.canvas.sending import one_publish
from tq_core.canvas.signature import Signature
from tq_core.errors import BackendError, NotSupported
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.results.async_result import AsyncResult as Result
    from tq_core.results.eager import EagerResult

#: The value of another signature.
V = TypeVar("V")

#: When the header runs says nothing about when its body does.
_OF_THE_HEADER = frozenset({"countdown", "eta", "expires"})


@Signature.register_type("chord")
class chord(Signature[R_co]):
    """A header of tasks side by side, and a body that gets the list of their results.

    Args:
        header: signatures, or a group.
        body: signature of the task that runs once, when all of the header succeeded.
        task: accepted for compatibility.
        args, kwargs: added to each header task's arguments.
        app: the application that sends it.
        **options: options of header and body.
    """

    kind = "chord"

    @overload
    def __init__(self: chord[V], header: Any, body: Signature[V], *args: Any, **options: Any) -> None: ...

    @overload
    def __init__(self: chord[Any], header: Any, body: Any = None, *args: Any, **options: Any) -> None: ...

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        app: Celery | None = None,
        **options: Any,
    ) -> None:
        tasks = members([header])
        # A copy, because link() and its like change the body.
        kept = maybe_signature(body, app, clone=True)
        everything = {"header": tasks, "body": kept, "kwargs": dict(kwargs or {})}
        super().__init__(task, args, everything, options, subtask_type="chord", app=app)

    if TYPE_CHECKING:  # what follows it follows its body

        @overload  # type: ignore[override]
        def __or__(self, other: group[V]) -> Any: ...

        @overload
        def __or__(self, other: Signature[V]) -> chord[V]: ...

        def __or__(self, other: Any) -> Any: ...

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Any:
        """Return the chord that a mapping describes."""
        given = d["kwargs"]
        header = given["header"]
        made = cls(header if isinstance(header, (list, tuple)) else [], given.get("body"), app=app)
        if isinstance(header, Mapping):
            # A frozen header is a group, whose id must stay.
            made.kwargs["header"] = maybe_signature(header, app)
        made.kwargs["kwargs"] = dict(given.get("kwargs") or {})
        made.update(
            args=tuple(d.get("args") or ()),
            options=dict(d.get("options") or {}),
            immutable=bool(d.get("immutable")),
        )
        return made

    @property
    def tasks(self) -> list[Any]:
        """The header's tasks."""
        header = self.kwargs["header"]
        found: list[Any] = header.tasks if isinstance(header, group) else header
        return found

    @tasks.setter
    def tasks(self, value: Iterable[Any]) -> None:
        self.kwargs["header"] = list(value)

    @property
    def body(self) -> Any:
        """The body's signature."""
        return self.kwargs.get("body")

    @body.setter
    def body(self, value: Any) -> None:
        self.kwargs["body"] = value

    @property
    def width(self) -> int:
        """How many results count when it stands in the header of another chord: those of its body."""
        width: int = self.body.width if self.body is not None else 0
        return width

    @overload
    def __call__(self, body: Signature[V], **options: Any) -> Result[V]: ...

    @overload
    def __call__(self, body: None = None, **options: Any) -> Result[R_co]: ...

    @overload
    def __call__(self, body: Any = None, **options: Any) -> Result: ...

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Send it with this body: ``chord(header)(body)``."""
        return self.apply_async((), {"body": body} if body is not None else {}, **options)

    def apply_async(  # type: ignore[override]  # Celery's order of parameters
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        connection: Any = None,
        router: Any = None,
        result_cls: Any = None,
        **options: Any,
    ) -> Result[R_co]:
        """Send the header; the body follows when all of it succeeded.

        Args:
            args, kwargs: added to each header task's arguments; ``kwargs["body"]`` is the body.
            task_id: the body's id.
            producer, connection, router, result_cls: accepted for compatibility.
            **options: ``link``, ``link_error``, ``chain``, ``group_id`` and ``chord`` are the body's, ``countdown``,
                ``eta``, ``expires`` and ``parent_id`` the header's, all others go to both.

        Returns:
            the body's result; its ``parent`` is the header's ``GroupResult``.

        Raises:
            BackendError: there is no result backend, without which the header cannot be counted.
        """
        app = self.app
        if app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        given = dict(kwargs or {})
        body = maybe_signature(given.pop("body", None) or self.body, self._app)
        if body is None:
            raise TypeError("A chord needs a body: chord(header)(body)")
        sent_args, _, merged = self._merge(args, None, options)
        # The chord's own id is its header's group; a call's is the body's.
        merged["task_id"] = task_id
        following = merged.pop("chain", None)
        links, errbacks = merged.pop("link", None), merged.pop("link_error", None)
        add_to_parent = merged.pop("add_to_parent", True)
        place = Place.taken_from(merged)

        body = body.clone(**{name: value for name, value in merged.items() if name not in _OF_THE_HEADER})
        if following:
            body.options["chain"] = [*following, *(body.options.get("chain") or ())]
        for callback in _as_list(links):
            body.link(callback)
        for errback in _as_list(errbacks):
            body.link_error(errback)
        in_header = _as_list(errbacks) if app.conf.task_allow_error_cb_on_chord_header else []

        common = {} if self.immutable else {**self.kwargs["kwargs"], **given}
        header = self._header_group().clone(sent_args, common, **merged)
        group_id = Place().name(header.options)
        header = group(header.plain_tasks(), app=self._app, task_id=group_id)
        for errback in in_header:
            header.link_error(errback)
        # A body that counts towards an outer chord stays in the outer group.
        in_group = place.group_id or (None if counts_towards(body).get("group_id") else group_id)
        body_result: Result[R_co] = body._freeze(place.moved(group_id=in_group, parent_id=None))
        counted = self._counted_by_backend(app)
        with one_publish(app):
            kept = lightened(body)
            header_result = header._freeze(
                Place(
                    group_id=group_id,
                    chord=kept if counted else None,
                    root_id=place.root_id,
                    parent_id=place.parent_id,
                )
            )
            attach(body_result, header_result)
            size = header.width
            if size == 0:
                body.apply_async(([],), root_id=place.root_id, parent_id=place.parent_id)
                return body_result
            if counted:
                # Before the header leaves, so that no part is counted against an unknown size.
                app.producer.precede(partial(app.backend.open_chord, group_id, size))
            for task in header.tasks:
                task.apply_async(add_to_parent=False)
            if not counted:
                self._send_unlock(app, group_id, kept, header_result, {**merged, **body.options})
        parent = running_request()
        if add_to_parent and parent is not None:
            parent.add_child(header_result)
        return body_result

    run = apply_async

    def _counted_by_backend(self, app: Celery) -> bool:
        capabilities = app.backend.capabilities
        if not capabilities.stores:
            raise BackendError(
                "A chord needs a result backend to count its header's results: set result_backend, for instance to "
                "'redis://localhost/0' or 'db+sqlite:///results.db'"
            )
        if capabilities.replies and not capabilities.chords:
            raise NotSupported(
                "A chord, and a group with a task behind it, needs a result backend that counts its header's results; "
                f"{type(app.backend).__name__} sends them to the caller and keeps none. Set result_backend to "
                "'redis://localhost/0' or 'db+postgresql://…', or gather the group's results in the caller and send "
                "the body from there"
            )
        return capabilities.chords

    def _send_unlock(self, app: Celery, group_id: str, body: Any, header: Any, options: Mapping[str, Any]) -> None:
        """Send the task that waits for the header where the backend cannot count; it goes where the body goes.

        Args:
            app, group_id: of the header.
            body: as messages are to carry it.
            header: the header's result.
            options: the body's, and before them those of the call.
        """
        interval = app.conf.result_chord_retry_interval
        where = {name: options[name] for name in ("queue", "exchange", "routing_key") if options.get(name)}
        app.send_task(
            "celery.chord_unlock",
            (group_id, body),
            {"interval": interval, "result": [leaf.as_tuple() for leaf in _leaves(header)]},
            countdown=interval,
            add_to_parent=False,
            **where,
        )

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R_co]:
        """Run header and body in this process and return the body's result."""
        given = dict(kwargs or {})
        body = maybe_signature(given.pop("body", None) or self.body, self._app)
        sent_args, _, merged = self._merge(args, None, options)
        for name in ("task_id", "producer", "connection", "router", "result_cls"):
            merged.pop(name, None)
        done = self._header_group().clone(sent_args, {**self.kwargs["kwargs"], **given}).apply()
        if done.failed():
            failed: EagerResult[R_co] = next(result for result in _leaves(done) if result.failed())
            return failed
        values = [result.get() for result in _leaves(done)]
        result: EagerResult[R_co] = body.apply((values,), task_id=options.get("task_id"), **merged)
        attach(result, done)
        return result

    def link(self, callback: Any) -> Any:
        """Send ``callback`` with the body's result."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Call ``errback`` when the body fails or cannot run; with ``task_allow_error_cb_on_chord_header``, also for
        each header task that fails."""
        if self.app.conf.task_allow_error_cb_on_chord_header:
            for task in self.tasks:
                task.link_error(errback)
        if self.body is not None:
            self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Say of the header's tasks whether earlier results are added to their arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def _header_group(self) -> group:
        """Return a copy of the header as a group; its id is the chord's."""
        header = self.kwargs["header"]
        made = header.clone() if isinstance(header, group) else group([task.clone() for task in header], app=self._app)
        group_id = self.options.get("task_id")
        if group_id is not None:
            made.options.setdefault("task_id", group_id)
        return made

    def _copied(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        header = kwargs["header"]
        body = kwargs.get("body")
        return {
            "header": header.clone() if isinstance(header, group) else [task.clone() for task in header],
            "body": None if body is None else body.clone(),
            "kwargs": dict(kwargs.get("kwargs") or {}),
        }

    def _freeze(self, place: Place) -> Any:
        header = self._header_group()
        self.options["task_id"] = Place().name(header.options)
        header_result = header._freeze(Place(root_id=place.root_id, parent_id=place.parent_id))
        self.kwargs["header"] = header
        result = self.body._freeze(place.moved(parent_id=None))
        attach(result, header_result)
        return result

    def _own_app(self) -> Celery | None:
        if self._app is not None:
            return self._app
        parts = [*self.tasks, *([self.body] if self.body is not None else [])]
        return next((app for task in parts if (app := task._own_app()) is not None), None)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        # A chord with an empty header still runs its body.
        return True

    def __repr__(self) -> str:
        if self.body is None:
            return f"<chord without body: {self.tasks!r}>"
        return f"%({self.tasks!r}, {self.body!r})"


def _leaves(result: Any) -> list[Any]:
    """Return the results of single tasks in a group's, also those of groups within."""
    found: list[Any] = []
    for member in result.results:
        found += _leaves(member) if hasattr(member, "results") else [member]
    return found


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
