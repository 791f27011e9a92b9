"""The memory broker keeps the broker contract, and what its URL promises."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tq_core.brokers.memory import MemoryBroker
from tq_core.contracts.broker import Ack, Broker, BrokerRequest
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker import BrokerConformance, ids, message
from tq_core.testing.conformance.patience import PATIENCE, Thread, take

_names = itertools.count()


def opened(url: str, **settings: object) -> MemoryBroker:
    return MemoryBroker(BrokerRequest(url=url, settings=settings, node="test@here"))


class TestMemoryBroker(BrokerConformance):
    @pytest.fixture
    def address(self) -> Address:
        return Address(f"memory://conformance-{next(_names)}")

    @pytest.fixture
    def other(self, address: Address) -> Iterator[Broker]:
        broker = address.broker(lease_duration=self.LEASE)  # another broker of the same URL sees the same queues
        yield broker
        broker.close()


def test_everything_but_exchanges_sharing_and_celerys_control_is_offered() -> None:
    able = MemoryBroker.capabilities
    missing = {name for name in able.__slots__ if not getattr(able, name)}
    assert missing == {"control", "exchanges", "shared"}


def test_different_urls_do_not_share_queues() -> None:
    one, two = opened("memory://one-of-two"), opened("memory://two-of-two")
    one.publish([message("x")])
    assert two.queues() == []
    assert one.queues() == ["q"]


def test_credentials_slashes_and_options_do_not_make_another_namespace() -> None:
    opened("memory://user:pw@same/").publish([message("x")])
    assert opened("memory://same?lease=3").depth("q").ready == 1


def test_queues_outlive_the_broker_that_filled_them() -> None:
    first = opened("memory://outlive")
    first.publish([message("x")])
    first.close()
    consumer = opened("memory://outlive").consumer(["q"], consumer_id="c")
    assert ids(take(consumer, 1)) == ["x"]


def test_a_full_queue_does_not_starve_the_others() -> None:
    broker = opened("memory://fair")
    broker.publish([message(queue="full") for _ in range(50)] + [message("rare", queue="rare")])
    consumer = broker.consumer(["full", "rare"], consumer_id="c")
    assert "rare" in ids(consumer.receive(5, 0) + consumer.receive(5, 0))


def test_dead_letters_are_bounded() -> None:
    broker = opened("memory://bounded", dead_letter_max_count=3)
    for n in range(5):
        broker.bury("q", message(str(n)), "why")
    assert [x.message.id for x in broker.dead_letters() if x.message] == ["4", "3", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_starts_empty_and_leaves_the_parent_alone() -> None:
    broker = opened("memory://forked")
    broker.publish([message("parents")])
    inherited = broker.consumer(["elsewhere"], consumer_id="inherited")
    held, forked = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with broker._open().changed:
            held.set()
            forked.wait(PATIENCE)

    holding = Thread(hold_the_lock)
    assert held.wait(PATIENCE)
    pid = os.fork()  # the lock is held at this moment by a thread that the child does not have
    if pid == 0:
        code = 1
        try:
            signal.alarm(int(PATIENCE))
            broker.close()
            broker.publish([message("childs")])
            consumer = broker.consumer(["q"], consumer_id="c")
            deliveries = take(consumer, 1)
            consumer.settle([Ack(d.tag) for d in deliveries])
            code = 0 if ids(deliveries) == ["childs"] else 2
        finally:
            os._exit(code)
    forked.set()
    holding.result()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert broker.depth("q").ready == 1
    inherited.close()
