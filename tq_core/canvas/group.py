"""The group: tasks side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tq_core import current
from tq_core.canvas.freezing import Place
from tq_core.canvas.making import maybe_signature
from tq_core.canvas.sending import one_publish
from tq_core.canvas.signature import Signature
from tq_core.type_variables import T

if TYPE_CHECKING:
    from typing_extensions import Self

    from tq_core.app import Celery
    from tq_core.canvas.chord import chord
    from tq_core.results.group_result import GroupResult

#: The value of another signature.
V = TypeVar("V")


@Signature.register_type("group")
class group(Signature[list[T]]):
    """Tasks side by side; all are sent in one publish.

    Args:
        *tasks: signatures, or one iterable of them, which may be a generator.
        app: the application that sends it.
        **options: options of all members.
    """

    kind = "group"

    @overload
    def __init__(self, *tasks: Signature[T], app: Celery | None = None, **options: Any) -> None: ...

    @overload
    def __init__(self, tasks: Iterable[Signature[T]], /, app: Celery | None = None, **options: Any) -> None: ...

    @overload
    def __init__(self, *tasks: Any, app: Celery | None = None, **options: Any) -> None: ...

    def __init__(  # type: ignore[misc]  # mypy: the one iterable, too, may not be named
        self, *tasks: Any, app: Celery | None = None, **options: Any
    ) -> None:
        super().__init__("celery.group", (), {"tasks": members(tasks)}, options, subtask_type="group", app=app)

    if TYPE_CHECKING:  # what the base class does gives another handle here

        @overload  # type: ignore[override]
        def __or__(self, other: group[V]) -> Any: ...

        @overload
        def __or__(self, other: Signature[V]) -> chord[V]: ...

        def __or__(self, other: Any) -> Any: ...

        def __ror__(self, other: Signature[Any]) -> Any: ...  # type: ignore[override]

        def __invert__(self) -> list[T]: ...

        def delay(self, *args: Any, **kwargs: Any) -> GroupResult[T]: ...  # type: ignore[override]

        async def adelay(self, *args: Any, **kwargs: Any) -> GroupResult[T]: ...  # type: ignore[override]

        async def aapply_async(  # type: ignore[override]
            self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
        ) -> GroupResult[T]: ...

        def freeze(self, _id: str | None = None, *args: Any, **kwargs: Any) -> GroupResult[T]: ...  # type: ignore[override]

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Any:
        """Return the group that a mapping describes."""
        made = cls(list(d["kwargs"]["tasks"]), app=app)
        given = {name: value for name, value in d["kwargs"].items() if name != "tasks"}
        made.kwargs.update(given)
        made.update(
            args=tuple(d.get("args") or ()),
            options=dict(d.get("options") or {}),
            immutable=bool(d.get("immutable")),
        )
        return made

    @property
    def tasks(self) -> list[Any]:
        """The members."""
        found: list[Any] = self.kwargs["tasks"]
        return found

    @tasks.setter
    def tasks(self, value: Iterable[Any]) -> None:
        self.kwargs["tasks"] = list(value)

    @property
    def width(self) -> int:
        """How many results it has: those of nested groups count one by one."""
        return sum(task.width for task in self.tasks)

    def plain_tasks(self) -> list[Any]:
        """Return copies of the members with what the group as a whole says about them; nested groups are dissolved."""
        return self._plain(self.args, self.kwargs, self.options)

    def _plain(self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> list[Any]:
        options = {name: value for name, value in options.items() if name not in _OF_THE_GROUP}
        common = {name: value for name, value in kwargs.items() if name != "tasks"}
        found: list[Any] = []
        for task in kwargs["tasks"]:
            own = task.clone(args, common, **options) if args or common or options else task.clone()
            found += own.plain_tasks() if isinstance(own, group) else [own]
        return found

    def __call__(self, *partial_args: Any, **options: Any) -> GroupResult[T]:
        """Send it with these arguments before each member's own."""
        return self.apply_async(partial_args, **options)

    def apply_async(  # type: ignore[override]  # Celery's order of parameters
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        add_to_parent: bool = True,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        **options: Any,
    ) -> GroupResult[T]:
        """Send all members in one publish and return their ``GroupResult``.

        Args:
            args, kwargs: added to each member's.
            add_to_parent: count the group as a child of the running task.
            producer: accepted for compatibility.
            link, link_error: refused: a chord runs a task after a group.
            **options: ``task_id`` is the group's, all others each member's.

        Raises:
            TypeError: ``link`` or ``link_error`` was given.
            PublishError: not every member is known to be in the broker.
        """
        if link is not None:
            raise TypeError("Cannot add link to group: use a chord")
        if link_error is not None:
            raise TypeError("Cannot add link to group: do that on individual tasks")
        app = self.app
        if app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        sent_args, sent_kwargs, merged = self._merge(args, kwargs, options)
        following = merged.pop("chain", None)
        place = Place.taken_from(merged)
        if following:
            twin = self.clone(args, kwargs, **options)
            twin.options = merged
            sent: GroupResult[T] = self._send_with_rest(twin, following, place, add_to_parent)
            return sent
        group_id = place.name({})
        tasks = self._plain(sent_args, sent_kwargs, merged)
        result = app.GroupResult(group_id, _frozen(tasks, place.moved(group_id=place.group_id or group_id)))
        with one_publish(app):
            for task in tasks:
                task.apply_async(add_to_parent=False)
        parent = running_request()
        if add_to_parent and parent is not None:
            parent.add_child(result)
        return result

    def _send_with_rest(self, twin: group, following: Sequence[Any], place: Place, add_to_parent: bool) -> Any:
        """Send a group that tasks follow, as a peer may have written it: it is a chord."""
        from tq_core.canvas.chain import chain, joined

        rest = chain([maybe_signature(task, self._app) for task in reversed(following)])
        return joined(twin, rest).apply_async(
            group_id=place.group_id,
            group_index=place.group_index,
            chord=place.chord,
            root_id=place.root_id,
            parent_id=place.parent_id,
            add_to_parent=add_to_parent,
        )

    def apply(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult[T]:
        """Run all members in this process and return their ``GroupResult``."""
        twin = self.clone(args, kwargs, **options)
        group_id = Place().name(twin.options)
        return self.app.GroupResult(group_id, [task.apply() for task in twin.plain_tasks()])

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> Self:
        """Give the members growing countdowns, in seconds, and return the group itself.

        Args:
            start: of the first member.
            stop: none is to wait longer, None for no bound.
            step: from one member to the next.
        """
        countdown = start
        for task in self.tasks:
            task.set(countdown=countdown)
            if stop is None or countdown + step <= stop:
                countdown += step
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say of every member whether earlier results are added to its arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Any) -> Any:
        """Link an immutable copy of ``callback`` to the first member, as Celery does."""
        return self.tasks[0].link(callback.clone().set(immutable=True))

    def link_error(self, errback: Any) -> Any:
        """Call ``errback`` for each member that fails."""
        for task in self.tasks:
            task.link_error(errback)
        return errback

    def _copied(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {**kwargs, "tasks": [task.clone() for task in kwargs["tasks"]]}

    def _freeze(self, place: Place) -> Any:
        group_id = Place(place.task_id, place.group_id, place.group_index).mark(self.options)
        self.tasks = _dissolved(self.tasks)
        return self.app.GroupResult(group_id, _frozen(self.tasks, place))

    def _own_app(self) -> Celery | None:
        return self._app or next((app for task in self.tasks if (app := task._own_app()) is not None), None)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        # An empty group is still a group: "if callback" must not drop it.
        return True

    def __repr__(self) -> str:
        return f"group({self.tasks!r})"


#: Options that say which group it is, and are no member's.
_OF_THE_GROUP = frozenset({"task_id", "group_id", "group_index", "chain"})


def members(tasks: Sequence[Any]) -> list[Any]:
    """Return signatures given as arguments, or as one iterable, as a list."""
    found: Iterable[Any] = tasks
    if len(tasks) == 1:
        (only,) = tasks
        if isinstance(only, group):
            found = only.plain_tasks()
        elif isinstance(only, Mapping):
            found = [only]
        else:
            found = only if isinstance(only, Iterable) else [only.s()]
    return [maybe_signature(task) for task in found]


def running_request() -> Any:
    """Return the run this code is in, leaving out tasks that were called like functions; None outside of any."""
    request = current.running.get()
    while request is not None and request.called_directly:
        request = request.outer
    return request


def _frozen(tasks: Iterable[Any], place: Place) -> list[Any]:
    """Freeze the members of a group, the first at ``place``, and return their results."""
    results = []
    _, group_id, first, chord, root_id, parent_id = place
    index = first or 0
    for task in tasks:
        results.append(task._freeze(Place(None, group_id, index, chord, root_id, parent_id)))
        # A chain that ends in a group counts with each of the group's members.
        index += max(1, task.width)
    return results


def _dissolved(tasks: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for task in tasks:
        found += _dissolved(task.plain_tasks()) if isinstance(task, group) else [task]
    return found
