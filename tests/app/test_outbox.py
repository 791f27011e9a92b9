"""Batches of calls that coroutines hand in: who gets which error."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tq_core.errors import BrokerUnavailable, PublishError
from tq_core.message import Message
from tq_core.outbox import Outbox, Parcel

PATIENCE = 30.0


class Store:
    """A place to deliver to that takes nothing until all calls are handed in, and refuses what it is told to."""

    def __init__(self, refuse: Callable[[list[str]], BaseException | None], bound: float = PATIENCE) -> None:
        self.taken: list[str] = []
        self.batches: list[list[str]] = []
        self.busy = threading.Event()
        self.open = threading.Event()
        self.outbox = Outbox(self.deliver, bound)
        self._refuse = refuse

    def deliver(self, messages: Sequence[Message], *, insist: bool, deadline: float | None) -> None:
        ids = [message.id for message in messages]
        if ids == ["opener"]:
            self.busy.set()
            assert self.open.wait(PATIENCE)
            return
        self.batches.append(ids)
        error = self._refuse(ids)
        refused = set(getattr(error, "unsent", ids)) if error is not None else set()
        self.taken += [i for i in ids if i not in refused]
        if error is not None:
            raise error

    async def occupy(self) -> asyncio.Task[None]:
        """Hand in a call that stays under way until the store is open; others gather behind it."""
        self.busy.clear()
        self.open.clear()
        opener = asyncio.create_task(self.outbox.publish(_parcel(["opener"]), insist=True))
        assert await asyncio.to_thread(self.busy.wait, PATIENCE)
        return opener

    def send(self, *calls: Sequence[str]) -> list[Any]:
        """Hand in calls of these messages together, and return what became of each."""

        async def program() -> list[Any]:
            opener = await self.occupy()
            tasks = [asyncio.create_task(self.outbox.publish(_parcel(ids), insist=True)) for ids in calls]
            await asyncio.sleep(0)
            self.open.set()
            await opener
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)

        fates = asyncio.run(program())
        self.outbox.close()
        return fates


def _parcel(ids: Sequence[str]) -> Parcel:
    return Parcel([Message(i, {}, b"", "application/json", "utf-8") for i in ids])


def test_a_batch_holds_what_all_have_handed_in() -> None:
    store = Store(lambda ids: None)
    assert store.send(["a"], ["b", "c"], ["d"]) == [None, None, None]
    assert sorted(store.taken) == ["a", "b", "c", "d"]
    assert max(map(len, store.batches)) >= 3


def test_only_the_call_whose_message_was_not_taken_fails() -> None:
    store = Store(lambda ids: PublishError("full", unsent=["b"], maybe_sent=True) if "b" in ids else None)
    first, second, third = store.send(["a"], ["b", "c"], ["d"])
    assert first is third is None
    assert isinstance(second, PublishError)
    assert second.unsent == ("b", "c")
    assert second.maybe_sent


def test_a_message_that_cannot_be_sent_at_all_does_not_take_others_with_it() -> None:
    store = Store(lambda ids: ValueError("poison") if "b" in ids else None)
    first, second, third = store.send(["a"], ["b"], ["d"])
    assert first is third is None
    assert isinstance(second, ValueError)
    assert "a" in store.taken
    assert "d" in store.taken


def test_what_may_have_arrived_is_not_sent_again() -> None:
    store = Store(lambda ids: PublishError("cut", unsent=ids, maybe_sent=True))
    (fate,) = store.send(["a"])
    assert isinstance(fate, PublishError)
    assert store.batches == [["a"]]


def test_a_younger_call_of_a_failed_batch_keeps_its_own_time() -> None:
    failures: list[float] = []

    def refuse(ids: list[str]) -> BaseException | None:
        failures.append(time.monotonic())
        return BrokerUnavailable("away") if len(failures) == 1 else None

    store = Store(refuse)

    async def program() -> list[Any]:
        opener = await store.occupy()
        old = asyncio.create_task(store.outbox.publish(_parcel(["old"]), insist=True))
        await asyncio.sleep(0.3)
        young = asyncio.create_task(store.outbox.publish(_parcel(["young"]), insist=True))
        await asyncio.sleep(0)
        store.open.set()
        await opener
        return await asyncio.wait_for(asyncio.gather(old, young, return_exceptions=True), PATIENCE)

    old, young = asyncio.run(program())
    assert isinstance(old, BrokerUnavailable)
    assert young is None
    assert store.taken == ["young"]


def test_what_must_precede_is_done_first_and_fails_alone() -> None:
    store = Store(lambda ids: None)
    done: list[str] = []

    def broken() -> None:
        raise RuntimeError("cannot be opened")

    async def program() -> list[Any]:
        good, bad = _parcel(["good"]), _parcel(["bad"])
        good.first.append(lambda: done.append(f"before {store.taken}"))
        bad.first.append(broken)
        sends = (store.outbox.publish(parcel, insist=True) for parcel in (good, bad))
        return await asyncio.gather(*sends, return_exceptions=True)

    good, bad = asyncio.run(program())
    store.outbox.close()
    assert (good, done, store.taken) == (None, ["before []"], ["good"])
    assert isinstance(bad, RuntimeError)


def test_a_closed_outbox_opens_again() -> None:
    store = Store(lambda ids: None)
    store.send(["a"])
    store.send(["b"])
    assert store.taken == ["a", "b"]
