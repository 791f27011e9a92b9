"""Fault e: publishing while the broker refuses, is silent, or takes a message and cannot say so."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.faults.case import Case
from tests.faults.site import Site, wait_until
from tests.faults.verdict import Verdict
from tq_core.errors import BrokerError
from tq_core.testing.proxy import Proxy

#: What a call may take beyond the promised bound, for the call itself.
_GRACE = 0.5


@dataclass
class Account:
    """What a producer was told about each of its calls.

    Attributes:
        taken: numbers of the calls that returned.
        maybe: numbers of those whose error said that the task may have been sent.
        refused: numbers of those whose error said that it was not.
        longest: seconds of the longest call.
    """

    taken: set[int] = field(default_factory=set)
    maybe: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    longest: float = 0.0

    def call(self, site: Site, number: int) -> None:
        """Publish one task and note what came of it."""
        moment = time.monotonic()
        try:
            site.project.early.delay(number)
            self.taken.add(number)
        except BrokerError as error:
            (self.maybe if getattr(error, "maybe_sent", False) else self.refused).add(number)
        self.longest = max(self.longest, time.monotonic() - moment)

    def judge(self, verdict: Verdict, site: Site) -> None:
        """Compare with what ran: everything taken, once; nothing refused; of the rest either."""
        everything_ran = wait_until(lambda: self.taken <= set(map(int, site.count("end"))), 30)
        wait_until(lambda: _drained(site), 20)
        ran = {int(number): times for number, times in site.count("end").items()}
        verdict.sent = len(self.taken) + len(self.maybe) + len(self.refused)
        verdict.run, verdict.lost = len(ran), len(self.taken - set(ran))
        verdict.repeated = sum(1 for times in ran.values() if times > 1)
        verdict.notes.append(
            f"{len(self.taken)} taken, {len(self.refused)} not sent, "
            f"{len(self.maybe)} may have been sent ({len(self.maybe & set(ran))} had)"
        )
        verdict.require(everything_ran, f"{verdict.lost} tasks were taken and never ran")
        verdict.require(not self.refused & set(ran), f"said not to be sent, and ran: {self.refused & set(ran)}")
        verdict.require(verdict.repeated == 0, f"{verdict.repeated} ran twice")


def refused(case: Case) -> Verdict:
    """Nobody listens at the broker's port: with a connection of before, and without one."""
    verdict = Verdict("e", "publish, connection refused", "raises within 1 s and says the task was not sent")
    with _producer_behind_proxy(case) as (site, proxy):
        account = Account()
        account.call(site, 0)
        proxy.refuse()
        account.longest = 0.0
        for number in range(1, 4):
            account.call(site, number)
        verdict.took(account.longest)
        verdict.require(account.refused | account.maybe == {1, 2, 3}, "a call returned without a broker")
        # The connection of before was cut while nothing was under way on it.
        verdict.require(not account.maybe, f"not said to be unsent: {account.maybe}")
        verdict.require_in_time(account.longest <= 1.0 + _GRACE, f"a call took {account.longest:.1f} s")
        proxy.resume()
        account.call(site, 4)
        verdict.require(4 in account.taken, "the producer does not recover")
        account.judge(verdict, site)
    return verdict


def silent(case: Case) -> Verdict:
    """The broker's side of the connection hears and says nothing; what was said to it comes late, or never."""
    return _silent(case, "publish, broker silent", Proxy.stall)


def unanswered(case: Case) -> Verdict:
    """The broker takes the message, and its answer is lost."""
    return _silent(case, "publish, answer lost", Proxy.swallow_replies)


def _silent(case: Case, name: str, strike: Callable[[Proxy], None]) -> Verdict:
    verdict = Verdict("e", name, "raises within 5 s (settable); what it says about the task is true")
    bounds = (2.0,) if case.short else (5.0, 2.0)
    for bound in bounds:
        with _producer_behind_proxy(case, publish_timeout=bound) as (site, proxy):
            account = Account()
            account.call(site, 0)
            account.longest = 0.0
            strike(proxy)
            for number in range(1, 3):
                account.call(site, number)
            verdict.took(account.longest)
            verdict.require(account.refused | account.maybe == {1, 2}, "a call returned without an answer")
            verdict.require_in_time(account.longest <= bound + _GRACE, f"{account.longest:.1f} s, bound {bound:g} s")
            proxy.resume()
            account.call(site, 3)
            verdict.require(3 in account.taken, "the producer does not recover")
            account.judge(verdict, site)
    return verdict


def cut(case: Case) -> Verdict:
    """Four threads publish without a pause while all connections are cut again and again."""
    cuts = 5 if case.short else 40
    verdict = Verdict("e", f"publish, {cuts} cuts", "0 gone, 0 twice; what errors say is true")
    with _producer_behind_proxy(case) as (site, proxy):
        account = Account()
        over = threading.Event()
        threads = [
            threading.Thread(target=_publish_until, args=(over, site, account, first))
            for first in range(0, 40_000, 10_000)
        ]
        for thread in threads:
            thread.start()
        for _ in range(cuts):
            before = len(account.taken)
            wait_until(lambda before=before: len(account.taken) > before + 5, 10)  # type: ignore[misc]  # mypy wants no defaults here
            proxy.cut()
        over.set()
        for thread in threads:
            thread.join()
        verdict.took(account.longest)
        account.judge(verdict, site)
    return verdict


def locked(case: Case) -> Verdict:
    """Another program keeps the database file locked."""
    verdict = Verdict("e", "publish, file locked", "raises within 5 s (settable) and says the task was not sent")
    bounds = (1.0,) if case.short else (5.0, 1.0)
    for bound in bounds:
        with case.site(publish_timeout=bound) as site:
            site.node("-c", "1")
            account = Account()
            account.call(site, 0)
            account.longest = 0.0
            other = sqlite3.connect(urlsplit(site.url).path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            account.call(site, 1)
            other.execute("ROLLBACK")
            other.close()
            verdict.took(account.longest)
            verdict.require(account.refused == {1}, f"taken {account.taken}, maybe {account.maybe}")
            verdict.require_in_time(account.longest <= bound + _GRACE, f"{account.longest:.1f} s, bound {bound:g} s")
            account.call(site, 2)
            account.judge(verdict, site)
    return verdict


@contextmanager
def _producer_behind_proxy(case: Case, **settings: object) -> Iterator[tuple[Site, Proxy]]:
    """Open a site whose producer alone goes through a proxy."""
    with case.site_and_proxy(client=True, **settings) as (site, proxy, _):
        site.node("-c", "1")
        yield site, proxy


def _publish_until(over: threading.Event, site: Site, account: Account, number: int) -> None:
    while not over.is_set():
        number += 1
        account.call(site, number)


def _drained(site: Site) -> bool:
    depth = site.project.app.broker.depth("celery")
    return not depth.ready and not depth.held
