"""Storing and fetching records."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core.contracts.backend import Backend
from tq_core.errors import EncodeError, NotSupported
from tq_core.states import FAILURE, RETRY, REVOKED, STARTED, SUCCESS
from tq_core.testing.conformance.backend.ground import BackendGround, failure, listed
from tq_core.testing.conformance.patience import Thread
from tq_core.testing.conformance.promises import promise


class RecordChecks(BackendGround):
    """Storing and fetching records."""

    @promise("connection.close-twice", "connect() returns when the store answers; closing twice is harmless")
    def test_connects_and_closes_twice(self, backend: Backend) -> None:
        backend.connect(5.0)
        backend.close()
        backend.close()

    @promise("records.unknown", "an unknown task has no record")
    def test_an_unknown_task_has_no_record(self, backend: Backend) -> None:
        assert backend.fetch([self.name("never heard of")]) == {}
        assert backend.fetch([]) == {}

    @promise("records.intact", "what was stored is read back by every connection")
    def test_what_was_stored_is_read_back(self, backend: Backend, other: Backend) -> None:
        stored = self.record(
            "full",
            result={"deep": [1, 2.5, None, True, "☃"], "empty": {}},
            traceback=None,
            children=[[["child", None], None]],
            group_id="the-group",
            parent_id="the-parent",
        )
        backend.store([stored])
        (got,) = other.fetch([stored.task_id]).values()
        assert (got.task_id, got.state, got.result) == (stored.task_id, SUCCESS, stored.result)
        assert [list(map(listed, child)) for child in got.children] == [[["child", None], None]]
        assert got.date_done is not None
        assert got.date_done.startswith("2026-01-02T03:04:05.678901")

    @promise("records.values", "values keep their value and their type")
    @pytest.mark.parametrize("value", [None, 0, "", [], {}, False, "text", -1.5, [[1], [2]], 2**60])
    def test_values_survive(self, backend: Backend, value: Any) -> None:
        (v,) = self.names("v")
        backend.store([self.record("v", result=value)])
        got = backend.fetch([v])[v].result
        assert got == value
        assert type(got) is type(value)

    @promise("records.failure", "a failure keeps its exception and traceback")
    def test_a_failure_keeps_exception_and_traceback(self, backend: Backend) -> None:
        (f,) = self.names("f")
        exception = failure("ValueError", "bad", 1)
        backend.store([self.record("f", FAILURE, exception, traceback="Traceback:\n  boom ☃")])
        got = backend.fetch([f])[f]
        assert (got.state, got.result, got.traceback) == (FAILURE, exception, "Traceback:\n  boom ☃")

    @promise("records.batch", "a batch is stored and fetched whole")
    def test_a_batch_is_stored_and_fetched_whole(self, backend: Backend) -> None:
        records = [self.record(result=n) for n in range(250)]
        backend.store(records)
        got = backend.fetch([r.task_id for r in records] + self.names("missing"))
        assert {i: r.result for i, r in got.items()} == {r.task_id: r.result for r in records}

    @promise("records.store-nothing", "storing nothing does nothing")
    def test_storing_nothing_does_nothing(self, backend: Backend) -> None:
        backend.store([])

    @promise("records.newest", "the newest state wins")
    def test_the_newest_state_wins(self, backend: Backend) -> None:
        (x,) = self.names("x")
        backend.store([self.record("x", STARTED, {"pid": 1})])
        backend.store([self.record("x", RETRY, failure())])
        assert backend.fetch([x])[x].state == RETRY
        backend.store([self.record("x", FAILURE, failure())])
        backend.store([self.record("x", SUCCESS, "made it")])
        assert backend.fetch([x])[x].result == "made it"

    @promise("records.success-final", "a SUCCESS is final: no other state overwrites it")
    @pytest.mark.parametrize("state", [STARTED, RETRY, FAILURE, REVOKED, SUCCESS, "CUSTOM"])
    def test_a_success_is_final(self, backend: Backend, other: Backend, state: str) -> None:
        (x,) = self.names("x")
        backend.store([self.record("x", SUCCESS, "first")])
        other.store([self.record("x", state, "second")])
        got = backend.fetch([x])[x]
        if state == SUCCESS:
            assert got.state == SUCCESS
        else:
            assert (got.state, got.result) == (SUCCESS, "first")

    @promise("records.batch-order", "the last record of a batch wins, but never over a SUCCESS")
    def test_the_last_of_a_batch_wins_but_never_over_a_success(self, backend: Backend) -> None:
        a, b, c = self.names("a", "b", "c")
        backend.store([self.record("a", STARTED, {}), self.record("a", SUCCESS, 1)])
        backend.store([self.record("b", SUCCESS, 1), self.record("b", FAILURE, {})])
        backend.store([self.record("c", STARTED, {}), self.record("c", RETRY, failure())])
        assert [backend.fetch([a, b, c])[name].state for name in (a, b, c)] == [SUCCESS, SUCCESS, RETRY]

    @promise("records.custom", "custom states carry their metadata")
    def test_custom_states_carry_their_metadata(self, backend: Backend) -> None:
        (c,) = self.names("c")
        backend.store([self.record("c", "PROGRESS", {"done": 3, "of": 10})])
        got = backend.fetch([c])[c]
        assert (got.state, got.result, got.date_done) == ("PROGRESS", {"done": 3, "of": 10}, None)

    @promise("records.unserializable", "an unserializable result is an EncodeError and writes nothing of its batch")
    def test_an_unserializable_result_writes_nothing_of_its_batch(self, backend: Backend) -> None:
        good, bad = self.names("good", "bad")
        with pytest.raises(EncodeError):
            backend.store([self.record("good"), self.record("bad", result=object())])
        assert backend.fetch([good, bad]) == {}
        backend.store([self.record("good")])
        assert list(backend.fetch([good])) == [good]

    @promise("records.forget", "a forgotten record is gone, and its id can be used again", needs="forget")
    def test_a_forgotten_record_is_gone(self, backend: Backend, other: Backend) -> None:
        gone, kept = self.names("gone", "kept")
        backend.store([self.record("gone"), self.record("kept")])
        other.forget([gone, self.name("never there")])
        assert list(backend.fetch([gone, kept])) == [kept]
        backend.store([self.record("gone", STARTED, {})])
        assert backend.fetch([gone])[gone].state == STARTED

    @promise("records.threads", "many threads may store through one backend")
    def test_many_threads_may_store_through_one_backend(self, backend: Backend) -> None:
        batches = [[self.record() for _ in range(10)] for _ in range(8)]
        threads = [Thread(lambda b=b: backend.store(b)) for b in batches]  # type: ignore[misc]  # b is bound per thread
        for thread in threads:
            thread.result()
        assert len(backend.fetch([r.task_id for b in batches for r in b])) == 80

    @promise("records.not-offered", "what is not declared is refused as NotSupported")
    def test_what_is_not_offered_is_refused(self, backend: Backend) -> None:
        able = backend.capabilities
        if not able.groups:
            with pytest.raises(NotSupported):
                backend.save_group(self.name("g"), [])
        if not able.chords:
            with pytest.raises(NotSupported):
                backend.open_chord(self.name("c"), 1)
        if not able.coordination:
            with pytest.raises(NotSupported):
                backend.coordination()
        if not able.subscribe:
            with pytest.raises(NotSupported):
                backend.subscribe()
