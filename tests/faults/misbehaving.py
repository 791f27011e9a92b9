"""Fault i: tasks that misbehave; see :mod:`tests.faults.mischief` for what they do."""

from __future__ import annotations

import time
from typing import Any

from tests.faults.case import Case
from tests.faults.site import Node, Site
from tests.faults.verdict import Verdict

#: Slow by nature: left out of the short form.
_SLOW = frozenset({"crash_recursion", "large_result", "alarm", "swallow_everything", "hold_the_interpreter"})


def in_processes(case: Case) -> Verdict:
    """Every trick on a prefork node of one runner."""
    return _misbehave("prefork", "1", case)


def in_threads(case: Case) -> Verdict:
    """Every trick that does not end threads as such, on a node of two threads."""
    return _misbehave("threads", "2", case)


def in_coroutines(case: Case) -> Verdict:
    """Every trick that does not end threads as such, on a node of one event loop."""
    return _misbehave("aio", "2", case)


def poison(case: Case) -> Verdict:
    """A task that always kills its process, acknowledged late, on each pool."""
    verdict = Verdict("i", "poison", "3 deliveries, then a dead letter and FAILURE; good tasks go on")
    for pool in ("prefork",) if case.short else ("prefork", "threads", "aio"):
        with case.site() as site:
            node = site.node("-P", pool, "-c", "2")
            result = site.project.poison.delay(0)
            verdict.require(site.finished([result], 20), f"{pool}: no final state")
            moment = time.monotonic()
            verdict.require(site.finished([site.project.good.delay(1)], 20), f"{pool}: the next good task never ran")
            verdict.took(time.monotonic() - moment)
            verdict.sent, verdict.run = verdict.sent + 1, verdict.run + 1
            times = site.count("start")["0"]
            verdict.require(times == 3, f"{pool}: it ran {times} times")
            verdict.require(site.states([result])["FAILURE"] == 1, f"{pool}: {dict(site.states([result]))}")
            letters = [letter.message and letter.message.id for letter in site.project.app.broker.dead_letters()]
            verdict.require(letters == [result.id], f"{pool}: dead letters {letters}")
            verdict.require(node.alive, f"{pool}: the node ended")
    verdict.require_in_time(verdict.longest <= 1.0, f"the next good task ran {verdict.longest:.1f} s later")
    return verdict


def _misbehave(pool: str, concurrency: str, case: Case) -> Verdict:
    verdict = Verdict(
        "i", f"misbehaving tasks, {pool}", "worker alive, the next good task within 1 s, FAILURE for each"
    )
    with case.site() as site:
        node = site.node("-P", pool, "-c", concurrency)
        verdict.require(site.finished([site.project.good.delay(0)]), "not even the first task ran")
        for name, trick in site.project.mischief.TRICKS.items():
            if pool in trick.pools and not (case.short and name in _SLOW):
                _play(site, node, pool, name, trick, verdict)
            if not node.alive:
                break
    return verdict


def _play(site: Site, node: Node, pool: str, name: str, trick: Any, verdict: Verdict) -> None:
    """Run one trick and then a good task, and judge both."""
    verdict.sent += 1
    runners = node.runners()
    limits = {"time_limit": trick.limit, "soft_time_limit": trick.soft}
    moment = time.monotonic()
    result = trick.task.apply_async(**{key: value for key, value in limits.items() if value})
    if site.finished([result], 15):
        record = site.project.app.backend.fetch([result.id])[result.id]
        verdict.run += 1
        verdict.require(record.state in trick.states, f"{name}: {record.state}")
        if record.state == "FAILURE":
            verdict.require(record.result.get("exc_type"), f"{name}: its FAILURE says nothing")
    else:
        verdict.broken.append(f"{name}: no final state")
        verdict.lost += 1
    ended = time.monotonic()
    verdict.require(site.finished([site.project.good.delay(1)], 15), f"{name}: the next good task never ran")
    paused = time.monotonic() - ended
    verdict.took(paused)
    # What only the hard limit ends may take until then, and everything that follows from it.
    allowed = 6.0 if trick.limit else 1.0
    verdict.require_in_time(paused <= allowed, f"{name}: the next good task ran {paused:.1f} s later")
    verdict.require_in_time(ended - moment <= 6.0 + (trick.limit or 0), f"{name}: took {ended - moment:.1f} s")
    verdict.require(node.alive, f"{name}: the node ended")
    if trick.replaced is not None:
        replaced = not set(runners) <= set(node.runners())
        promised = pool in trick.replaced
        verdict.require(replaced == promised, f"{name}: its process was {'' if replaced else 'not '}replaced")
