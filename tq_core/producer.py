"""Station 4: encoded calls are collected, or handed to the broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tq_core import signals
from tq_core.announcing import announce_sent
from tq_core.encoder import CallEncoder, enclosing_run
from tq_core.errors import BackendUnavailable, BrokerUnavailable, PublishError
from tq_core.message import Message
from tq_core.reply_address import ReplyAddress
from tq_core.retry import waits_of

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.outbox import Outbox, Parcel
    from tq_core.task import Task

#: Messages made in this thread or coroutine are put here instead of being published.
_collected: ContextVar[list[Message] | None] = ContextVar("tq_collected", default=None)
#: What has to be done before the messages collected here are published; None where that is done at once.
_postponed: ContextVar[list[Callable[[], object]] | None] = ContextVar("tq_postponed", default=None)


class Producer:
    """Encodes and publishes calls. Safe to use from any thread.

    Args:
        app: the application.

    Attributes:
        encoder: turns calls into messages.
        reply_address: where results go.
    """

    def __init__(self, app: Celery) -> None:
        conf = app.conf
        self._app = app
        self.reply_address = ReplyAddress(app)
        self.encoder = CallEncoder(app, self.reply_address)
        self._conf = conf
        self._bound: float = conf.broker_publish_timeout
        self._retries: bool = bool(conf.task_publish_retry)
        self._before_publish = app.plugins.observers("tq_before_publish")
        self._after_publish = app.plugins.observers("tq_after_publish")
        self._outbox: Outbox | None = None

    def send(
        self,
        name: str,
        task: Task | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> str:
        """Send one call and return its task id.

        Raises:
            EncodeError: the arguments cannot be serialized.
            QueueNotFound: there is no such queue, and it must not be made.
            PublishError: the broker did not take the message in time.
        """
        encoder = self.encoder
        options = encoder.addressed(name, task, args, kwargs, options)
        messages = encoder.encode(name, task, args, kwargs, task_id, options, enclosing_run())
        self.send_encoded(messages, options)
        return messages[0].id

    def send_encoded(self, messages: list[Message], options: Mapping[str, Any]) -> None:
        """Publish what the encoder has made, or collect it.

        Raises:
            PublishError: the broker did not take every message in time.
        """
        collecting = _collected.get()
        if collecting is not None:
            collecting += messages
        else:
            self.publish(messages, options)

    async def asend(
        self,
        name: str,
        task: Task | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> str:
        """As :meth:`send`; the running loop turns while the broker is waited for."""
        encoder = self.encoder
        options = encoder.addressed(name, task, args, kwargs, options)
        messages = encoder.encode(name, task, args, kwargs, task_id, options, enclosing_run())
        collecting = _collected.get()
        if collecting is not None:
            collecting += messages
        else:
            await self.apublish(_parcel(messages), options)
        return messages[0].id

    # collecting

    @property
    def is_collecting(self) -> bool:
        """True while what this thread or coroutine sends is collected."""
        return _collected.get() is not None

    @contextmanager
    def collecting(self) -> Iterator[list[Message]]:
        """While entered, what this thread or coroutine sends is added to the list instead of published.

        Inside another collection the outer list is used.
        """
        outer = _collected.get()
        if outer is not None:
            yield outer
            return
        messages: list[Message] = []
        token = _collected.set(messages)
        try:
            yield messages
        finally:
            _collected.reset(token)

    @contextmanager
    def packing(self) -> Iterator[Parcel]:
        """While entered, what this coroutine sends, and what must precede it, is put into a parcel."""
        parcel = _parcel([])
        token = _postponed.set(parcel.first)
        try:
            with self.collecting() as messages:
                yield parcel
            parcel.messages += messages
        finally:
            _postponed.reset(token)

    def precede(self, prepare: Callable[[], object]) -> None:
        """Call a function before what is sent next is published: now, unless that is being packed."""
        postponed = _postponed.get()
        if postponed is None:
            prepare()
        else:
            postponed.append(prepare)

    def publish(self, messages: Sequence[Message], options: Mapping[str, Any] | None = None) -> None:
        """Hand messages to the broker, trying again within the bound.

        Args:
            messages: what to send.
            options: ``retry`` False tries once; ``retry_policy`` overrides entries of the configured policy.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        if not messages:
            return
        self._announce_before(messages)
        self.deliver(messages, insist=self._insists(options), policy=(options or {}).get("retry_policy"))
        self._announce_after(messages)

    async def apublish(self, parcel: Parcel, options: Mapping[str, Any] | None = None) -> None:
        """As :meth:`publish`; the running loop turns while the broker is waited for.

        Raises:
            PublishError: not every message is known to be in the broker.
        """
        messages = list(parcel.messages)
        if not messages:
            return
        outbox = self._outbox
        if outbox is None:
            from tq_core.outbox import Outbox  # with asyncio, which only coroutines need

            outbox = self._outbox = Outbox(self.deliver, self._bound)
        self._announce_before(messages)
        await outbox.publish(parcel, insist=self._insists(options))
        self._announce_after(messages)

    def deliver(
        self,
        messages: Sequence[Message],
        *,
        insist: bool,
        deadline: float | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand messages to the broker without telling anybody.

        Args:
            messages: what to send.
            insist: try again as the retry policy says, until the deadline.
            deadline: monotonic seconds; ``broker_publish_timeout`` from now by default.
            policy: overrides entries of the configured policy.

        Raises:
            PublishError, BrokerUnavailable: not every message is known to be in the broker.
        """
        if insist:
            deadline = time.monotonic() + self._bound if deadline is None else deadline
            self._deliver_insistently(messages, deadline, policy or {})
        else:
            self._hand_over(messages)

    def _hand_over(self, messages: Sequence[Message]) -> None:
        if self.reply_address.in_use:
            try:
                self._app.backend.open_replies()
            except BackendUnavailable as error:
                raise BrokerUnavailable(f"Nothing was sent, since no result could be received: {error}") from error
        self._app.broker.publish(messages)

    def close(self) -> None:
        """Publish what coroutines have handed in."""
        if self._outbox is not None:
            self._outbox.close()

    def _insists(self, options: Mapping[str, Any] | None) -> bool:
        return bool(self._retries if options is None else options.get("retry", self._retries))

    def _deliver_insistently(self, messages: Sequence[Message], deadline: float, policy: Mapping[str, Any]) -> None:
        waits: Iterator[float] | None = None
        while True:
            began = time.monotonic()
            try:
                return self._hand_over(messages)
            except (BrokerUnavailable, PublishError) as error:
                if waits is None:
                    waits = waits_of({**self._conf.task_publish_retry_policy, **policy})
                # What may have arrived is not sent again: that could run a task twice.
                wait = next(waits, None)
                if wait is None or getattr(error, "maybe_sent", False):
                    raise
                # Another try may take as long as this one did.
                tried_until = time.monotonic()
                if tried_until + wait + (tried_until - began) >= deadline:
                    raise
                if isinstance(error, PublishError) and error.unsent:
                    messages = [message for message in messages if message.id in error.unsent]
                time.sleep(wait)

    def _announce_before(self, messages: Sequence[Message]) -> None:
        for listener in self._before_publish:
            for message in messages:
                listener(message)

    def _announce_after(self, messages: Sequence[Message]) -> None:
        if signals.after_task_publish.receivers or signals.task_sent.receivers:
            announce_sent(messages, self._app.serializers)
        for listener in self._after_publish:
            for message in messages:
                listener(message)


def _parcel(messages: list[Message]) -> Parcel:
    from tq_core.outbox import Parcel

    return Parcel(messages)
