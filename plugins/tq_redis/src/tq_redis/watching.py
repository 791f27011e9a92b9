"""Waiting for results: told by the announcement that comes with each, and looking by itself only to be safe."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from queue import Empty, SimpleQueue

from tq_core.contracts.backend import ResultRecord, ResultSubscription
from tq_core.errors import BackendUnavailable, TimeoutError
from tq_core.states import READY_STATES
from tq_redis.results import ResultCodec
from tq_redis.results_keys import ResultKeys
from tq_redis.results_store import ResultStore
from tq_redis.watching_channels import Channels, Inbox, Missed, Woken

#: Seconds between looks without an announcement: one is lost where a replica took over before it was copied. And
#: until the next look after one that failed; whether the server is gone for good is for the channels to tell.
LOOK_EVERY, LOOK_AGAIN = 5.0, 0.5

#: Longest wait in seconds of a watch without a deadline.
LONGEST = 3600.0


class RedisResultSubscription(ResultSubscription):
    """Hears of results on their channels. Owned by one thread.

    Args:
        store: to look results up in.
        channels: to listen to.
        keys: the channels' names.
        codec: reads what is announced.
    """

    def __init__(self, store: ResultStore, channels: Channels, keys: ResultKeys, codec: ResultCodec) -> None:
        self._store = store
        self._channels = channels
        self._keys = keys
        self._codec = codec
        self._inbox: Inbox = SimpleQueue()
        self._pending: dict[bytes, str] = {}
        self._unheard: dict[bytes, str] = {}
        self._next_look = 0.0

    def add(self, task_ids: Sequence[str]) -> None:
        """Listen for these from the next :meth:`receive` on, and look for them there first."""
        for task_id in task_ids:
            channel = self._keys.task(task_id)
            if channel not in self._pending:
                self._unheard[channel] = task_id

    def drop(self, task_ids: Sequence[str]) -> None:
        """Listen for these no longer."""
        self._drop([self._keys.task(task_id) for task_id in task_ids])

    def _drop(self, channels: Sequence[bytes]) -> None:
        heard = []
        for channel in channels:
            self._unheard.pop(channel, None)
            if self._pending.pop(channel, None) is not None:
                heard.append(channel)
        if heard:
            self._channels.ignore(self._inbox, heard)

    def receive(self, timeout: float) -> list[ResultRecord]:
        """Listen for and look at what was added; then wait for announcements."""
        deadline = time.monotonic() + timeout
        if self._unheard:
            found = self._begin()
            if found:
                return found
        while True:
            now = time.monotonic()
            until = min(deadline, self._next_look) if self._pending else deadline
            try:
                found, woken = self._read(max(0.0, until - now))
            except Empty:
                found, woken = self._look(), False
            if found or woken or time.monotonic() >= deadline:
                return found

    def _begin(self) -> list[ResultRecord]:
        """Listen for what was added, then look whether it is there already: so nothing comes in between unseen."""
        added, self._unheard = self._unheard, {}
        self._channels.listen(self._inbox, list(added))
        if not self._pending:
            self._next_look = time.monotonic() + LOOK_EVERY
        self._pending.update(added)
        return self._kept(self._store.ready(list(added.values())))

    def _read(self, timeout: float) -> tuple[list[ResultRecord], bool]:
        """Read all news there are; return the records, and whether somebody wants it to return.

        Raises:
            Empty: there are none.
            BackendUnavailable: the server cannot be reached.
        """
        news = self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait()
        records: list[ResultRecord] = []
        woken = False
        try:
            while True:
                if isinstance(news, tuple):
                    records += self._announced(*news)
                elif isinstance(news, Woken):
                    woken = True
                elif isinstance(news, Missed):
                    self._next_look = 0.0
                else:
                    raise news
                news = self._inbox.get_nowait()
        except Empty:
            return self._kept(records), woken

    def _announced(self, channel: bytes, document: bytes) -> list[ResultRecord]:
        task_id = self._pending.get(channel)
        if task_id is None:
            return []
        record = self._codec.loads_record(document, task_id)
        return [record] if record.state in READY_STATES else []

    def _look(self) -> list[ResultRecord]:
        """Look for everything, if it is time."""
        now = time.monotonic()
        if now < self._next_look or not self._pending:
            return []
        try:
            records = self._store.ready(list(self._pending.values()))
        except BackendUnavailable:
            self._next_look = now + LOOK_AGAIN
            return []
        self._next_look = now + LOOK_EVERY
        return self._kept(records)

    def _kept(self, records: Sequence[ResultRecord]) -> list[ResultRecord]:
        """Return the first record of each task that is waited for, and wait for them no longer."""
        first: dict[bytes, ResultRecord] = {}
        for record in records:
            channel = self._keys.task(record.task_id)
            if channel in self._pending:
                first.setdefault(channel, record)
        self._drop(list(first))
        return list(first.values())

    def wake(self) -> None:
        """Have :meth:`receive` return."""
        self._inbox.put(Woken())

    def close(self) -> None:
        """Listen no longer."""
        self._unheard = {}
        self._drop(list(self._pending))


class Watchers:
    """Watches and subscriptions of one process. Any thread.

    Args:
        store: to look results up in.
        channels: to listen to.
        keys: the channels' names.
        codec: reads what is announced.
    """

    def __init__(self, store: ResultStore, channels: Channels, keys: ResultKeys, codec: ResultCodec) -> None:
        self._store = store
        self._channels = channels
        self._keys = keys
        self._codec = codec
        # Whether the results asked for last were there already; mostly the next ones are like them.
        self._looks_first = True

    def subscribe(self) -> RedisResultSubscription:
        """Open a subscription; see :meth:`tq_core.contracts.backend.Backend.subscribe`."""
        return RedisResultSubscription(self._store, self._channels, self._keys, self._codec)

    def watch(self, task_ids: Sequence[str], timeout: float | None) -> Iterator[ResultRecord]:
        """Yield each ready record once; see :meth:`tq_core.contracts.backend.Backend.watch`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = dict.fromkeys(task_ids)
        if not pending:
            return
        looks_first = self._looks_first
        if looks_first:
            # What is there already costs no subscription.
            records = self._store.ready(list(pending))
            self._looks_first = bool(records)
            for record in records:
                del pending[record.task_id]
                yield record
            if not pending:
                return
        with closing(self.subscribe()) as subscription:
            subscription.add(list(pending))
            if not looks_first:
                records = subscription.receive(0.0)
                self._looks_first = bool(records)
                for record in records:
                    del pending[record.task_id]
                    yield record
            while pending:
                rest = LONGEST if deadline is None else max(0.0, deadline - time.monotonic())
                records = subscription.receive(rest)
                for record in records:
                    del pending[record.task_id]
                    yield record
                if pending and not records and deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(pending)} of {len(set(task_ids))} results were not ready in time")
