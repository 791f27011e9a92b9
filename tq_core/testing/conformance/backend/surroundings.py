"""Forks and event loops, and big and odd values."""

from __future__ import annotations

import asyncio

import pytest

from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.testing.conformance.backend.ground import BackendGround
from tq_core.testing.conformance.beside_loop import beside_a_loop
from tq_core.testing.conformance.forking import Restless, in_a_fork
from tq_core.testing.conformance.patience import PATIENCE
from tq_core.testing.conformance.promises import promise


class SurroundingsChecks(BackendGround):
    """Forks and event loops, and big and odd values."""

    @promise("fork.both", "after a fork parent and child both go on, also where another thread was at work")
    def test_parent_and_child_both_go_on(self, backend: Backend) -> None:
        before, after, from_child = self.names("before", "after", "child")
        noise = self.record("noise")
        backend.store([self.record("before")])

        def child() -> None:
            backend.store([self.record("child", result="child")])
            assert backend.fetch([from_child])[from_child].result == "child"
            backend.close()

        with Restless(lambda: backend.store([noise])):
            in_a_fork(child)
        backend.store([self.record("after")])
        expected = {before, after} | ({from_child} if backend.capabilities.shared else set())
        assert set(backend.fetch([before, after, from_child])) == expected

    @promise("asyncio.threads", "calls may block in threads beside a running event loop, which goes on")
    def test_calls_block_in_threads_beside_a_loop(self, backend: Backend, other: Backend) -> None:
        (late,) = self.names("late")

        def watch() -> ResultRecord:
            return next(backend.watch([late], timeout=PATIENCE, interval=0.02))

        got: ResultRecord = beside_a_loop(watch, lambda: other.store([self.record("late", result="here")]))
        assert got.result == "here"

    @promise("asyncio.inside", "a call made in the loop's own thread blocks and works")
    def test_a_call_inside_a_loop_works(self, backend: Backend) -> None:
        (x,) = self.names("x")

        async def main() -> list[str]:
            backend.store([self.record("x")])
            await asyncio.sleep(0)
            return list(backend.fetch([x]))

        assert asyncio.run(main()) == [x]

    @promise("payload.values", "texts of any size and of any characters come back, NUL among them")
    @pytest.mark.parametrize("kind", ["nul", "controls", "unicode", "quotes", "large"])
    def test_texts_of_any_kind_come_back(self, backend: Backend, kind: str) -> None:
        (x,) = self.names("x")
        text = {
            "nul": "before\x00after",
            "controls": "".join(map(chr, range(1, 32))) + "\x7f\x85\u2028",
            "unicode": "ü☃🎈嵌",
            "quotes": "'\"`\\ %s {} $1 ;--",
            "large": "0123456789" * 1_000_000,
        }[kind]
        traceback = text[:100_000]
        backend.store([self.record("x", result={text[:50]: [text]}, traceback=traceback)])
        got = backend.fetch([x])[x]
        assert got.result[text[:50]][0] == text
        assert got.traceback is not None
        # Text columns of some databases hold no NUL: a traceback, which is for people, may show it as an escape.
        assert got.traceback.replace("\\x00", "\x00") == traceback

    @promise("payload.ids", "ids may be any printable text, and similar ones are different")
    def test_ids_may_be_any_printable_text(self, backend: Backend) -> None:
        words = ["id", "ID", "id ", "ïd", "a/b:c", "../up", "☃", "quote'\"%s{}", "x" * 100]
        backend.store([self.record(word, result=word) for word in words])
        got = backend.fetch(self.names(*words))
        assert {name: record.result for name, record in got.items()} == {self.name(word): word for word in words}

    @promise("payload.bulk", "thousands of records are stored, fetched and forgotten at once")
    def test_thousands_of_records_are_stored_at_once(self, backend: Backend) -> None:
        records = [self.record(f"r{n}", result=n) for n in range(3000)]
        names = [record.task_id for record in records]
        backend.store(records)
        assert [backend.fetch(names)[name].result for name in (names[0], names[-1])] == [0, 2999]
        assert len(backend.fetch(names)) == 3000
        if backend.capabilities.forget:
            backend.forget(names)
            assert backend.fetch(names) == {}
