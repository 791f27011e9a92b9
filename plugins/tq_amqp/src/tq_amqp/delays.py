"""Where messages wait for their time: in RabbitMQ, in queues whose messages expire.

A delay queue belongs to one target queue and one span of time. What was put into it leaves it for the target when
the span is over, in order, since the span is the same for all. Spans have four significant bits, eight to the
octave: a wait takes the longest that is not too long. Who receives the message then and sees that it is early sends
it through the next, shorter one; each takes off at least seven eighths of what is left. The last milliseconds are
waited out by the consumer.

Nobody can list queues over AMQP. So each delay queue has a sign: a binding of the exchange ``tq.delays``, to a
queue that keeps nothing. A message published there comes back if there is no such binding.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from time import monotonic

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused
from tq_amqp.connection import Doubt, Link, Parcel
from tq_amqp.topology import Topology, count_of, queue_arguments
from tq_core.errors import BrokerError

#: Milliseconds that are waited out by the consumer.
SHORTEST = 16
#: Longest span in milliseconds, some 25 days; a longer wait goes through it several times.
LONGEST = 15 << 27
#: Milliseconds beyond its span after which an unused delay queue goes.
_SPARE = 3_600_000
#: Seconds for which a delay queue that was looked at is known to stay.
_SURE = 600.0

_SIGNS, _VOID = "tq.delays", "tq.void"


def span_of(milliseconds: int) -> int:
    """Return the longest span that is no longer than this."""
    milliseconds = min(milliseconds, LONGEST)
    shift = max(0, milliseconds.bit_length() - 4)
    return milliseconds >> shift << shift


def queue_of(target: str, span: int) -> str:
    """Name a delay queue."""
    return f"tq.delay.{span}.{target}"


def _octaves() -> Iterator[int]:
    return iter(range(SHORTEST.bit_length(), LONGEST.bit_length() + 1))


class Delays:
    """The delay queues of all targets. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: makes queues.
    """

    def __init__(self, link: Link, topology: Topology) -> None:
        self._link = link
        self._topology = topology
        self._looked: dict[tuple[str, int], float] = {}
        self._signed: set[str] = set()
        self._lock = threading.Lock()

    def route(self, target: str, due: float) -> str | None:
        """Return the queue that a message should wait in now, and make it; None when it is as good as due.

        Args:
            target: the queue it is for.
            due: Unix time, seconds.

        Raises:
            BrokerUnavailable, BrokerError: the queue cannot be made.
        """
        left = int((due - time.time()) * 1000)
        if left < SHORTEST:
            return None
        span = span_of(left)
        self.ensure(target, span)
        return queue_of(target, span)

    def ensure(self, target: str, span: int) -> None:
        """Make sure that a delay queue exists.

        Raises:
            BrokerUnavailable, BrokerError: it cannot be made.
        """
        now = monotonic()
        if now < self._looked.get((target, span), 0.0):
            return
        self._sign(target, span)
        self._topology.ensure_own(queue_of(target, span), self._arguments(target, span), lasting=False)
        with self._lock:
            self._looked[target, span] = now + _SURE

    def forget(self, name: str) -> None:
        """Make a delay queue again when it is next needed, because it has gone."""
        with self._lock:
            for target, span in [key for key in self._looked if queue_of(*key) == name]:
                del self._looked[target, span]

    def _arguments(self, target: str, span: int) -> dict[str, object]:
        arguments: dict[str, object] = {
            "x-message-ttl": span,
            "x-expires": span + _SPARE,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": target,
        }
        if self._topology.kind(target) == "quorum":
            arguments["x-queue-type"] = "quorum"
        return arguments

    # signs

    def _sign(self, target: str, span: int) -> None:
        """Put up the sign before the queue is made, so that no queue is without."""
        self._signs_ready()
        for key in (f".{target}", f"{span.bit_length()}.{target}", f"{span}.{target}"):
            if key not in self._signed:
                self._topology.ensure_binding(_VOID, _SIGNS, key)
                with self._lock:
                    self._signed.add(key)

    def _signs_ready(self) -> None:
        self._topology.ensure_exchange(_SIGNS, "direct")
        self._topology.ensure_own(_VOID, {"x-message-ttl": 0, "x-max-length": 1})

    def _standing(self, keys: Sequence[str]) -> list[int]:
        """Return the places of the signs that are up."""
        if not keys:
            return []
        bare = frames.write_properties({"delivery_mode": 1})
        parcels: list[Parcel] = [(_SIGNS, key, bare, b"") for key in keys]
        try:
            returned = set(self._link.publish(parcels, monotonic() + self._link.options.answer_timeout).returned)
        except Doubt as error:
            raise BrokerError(f"{error}") from error
        return [place for place in range(len(keys)) if place not in returned]

    def spans(self, target: str) -> list[int]:
        """Return the spans for which the target has, or once had, a delay queue, shortest first.

        Raises:
            BrokerUnavailable, BrokerError: RabbitMQ does not say.
        """
        self._signs_ready()
        if f".{target}" not in self._signed:
            if not self._standing([f".{target}"]):
                return []
            with self._lock:
                self._signed.add(f".{target}")
        octaves = list(_octaves())
        found = [octaves[place] for place in self._standing([f"{bits}.{target}" for bits in octaves])]
        spans = [step << max(0, bits - 4) for bits in found for step in range(8, 16)]
        return [spans[place] for place in self._standing([f"{span}.{target}" for span in spans])]

    # what waits

    def counts(self, target: str) -> dict[int, int]:
        """Return how many messages wait in each delay queue of a target.

        Raises:
            BrokerUnavailable, BrokerError: RabbitMQ does not say.
        """
        spans = self.spans(target)
        if not spans:
            return {}

        def look(channel: Channel, until: float) -> dict[int, int]:
            # Not passively: one that went is made again, which does no harm, and the channel lives on.
            for span in spans:
                asked = queue_arguments(queue_of(target, span), arguments=self._arguments(target, span))
                channel.cast(frames.QUEUE_DECLARE, asked)
            answers = channel.answers(len(spans), until)
            return {span: count_of(answer) for span, (_, answer) in zip(spans, answers, strict=True)}

        try:
            return self._link.call(look)
        except Refused as error:
            raise BrokerError(f"{self._link}: the delay queues of {target!r} cannot be looked at: {error}") from error

    def purge(self, target: str) -> int:
        """Drop what waits for a target and return how much it was.

        Raises:
            BrokerUnavailable, BrokerError: it is not known what was dropped.
        """
        filled = [span for span, count in self.counts(target).items() if count]

        def purge(channel: Channel, until: float) -> int:
            for span in filled:
                channel.cast(frames.QUEUE_PURGE, b"\x00\x00" + frames.short(queue_of(target, span)) + b"\x00")
            return sum(int.from_bytes(answer[4:8], "big") for _, answer in channel.answers(len(filled), until))

        try:
            return self._link.call(purge) if filled else 0
        except Refused as error:
            raise BrokerError(f"{self._link}: the delay queues of {target!r} cannot be purged: {error}") from error
