"""Messages that were buried: kept in the queue ``tq.dead``, with their reason, until somebody decides.

They go through the exchange ``tq.dead`` with their queue's name as the routing key, so that a site can collect them
in queues of its own as well. The plugin's queue is bounded by number and age. To read it means to take everything
out of it and to give it back; one reader at a time, which RabbitMQ sees to (an exclusive consumer).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tq_amqp import frames
from tq_amqp.channel import Channel, Refused
from tq_amqp.connection import Link, Parcel
from tq_amqp.envelope import COUNT, read, rewrite, whole, write
from tq_amqp.frames import short
from tq_amqp.lane import Taken
from tq_amqp.publishing import Outgoing
from tq_amqp.tables import encode_table
from tq_amqp.topology import Topology, count_of, queue_arguments
from tq_core.contracts.broker import Bury, DeadLetter
from tq_core.errors import BrokerError
from tq_core.message import Message

DEAD = "tq.dead"

_LETTER, _QUEUE, _AT = "x-tq-letter", "x-tq-queue", "x-tq-buried-at"
_REASON, _TRACEBACK, _DEFECT = "x-tq-reason", "x-tq-traceback", "x-tq-defect"
#: Longest reason and traceback that are kept, in characters: headers must fit in one frame.
_LONGEST_REASON, _LONGEST_TRACEBACK = 1_000, 10_000
#: Seconds to wait for another reader.
_PATIENCE = 5.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Found:
    """A dead letter, and what is needed to send it on."""

    number: int
    letter: DeadLetter
    properties: Any
    body: bytes


class Cemetery:
    """The dead letters. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: makes the queue.
        outgoing: publishes letters, and what is exhumed.
    """

    def __init__(self, link: Link, topology: Topology, outgoing: Outgoing) -> None:
        self._link = link
        self._topology = topology
        self._outgoing = outgoing

    # in

    def _ready(self) -> None:
        options = self._link.options
        arguments: dict[str, Any] = {}
        if options.dead_letter_limit:
            arguments["x-max-length"] = options.dead_letter_limit
        if options.dead_letter_expires:
            arguments["x-message-ttl"] = int(options.dead_letter_expires * 1000)
        self._topology.ensure_exchange(DEAD, "topic")
        try:
            self._topology.ensure_own(DEAD, arguments)
        except BrokerError:
            # Its bounds were others when it was made; they are the site's to change, by deleting it or by a policy.
            self._link.call(
                lambda channel, until: channel.call(frames.QUEUE_DECLARE, queue_arguments(DEAD, passive=True), until)
            )
        self._topology.ensure_binding(DEAD, DEAD, "#")

    def parcel(self, one: Taken, ending: Bury) -> Parcel:
        """Return the letter of a message that is held.

        Raises:
            BrokerUnavailable, BrokerError: there is no place for it.
        """
        self._ready()
        own = self._stone(one.queue, ending.reason, ending.traceback, one.count + 1)
        if one.read.message is None:
            own[_DEFECT] = (one.read.defect or "")[:_LONGEST_REASON]
            properties = frames.write_properties({"delivery_mode": 2, "headers": own})
            return DEAD, one.queue, properties, one.raw
        return DEAD, one.queue, self._fitting(one.read.properties, own), one.read.message.body

    def _fitting(self, properties: Any, own: dict[str, Any]) -> bytes:
        """Return a letter's properties; without the traceback where they would not fit in a frame."""
        written = rewrite(properties, own)
        if len(written) + 20 > self._link.options.frame_max:
            written = rewrite(properties, {**own, _TRACEBACK: None, _REASON: own[_REASON][:100]})
        return written

    @staticmethod
    def _stone(queue: str, reason: str, traceback: str | None, count: int) -> dict[str, Any]:
        return {
            _LETTER: uuid.uuid4().hex,
            _QUEUE: queue,
            _AT: time.time(),
            _REASON: reason[:_LONGEST_REASON],
            _TRACEBACK: None if traceback is None else traceback[-_LONGEST_TRACEBACK:],
            COUNT: count,
        }

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None) -> str:
        """See :meth:`tq_core.contracts.broker.Broker.bury`."""
        self._ready()
        own = self._stone(queue, reason, traceback, 0)
        self._outgoing.send([(DEAD, queue, write(message, own), message.body)], [message.id])
        letter_id: str = own[_LETTER]
        return letter_id

    # out

    def letters(self, queue: str | None, limit: int) -> Iterator[DeadLetter]:
        """See :meth:`tq_core.contracts.broker.Broker.dead_letters`."""

        def read_all(found: list[_Found], channel: Channel, until: float) -> list[DeadLetter]:
            return [one.letter for one in reversed(found) if queue is None or one.letter.queue == queue][:limit]

        return iter(self._visit(read_all))

    def letter(self, letter_id: str) -> DeadLetter | None:
        """See :meth:`tq_core.contracts.broker.Broker.dead_letter`."""

        def pick(found: list[_Found], channel: Channel, until: float) -> DeadLetter | None:
            return next((one.letter for one in found if one.letter.letter_id == letter_id), None)

        return self._visit(pick)

    def exhume(self, letter_ids: Sequence[str]) -> int:
        """See :meth:`tq_core.contracts.broker.Broker.exhume`."""

        def send_back(found: list[_Found], channel: Channel, until: float) -> int:
            chosen = [one for one in found if one.letter.letter_id in wanted]
            readable = [one for one in chosen if one.letter.message is not None]
            for name in {one.letter.queue for one in readable}:
                self._topology.ensure(name)
            parcels: list[Parcel] = [("", one.letter.queue, rewrite(one.properties, {}), one.body) for one in readable]
            if parcels:
                self._outgoing.send(parcels, [one.letter.letter_id for one in readable])
            _ack(channel, chosen)
            return len(chosen)

        wanted = frozenset(letter_ids)
        return self._visit(send_back) if wanted else 0

    def drop(self, letter_ids: Sequence[str]) -> int:
        """See :meth:`tq_core.contracts.broker.Broker.drop_dead`."""

        def drop(found: list[_Found], channel: Channel, until: float) -> int:
            chosen = [one for one in found if one.letter.letter_id in wanted]
            _ack(channel, chosen)
            return len(chosen)

        wanted = frozenset(letter_ids)
        return self._visit(drop) if wanted else 0

    def _visit(self, work: Callable[[list[_Found], Channel, float], _Answer]) -> _Answer:
        """Take everything out, do something, and give the rest back, in its order."""
        self._ready()

        def visit(channel: Channel, until: float) -> _Answer:
            count = count_of(channel.call(frames.QUEUE_DECLARE, queue_arguments(DEAD, passive=True), until))
            # With the flag "exclusive": another reader is refused meanwhile.
            channel.call(
                frames.BASIC_CONSUME, b"\x00\x00" + short(DEAD) + short("visit") + b"\x04" + encode_table({}), until
            )
            contents = channel.contents
            wire = channel.wire
            while len(contents) < count and wire.pump(1.0):
                channel.check()
            channel.call(frames.BASIC_CANCEL, short("visit") + b"\x00", until)
            answer = work([_found(*content[1:]) for content in contents], channel, until)
            contents.clear()
            return answer

        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._link.call(visit, 30.0)
            except Refused as error:
                if error.code == 404:
                    self._topology.forget(DEAD, f"tq.binding {DEAD} {DEAD} #")
                    self._ready()
                elif error.code != 403 or time.monotonic() > deadline:
                    raise BrokerError(f"{self._link}: the dead letters cannot be read: {error}") from error
                else:
                    time.sleep(0.05)  # another reader is at it


def _ack(channel: Channel, chosen: Sequence[_Found]) -> None:
    for one in chosen:
        channel.cast(frames.BASIC_ACK, one.number.to_bytes(8, "big") + b"\x00")


def _found(arguments: bytes, header: bytes, body: bytes) -> _Found:
    _, at = frames.read_short(arguments, 4)
    number = int.from_bytes(arguments[at : at + 8], "big")
    try:
        headers = frames.read_properties(header).get("headers") or {}
    except ValueError:
        headers = {}
    queue = str(headers.get(_QUEUE) or "")
    found = read(header, body, queue, "", queue)
    readable = found.message is not None and _DEFECT not in headers
    traceback = headers.get(_TRACEBACK)
    buried_at = headers.get(_AT)
    letter = DeadLetter(
        str(headers.get(_LETTER) or ""),
        queue,
        found.message if readable else None,
        str(headers.get(_REASON) or ""),
        float(buried_at) if isinstance(buried_at, (int, float)) else 0.0,
        traceback if isinstance(traceback, str) else None,
        b"" if readable else body,
        whole(headers.get(COUNT)),
    )
    return _Found(number, letter, found.properties, body)
