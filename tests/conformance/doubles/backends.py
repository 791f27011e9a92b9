"""Backends that break a promise each: the memory backend with one fault. ``BREAKS`` names what the kit must find."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tq_core.backends.memory import MemoryBackend
from tq_core.contracts.backend import ChordPart, ResultRecord, ResultSubscription
from tq_core.states import FAILURE, SUCCESS


class Faultless(MemoryBackend):
    """Nothing is wrong with it."""

    BREAKS: frozenset[str] = frozenset()


class OverwritesSuccess(Faultless):
    """A FAILURE overwrites a SUCCESS."""

    BREAKS = frozenset({"records.success-final"})

    def store(self, records: Sequence[ResultRecord]) -> None:
        self.forget([record.task_id for record in records if record.state == FAILURE])
        super().store(records)


class StoresHalfABatch(Faultless):
    """It writes record after record, so that a bad one leaves those before it behind."""

    BREAKS = frozenset({"records.unserializable"})

    def store(self, records: Sequence[ResultRecord]) -> None:
        for record in records:
            super().store([record])


class FiresChordsTwice(Faultless):
    """Whoever repeats a part of a complete chord is given its claim."""

    BREAKS = frozenset({"chords.claim-kept"})

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        known = {
            part.group_id for part in parts if part.task_id in {p.task_id for p in self.chord_parts(part.group_id)}
        }
        if known and claimant == "two":
            return sorted(known)
        return super().add_chord_parts(parts, claimant=claimant, lease=lease)


class ReopensChords(Faultless):
    """It forgets that a chord's body was sent."""

    BREAKS = frozenset({"chords.closed"})

    def close_chord(self, group_id: str) -> None:
        self._closed = {*getattr(self, "_closed", ()), group_id}
        super().close_chord(group_id)

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        found = super().add_chord_parts(parts, claimant=claimant, lease=lease)
        return found or [part.group_id for part in parts if claimant == "late"]


class CountsRepeatedParts(Faultless):
    """A part that is repeated counts again."""

    BREAKS = frozenset({"chords.repeated"})

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        renamed = []
        for part in parts:
            seen = {p.task_id for p in self.chord_parts(part.group_id)} if lease == 30 else set()
            renamed.append(replace(part, task_id=part.task_id + "'", index=9) if part.task_id in seen else part)
        return super().add_chord_parts(renamed, claimant=claimant, lease=lease)


class MissesOneOfMany(Faultless):
    """A watch of more than a thousand tasks loses the last of them."""

    BREAKS = frozenset({"watch.thousands"})

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        kept = list(task_ids)[:-1] if len(task_ids) > 1000 else task_ids
        return super().watch(kept, timeout=timeout, interval=interval)


class WatchesOnlyTheFirst(Faultless):
    """A watch ends with the first result."""

    BREAKS = frozenset({"watch.ready", "watch.as-they-come", "watch.thousands", "watch.timeout"})

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        for record in super().watch(task_ids, timeout=timeout, interval=interval):
            yield record
            return


class YieldsUnready(Faultless):
    """A watch yields a task that is still running."""

    BREAKS = frozenset({"watch.as-they-come", "watch.timeout"})

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        for record in self.fetch(task_ids).values():
            if record.state == "STARTED":
                yield record
        for record in super().watch(task_ids, timeout=timeout, interval=interval):
            yield replace(record, state="STARTED", task_id="?") if record.state == FAILURE else record


class ChangesTypes(Faultless):
    """Booleans become numbers."""

    BREAKS = frozenset({"records.values", "records.intact"})

    def store(self, records: Sequence[ResultRecord]) -> None:
        super().store([replace(r, result=0 if r.result is False else self._deep(r.result)) for r in records])

    @staticmethod
    def _deep(value: Any) -> Any:
        if isinstance(value, dict) and "deep" in value:
            return {**value, "deep": [str(item) for item in value["deep"]]}
        return value


class NeverExpires(Faultless):
    """Records live for ever."""

    BREAKS = frozenset({"expiry.gone"})

    def _deadline(self) -> float:
        return float("inf")


class SweepsTheLiving(Faultless):
    """Cleaning up deletes everything."""

    BREAKS = frozenset({"expiry.live"})

    def clean_up(self) -> int:
        names = list(self._open().records)
        self.forget(names)
        return len(names)


class KeepsTheForgotten(Faultless):
    """Forgetting does nothing."""

    BREAKS = frozenset({"records.forget", "payload.bulk"})

    def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing."""


class CutsAtNul(Faultless):
    """Tracebacks end at their first NUL."""

    BREAKS = frozenset({"payload.values"})

    def store(self, records: Sequence[ResultRecord]) -> None:
        super().store([replace(r, traceback=r.traceback and r.traceback.partition("\x00")[0]) for r in records])


class ForgetsGroups(Faultless):
    """Groups are not kept."""

    BREAKS = frozenset({"groups.kept"})

    def load_group(self, group_id: str) -> Any | None:
        return None


class LosesToThreads(Faultless):
    """Of records that several threads store at once, those of one thread are kept."""

    BREAKS = frozenset({"records.threads"})

    def store(self, records: Sequence[ResultRecord]) -> None:
        main = threading.current_thread() is threading.main_thread()
        super().store([r for r in records if main or len(records) != 10 or r.state != SUCCESS])


class TellsOfTheDropped(Faultless):
    """A subscription never drops anything."""

    BREAKS = frozenset({"subscribe.drop"})

    def subscribe(self) -> ResultSubscription:
        subscription = super().subscribe()
        drop = subscription.drop
        # The fault; a single id is dropped by the subscription itself, once it was told.
        subscription.drop = lambda task_ids: drop(task_ids) if len(task_ids) == 1 else None  # type: ignore[method-assign]
        return subscription


class ForgetsWhatIsReady(Faultless):
    """A subscription does not tell of what was ready before it was asked to."""

    BREAKS = frozenset({"subscribe.ready"})

    def subscribe(self) -> ResultSubscription:
        subscription = super().subscribe()
        add, fetch = subscription.add, self.fetch

        def add_unready(task_ids: Sequence[str]) -> None:
            if len(task_ids) == 3:
                task_ids = [name for name in task_ids if name not in fetch(task_ids)]
            add(task_ids)

        subscription.add = add_unready  # type: ignore[method-assign]  # the fault
        return subscription


ALL = [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Faultless)]
