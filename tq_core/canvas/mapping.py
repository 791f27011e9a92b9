"""One task over many arguments: map, starmap and chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from tq_core.canvas.group import group
from tq_core.canvas.making import maybe_signature
from tq_core.canvas.signature import Signature
from tq_core.type_variables import T

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.results.group_result import GroupResult


class xmap(Signature[list[T]]):
    """One message that calls a task with each item, one after the other; its result is the list of theirs.

    Args:
        task: signature of the task.
        it: the arguments, one each.
        app: the application that sends it.
        **options: options of the call.
    """

    _task_name = "celery.map"

    def __init__(self, task: Signature[T], it: Iterable[Any], app: Celery | None = None, **options: Any) -> None:
        wanted = maybe_signature(task, app)
        super().__init__(
            self._task_name,
            (),
            {"task": wanted, "it": list(it)},
            options,
            immutable=True,
            app=app if app is not None else wanted._own_app(),
        )

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(x) for x in {self.kwargs['it']!r}]"


class xstarmap(xmap[T]):
    """As :class:`xmap`, with a sequence of arguments in each item."""

    _task_name = "celery.starmap"

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(*x) for x in {self.kwargs['it']!r}]"


class chunks(Signature[list[list[T]]]):
    """Many calls of a task in a few messages of up to ``n`` calls each.

    Args:
        task: signature of the task.
        it: the arguments, a sequence for each call.
        n: most calls in one message.
        app: the application that sends it.
        **options: options of the messages.
    """

    def __init__(
        self,
        task: Signature[T],
        it: Iterable[Any],
        n: int,
        app: Celery | None = None,
        **options: Any,
    ) -> None:
        wanted = maybe_signature(task, app)
        super().__init__(
            "celery.chunks",
            (),
            {"task": wanted, "it": list(it), "n": n},
            options,
            immutable=True,
            app=app if app is not None else wanted._own_app(),
        )

    def __call__(self, **options: Any) -> GroupResult[list[T]]:
        """Send it."""
        return self.apply_async(**options)

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> GroupResult[list[T]]:
        """Send the messages and return their ``GroupResult``; each member's value is a list."""
        return self.group().apply_async(**{**self.options, **options})

    def apply(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult[list[T]]:
        """Run all calls in this process."""
        return self.group().apply()

    def group(self) -> group[list[T]]:
        """Return the group of messages it stands for."""
        task, n = self.kwargs["task"], self.kwargs["n"]
        parts = (xstarmap(task, part, app=self._app) for part in _parts(self.kwargs["it"], n))
        return group(parts, app=self._app)

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Celery | None = None) -> Any:
        """Send the messages of ``chunks(task, it, n)``."""
        return cls(task, it, n, app=app)()


def _parts(items: Sequence[Any], n: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while part := list(islice(iterator, n)):
        yield part
