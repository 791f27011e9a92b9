"""The signature: one call of a task, not made yet; plain data that may travel in messages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from tq_core import current
from tq_core.canvas.call_fields import CallFields
from tq_core.canvas.freezing import Place
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from typing_extensions import Self

    from tq_core.app import Celery
    from tq_core.canvas.chain import chain
    from tq_core.canvas.group import group
    from tq_core.results.async_result import AsyncResult as Result
    from tq_core.results.eager import EagerResult

#: The value of another signature.
V = TypeVar("V")
#: A kind of signature.
Kind = TypeVar("Kind", bound="Signature[Any]")

#: Options of a frozen immutable signature that a call cannot change.
_KEPT_WHEN_SET = ("group_id", "stamped_headers")


class Signature(CallFields, Generic[R_co]):
    """One call of a task: its name, arguments and options.

    A signature is a ``dict`` of exactly the keys Celery writes, so it can be serialized as it is; :func:`signature`
    turns such a mapping back into an object of the right class. Not safe to change from several threads.

    Args:
        task: a task, its name, or the mapping of another signature.
        args, kwargs: arguments, or some of them.
        options: options of ``apply_async``.
        type: the task object, where the name alone was given.
        subtask_type: the kind of canvas; None for a plain task.
        immutable: results of earlier tasks are not added to the arguments.
        app: the application that sends it.
        **ex: further options.
    """

    _types: ClassVar[dict[str, type[Signature]]] = {}
    #: The kind of canvas, as written in ``subtask_type``.
    kind: ClassVar[str | None] = None
    _app: Celery | None = None
    _type: Any = None

    #: Messages hold the map alone, in every format; see the pickle serializer.
    travels_as_map = True

    def __init__(
        self,
        task: Any = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Celery | None = None,
        **ex: Any,
    ) -> None:
        self._app = app
        if isinstance(task, Mapping):
            super().__init__(task)
            return
        if isinstance(task, str):
            name: str | None = task
            self._type = type
        else:
            name = None if task is None else task.name
            self._type = task
            if app is None:
                self._app = getattr(task, "app", None)
        super().__init__(
            task=name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **ex},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    # kinds

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[type[Kind]], type[Kind]]:
        """Return a decorator that makes a class the one for mappings whose ``subtask_type`` is ``name``.

        Args:
            name: the kind; the class's own name by default.
        """

        def register(subclass: type[Kind]) -> type[Kind]:
            Signature._types[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Signature:
        """Return the signature that a mapping describes, of the class its ``subtask_type`` names.

        Args:
            d: the mapping, as it arrives in a message.
            app: the application that sends it.
        """
        kind = d.get("subtask_type")
        target = Signature._types.get(kind) if kind else None
        if target is not None and target is not cls:
            return target.from_dict(d, app=app)
        return Signature(
            {
                "task": d["task"],
                "args": tuple(d.get("args") or ()),
                "kwargs": dict(d.get("kwargs") or {}),
                "options": dict(d.get("options") or {}),
                "subtask_type": kind,
                "immutable": bool(d.get("immutable")),
                **({"chord_size": d["chord_size"]} if d.get("chord_size") is not None else {}),
            },
            app=app,
        )

    # what it is

    @property
    def app(self) -> Celery:
        """The application that sends it: its own, that of one of its parts, or the current one."""
        return self._own_app() or current.get_current_app()

    def _own_app(self) -> Celery | None:
        return self._app

    @property
    def type(self) -> Any:
        """The task object.

        Raises:
            NotRegistered: this process does not know the task.
        """
        return self._type if self._type is not None else self.app.tasks[self.task]

    @property
    def width(self) -> int:
        """How many results count when it stands in the header of a chord."""
        return 1

    # calling

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Run the task here and now, like a function.

        Args:
            *partial_args, **partial_kwargs: as for :meth:`delay`.

        Raises:
            NotRegistered: this process does not know the task.
        """
        args, kwargs, _ = self._merge(partial_args, partial_kwargs, {})
        return self.type(*args, **kwargs)

    def delay(self, *partial_args: Any, **partial_kwargs: Any) -> Result[R_co]:
        """Send it with these arguments before its own and return the result's handle.

        Args:
            *partial_args, **partial_kwargs: added to its own; ignored when immutable.
        """
        return self.apply_async(partial_args, partial_kwargs)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R_co]:
        """Run it in this thread as a worker would and return an ``EagerResult``.

        Args:
            args, kwargs, **options: as for :meth:`apply_async`.

        Raises:
            NotRegistered: this process does not know the task.
        """
        merged_args, merged_kwargs, merged = self._merge(args, kwargs, options)
        result: EagerResult[R_co] = self.type.apply(merged_args, merged_kwargs, **merged)
        return result

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> Result[R_co]:
        """Send it and return the result's handle.

        Args:
            args: come before its own arguments; ignored when immutable.
            kwargs: win over its own; ignored when immutable.
            route_name: accepted for compatibility.
            **options: win over its own; see :meth:`Task.apply_async`.

        Raises:
            EncodeError: the arguments cannot be serialized.
            PublishError: the broker did not take the message.
        """
        sent_args, sent_kwargs, merged = self._merge(args, kwargs, options)
        task = self._type if self._type is not None else self.app.tasks.get(self.task)
        if task is None:
            return self.app.send_task(self.task, sent_args, sent_kwargs, **merged)
        return task.apply_async(sent_args, sent_kwargs, **merged)

    async def adelay(self, *partial_args: Any, **partial_kwargs: Any) -> Result[R_co]:
        """As :meth:`delay`; the running loop turns while the broker is waited for.

        Args:
            *partial_args, **partial_kwargs: as there.
        """
        return await self.aapply_async(partial_args, partial_kwargs)

    async def aapply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Result[R_co]:
        """As :meth:`apply_async`; the running loop turns while the broker is waited for.

        Args:
            args, kwargs, **options: as there.
        """
        result: Result[R_co] = await self.app.sender.send_together(partial(self.apply_async, args, kwargs, **options))
        return result

    def _merge(
        self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return the arguments and options of a call with these ones added."""
        own = self.options
        merged = {**own, **options}
        for name in _KEPT_WHEN_SET if self.immutable else ():
            if own.get(name) is not None:
                merged[name] = own[name]
        if own.get("chain") and options.get("chain"):
            # What follows is stored backwards: the signature's own rest comes before the caller's.
            merged["chain"] = [*options["chain"], *own["chain"]]
        if self.immutable:
            return self.args, self.kwargs, merged
        sent_args = (*args, *self.args) if args else self.args
        return sent_args, {**self.kwargs, **kwargs} if kwargs else self.kwargs, merged

    # making others of it

    def clone(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **opts: Any) -> Self:
        """Return a copy with arguments and options added, as a call would add them.

        Args:
            args, kwargs: as for :meth:`apply_async`.
            **opts: options.
        """
        if args or kwargs or opts:
            merged_args, merged_kwargs, options = self._merge(args, kwargs, opts)
        else:
            merged_args, merged_kwargs, options = self.args, self.kwargs, self.options
        twin = Signature.__new__(type(self))
        dict.__init__(twin, self)
        twin.update(args=tuple(merged_args), kwargs=self._copied(merged_kwargs), options=_copied(options))
        twin._app, twin._type = self._app, self._type
        return twin

    partial = clone

    def _copied(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Copy arguments so that freezing the copy leaves the original as it is."""
        return dict(kwargs)

    def replace(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a copy in which what is given stands in place of what was there.

        Args:
            args, kwargs, options: the new ones; None keeps the old.
        """
        twin = self.clone()
        if args is not None:
            twin.args = tuple(args)
        if kwargs is not None:
            twin.kwargs = dict(kwargs)
        if options is not None:
            twin.options = dict(options)
        return twin

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options and return the signature itself.

        Args:
            immutable: whether results of earlier tasks are added to its arguments; None changes nothing.
            **options: those of :class:`~tq_core.call_options.CallOptions`.
        """
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether results of earlier tasks are added to the arguments."""
        self.immutable = immutable

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Result[R_co]:
        """Fix the ids now and return the handle of the result it will have.

        Args:
            _id: the task's id; a random one where it has none.
            group_id, group_index: the group it becomes a member of, and its position there.
            chord: signature of the body it will count towards.
            root_id, parent_id: first and previous task of the work-flow.
        """
        result: Result[R_co] = self._freeze(Place(_id, group_id, group_index, chord, root_id, parent_id))
        return result

    def _freeze(self, place: Place) -> Any:
        producer = self.app.producer
        if producer.reply_address.in_use:  # a worker that sends it for us is to name our address, not its own
            self.options.setdefault("reply_to", producer.reply_address.current)
        return self.app.AsyncResult(place.mark(self.options), task_name=self.task)

    # callbacks

    def link(self, callback: Any) -> Any:
        """Send ``callback`` with the result when the task succeeds; adding it twice is adding it once.

        Args:
            callback: a signature; it is returned.
        """
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Call ``errback`` when the task fails; adding it twice is adding it once.

        Args:
            errback: a signature of a task; it is returned. A task of one parameter is sent the failed task's id,
                another is called in the worker with request, exception and traceback.
        """
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """As :meth:`link_error`, but return the signature itself.

        Args:
            errback: as there.
        """
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add a value to an option that is a list, unless it is there, and return the value."""
        values = self._with_list_option(key)
        if value not in values:
            values.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add values to an option that is a list."""
        for item in value if isinstance(value, (list, tuple)) else [value]:
            self.append_to_list_option(key, item)

    def _with_list_option(self, key: str) -> list[Any]:
        found = self.options.get(key)
        if not isinstance(found, list):
            found = [] if found is None else list(found) if isinstance(found, tuple) else [found]
            self.options[key] = found
        return found

    def flatten_links(self) -> list[Any]:
        """Return this signature and all callbacks that follow from it."""
        found = [self]
        for callback in self.options.get("link") or ():
            found += self.from_dict(callback, app=self._app).flatten_links()
        return found

    # stamps

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> None:
        """Mark it, its parts and its callbacks with stamps.

        Args:
            visitor: a :class:`~tq_core.canvas.stamping.StampingVisitor` that decides on each part's stamps.
            append_stamps: add to a stamp of the same name instead of replacing it.
            **headers: stamps for all parts.
        """
        from tq_core.canvas.stamping import stamp

        stamp(self, visitor, append_stamps, headers)

    # composition

    # A dict's "|" joins members and gives a dict; a signature is none to that extent.
    @overload  # type: ignore[override]
    def __or__(self, other: group[V]) -> Any: ...

    @overload
    def __or__(self, other: Signature[V]) -> chain[V]: ...

    def __or__(self, other: Any) -> Any:
        """``a | b``: ``b`` follows ``a`` and gets its result."""
        from tq_core.canvas.chain import joined

        if not isinstance(other, Signature):
            return NotImplemented
        return joined(self, other)

    if TYPE_CHECKING:  # otherwise mypy takes a dict's, which gives a dict

        def __ror__(self, other: Signature[Any]) -> chain[R_co]: ...  # type: ignore[override]

    def __invert__(self) -> R_co:
        """``~sig``: send it and wait for its value, as ``apply_async().get()`` does."""
        return self.apply_async().get()

    # about

    def AsyncResult(self, task_id: str | None = None) -> Result[R_co]:
        """Return the handle of a result of this task.

        Args:
            task_id: its id; that of the signature, once frozen, by default.
        """
        return self.app.AsyncResult(task_id or self.id or "", task_name=self.task)

    def election(self) -> Any:
        """Raise: workers of tq elect no runner, a task runs on exactly one of them anyway."""
        raise NotImplementedError(
            "Signature.election() needs Celery's gossip; use apply_async(), one worker will run it"
        )

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return it as the call it stands for, as text."""
        merged_args, merged_kwargs, _ = self._merge(args, kwargs, {})
        parts = [repr(value) for value in merged_args] + [f"{k}={v!r}" for k, v in merged_kwargs.items()]
        return f"{self.task}({', '.join(parts)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __json__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = self
        return self.from_dict(copy.deepcopy(dict(self), memo), app=self._app)

    def __reduce__(self) -> Any:
        return (_rebuilt, (dict(self),))


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy options and the lists in them, which ``link`` and its like add to."""
    return {name: list(value) if isinstance(value, list) else value for name, value in options.items()}


def _rebuilt(fields: dict[str, Any]) -> Signature:
    return Signature.from_dict(fields)
