"""Subscriptions to results, whose tasks change while they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tq_core.contracts.backend import Backend, ResultRecord, ResultSubscription
from tq_core.states import FAILURE, STARTED
from tq_core.testing.conformance.backend.ground import BackendGround, failure
from tq_core.testing.conformance.patience import PATIENCE, Thread, until
from tq_core.testing.conformance.promises import promise


class SubscriptionChecks(BackendGround):
    """Subscriptions to results, whose tasks change while they wait."""

    @pytest.fixture
    def subscribe(self, backend: Backend) -> Iterator[Callable[[], ResultSubscription]]:
        """Opens subscriptions and closes them after the test."""
        opened: list[ResultSubscription] = []

        def opener() -> ResultSubscription:
            opened.append(backend.subscribe())
            return opened[-1]

        yield opener
        for subscription in opened:
            subscription.close()

    def heard(self, subscription: ResultSubscription, count: int) -> list[ResultRecord]:
        """Receive until ``count`` records have come."""
        records: list[ResultRecord] = []

        def enough() -> bool:
            records.extend(subscription.receive(0.1))
            return len(records) >= count

        until(enough, f"fewer than {count} results were told")
        return records

    @promise(
        "subscribe.ready",
        "a subscription tells of what is ready when it is added, and of nothing else",
        needs="subscribe",
    )
    def test_a_subscription_tells_of_what_is_ready(
        self, backend: Backend, subscribe: Callable[[], ResultSubscription]
    ) -> None:
        ready, busy, unknown = self.names("ready", "busy", "unknown")
        backend.store([self.record("ready"), self.record("busy", STARTED, {}), self.record("other")])
        subscription = subscribe()
        assert subscription.receive(0) == []
        subscription.add([ready, busy, unknown])
        assert [record.task_id for record in self.heard(subscription, 1)] == [ready]
        assert subscription.receive(0.05) == []

    @promise("subscribe.later", "a waiting subscription tells of a result as it comes, once", needs="subscribe")
    def test_a_waiting_subscription_tells_of_a_result_once(
        self, other: Backend, subscribe: Callable[[], ResultSubscription]
    ) -> None:
        (late,) = self.names("late")
        subscription = subscribe()
        subscription.add([late])
        receiving = Thread(lambda: subscription.receive(10 * PATIENCE))
        assert not receiving.ended(0.1)
        other.store([self.record("late", STARTED, {}), self.record("late", FAILURE, failure("ValueError", "bad"))])
        (record,) = receiving.result()
        assert (record.task_id, record.result) == (late, failure("ValueError", "bad"))
        other.store([self.record("late")])
        assert subscription.receive(0.05) == []

    @promise("subscribe.between", "what becomes ready between two calls is told by the next one", needs="subscribe")
    def test_nothing_is_lost_between_two_calls(
        self, other: Backend, subscribe: Callable[[], ResultSubscription]
    ) -> None:
        a, b = self.names("a", "b")
        subscription = subscribe()
        subscription.add([a])
        assert subscription.receive(0) == []
        other.store([self.record("a"), self.record("b")])
        subscription.add([b])
        assert sorted(record.task_id for record in self.heard(subscription, 2)) == [a, b]

    @promise("subscribe.drop", "a subscription tells nothing of what was dropped", needs="subscribe")
    def test_what_was_dropped_is_not_told(self, other: Backend, subscribe: Callable[[], ResultSubscription]) -> None:
        kept, dropped = self.names("kept", "dropped")
        subscription = subscribe()
        subscription.add([kept, dropped])
        subscription.drop([dropped, self.name("never added")])
        other.store([self.record("dropped"), self.record("kept")])
        assert [record.task_id for record in self.heard(subscription, 1)] == [kept]
        assert subscription.receive(0.05) == []

    @promise("subscribe.wake", "wake() ends the wait of a subscription", needs="subscribe")
    def test_wake_ends_the_wait(self, subscribe: Callable[[], ResultSubscription]) -> None:
        subscription = subscribe()
        subscription.add(self.names("never"))
        receiving = Thread(lambda: subscription.receive(10 * PATIENCE))
        assert not receiving.ended(0.05)
        subscription.wake()
        assert receiving.result() == []

    @promise("subscribe.thousands", "a subscription waits for thousands at once, beside others", needs="subscribe")
    def test_a_subscription_waits_for_thousands(
        self, other: Backend, subscribe: Callable[[], ResultSubscription]
    ) -> None:
        records = [self.record(f"s{n}") for n in range(2000)]
        names = {record.task_id for record in records}
        one, two = subscribe(), subscribe()
        for subscription in (one, two):
            subscription.add(sorted(names))
        for start in range(0, 2000, 500):
            other.store(records[start : start + 500])
        for subscription in (one, two):
            assert {record.task_id for record in self.heard(subscription, 2000)} == names

    @promise("subscribe.close", "a subscription may be closed twice, and leaves the others alone", needs="subscribe")
    def test_closing_a_subscription_leaves_the_others_alone(
        self, other: Backend, subscribe: Callable[[], ResultSubscription]
    ) -> None:
        (a,) = self.names("a")
        closed, open_ = subscribe(), subscribe()
        for subscription in (closed, open_):
            subscription.add([a])
        closed.close()
        closed.close()
        other.store([self.record("a")])
        assert [record.task_id for record in self.heard(open_, 1)] == [a]
