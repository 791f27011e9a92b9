"""Malformed envelopes put into a queue beside good messages, with a worker at work on it.

The kinds that travel in good envelopes are tested by the fault suite, letter h.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from tests.faults.brokers import BROKERS
from tests.faults.raw_envelopes import RawEnvelopes, client_of
from tests.faults.site import Node, Site
from tests.malformed import SECRET
from tests.malformed_envelopes import BAD, ODD, UNREADABLE, Envelope, parts_of, written
from tq_core.contracts.broker import Ack, Broker, Bury
from tq_core.testing.conformance.patience import until


class Worker:
    """A worker node of one slot, and a way around tq into its queue."""

    def __init__(self, site: Site, url: str, client_name: str) -> None:
        self.node: Node = site.node("-c", "1")
        self.site = site
        self.queue = RawEnvelopes(url)
        self._redis, self._prefix = client_of(url)
        self._client_name = client_name
        assert site.finished([site.project.good.delay(0)])
        self.runners, self.connections = self.node.runners(), self._connections()
        assert self.runners
        assert self.connections

    def _connections(self) -> set[str]:
        clients: Any = self._redis.client_list()
        return {client["id"] for client in clients if client["name"] == self._client_name}

    def is_the_same(self) -> bool:
        """Tell whether it has neither restarted nor connected anew since it was started."""
        return self.node.alive and self.node.runners() == self.runners and self.connections <= self._connections()

    def run_around(self, write: Envelope) -> str:
        """Put an envelope between two good messages, all three at once, and wait for the good ones; return its id."""
        before, bad, after = (uuid.uuid4().hex for _ in range(3))
        raw = write(bad)
        self.queue.expect(bad, raw)
        self._redis.lpush(f"{self._prefix}celery", written(parts_of(before)), raw, written(parts_of(after)))
        good = [self.site.project.app.AsyncResult(task_id) for task_id in (before, after)]
        assert self.site.finished(good, 20), self.node.text[-2000:]
        assert self.site.states(good)["SUCCESS"] == 2
        return bad


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    name = f"malformed-{uuid.uuid4().hex[:8]}"
    with BROKERS["redis"].place() as url, Site(url) as site:
        site.env["FAULTS_URL"] = f"{url}&client_name={name}"
        started = Worker(site, url, name)
        yield started
        started.queue.close()


@pytest.mark.parametrize("kind", BAD)
def test_it_is_buried_with_its_reason_and_one_line(worker: Worker, kind: str) -> None:
    said = len(worker.node.text)
    bad = worker.run_around(BAD[kind])
    until(lambda: bad in worker.queue.buried(), "it was not buried")
    assert worker.queue.buried()[bad]
    lines = worker.node.text[said:].splitlines()
    (line,) = [line for line in lines if "Buried a message" in line]
    assert len(line) < 2000
    assert line.isprintable()
    assert not any(SECRET in line or line.startswith("forged") or "Traceback" in line for line in lines)
    assert worker.is_the_same()


@pytest.mark.parametrize("kind", ODD)
def test_what_is_only_strange_does_no_harm(worker: Worker, kind: str) -> None:
    said = len(worker.node.text)
    worker.run_around(ODD[kind])
    assert "Traceback" not in worker.node.text[said:]
    assert worker.is_the_same()


def test_all_of_them_come_in_one_batch_with_the_good_ones(
    open_broker: Callable[..., Broker], redis: Redis, prefix: str
) -> None:
    broker = open_broker()
    consumer = broker.consumer(["q"], consumer_id="me")
    sent = {kind: write(f"id-{number}") for number, (kind, write) in enumerate({**BAD, **ODD}.items())}
    for raw in sent.values():
        redis.lpush(prefix + "q", raw, written(parts_of("good")))
    deliveries = consumer.receive(1000, 5.0)
    assert len(deliveries) == 2 * len(sent)
    assert all(delivery.message and delivery.message.id == "good" for delivery in deliveries[1::2])
    for kind, delivery in zip(sent, deliveries[::2], strict=True):
        assert bool(delivery.defect) == (kind in UNREADABLE), f"{kind}: {delivery.defect}"
        assert delivery.raw == (sent[kind] if kind in UNREADABLE else b"")
        assert len(delivery.defect or "") < 300
    endings = [Bury(d.tag, d.defect) if d.defect else Ack(d.tag) for d in deliveries]
    assert list(consumer.settle(endings)) == []
    letters = list(broker.dead_letters(queue="q", limit=1000))
    assert sorted(letter.raw for letter in letters) == sorted(sent[kind] for kind in UNREADABLE)
    consumer.close()
    assert not redis.exists(prefix + "unacked", prefix + "unacked_index", prefix + "q")
