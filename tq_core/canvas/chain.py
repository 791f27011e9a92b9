"""The chain: tasks one after the other, each getting the result of the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tq_core.canvas.chord import chord
from tq_core.canvas.freezing import Place, attach
from tq_core.canvas.graph import keeping, rest_of
from tq_core.canvas.group import group, members
from tq_core.canvas.signature import Signature
from tq_core.type_variables import R_co

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tq_core.app import Celery
    from tq_core.results.async_result import AsyncResult as Result
    from tq_core.results.eager import EagerResult

#: The value of the last step.
V = TypeVar("V")


@Signature.register_type("chain")
class chain(Signature[R_co]):
    """Tasks one after the other.

    Only the first is sent; it carries the others with it. A group followed by a task is a chord, so making a chain of
    a group and more gives a :class:`~tq_core.canvas.chord.chord`.

    Args:
        *tasks: signatures, or one iterable of them.
        **options: options; ``queue`` and the like are the first task's.
    """

    kind = "chain"

    if not TYPE_CHECKING:  # to type checkers, __init__ says what kind of chain it is

        def __new__(cls, *tasks: Any, app: Celery | None = None, **options: Any) -> Any:
            """Return a chain, or the chord that the tasks amount to."""
            steps = members(tasks)
            found = folded(steps)
            if len(found) == 1 and len(steps) > 1 and isinstance(found[0], chord):
                return found[0].set(**options) if options else found[0]
            return cls._of(found if len(steps) > 1 else steps, app, options)

    @overload
    def __init__(
        self: chain[V],
        *tasks: Unpack[tuple[Unpack[tuple[Any, ...]], Signature[V]]],
        app: Celery | None = None,
        **options: Any,
    ) -> None: ...

    @overload
    def __init__(self: chain[Any], *tasks: Any, app: Celery | None = None, **options: Any) -> None: ...

    def __init__(self, *tasks: Any, **options: Any) -> None:  # type: ignore[misc]  # mypy asks for the same tuple
        # __new__ has done it: what it returns need not be a chain.
        pass

    @classmethod
    def _of(cls, tasks: list[Signature], app: Celery | None, options: Mapping[str, Any]) -> chain:
        made = super().__new__(cls)
        Signature.__init__(made, "celery.chain", (), {"tasks": tasks}, options, subtask_type="chain", app=app)
        return made

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Any:
        """Return the chain, or chord, that a mapping describes."""
        made = chain(list(d["kwargs"]["tasks"]), app=app)
        options = dict(d.get("options") or {})
        if isinstance(made, chain):
            made.update(args=tuple(d.get("args") or ()), options=options, immutable=bool(d.get("immutable")))
        else:
            # Somebody wrote a group followed by a task as a chain. The chain's id was that of its last task.
            last_id = options.pop("task_id", None)
            if last_id is not None:
                made.body.options.setdefault("task_id", last_id)
            made.options.update(options)
        return made

    @property
    def tasks(self) -> list[Any]:
        """The steps."""
        found: list[Any] = self.kwargs["tasks"]
        return found

    @tasks.setter
    def tasks(self, value: Iterable[Any]) -> None:
        self.kwargs["tasks"] = list(value)

    @property
    def width(self) -> int:
        """How many results count when it stands in the header of a chord: those of its last step."""
        return self.tasks[-1].width if self.tasks else 0

    def __call__(self, *args: Any, **kwargs: Any) -> Result[R_co]:
        """Send it; a chain is not a function."""
        return self.apply_async(args, kwargs)

    def unchain_tasks(self) -> list[Any]:
        """Return copies of the steps, each with what the chain as a whole says about it."""
        steps = [task.clone() for task in self.tasks]
        options = dict(self.options)
        options.pop("task_id", None)
        links, errbacks = options.pop("link", None), options.pop("link_error", None)
        if steps:
            if self.args or options:
                steps[0] = steps[0].clone(self.args, **options)
            for callback in _as_list(links):
                steps[-1].link(callback)
            if self.immutable:
                steps[0].set_immutable(True)
        for errback in _as_list(errbacks):
            for step in steps:
                step.link_error(errback)
        return steps

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> Result[R_co]:
        """Send the first step with all others behind it.

        Args:
            args, kwargs: the first step's.
            route_name: accepted for compatibility.
            **options: ``task_id``, ``link``, ``group_id`` and ``chord`` are the last step's, ``link_error`` and
                ``root_id`` every step's, all others the first step's.

        Returns:
            the last step's result, whose ``parent`` leads back to the first; None for an empty chain.
        """
        sent_args, _, merged = self._merge(args, None, options)
        if not self.tasks:
            return None  # type: ignore[return-value]  # not worth a question to everybody who sends a chain
        if self.app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        given = merged.pop("chain", None)
        links, errbacks = merged.pop("link", None), merged.pop("link_error", None)
        place = Place.taken_from(merged)
        steps = self.clone()
        for callback in _as_list(links):
            steps.tasks[-1].link(callback)
        for errback in _as_list(errbacks):
            for step in steps.tasks:
                step.link_error(errback)
        result: Result[R_co] = steps._freeze(place)
        first, *later = steps.tasks
        with keeping(self.app):
            following = [*_as_list(given), *rest_of(later)]
        if following:
            merged["chain"] = following
        first.apply_async(sent_args, None if self.immutable else kwargs, **merged)
        return result

    run = apply_async

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R_co]:
        """Run all steps in this process; a step that fails ends the chain and its result is returned."""
        steps = self.clone(args, **options).unchain_tasks()
        result: Any = None
        for number, step in enumerate(steps):
            following = step.apply((result.get(),)) if number else step.apply((), kwargs)
            attach(following, result)
            result = following
            if result.failed():
                break
        last: EagerResult[R_co] = result
        return last

    def _copied(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {"tasks": [task.clone() for task in kwargs["tasks"]]}

    def _freeze(self, place: Place) -> Any:
        result = None
        last = len(self.tasks) - 1
        for number, step in enumerate(self.tasks):
            own = Place(root_id=place.root_id, parent_id=place.parent_id if number == 0 else None)
            if number == last:
                task_id = place.task_id or self.options.get("task_id")
                own = place.moved(task_id=task_id, parent_id=own.parent_id)
            frozen = step._freeze(own)
            attach(frozen, result)
            result = frozen
        if result is not None:
            self.options["task_id"] = result.id
        return result

    def _own_app(self) -> Celery | None:
        return self._app or next((app for task in self.tasks if (app := task._own_app()) is not None), None)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def __repr__(self) -> str:
        if not self.tasks:
            return f"<{type(self).__name__} (empty)>"
        return " | ".join(repr(task) for task in self.tasks)


#: Celery's name of the class behind its factory.
_chain = chain


def joined(left: Signature, right: Signature) -> Any:
    """Return ``left | right``: a chain, or the chord it amounts to."""
    steps = folded([left, right])
    return steps[0] if len(steps) == 1 else chain._of(steps, None, {})


def folded(tasks: Sequence[Signature]) -> list[Signature]:
    """Return the steps that a sequence of canvases amounts to: no chain within, no group before another step."""
    steps: list[Signature] = []
    coming = deque(tasks)
    while coming:
        task = coming.popleft()
        step = _unrolled(task) if steps else task
        if step is None:
            continue
        if isinstance(step, chain):
            coming.extendleft(reversed(folded(step.unchain_tasks())))
            continue
        if not steps:
            steps.append(step)
            continue
        before = steps[-1]
        if isinstance(before, group):
            steps[-1] = chord(before, body=step.clone())
        elif isinstance(before, chord):
            extended = before.clone()
            extended.kwargs["body"] = joined(before.body, step) if before.body is not None else step.clone()
            steps[-1] = extended
        else:
            steps.append(step)
    return steps


def _unrolled(task: Signature) -> Signature | None:
    """Return a step as it is needed behind another: a group of one is its member, an empty one nothing."""
    if not isinstance(task, group) or len(task.tasks) > 1 or task.options.get("task_id") is not None:
        return task
    alone = task.plain_tasks()  # a group of one group has as many members as that
    if len(alone) > 1:
        return task
    return _unrolled(alone[0]) if alone else None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
