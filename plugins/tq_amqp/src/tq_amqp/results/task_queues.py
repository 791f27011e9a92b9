"""A queue for each task, as Celery's ``amqp`` backend made them: how they are named, made, filled and looked into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from time import monotonic

from tq_amqp import frames
from tq_amqp.connection import Doubt, Link, Parcel
from tq_amqp.frames import short
from tq_amqp.results.kept import News
from tq_amqp.results.message import ResultCodec
from tq_amqp.tables import encode_table
from tq_amqp.topology import count_of, queue_arguments
from tq_amqp.wire import Broken, Channel, Refused, Wire
from tq_core.contracts.backend import ResultRecord
from tq_core.errors import BackendError, BackendUnavailable, EncodeError
from tq_core.states import SUCCESS

#: Tasks that one round trip to RabbitMQ is about.
AT_ONCE = 200
#: Most messages of one task that are looked at.
_BACKLOG = 1000
#: How often a result is stored again whose queue went, with its last reader, while it was on its way.
_TRIES = 5
#: Most bytes of a queue's name.
_LONGEST_NAME = 255

_NO_WAIT = 1 << 4
_NOT_FOUND = 404


def queue_of(task_id: str) -> str:
    """Return the name of a task's queue: its id without dashes."""
    return task_id.replace("-", "")


def can_have_queue(task_id: str) -> bool:
    """Tell whether a task can have a queue: AMQP has no room for longer names."""
    return len(queue_of(task_id).encode("utf-8", "surrogatepass")) <= _LONGEST_NAME


class TaskQueues:
    """The queues of one deployment. Any thread.

    Args:
        link: the way to RabbitMQ.
        codec: writes and reads results.
        exchange: name of the exchange of results (``result_exchange``).
        kind: its type (``result_exchange_type``).
        durable: they survive a restart (``result_persistent``).
        expires: seconds a queue stays without use, and a result in it (``result_expires``); None for ever.
    """

    def __init__(
        self, link: Link, codec: ResultCodec, exchange: str, kind: str, *, durable: bool, expires: float | None
    ) -> None:
        self._link = link
        self._codec = codec
        self._exchange = exchange
        self._durable = durable
        milliseconds = None if expires is None else max(1, int(expires * 1000))
        self._expiration = None if milliseconds is None else str(milliseconds)
        self._flags = bytes((durable << 1 | 1 << 3 | _NO_WAIT,))  # removed with its last reader
        self._arguments = encode_table({} if milliseconds is None else {"x-expires": milliseconds})
        self._nothing = encode_table({})
        flags = bytes((durable << 1 | _NO_WAIT,))
        self._exchange_declared = b"\x00\x00" + short(exchange) + short(kind) + flags + self._nothing

    def declaration(self, task_ids: Iterable[str]) -> Iterator[tuple[int, bytes]]:
        """Yield the methods that make the queues of tasks; nothing is answered to any of them.

        Raises:
            EncodeError: an id is too long for a queue's name.
        """
        # Told what it is like each time, since whoever declares it otherwise must hear of it.
        yield frames.EXCHANGE_DECLARE, self._exchange_declared
        for name in {queue_of(task_id): None for task_id in task_ids}:
            try:
                queue = short(name)
            except ValueError as error:
                raise EncodeError(f"the task's id cannot name a queue for its result: {error}") from error
            yield frames.QUEUE_DECLARE, b"\x00\x00" + queue + self._flags + self._arguments
            bound = b"\x00\x00" + queue + short(self._exchange) + queue + b"\x01" + self._nothing
            yield frames.QUEUE_BIND, bound

    # storing

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Put records into their queues, which are made where there are none.

        Raises:
            EncodeError: one cannot be written; none was stored.
            BackendUnavailable, BackendError: RabbitMQ cannot be reached, or refuses them.
        """
        parcels: list[Parcel] = []
        for record in records:
            properties, body = self._codec.write(record, self._expiration)
            parcels.append((self._exchange, queue_of(record.task_id), properties, body))
        list(self.declaration(record.task_id for record in records))
        for start in range(0, len(parcels), AT_ONCE):
            self._store(records[start : start + AT_ONCE], parcels[start : start + AT_ONCE])

    def _store(self, records: Sequence[ResultRecord], parcels: Sequence[Parcel]) -> None:
        for _ in range(_TRIES):
            before = list(self.declaration(record.task_id for record in records))
            try:
                outcome = self._link.publish(parcels, monotonic() + self._link.options.publish_timeout, before=before)
            except Doubt as error:
                if error.refusal is None:
                    raise BackendUnavailable(f"results were not stored: {error}") from error
                raise BackendError(self._told(error.refusal)) from error
            records = [records[place] for place in outcome.returned]
            parcels = [parcels[place] for place in outcome.returned]
            if not records:
                return
        raise BackendUnavailable(
            f"{self._link}: the queue of task {records[0].task_id} went {_TRIES} times: it is read and left by others"
        )

    def _told(self, error: Refused) -> str:
        if error.code == 406:
            return (
                f"{self._link}: results cannot be stored: {error}. Workers and clients need the same "
                "values of result_persistent, result_expires, result_exchange and result_exchange_type; what exists "
                "with others must be deleted"
            )
        return f"{self._link}: results cannot be stored: {error}"

    # looking

    def look(self, task_ids: Sequence[str]) -> list[News]:
        """Return the newest records of tasks, or what is wrong with them, and leave each in its queue.

        Raises:
            BackendUnavailable, BackendError: RabbitMQ cannot be reached, or refuses.
        """
        wanted: dict[str, set[str]] = {}
        for task_id in filter(can_have_queue, task_ids):
            wanted.setdefault(queue_of(task_id), set()).add(task_id)
        names, news = list(wanted), []
        for start in range(0, len(names), AT_ONCE):
            found = self._look(names[start : start + AT_ONCE])
            news += [one for one in found if one[0] in wanted[queue_of(one[0])]]
        return news

    def _look(self, names: Sequence[str]) -> list[News]:
        deadline = monotonic() + self._link.options.answer_timeout
        for tries_left in reversed(range(_TRIES)):
            with self._link.borrow(deadline) as lent:
                wire = lent.wire
                try:
                    counts = self._counts(wire, names, deadline)
                    return self._peek(wire, counts, deadline) if counts else []
                except Broken as error:
                    raise BackendUnavailable(f"{wire.name}: {error}. Check the server") from error
                except Refused as error:
                    if error.code != _NOT_FOUND or not tries_left:
                        raise BackendError(f"{wire.name}: results cannot be read: {error}") from error
                    # A queue went between the two looks, since somebody has read its result.
                    self._link.discard(wire)
        return []

    def _counts(self, wire: Wire, names: Sequence[str], deadline: float) -> dict[str, int]:
        """Return how many messages are in each of these queues that is not empty.

        A queue that does not exist costs a channel, and none is made by asking.
        """
        counts: dict[str, int] = {}
        at, width = 0, len(names)
        while at < len(names):
            some = names[at : at + width]
            channel: Channel = wire.open_channel(deadline)
            for name in some:
                channel.cast(frames.QUEUE_DECLARE, queue_arguments(name, passive=True))
            try:
                answers = channel.answers(len(some), deadline)
                channel.close(deadline)
                width *= 2
            except Refused as error:
                if error.code != _NOT_FOUND:
                    raise
                answers = list(channel.replies)
                at += 1
                width = 1  # where one is missing the next is likely to be, too
                wire.forget(channel)
            at += len(answers)
            for name, (_, answer) in zip(some, answers, strict=False):
                count = count_of(answer)
                if count:
                    counts[name] = min(count, _BACKLOG)
        return counts

    def _peek(self, wire: Wire, counts: dict[str, int], deadline: float) -> list[News]:
        channel: Channel = wire.open_channel(deadline)
        asked = 0
        for name, count in counts.items():
            arguments = b"\x00\x00" + short(name) + b"\x00"
            for _ in range(count):
                channel.cast(frames.BASIC_GET, arguments)
            asked += count
        wire.flush(deadline)
        while len(channel.contents) + len(channel.replies) < asked:
            channel.check()
            wire.pump_until(deadline)
        newest: dict[str, tuple[News, bytes]] = {}
        for _, arguments, header, body in channel.contents:
            tag = arguments[4:12]
            one = self._codec.read(header, body)
            known = newest.get(one[0])
            if known is not None and _is_success(known[0]):
                channel.cast(frames.BASIC_ACK, tag + b"\x00")
                continue
            if known is not None:
                channel.cast(frames.BASIC_ACK, known[1] + b"\x00")
            newest[one[0]] = (one, tag)
        for _, tag in newest.values():
            channel.cast(frames.BASIC_REJECT, tag + b"\x01")
        channel.contents.clear()
        channel.close(deadline)
        return [one for one, _ in newest.values()]

    # forgetting

    def delete(self, task_ids: Sequence[str]) -> None:
        """Delete the queues of tasks.

        Raises:
            BackendUnavailable, BackendError: RabbitMQ cannot be reached, or refuses.
        """
        names = list({queue_of(task_id): None for task_id in filter(can_have_queue, task_ids)})

        for start in range(0, len(names), AT_ONCE):
            try:
                self._link.call(partial(_delete, names[start : start + AT_ONCE]))
            except Refused as error:
                raise BackendError(f"{self._link}: results cannot be deleted: {error}") from error


def _delete(names: Sequence[str], channel: Channel, until: float) -> None:
    for name in names:
        channel.cast(frames.QUEUE_DELETE, b"\x00\x00" + short(name) + b"\x00")
    channel.answers(len(names), until)


def _is_success(one: News) -> bool:
    return isinstance(one[1], ResultRecord) and one[1].state == SUCCESS
