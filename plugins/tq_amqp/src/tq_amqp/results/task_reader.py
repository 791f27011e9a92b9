"""Receives the results of the tasks that a process waits for, each from a queue of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic

from tq_amqp import frames
from tq_amqp.connection import Link
from tq_amqp.frames import short
from tq_amqp.results.kept import Kept
from tq_amqp.results.message import ResultCodec
from tq_amqp.results.reader import Reader, tag_of
from tq_amqp.results.task_queues import AT_ONCE, TaskQueues, can_have_queue, queue_of
from tq_amqp.tables import encode_table
from tq_amqp.wire import Channel, Wire, together
from tq_core.errors import BackendUnavailable, TQError


class TaskReader:
    """Reads the queues of awaited tasks; a source for watches. Any thread.

    Args:
        link: the way to RabbitMQ.
        queues: makes the queues.
        codec: reads what is in them.
        lifetime: seconds that results stay with the process that has read them, None for ever.

    Attributes:
        kept: what was read.
    """

    def __init__(self, link: Link, queues: TaskQueues, codec: ResultCodec, lifetime: float | None) -> None:
        self._link = link
        self._queues = queues
        self._codec = codec
        self.kept = Kept(lifetime)
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}
        self._read: dict[str, str] = {}
        self._reader = Reader(link, self)
        self._none = encode_table({})

    def expect(self, task_ids: Sequence[str]) -> None:
        """Read the queues of these tasks, soon."""
        task_ids = list(filter(can_have_queue, task_ids))
        if task_ids:
            self._note(task_ids)
            self._reader.start()
            self._reader.wake()

    def release(self, task_ids: Sequence[str]) -> None:
        """Read the queues of these tasks no longer; RabbitMQ then removes them."""
        if task_ids:
            self._note(task_ids)
            self._reader.wake()

    def _note(self, task_ids: Sequence[str]) -> None:
        with self._lock:
            self._changed.update(dict.fromkeys(task_ids))

    def close(self) -> None:
        """End the thread. Never raises; may be called twice."""
        self._reader.close()

    # for the reader

    def subscribe(self, wire: Wire, times: int, until: float) -> Channel:
        """Read the queues of all tasks that somebody waits for."""
        with self._lock:
            self._changed = {}
        self._read = {}
        channel: Channel = wire.open_channel(until)
        self._begin(channel, self.kept.awaited())
        together([channel], monotonic() + self._link.options.answer_timeout)
        return channel

    def attend(self, channel: Channel) -> None:
        """Begin and end reading as things have changed."""
        with self._lock:
            changed, self._changed = self._changed, {}
        awaited = set(self.kept.awaited())
        self._begin(channel, [task_id for task_id in changed if task_id in awaited])
        for task_id in changed:
            if task_id not in awaited and self._read.pop(queue_of(task_id), None) is not None:
                channel.cast(frames.BASIC_CANCEL, short(queue_of(task_id)) + b"\x01")

    def _begin(self, channel: Channel, task_ids: Sequence[str]) -> None:
        new = [task_id for task_id in task_ids if queue_of(task_id) not in self._read]
        if not new:
            return
        for start in range(0, len(new), AT_ONCE):
            if start:  # RabbitMQ makes some hundred queues in a second, and is to answer in between
                together([channel], monotonic() + self._link.options.answer_timeout)
            some = new[start : start + AT_ONCE]
            for number, arguments in self._queues.declaration(some):
                channel.cast(number, arguments)
            for task_id in some:
                name = short(queue_of(task_id))
                self._read[queue_of(task_id)] = task_id
                channel.cast(frames.BASIC_CONSUME, b"\x00\x00" + name + name + b"\x08" + self._none)

    def take(self, channel: Channel) -> None:
        """Keep what has come; that is the only time it can be read."""
        gone, channel.cancelled = channel.cancelled, []
        again = [self._read.pop(name) for name in gone if name in self._read]
        if again:  # somebody has forgotten a task that is waited for
            awaited = set(self.kept.awaited())
            self._begin(channel, [task_id for task_id in again if task_id in awaited])
        if not channel.contents:
            return
        news = [self._codec.read(header, body) for _, _, header, body in channel.contents]
        tag = tag_of(channel.contents[-1][1])
        channel.contents.clear()
        self.kept.put(news)
        channel.cast(frames.BASIC_ACK, tag + b"\x01")

    def leave(self, channel: Channel, until: float) -> None:
        """Do nothing: the queues go with their reader."""

    def give_up(self, error: TQError) -> None:
        """End all waits."""
        self.kept.disappoint(lambda: BackendUnavailable(f"results cannot be received: {error}"))
