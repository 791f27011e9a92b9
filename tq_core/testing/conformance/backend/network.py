"""Connections that break, servers that refuse and servers that say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tq_core.contracts.backend import Backend
from tq_core.errors import BackendUnavailable, TimeoutError
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend.ground import BackendGround
from tq_core.testing.conformance.network import BOUND, cut_ever_more_rarely, insist, proxied
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.conformance.promises import promise
from tq_core.testing.proxy import Proxy


class NetworkChecks(BackendGround):
    """Connections that break, servers that refuse and servers that say nothing.

    ``backend`` is connected directly, and ``far`` through a proxy that misbehaves.
    """

    @pytest.fixture
    def way(self, address: Address | None) -> Iterator[tuple[Address, Proxy]]:
        """An address that leads through a proxy, and the proxy."""
        with proxied(address) as way:
            yield way

    @pytest.fixture
    def proxy(self, way: tuple[Address, Proxy]) -> Proxy:
        """The proxy."""
        return way[1]

    @pytest.fixture
    def far(self, way: tuple[Address, Proxy]) -> Iterator[Backend]:
        """A backend whose connections lead through the proxy."""
        address, proxy = way
        backend = address.backend()
        yield backend
        proxy.resume()
        backend.close()

    @promise(
        "network.cut",
        "a connection that is cut: storing again is safe, and everything stored is there",
        needs="shared",
    )
    def test_cut_connections_lose_nothing(self, backend: Backend, far: Backend, proxy: Proxy) -> None:
        records = [self.record(f"r{n}", result=n) for n in range(40)]

        def work() -> None:
            for record in records:
                insist(lambda record=record: far.store([record]))  # type: ignore[misc]  # record is bound

        working = Thread(work)
        cut_ever_more_rarely(proxy, working)
        working.result()
        got = backend.fetch([record.task_id for record in records])
        assert {name: record.result for name, record in got.items()} == {r.task_id: r.result for r in records}

    @promise(
        "network.cut-watch",
        "a connection cut under a watch: it goes on or ends with an error, and a new one works",
        needs="shared",
    )
    def test_a_cut_under_a_watch(self, backend: Backend, far: Backend, proxy: Proxy) -> None:
        (late,) = self.names("late")

        def watch() -> str:
            return insist(lambda: next(far.watch([late], timeout=2 * PATIENCE, interval=0.02))).task_id

        watching = Thread(watch)
        assert not watching.ended(0.2)
        proxy.cut()
        backend.store([self.record("late")])
        assert watching.result(2 * PATIENCE) == late

    @promise(
        "network.refused", "a server that refuses connections: BackendUnavailable within a bound, then it works again"
    )
    def test_a_server_that_refuses(self, far: Backend, proxy: Proxy) -> None:
        (x,) = self.names("x")
        far.connect(5.0)
        proxy.refuse()
        calls: list[Callable[[], object]] = [
            lambda: far.store([self.record("x")]),
            lambda: far.fetch([x]),
            lambda: far.connect(1.0),
        ]
        for call in calls:
            with pytest.raises(BackendUnavailable):
                Thread(call).result(BOUND)
        proxy.resume()
        insist(lambda: far.store([self.record("x")]))
        assert list(far.fetch([x])) == [x]

    @promise("network.silent", "a server that says nothing: every call ends within a bound, then it works again")
    def test_a_server_that_says_nothing(self, far: Backend, proxy: Proxy) -> None:
        (x,) = self.names("x")
        far.store([self.record("x", "CUSTOM", {})])
        proxy.stall()
        calls: list[Callable[[], object]] = [
            lambda: far.store([self.record("x", "CUSTOM", {})]),
            lambda: far.fetch([x]),
            lambda: next(far.watch([x], timeout=0.5, interval=0.02)),
        ]
        for call in calls:
            with suppress(BackendUnavailable, TimeoutError):
                Thread(call).result(BOUND)
        proxy.resume()
        insist(lambda: far.store([self.record("x", result="after")]))
        assert far.fetch([x])[x].result == "after"
