"""Several processes at the same records, and ``kill -9`` of some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from tq_core.contracts.backend import Backend
from tq_core.states import FAILURE, SUCCESS
from tq_core.testing.conformance.actor import Actor
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend import troupe
from tq_core.testing.conformance.backend.ground import BackendGround, failure
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.conformance.promises import promise


class ProcessChecks(BackendGround):
    """Several processes at the same records, and ``kill -9`` of some of them."""

    @pytest.fixture
    def actor(self, address: Address | None) -> Iterator[Callable[[], Actor]]:
        """Starts processes with a backend of their own, and kills them after the test."""
        if address is None:
            pytest.skip("no fixture `address`: the plugin cannot be opened in another process")
        with ExitStack() as stack:
            yield lambda: stack.enter_context(Actor(troupe.opened, address))

    @promise("processes.both-ways", "records go from process to process and end the wait of a watch", needs="shared")
    def test_records_go_from_process_to_process(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        here, there = self.names("here", "there")
        other = actor()
        backend.store([self.record("here", result=[1, "ü"])])
        assert other.call(troupe.fetch, [here])[here].result == [1, "ü"]
        watching = Thread(lambda: next(backend.watch([there], timeout=PATIENCE, interval=0.02)))
        assert not watching.ended(0.05)
        other.call(troupe.store, [self.record("there", FAILURE, failure("ValueError", "bad"))])
        assert watching.result().result == failure("ValueError", "bad")

    @promise("processes.success-final", "a SUCCESS is final for other processes, too", needs="shared")
    def test_a_success_is_final_for_other_processes(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        (x,) = self.names("x")
        backend.store([self.record("x", SUCCESS, "first")])
        actor().call(troupe.store, [self.record("x", FAILURE, failure())])
        assert backend.fetch([x])[x].result == "first"

    @promise(
        "processes.one-claim", "of several processes that add parts, one claims the chord", needs=("shared", "chords")
    )
    def test_of_several_processes_one_claims_a_chord(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 60)
        actors = [actor() for _ in range(3)]
        for n, one in enumerate(actors):
            one.tell(troupe.add_parts, [self.part("c", 20 * n + i) for i in range(20)], f"worker-{n}", 60.0)
        assert [claim for one in actors for claim in one.answer()] == [c]
        assert [part.index for part in backend.chord_parts(c)] == list(range(60))

    @promise("crash.stored", "killed after store(): the records are there", needs="shared")
    def test_killed_after_storing(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        (x,) = self.names("x")
        victim = actor()
        victim.call(troupe.store, [self.record("x", result="kept")])
        victim.kill()
        assert backend.fetch([x])[x].result == "kept"

    @promise(
        "crash.storing",
        "killed in the middle of store(): what was stored is there, and no record is half",
        needs="shared",
    )
    def test_killed_in_the_middle_of_storing(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        victim, size = actor(), 20
        stem = self.record("stem")
        victim.tell(troupe.store_for_ever, stem, size)
        batches = 0
        while batches < 5:
            batches = victim.answer() + 1
        victim.kill()
        with suppress(EOFError, OSError):
            while True:
                batches = victim.answer() + 1
        names = {f"{stem.task_id}/{batch}/{n}": n for batch in range(batches + 1) for n in range(size)}
        self._used.update(names)
        got = {name: record.result for name, record in backend.fetch(list(names)).items()}
        assert {name: names[name] for name in got} == got
        confirmed = {f"{stem.task_id}/{batch}/{n}" for batch in range(batches) for n in range(size)}
        assert confirmed <= set(got)

    @promise(
        "crash.claimed", "killed with a chord's claim: it goes to the next repeated part", needs=("shared", "chords")
    )
    def test_killed_with_a_chords_claim(self, backend: Backend, actor: Callable[[], Actor]) -> None:
        (c,) = self.names("c")
        backend.open_chord(c, 1)
        victim = actor()
        assert victim.call(troupe.add_parts, [self.part("c", 0)], "victim", 1.0) == [c]
        victim.kill()
        until(
            lambda: backend.add_chord_parts([self.part("c", 0)], claimant="heir", lease=60) == [c],
            "the claim of a dead process did not run out",
        )
