"""What a backend's other process can be told to do, through :class:`~tq_core.testing.conformance.actor.Actor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.testing.conformance.acting import say
from tq_core.testing.conformance.address import Address


def opened(address: Address) -> Backend:
    """Open the backend."""
    return address.backend()


def store(backend: Backend, records: Sequence[ResultRecord]) -> None:
    """Store records."""
    backend.store(records)


def fetch(backend: Backend, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
    """Fetch records."""
    return backend.fetch(task_ids)


def store_for_ever(backend: Backend, record: ResultRecord, size: int) -> None:
    """Store batch after batch of copies, and tell the number of each once it was stored."""
    for batch in range(1_000_000):
        backend.store([replace(record, task_id=f"{record.task_id}/{batch}/{n}", result=n) for n in range(size)])
        say(batch)


def add_parts(backend: Backend, parts: Sequence[ChordPart], claimant: str, lease: float) -> list[str]:
    """Add chord parts one by one; return what was claimed."""
    claimed: list[str] = []
    for part in parts:
        claimed += backend.add_chord_parts([part], claimant=claimant, lease=lease)
    return claimed
