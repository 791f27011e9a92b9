"""Waiting for results."""

from __future__ import annotations

import pytest

from tq_core.contracts.backend import Backend
from tq_core.errors import TimeoutError
from tq_core.states import FAILURE, STARTED
from tq_core.testing.conformance.backend.ground import BackendGround
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.conformance.promises import promise


class WatchChecks(BackendGround):
    """Waiting for results."""

    @promise("watch.ready", "watch() yields what is ready already")
    def test_watch_yields_what_is_ready_already(self, backend: Backend) -> None:
        names = self.names("a", "b")
        backend.store([self.record("a"), self.record("b")])
        assert sorted(r.task_id for r in backend.watch(names, timeout=PATIENCE)) == names

    @promise("watch.nothing", "watching nothing ends at once")
    def test_watching_nothing_ends_at_once(self, backend: Backend) -> None:
        assert list(backend.watch([], timeout=None)) == []

    @promise("watch.as-they-come", "watch() yields results as they come, and only ready ones")
    def test_watch_yields_results_as_they_come(self, backend: Backend, other: Backend) -> None:
        a, b = self.names("a", "b")
        watching = backend.watch([a, b], timeout=PATIENCE, interval=0.02)
        first = Thread(lambda: next(watching))
        assert not first.ended(0.1)
        other.store([self.record("b", STARTED, {}), self.record("b", FAILURE, {})])
        assert first.result().task_id == b
        last = Thread(lambda: list(watching))
        other.store([self.record("a")])
        assert [r.task_id for r in last.result()] == [a]

    @promise("watch.not-missed", "a result stored before the first look is not missed")
    def test_a_result_stored_before_the_first_look_is_not_missed(self, backend: Backend, other: Backend) -> None:
        (a,) = self.names("a")
        watching = backend.watch([a], timeout=PATIENCE, interval=0.02)
        other.store([self.record("a")])
        assert [r.task_id for r in watching] == [a]

    @promise("watch.timeout", "watch() raises TimeoutError when its time is over, after yielding what is ready")
    def test_watch_raises_when_its_time_is_over(self, backend: Backend) -> None:
        ready, busy = self.names("ready", "busy")
        backend.store([self.record("ready"), self.record("busy", STARTED, {})])
        watching = backend.watch([ready, busy], timeout=0.2, interval=0.02)
        assert next(watching).task_id == ready
        with pytest.raises(TimeoutError):
            next(watching)

    @promise("watch.once", "an id named twice is yielded once")
    def test_an_id_named_twice_is_yielded_once(self, backend: Backend) -> None:
        (a,) = self.names("a")
        backend.store([self.record("a")])
        assert [r.task_id for r in backend.watch([a, a], timeout=PATIENCE)] == [a]

    @promise("watch.abandoned", "a watch that is given up disturbs nobody")
    def test_an_abandoned_watch_disturbs_nobody(self, backend: Backend) -> None:
        a, b, never = self.names("a", "b", "never")
        backend.store([self.record("a")])
        watching = backend.watch([a, never], timeout=PATIENCE, interval=0.02)
        next(watching)
        watching.close()  # type: ignore[attr-defined]  # a watch is a generator
        backend.store([self.record("b")])
        assert [r.task_id for r in backend.watch([b], timeout=PATIENCE)] == [b]

    @promise("watch.thousands", "thousands of ids can be watched at once")
    def test_thousands_can_be_watched_at_once(self, backend: Backend, other: Backend) -> None:
        records = [self.record(f"w{n}") for n in range(2000)]
        names = [r.task_id for r in records]
        watching = Thread(lambda: {r.task_id for r in backend.watch(names, timeout=3 * PATIENCE, interval=0.05)})
        for start in range(0, 2000, 500):
            other.store(records[start : start + 500])
        assert watching.result(3 * PATIENCE) == set(names)

    @promise("watch.shared", "several threads may watch one task")
    def test_several_threads_may_watch_one_task(self, backend: Backend) -> None:
        (shared,) = self.names("shared")
        watchers = [Thread(lambda: next(backend.watch([shared], timeout=PATIENCE, interval=0.02))) for _ in range(3)]
        backend.store([self.record("shared")])
        assert [w.result().task_id for w in watchers] == [shared] * 3
