"""Stores, reads and deletes result documents in as few round trips as there can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tq_core.contracts.backend import ResultRecord
from tq_core.errors import BackendError, BackendUnavailable
from tq_core.states import FAILURE, READY_STATES, SUCCESS
from tq_redis.link import Link
from tq_redis.results import ResultCodec
from tq_redis.results_keys import ResultKeys
from tq_redis.script import script

STORE = script("store")
REPLACE = script("store_replacing")

#: Documents, and about how many bytes of them, that one run of the script stores: others have their turn in between.
CHUNK, CHUNK_BYTES = 500, 8 << 20

#: Keys read or deleted by one command.
KEYS_AT_ONCE = 1000

#: How often a document that others keep changing is looked at again.
TRIES = 20


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are kept, in milliseconds; 0 is for ever.

    Attributes:
        result: a task's result or state, and a saved group.
        failure: the result of a failed task.
        chord: what is counted for a chord.
    """

    result: int
    failure: int
    chord: int


class ResultStore:
    """The results of one deployment. Any thread.

    Args:
        link: to the server.
        keys: their names.
        codec: writes and reads them.
        lifetimes: how long they are kept.
    """

    def __init__(self, link: Link, keys: ResultKeys, codec: ResultCodec, lifetimes: Lifetimes) -> None:
        self._link = link
        self._keys = keys
        self._codec = codec
        self._result = str(lifetimes.result)
        self._failure = str(lifetimes.failure)

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write records; see :meth:`tq_core.contracts.backend.Backend.store`."""
        key_of, encode, failure, result = self._keys.task, self._codec.dumps_record, self._failure, self._result
        keys = [key_of(record.task_id) for record in records]
        given = [(failure if record.state == FAILURE else result, encode(record)) for record in records]
        chunks = [chunk for places in self._link.together(keys) for chunk in _chunks(places, given)]
        runs = [([keys[at] for at in chunk], [word for at in chunk for word in given[at]]) for chunk in chunks]
        for chunk, unclear in zip(chunks, self._link.runs(STORE, runs), strict=True):
            for position in unclear:
                place = chunk[position - 1]
                self._replace(keys[place], records[place], *given[place])

    def _replace(self, key: bytes, record: ResultRecord, lifetime: str, document: bytes) -> None:
        """Store a document over one whose state only its decoding shows, such as a compressed one."""
        for _ in range(TRIES):
            present = self._link.call("GET", key)
            if present is None:
                stored = not self._link.run(STORE, [key], [lifetime, document])
            elif self._is_success(present, record.task_id):
                return
            else:
                stored = bool(self._link.run(REPLACE, [key], [lifetime, document, present]))
            if stored:
                return
        raise BackendUnavailable(f"the result of task {record.task_id} was changed {TRIES} times while being stored")

    def _is_success(self, document: bytes, task_id: str) -> bool:
        try:
            return self._codec.loads_record(document, task_id).state == SUCCESS
        except BackendError:
            return False  # what nobody can read is no result worth keeping

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Return the records there are."""
        decode = self._codec.loads_record
        return {task_id: decode(document, task_id) for task_id, document in self._documents(task_ids)}

    def ready(self, task_ids: Sequence[str]) -> list[ResultRecord]:
        """Return the records that are in a ready state."""
        return [record for record in self.fetch(task_ids).values() if record.state in READY_STATES]

    def _documents(self, task_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        keys = [self._keys.task(task_id) for task_id in task_ids]
        chunks = self._slices(keys)
        if not chunks:
            return
        answers = self._link.calls([("MGET", *(keys[at] for at in chunk)) for chunk in chunks])
        documents: list[bytes | None] = [None] * len(keys)
        for chunk, answer in zip(chunks, answers, strict=True):
            for at, document in zip(chunk, answer, strict=True):
                documents[at] = document
        for task_id, document in zip(task_ids, documents, strict=True):
            if document is not None:
                yield task_id, document

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records."""
        keys = [self._keys.task(task_id) for task_id in task_ids]
        commands = [("UNLINK", *(keys[at] for at in chunk)) for chunk in self._slices(keys)]
        if commands:
            self._link.calls(commands)

    def _slices(self, keys: Sequence[bytes]) -> list[Sequence[int]]:
        """Return the places of the keys that one command names."""
        if not keys:
            return []
        return [
            places[start : start + KEYS_AT_ONCE]
            for places in self._link.together(keys)
            for start in range(0, len(places), KEYS_AT_ONCE)
        ]

    # groups

    def save_group(self, group_id: str, result: Any) -> None:
        """Keep a group's result tuple as ``{"result": tuple}``."""
        document = self._codec.dumps({"result": result})
        lifetime = () if self._result == "0" else ("PX", self._result)
        self._link.call("SET", self._keys.group(group_id), document, *lifetime)

    def load_group(self, group_id: str) -> Any | None:
        """Return a saved group's tuple, or None."""
        document = self._link.call("GET", self._keys.group(group_id))
        if document is None:
            return None
        saved = self._codec.loads(document, f"the group {group_id}")
        return saved.get("result") if isinstance(saved, dict) else None

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group."""
        self._link.call("UNLINK", self._keys.group(group_id))


def _chunks(places: Sequence[int], given: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[int]]:
    """Yield the places of the documents that one run of the script stores."""
    start = size = 0
    for end, place in enumerate(places, 1):
        size += len(given[place][1])
        if end - start == CHUNK or size >= CHUNK_BYTES:
            yield places[start:end]
            start, size = end, 0
    if start < len(places):
        yield places[start:]
