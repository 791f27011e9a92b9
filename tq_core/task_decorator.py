"""What ``@app.task`` and ``@shared_task`` make of a function, for type checkers; nothing here acts at run time.

Both return a task with the function's parameters and value, so wrong arguments of ``delay`` are found before the
program runs. What cannot be known is not guessed: the parameters of a task with ``pydantic`` or ``filter`` are any.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NoReturn, Protocol, TypeVar, cast, overload

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from tq_core.task import Task
    from tq_core.type_variables import P, R_co

    #: The parameters of a function, its value, and a class of tasks.
    F = ParamSpec("F")
    V = TypeVar("V")
    TaskClass = TypeVar("TaskClass", bound=Task)

    class CoroutineTask(Task[P, R_co]):
        """The task of an ``async def``: called like a function it gives a coroutine, sent it gives the value."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:  # type: ignore[override]
            """Return the body's coroutine."""
            ...


# Of the two that fit a function returning Any, the first is meant: Any may be called, added and awaited alike.


class _Plain(Protocol):
    """Makes a task of a function."""

    @overload
    def __call__(self, function: Callable[F, NoReturn], /) -> Task[F, Any]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[F, Coroutine[Any, Any, V]], /) -> CoroutineTask[F, V]: ...
    @overload
    def __call__(self, function: Callable[F, V], /) -> Task[F, V]: ...


class _Bound(Protocol):
    """Makes a task of a function whose first parameter is the task, which callers do not give."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Any, F], NoReturn], /
    ) -> Task[F, Any]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, F], Coroutine[Any, Any, V]], /) -> CoroutineTask[F, V]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, F], V], /) -> Task[F, V]: ...


class TaskDecorator(Protocol):
    """``@app.task`` and ``@shared_task``, with and without options."""

    @overload
    def __call__(self, function: Callable[F, NoReturn], /) -> Task[F, Any]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[F, Coroutine[Any, Any, V]], /) -> CoroutineTask[F, V]: ...
    @overload
    def __call__(self, function: Callable[F, V], /) -> Task[F, V]: ...
    @overload
    def __call__(self, *, base: type[TaskClass], **options: Any) -> Callable[[Callable[..., Any]], TaskClass]: ...
    @overload
    def __call__(self, *, pydantic: Literal[True], **options: Any) -> Callable[[Callable[..., Any]], Task]: ...
    @overload
    def __call__(self, *, filter: Callable[..., Any], **options: Any) -> Callable[[Callable[..., Any]], Task]: ...
    @overload
    def __call__(self, *, bind: Literal[True], **options: Any) -> _Bound: ...
    @overload
    def __call__(self, *, bind: Literal[False] = False, **options: Any) -> _Plain: ...
    @overload
    def __call__(self, function: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Task]: ...
    @overload
    def __call__(self, function: Callable[..., Any], /, **options: Any) -> Task: ...


def task_decorator(function: Callable[..., Any]) -> TaskDecorator:
    """Return the function as it is, known to type checkers as what it does to others."""
    return cast("TaskDecorator", function)
