"""Faults c and d: the server is killed and restarted, its connections are cut or fall silent, its file is locked."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from tests.faults.case import Case
from tests.faults.site import Node, Site, wait_until
from tests.faults.verdict import Verdict
from tq_core.errors import TQError


def restarts(case: Case) -> Verdict:
    """Kill the server under load, start it a second later; again and again."""
    return _restarts(case, "c", within=2.0)


def node_restarts(case: Case) -> Verdict:
    """Kill a node of RabbitMQ under load, start it a second later; again and again."""
    return _restarts(case, "d", within=3.0)


def _restarts(case: Case, fault: str, within: float) -> Verdict:
    rounds, tasks = (1, 100) if case.short else (5, 600)
    target = f"0 lost, 0 FAILURE, in flight at most twice, resumes within {within:g} s"
    verdict = Verdict(fault, f"server killed, {rounds} times", target)
    with case.site_and_server() as (site, server):
        node = site.node("-c", "2")
        runners = node.runners()
        # It waits before there is anything to wait for, and so before the first kill.
        awaited = site.project.app.AsyncResult(uuid4().hex)
        waiter = _Waiter(awaited)
        results = [*_load(site, tasks - 1), site.project.late.apply_async((tasks - 1, 0.02), task_id=awaited.id)]
        for number in range(rounds):
            wait_until(lambda number=number: _ended(site) >= (number + 1) * tasks // (rounds + 2), 30)  # type: ignore[misc]  # mypy wants no defaults here
            server.kill()
            wait_until(lambda: False, 1.0)
            server.start()
            verdict.took(_until_next_start(site, verdict))
        verdict.require(site.finished(results, 60), f"unfinished: {dict(site.states(results))}")
        verdict.require(waiter.value() == tasks - 1, f"the waiting client got {waiter.found!r}")
        # A server may forget, when it is killed, who took what a moment before.
        _judge(site, verdict, node, runners, results, twice=2 * rounds)
        verdict.require_in_time(verdict.longest <= within, f"resumed {verdict.longest:.1f} s after the server")
    return verdict


def cuts(case: Case) -> Verdict:
    """Reset every connection of a worker under load; again and again."""
    times, tasks = (5, 150) if case.short else (40, 1200)
    twice = 2 * times if case.broker.hands_on else 0
    target = f"0 lost, {'in flight at most twice' if twice else '0 twice'}, pause under 0.5 s"
    verdict = Verdict("c", f"worker's connections cut, {times} times", target)
    with case.site_and_proxy() as (site, proxy, proxied):
        node = site.node("-c", "2", env={"FAULTS_URL": proxied})
        runners = node.runners()
        results = _load(site, tasks)
        for number in range(times):
            wait_until(lambda number=number: _ended(site) >= (number + 1) * tasks // (times + 2), 30)  # type: ignore[misc]  # mypy wants no defaults here
            proxy.cut()
            verdict.took(_until_next_start(site, verdict))
        verdict.require(site.finished(results, 60), f"unfinished: {dict(site.states(results))}")
        _judge(site, verdict, node, runners, results, twice=twice)
        verdict.require_in_time(verdict.longest <= 0.5, f"a pause of {verdict.longest:.2f} s")
    return verdict


def half_open(case: Case) -> Verdict:
    """The worker's connections fall silent, idle or busy; once it has given them up, new ones work."""
    twice = 2 if case.broker.hands_on else 0
    often = "in flight at most twice" if twice else "0 twice"
    target = f"0 lost, {often}, 0 FAILURE, worker alive, resumes within 10 s"
    verdict = Verdict("c", "worker's connections half-open", target)
    # The moments a worker may be struck at: while it waits for messages, and while it runs one.
    for busy in (True,) if case.short else (True, False):
        with case.site_and_proxy() as (site, proxy, proxied):
            node = site.node("-c", "2", env={"FAULTS_URL": proxied})
            runners = node.runners()
            verdict.require(site.finished([site.project.good.delay(0)]), "not even the first task ran")
            results = _load(site, 10, seconds=0.5) if busy else []
            if busy:
                wait_until(lambda: len(site.count("start")) >= 2)
            proxy.stall()
            moment = time.monotonic()
            said = len(node.text)
            results += [site.project.late.delay(100 + number) for number in range(10)]
            noticed = wait_until(lambda node=node, said=said: "Trying again" in node.text[said:], 20)  # type: ignore[misc]  # mypy wants no defaults here
            verdict.require(noticed, "the worker did not notice within 20 s")
            proxy.resume()
            verdict.require(site.finished(results, 30), f"unfinished: {dict(site.states(results))}")
            verdict.took(time.monotonic() - moment)
            _judge(site, verdict, node, runners, results, added=verdict.sent, twice=twice)
    verdict.require_in_time(verdict.longest <= 10.0, f"all was done {verdict.longest:.1f} s after the silence began")
    return verdict


def locked(case: Case) -> Verdict:
    """Another program locks the database file under load; again and again."""
    rounds, tasks = (1, 100) if case.short else (5, 600)
    verdict = Verdict("c", f"file locked, {rounds} times", "0 lost, 0 FAILURE, worker alive, resumes within 2 s")
    with case.site(busy=0.5) as site:
        node = site.node("-c", "2")
        runners = node.runners()
        results = _load(site, tasks)
        for number in range(rounds):
            wait_until(lambda number=number: _ended(site) >= (number + 1) * tasks // (rounds + 2), 30)  # type: ignore[misc]  # mypy wants no defaults here
            other = sqlite3.connect(urlsplit(site.url).path, isolation_level=None, timeout=10)
            other.execute("BEGIN IMMEDIATE")
            wait_until(lambda: False, 1.5)
            other.execute("ROLLBACK")
            other.close()
            verdict.took(_until_next_start(site, verdict))
        verdict.require(site.finished(results, 60), f"unfinished: {dict(site.states(results))}")
        _judge(site, verdict, node, runners, results)
        verdict.require_in_time(verdict.longest <= 2.0, f"resumed {verdict.longest:.1f} s after the lock")
    return verdict


class _Waiter:
    """A client that waits for a result through everything that happens meanwhile."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.found: Any = None
        self._thread = Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        try:
            self.found = self._result.get(timeout=90)
        except TQError as error:
            self.found = error

    def value(self) -> Any:
        """Return what it got."""
        self._thread.join(10)
        return self.found


def _load(site: Site, tasks: int, seconds: float = 0.02) -> list[Any]:
    """Publish tasks of both kinds, early and late; at once, so that none has to run before the last is there."""
    project = site.project
    with project.app.producer.collecting() as messages:
        results = [(project.late if n % 2 else project.early).delay(n, seconds) for n in range(tasks)]
    project.app.producer.publish(list(messages))
    return results


def _ended(site: Site) -> int:
    return len(site.count("end"))


def _until_next_start(site: Site, verdict: Verdict) -> float:
    """Return the seconds until a task starts that had not."""
    moment, before = time.monotonic(), len(site.count("start"))
    verdict.require(wait_until(lambda: len(site.count("start")) > before, 30), "nothing started within 30 s")
    return time.monotonic() - moment


def _judge(
    site: Site,
    verdict: Verdict,
    node: Node,
    runners: Sequence[int],
    results: Sequence[Any],
    *,
    added: int = 0,
    twice: int = 0,
) -> None:
    starts, ends, states = site.count("start"), site.count("end"), site.states(results)
    verdict.sent = added + len(results)
    verdict.run += len(starts)
    lost = len(results) - len(ends)
    verdict.lost += lost
    repeated = sum(1 for times in ends.values() if times > 1)
    verdict.repeated += repeated
    verdict.require(lost == 0, f"{lost} lost")
    verdict.require(repeated <= twice, f"{repeated} ended twice")
    verdict.require(states["SUCCESS"] == len(results), f"states {dict(states)}")
    verdict.require(node.alive, "the node ended")
    verdict.require(node.runners() == runners, "a runner was replaced")
    verdict.require("Traceback" not in node.text, "a traceback in the log")
