"""Tasks every application has, because peers send them by name."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

from tq_core.canvas.making import maybe_signature
from tq_core.errors import ChordError
from tq_core.tracing import Guard

if TYPE_CHECKING:
    from tq_core.app import Celery


def register(app: Celery) -> None:
    """Add the built-in tasks to an application."""

    @app.task(name="celery.ping")
    def ping() -> str:
        return "pong"

    @app.task(name="celery.backend_cleanup")
    def backend_cleanup() -> None:
        app.backend.clean_up()

    @app.task(name="celery.accumulate")
    def accumulate(*args: Any, index: int | None = None) -> Any:
        values = args[0] if len(args) == 1 and isinstance(args[0], list) else list(args)
        return values if index is None else values[index]

    @app.task(name="celery.map")
    def xmap(task: Any, it: Any) -> list[Any]:
        called = maybe_signature(task, app).type
        return [_value(called(item)) for item in it]

    @app.task(name="celery.starmap")
    def xstarmap(task: Any, it: Any) -> list[Any]:
        called = maybe_signature(task, app).type
        return [_value(called(*item)) for item in it]

    @app.task(name="celery.chunks")
    def chunks(task: Any, it: Any, n: int) -> Any:
        from tq_core.canvas.mapping import chunks as as_chunks

        return as_chunks(task, it, n, app=app).apply_async().as_tuple()

    @app.task(name="celery.group")
    def group(tasks: Any, result: Any = None, group_id: str | None = None, partial_args: Any = ()) -> Any:
        from tq_core.canvas.group import group as as_group

        return as_group(list(tasks), app=app, task_id=group_id).apply_async(partial_args).as_tuple()

    @app.task(name="celery.chain")
    def chain(*args: Any, tasks: Any = ()) -> Any:
        from tq_core.canvas.chain import chain as as_chain

        return as_chain(list(tasks), app=app).apply_async(args).as_tuple()

    @app.task(name="celery.chord")
    def chord(header: Any, body: Any, partial_args: Any = (), kwargs: Any = None) -> Any:
        from tq_core.canvas.chord import chord as as_chord

        members = header if isinstance(header, list) else maybe_signature(header, app)
        return as_chord(members, body, app=app, kwargs=kwargs).apply_async(partial_args).as_tuple()

    _register_unlock(app)


def _value(returned: Any) -> Any:
    """Return what a task called like a function has returned, or what its coroutine comes to."""
    if not isinstance(returned, CoroutineType):
        return returned
    from tq_core.coroutines import run_here  # with asyncio, which only coroutines need

    return run_here(returned, Guard())


def _register_unlock(app: Celery) -> None:
    @app.task(name="celery.chord_unlock", bind=True, max_retries=None, default_retry_delay=1, ignore_result=True)
    def chord_unlock(
        self: Any,
        /,
        group_id: str,
        callback: Any,
        interval: float | None = None,
        max_retries: int | None = None,
        result: Any = None,
        **ignored: Any,
    ) -> None:
        """Look whether all of a chord's header has ended; send the body, or come back after ``interval`` seconds."""
        from tq_core.canvas.errbacks import fail_unsent
        from tq_core.results.async_result import result_from_tuple
        from tq_core.results.group_result import GroupResult

        body = maybe_signature(callback, app)
        header = GroupResult(group_id, [result_from_tuple(member, app) for member in result or ()], app=app)
        if not header.ready():
            wait = app.conf.result_chord_retry_interval if interval is None else interval
            raise self.retry(countdown=wait, max_retries=max_retries)
        failed = next((leaf for leaf in header.leaves() if not leaf.successful()), None)
        if failed is not None:
            fail_unsent(app, body, ChordError(f"Dependency {failed.id} raised {failed.result!r}"))
            return
        values = [leaf.result for leaf in header.leaves()]
        # The body's errors are its own: the unlocking task has done its part once the body is sent.
        body.apply_async((values,), add_to_parent=False)
