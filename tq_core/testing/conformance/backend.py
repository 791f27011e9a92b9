"""The backend contract as tests: subclass :class:`BackendConformance` and override ``backend``."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.errors import EncodeError, NotSupported, TimeoutError
from tq_core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from tq_core.testing.conformance.patience import PATIENCE, Thread, require

DONE = "2026-01-02T03:04:05.678901+00:00"
_numbers = itertools.count(1)


def record(task_id: str = "", state: str = SUCCESS, result: Any = 42, **fields: Any) -> ResultRecord:
    """Make a record with a unique id."""
    if state in (SUCCESS, FAILURE, REVOKED):
        fields.setdefault("date_done", DONE)
    return ResultRecord(task_id or f"t{next(_numbers)}", state, result, **fields)


def part(group_id: str, index: int, **fields: Any) -> ChordPart:
    """Make a successful chord part whose result is its index."""
    values = {"task_id": f"{group_id}-{index}", "state": SUCCESS, "result": index} | fields
    return ChordPart(group_id=group_id, index=index, **values)  # type: ignore[arg-type]  # values are as named


class BackendConformance:
    """Every promise of :mod:`tq_core.contracts.backend` that can be seen from outside.

    Override ``backend``: empty, with the JSON serializer. Override ``other`` where it is ``shared``:
    a second connection to the same store. Override ``short_lived`` where records expire: an empty backend
    whose results live half a second.
    """

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        """An empty backend; to be overridden."""
        raise NotImplementedError("override the fixture `backend`")

    @pytest.fixture
    def other(self, backend: Backend) -> Backend:
        """A second connection to the same store; the same one unless overridden."""
        return backend

    @pytest.fixture
    def short_lived(self) -> Iterator[Backend]:
        """A backend whose results live half a second; to be overridden where records expire."""
        pytest.skip("no fixture `short_lived` with a backend whose results expire")

    # --- records

    def test_connects_and_closes_twice(self, backend: Backend) -> None:
        backend.connect(5.0)
        backend.close()
        backend.close()

    def test_an_unknown_task_has_no_record(self, backend: Backend) -> None:
        assert backend.fetch(["never heard of"]) == {}
        assert backend.fetch([]) == {}

    def test_what_was_stored_is_read_back(self, backend: Backend, other: Backend) -> None:
        stored = record(
            "full",
            result={"deep": [1, 2.5, None, True, "☃"], "empty": {}},
            traceback=None,
            children=[[["child", None], None]],
            group_id="the-group",
            parent_id="the-parent",
        )
        backend.store([stored])
        (got,) = other.fetch(["full"]).values()
        assert (got.task_id, got.state, got.result) == ("full", SUCCESS, stored.result)
        assert [list(map(_listed, child)) for child in got.children] == [[["child", None], None]]
        assert got.date_done is not None
        assert got.date_done.startswith("2026-01-02T03:04:05.678901")

    @pytest.mark.parametrize("value", [None, 0, "", [], {}, False, "text", -1.5, [[1], [2]], 2**60])
    def test_values_survive(self, backend: Backend, value: Any) -> None:
        backend.store([record("v", result=value)])
        got = backend.fetch(["v"])["v"].result
        assert got == value
        assert type(got) is type(value)

    def test_a_failure_keeps_exception_and_traceback(self, backend: Backend) -> None:
        exception = {"exc_type": "ValueError", "exc_message": ["bad", 1], "exc_module": "builtins"}
        backend.store([record("f", FAILURE, exception, traceback="Traceback:\n  boom ☃")])
        got = backend.fetch(["f"])["f"]
        assert (got.state, got.result, got.traceback) == (FAILURE, exception, "Traceback:\n  boom ☃")

    def test_a_batch_is_stored_and_fetched_whole(self, backend: Backend) -> None:
        records = [record(result=n) for n in range(250)]
        backend.store(records)
        got = backend.fetch([r.task_id for r in records] + ["missing"])
        assert {i: r.result for i, r in got.items()} == {r.task_id: r.result for r in records}

    def test_storing_nothing_does_nothing(self, backend: Backend) -> None:
        backend.store([])

    def test_the_newest_state_wins(self, backend: Backend) -> None:
        backend.store([record("x", STARTED, {"pid": 1})])
        backend.store([record("x", RETRY, {"exc_type": "E", "exc_message": [], "exc_module": "m"})])
        assert backend.fetch(["x"])["x"].state == RETRY
        backend.store([record("x", FAILURE, {"exc_type": "E", "exc_message": [], "exc_module": "m"})])
        backend.store([record("x", SUCCESS, "made it")])
        assert backend.fetch(["x"])["x"].result == "made it"

    @pytest.mark.parametrize("state", [STARTED, RETRY, FAILURE, REVOKED, SUCCESS, "CUSTOM"])
    def test_a_success_is_final(self, backend: Backend, other: Backend, state: str) -> None:
        backend.store([record("x", SUCCESS, "first")])
        other.store([record("x", state, "second")])
        got = backend.fetch(["x"])["x"]
        if state == SUCCESS:
            assert got.state == SUCCESS
        else:
            assert (got.state, got.result) == (SUCCESS, "first")

    def test_the_last_of_a_batch_wins_but_never_over_a_success(self, backend: Backend) -> None:
        backend.store([record("a", STARTED, {}), record("a", SUCCESS, 1)])
        backend.store([record("b", SUCCESS, 1), record("b", FAILURE, {})])
        got = backend.fetch(["a", "b"])
        assert (got["a"].state, got["b"].state) == (SUCCESS, SUCCESS)

    def test_custom_states_carry_their_metadata(self, backend: Backend) -> None:
        backend.store([record("c", "PROGRESS", {"done": 3, "of": 10})])
        got = backend.fetch(["c"])["c"]
        assert (got.state, got.result, got.date_done) == ("PROGRESS", {"done": 3, "of": 10}, None)

    def test_an_unserializable_result_writes_nothing_of_its_batch(self, backend: Backend) -> None:
        with pytest.raises(EncodeError):
            backend.store([record("good"), record("bad", result=object())])
        assert backend.fetch(["good", "bad"]) == {}
        backend.store([record("good")])
        assert list(backend.fetch(["good"])) == ["good"]

    def test_a_forgotten_record_is_gone(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "forget")
        backend.store([record("gone"), record("kept")])
        other.forget(["gone", "never there"])
        assert list(backend.fetch(["gone", "kept"])) == ["kept"]
        backend.store([record("gone", STARTED, {})])
        assert backend.fetch(["gone"])["gone"].state == STARTED

    def test_many_threads_may_store_through_one_backend(self, backend: Backend) -> None:
        batches = [[record() for _ in range(10)] for _ in range(8)]
        threads = [Thread(lambda b=b: backend.store(b)) for b in batches]  # type: ignore[misc]  # b is bound per thread
        for thread in threads:
            thread.result()
        assert len(backend.fetch([r.task_id for b in batches for r in b])) == 80

    # --- watch

    def test_watch_yields_what_is_ready_already(self, backend: Backend) -> None:
        backend.store([record("a"), record("b")])
        assert sorted(r.task_id for r in backend.watch(["a", "b"], timeout=PATIENCE)) == ["a", "b"]

    def test_watching_nothing_ends_at_once(self, backend: Backend) -> None:
        assert list(backend.watch([], timeout=None)) == []

    def test_watch_yields_results_as_they_come(self, backend: Backend, other: Backend) -> None:
        watching = backend.watch(["a", "b"], timeout=PATIENCE, interval=0.02)
        first = Thread(lambda: next(watching))
        assert not first.ended(0.1)
        other.store([record("b", STARTED, {}), record("b", FAILURE, {})])
        assert first.result().task_id == "b"
        last = Thread(lambda: list(watching))
        other.store([record("a")])
        assert [r.task_id for r in last.result()] == ["a"]

    def test_a_result_stored_before_the_first_look_is_not_missed(self, backend: Backend, other: Backend) -> None:
        watching = backend.watch(["a"], timeout=PATIENCE, interval=0.02)
        other.store([record("a")])
        assert [r.task_id for r in watching] == ["a"]

    def test_watch_raises_when_its_time_is_over(self, backend: Backend) -> None:
        backend.store([record("ready"), record("busy", STARTED, {})])
        watching = backend.watch(["ready", "busy"], timeout=0.2, interval=0.02)
        assert next(watching).task_id == "ready"
        with pytest.raises(TimeoutError):
            next(watching)

    def test_an_id_named_twice_is_yielded_once(self, backend: Backend) -> None:
        backend.store([record("a")])
        assert [r.task_id for r in backend.watch(["a", "a"], timeout=PATIENCE)] == ["a"]

    def test_an_abandoned_watch_disturbs_nobody(self, backend: Backend) -> None:
        backend.store([record("a")])
        watching = backend.watch(["a", "never"], timeout=PATIENCE, interval=0.02)
        next(watching)
        watching.close()  # type: ignore[attr-defined]  # a watch is a generator
        backend.store([record("b")])
        assert [r.task_id for r in backend.watch(["b"], timeout=PATIENCE)] == ["b"]

    def test_thousands_can_be_watched_at_once(self, backend: Backend, other: Backend) -> None:
        names = [f"w{n}" for n in range(2000)]
        watching = Thread(lambda: {r.task_id for r in backend.watch(names, timeout=3 * PATIENCE, interval=0.05)})
        for start in range(0, 2000, 500):
            other.store([record(name) for name in names[start : start + 500]])
        assert watching.result(3 * PATIENCE) == set(names)

    def test_two_threads_may_watch_one_task(self, backend: Backend) -> None:
        watchers = [Thread(lambda: next(backend.watch(["shared"], timeout=PATIENCE, interval=0.02))) for _ in range(3)]
        backend.store([record("shared")])
        assert [w.result().task_id for w in watchers] == ["shared"] * 3

    # --- expiry

    def test_records_expire(self, short_lived: Backend) -> None:
        require(short_lived.capabilities, "expiry")
        short_lived.store([record("old")])
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while short_lived.fetch(["old"]):
            assert time.monotonic() < deadline, "the record did not expire"
            pause.wait(0.05)
            short_lived.clean_up()

    def test_clean_up_leaves_live_records_alone(self, backend: Backend) -> None:
        backend.store([record("young", date_done=None)])
        assert backend.clean_up() == 0
        assert list(backend.fetch(["young"])) == ["young"]

    # --- groups

    def test_a_group_is_saved_and_forgotten(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "groups")
        tuple_ = [["g", None], [[["a", None], None], [["b", None], None]]]
        backend.save_group("g", tuple_)
        assert _listed(other.load_group("g")) == tuple_
        backend.save_group("g", [["g", None], []])
        assert _listed(other.load_group("g")) == [["g", None], []]
        other.delete_group("g")
        assert backend.load_group("g") is None
        assert backend.load_group("never saved") is None

    # --- chords

    def test_the_last_part_claims_the_chord(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 3)
        assert backend.add_chord_parts([part("c", 2)], claimant="w", lease=30) == []
        assert other.add_chord_parts([part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([part("c", 1)], claimant="w", lease=30) == ["c"]
        assert [(p.index, p.task_id, p.state, p.result) for p in other.chord_parts("c")] == [
            (n, f"c-{n}", SUCCESS, n) for n in range(3)
        ]

    def test_a_repeated_part_counts_once(self, backend: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 2)
        for _ in range(3):
            assert backend.add_chord_parts([part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([part("c", 1)], claimant="w", lease=30) == ["c"]

    def test_only_one_claims_a_complete_chord(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "chords")
        size = 20
        backend.open_chord("c", size)
        barrier = threading.Barrier(size)

        def finish(n: int) -> list[str]:
            barrier.wait(PATIENCE)
            store = backend if n % 2 else other
            return store.add_chord_parts([part("c", n)], claimant=f"worker-{n}", lease=60)

        threads = [Thread(lambda n=n: finish(n)) for n in range(size)]  # type: ignore[misc]  # n is bound per thread
        assert [claim for thread in threads for claim in thread.result()] == ["c"]
        assert len(backend.chord_parts("c")) == size

    def test_a_claim_is_not_given_to_another_while_it_lasts(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 1)
        assert backend.add_chord_parts([part("c", 0)], claimant="one", lease=60) == ["c"]
        assert other.add_chord_parts([part("c", 0)], claimant="two", lease=60) == []

    def test_a_claim_that_ran_out_goes_to_the_next_repeated_part(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 1)
        assert backend.add_chord_parts([part("c", 0)], claimant="dies", lease=0.2) == ["c"]
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while other.add_chord_parts([part("c", 0)], claimant="heir", lease=60) != ["c"]:
            assert time.monotonic() < deadline, "the claim did not run out"
            pause.wait(0.05)

    def test_a_closed_chord_is_never_claimed_again(self, backend: Backend, other: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 1)
        assert backend.add_chord_parts([part("c", 0)], claimant="w", lease=0.01) == ["c"]
        backend.close_chord("c")
        assert other.chord_parts("c") == []
        for _ in range(3):
            assert other.add_chord_parts([part("c", 0)], claimant="late", lease=0.01) == []

    def test_parts_may_come_before_the_size_is_known(self, backend: Backend) -> None:
        require(backend.capabilities, "chords")
        assert backend.add_chord_parts([part("c", 0), part("c", 1)], claimant="w", lease=30) == []
        backend.open_chord("c", 2)
        assert backend.add_chord_parts([part("c", 1)], claimant="w", lease=30) == ["c"]

    def test_opening_again_replaces_the_size(self, backend: Backend) -> None:
        require(backend.capabilities, "chords")
        backend.open_chord("c", 1)
        backend.open_chord("c", 2)
        assert backend.add_chord_parts([part("c", 0)], claimant="w", lease=30) == []
        assert backend.add_chord_parts([part("c", 1)], claimant="w", lease=30) == ["c"]

    def test_parts_of_several_chords_travel_in_one_batch(self, backend: Backend) -> None:
        require(backend.capabilities, "chords")
        for name in ("a", "b", "c"):
            backend.open_chord(name, 2)
        claimed = backend.add_chord_parts(
            [part("a", 0), part("b", 0), part("b", 1), part("c", 0), part("c", 1)], claimant="w", lease=30
        )
        assert sorted(claimed) == ["b", "c"]

    def test_a_failed_part_keeps_its_exception(self, backend: Backend) -> None:
        require(backend.capabilities, "chords")
        exception = {"exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins"}
        backend.open_chord("c", 1)
        backend.add_chord_parts([part("c", 0, state=FAILURE, result=exception)], claimant="w", lease=30)
        (got,) = backend.chord_parts("c")
        assert (got.state, got.result) == (FAILURE, exception)

    # --- what is not offered

    def test_what_is_not_offered_is_refused(self, backend: Backend) -> None:
        able = backend.capabilities
        if not able.groups:
            with pytest.raises(NotSupported):
                backend.save_group("g", [])
        if not able.chords:
            with pytest.raises(NotSupported):
                backend.open_chord("c", 1)
        if not able.coordination:
            with pytest.raises(NotSupported):
                backend.coordination()

    def test_pending_is_never_needed_in_the_store(self, backend: Backend) -> None:
        assert PENDING not in {r.state for r in backend.fetch(["a", "b"]).values()}


def _listed(value: Any) -> Any:
    """Turn tuples into lists all the way down: text formats know no tuples."""
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value
