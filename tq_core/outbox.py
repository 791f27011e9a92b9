"""Publishing for coroutines: one thread of the process hands over what all of them send, as batches.

A coroutine must not wait for the broker in the thread of its event loop. So it hands its messages in here and awaits
their fate; what is handed in while the thread is busy leaves together with the next batch.
"""

from __future__ import annotations

import asyncio
import copy
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from tq_core.errors import BrokerUnavailable, PublishError
from tq_core.message import Message

#: Most calls in one batch, so that the first of many is not kept waiting for the last.
_MOST = 1_000
#: A call whose time is up within so many seconds is not tried again.
_ALMOST = 0.1


class Deliver(Protocol):
    """Hands messages to the broker before a deadline; as :meth:`tq_core.producer.Producer.deliver`."""

    def __call__(self, messages: Sequence[Message], *, insist: bool, deadline: float | None) -> None: ...


@dataclass(slots=True)
class Parcel:
    """What one call sends.

    Attributes:
        messages: to publish.
        first: functions to call before that, such as the opening of a chord.
    """

    messages: list[Message] = field(default_factory=list)
    first: list[Callable[[], object]] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    parcel: Parcel
    insist: bool
    deadline: float
    loop: asyncio.AbstractEventLoop
    sent: asyncio.Future[None]

    def fail(self, error: BaseException) -> tuple[_Call, BaseException]:
        """Return the call with an error of its own: coroutines must not share one, which grows with each raise."""
        try:
            own = copy.copy(error)
        except Exception:
            own = error
        if isinstance(own, PublishError):
            own.unsent = tuple(message.id for message in self.parcel.messages)
        return self, own


class Outbox:
    """The publishing thread of one application. Started when it is first needed, anew in a forked child.

    Args:
        deliver: hands messages to the broker.
        bound: seconds after which a call that could not be published fails.
    """

    def __init__(self, deliver: Deliver, bound: float) -> None:
        self._deliver = deliver
        self._bound = bound
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        # Each thread has a queue of its own: what is handed in after its end mark is another's.
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def publish(self, parcel: Parcel, *, insist: bool) -> None:
        """Await that every message is in the broker. A cancelled wait takes nothing back.

        Args:
            parcel: what to send.
            insist: try again until the bound.

        Raises:
            PublishError, BrokerUnavailable: not every message is known to be in the broker.
        """
        if self._pid != os.getpid():
            self._reset()  # the parent's thread is not here, and its lock may have been held at the fork
        loop = asyncio.get_running_loop()
        call = _Call(parcel, insist, time.monotonic() + self._bound, loop, loop.create_future())
        with self._lock:
            if self._thread is None:
                self._calls = SimpleQueue()
                self._thread = threading.Thread(target=self._run, args=(self._calls,), name="Outbox", daemon=True)
                self._thread.start()
            self._calls.put(call)
        await call.sent

    def close(self) -> None:
        """Publish what was handed in, and end the thread. Handing in more starts another."""
        if self._pid != os.getpid():
            return
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._calls.put(None)
        if thread is not threading.current_thread():
            thread.join(self._bound)

    # the thread

    def _run(self, queue: SimpleQueue[_Call | None]) -> None:
        calls: list[_Call] = []
        ended = False
        while calls or not ended:
            ended = _take(queue, calls) or ended
            calls = self._send_all(calls)

    def _send_all(self, calls: list[_Call]) -> list[_Call]:
        """Publish some calls and tell their coroutines; return those to be tried again."""
        fates: list[tuple[_Call, BaseException | None]] = []
        ready: list[_Call] = []
        for call in calls:
            try:
                for prepare in call.parcel.first:
                    prepare()
                call.parcel.first.clear()
            except BaseException as error:
                fates.append((call, error))
            else:
                ready.append(call)
        again: list[_Call] = []
        for insist in (True, False):
            batch = [call for call in ready if call.insist is insist]
            if batch:
                fates += self._send(batch, insist, again)
        _tell(fates)
        return again

    def _send(self, calls: list[_Call], insist: bool, again: list[_Call]) -> list[tuple[_Call, BaseException | None]]:
        """Publish a batch and return what became of each call; those to be tried again go to ``again``."""
        deadline = min(call.deadline for call in calls)
        messages = [message for call in calls for message in call.parcel.messages]
        try:
            self._deliver(messages, insist=insist, deadline=deadline)
        except (BrokerUnavailable, PublishError) as error:
            named = getattr(error, "unsent", ())
            unsent = set(named) if named else {message.id for message in messages}
            # What may have arrived is not sent again: that could run a task twice.
            may_go_on = insist and not getattr(error, "maybe_sent", False)
            fates: list[tuple[_Call, BaseException | None]] = []
            for call in calls:
                if all(message.id not in unsent for message in call.parcel.messages):
                    fates.append((call, None))
                elif may_go_on and call.deadline > deadline + _ALMOST:
                    call.parcel.messages = [m for m in call.parcel.messages if m.id in unsent]
                    again.append(call)
                else:
                    fates.append(call.fail(error))
            return fates
        except BaseException as error:
            if len(calls) == 1:
                return [(calls[0], error)]
            # One of them is the cause; the others must not suffer for it.
            return [fate for call in calls for fate in self._send([call], insist, again)]
        return [(call, None) for call in calls]


def _take(queue: SimpleQueue[_Call | None], calls: list[_Call]) -> bool:
    """Add the calls that wait, waiting for the first of all; True when these are the last."""
    while len(calls) < _MOST:
        try:
            call = queue.get(block=not calls)
        except Empty:
            break
        if call is None:
            return True
        calls.append(call)
    return False


def _tell(fates: Sequence[tuple[_Call, BaseException | None]]) -> None:
    """Let coroutines go on; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Call, BaseException | None]]] = {}
    for fate in fates:
        by_loop.setdefault(fate[0].loop, []).append(fate)
    for loop, own in by_loop.items():
        with suppress(RuntimeError):  # the loop has been closed; nobody waits there
            loop.call_soon_threadsafe(_settle, own)


def _settle(fates: Sequence[tuple[_Call, BaseException | None]]) -> None:
    for call, error in fates:
        if call.sent.done():
            continue  # the coroutine was cancelled
        if error is None:
            call.sent.set_result(None)
        else:
            call.sent.set_exception(error)
