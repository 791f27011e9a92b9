"""From a call to what the caller gets: sent to a worker, or run at once where the settings say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tq_core import current
from tq_core.encoder import enclosing_run
from tq_core.task import Task

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.message import Message
    from tq_core.request import Request
    from tq_core.results.async_result import AsyncResult


class Sender:
    """Sends an application's calls. Safe to use from any thread.

    Args:
        app: the application.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(
        self,
        task: Task,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        task_id: str | None,
        options: dict[str, Any],
    ) -> AsyncResult:
        """Send a task of this application; see :meth:`Task.apply_async`."""
        app = self._app
        self._check(task, args or (), kwargs or {})
        if app.conf.task_always_eager:
            from tq_core.results.eager import apply_eagerly

            return apply_eagerly(app, task, args, kwargs, task_id=task_id, **options)
        return self.send_named(task.name, task, args, kwargs, task_id, options)

    def send_named(
        self, name: str, task: Task | None, args: Any, kwargs: Any, task_id: str | None, options: Mapping[str, Any]
    ) -> AsyncResult:
        """Send a task by name, with the defaults of ``task`` where it is known here."""
        sent_id = self._app.producer.send(name, task, args or (), kwargs or {}, task_id, options)
        return self._handle_of_sent(sent_id, name, task, options)

    def send_many(self, task: Task, calls: Iterable[Any], options: dict[str, Any]) -> list[AsyncResult]:
        """Send many calls of a task of this application; see :meth:`Task.apply_many`."""
        app = self._app
        if "task_id" in options:
            raise TypeError(f"{task.name}.apply_many() gives each call an id of its own; leave task_id out")
        made = [_call_of(task, each) for each in calls]
        for args, kwargs in made:
            self._check(task, args, kwargs)
        if app.conf.task_always_eager:
            return [self.send(task, args, kwargs, None, dict(options)) for args, kwargs in made]
        messages = app.producer.encoder.encode_many(task, made, options)
        app.producer.send_encoded(messages, options)
        # Where an exchange copies a call to several queues, its messages follow one another.
        ids = dict.fromkeys(message.id for message in messages)
        return [self._handle_of_sent(sent_id, task.name, task, options) for sent_id in ids]

    async def asend(
        self,
        task: Task,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        task_id: str | None,
        options: dict[str, Any],
    ) -> AsyncResult:
        """Send a task of this application from a coroutine; see :meth:`Task.aapply_async`."""
        app = self._app
        self._check(task, args or (), kwargs or {})
        if app.conf.task_always_eager:
            from tq_core.results.eager import aapply_eagerly

            return await aapply_eagerly(app, task, args, kwargs, task_id=task_id, **options)
        return await self.asend_named(task.name, task, args, kwargs, task_id, options)

    async def asend_named(
        self, name: str, task: Task | None, args: Any, kwargs: Any, task_id: str | None, options: Mapping[str, Any]
    ) -> AsyncResult:
        """As :meth:`send_named`; the running loop turns while the broker is waited for."""
        sent_id = await self._app.producer.asend(name, task, args or (), kwargs or {}, task_id, options)
        return self._handle_of_sent(sent_id, name, task, options)

    async def send_together(self, send: Callable[[], Any]) -> Any:
        """Call a function that sends, and publish what it has sent at once while the running loop turns.

        Returns:
            what the function returned.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        app = self._app
        if app.conf.task_always_eager:
            import asyncio

            # What is run at once may be anything, also another coroutine task, which needs a loop to itself.
            return await asyncio.to_thread(send)
        if app.producer.is_collecting:
            return send()
        with app.producer.packing() as parcel:
            result = send()
        await app.producer.apublish(parcel)
        return result

    def send_retry(self, retry: Any, request: Request) -> None:
        """Send the next run that a ``Retry`` stands for, now; inside an eager run, run it now."""
        if request.is_eager:
            retry.sig.apply(add_to_parent=False)
        else:
            self._app.producer.publish(self.collect_retry(retry, request))

    def collect_retry(self, retry: Any, request: Request) -> list[Message]:
        """Return the message of the next run that a ``Retry`` stands for."""
        token = current.running.set(request)
        try:
            with self._app.producer.collecting() as messages:
                if retry.sig is not None:
                    retry.sig.apply_async(add_to_parent=False)
        finally:
            current.running.reset(token)
        return list(messages)

    def handle(self, task_id: str, **options: Any) -> AsyncResult:
        """Return the handle of a result by id."""
        handle: AsyncResult = self._handle_class(task_id, app=self._app, **options)
        return handle

    def _check(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError where the arguments do not fit, unless that is not to be checked."""
        if task.typing and self._app.strict_typing:
            task.check_arguments(args, kwargs)

    @cached_property
    def _handle_class(self) -> Any:
        from tq_core.results.async_result import AsyncResult  # once: even a repeated import has its price in every call

        return AsyncResult

    def _handle_of_sent(self, sent_id: str, name: str, task: Task | None, options: Mapping[str, Any]) -> AsyncResult:
        if task is None or type(task).AsyncResult is Task.AsyncResult:
            result = self._app.AsyncResult(sent_id, task_name=name)
        else:
            result = task.AsyncResult(sent_id)
        parent = enclosing_run()
        if parent is not None and options.get("add_to_parent", True):
            parent.add_child(result)
        return result


def _call_of(task: Task, given: Any) -> tuple[Any, Any]:
    """Return positional and keyword arguments of one of many calls."""
    if isinstance(given, (tuple, list)):
        return given, {}
    if isinstance(given, Mapping):
        return (), dict(given)
    raise TypeError(
        f"{task.name}.apply_many() takes a tuple of positional arguments or a dict of keyword arguments for each call, "
        f"not {type(given).__name__}"
    )
