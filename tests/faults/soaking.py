"""Fault n: a steady load for a minute, with a whole node killed every few seconds."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.faults.case import Case
from tests.faults.site import Site, wait_until
from tests.faults.verdict import Verdict

#: Tasks published at a time; one look at this many results is one call.
_BATCH = 500


def soak(case: Case) -> Verdict:
    """Two nodes of two runners; one of them is killed, and another started, again and again."""
    tasks, seconds, pause = (4000, 6.0, 2.0) if case.short else (100_000, 60.0, 5.0)
    verdict = Verdict(
        "n", f"{tasks} tasks, a node killed every {pause:g} s", "0 lost, twice only what had ended that moment"
    )
    with case.site() as site:
        nodes = [site.node("-c", "2", "-l", "warning", ready=False) for _ in range(2)]
        results: list[Any] = []
        load = threading.Thread(target=_publish, args=(site, results, tasks, seconds))
        began = time.monotonic()
        load.start()
        kills: list[float] = []
        while (len(kills) + 1) * pause <= seconds:
            wait_until(lambda: False, max(0.0, began + (len(kills) + 1) * pause - time.monotonic()))
            nodes.pop(0).kill()
            kills.append(time.time())
            nodes.append(site.node("-c", "2", "-l", "warning", ready=False))
        killed_at = time.monotonic()
        load.join()
        drained = wait_until(lambda: len(site.count("end")) == tasks, 120, every=0.5)
        verdict.took(time.monotonic() - killed_at)
        ends = site.count("end")
        verdict.sent, verdict.run = len(results), len(site.count("start"))
        verdict.lost = tasks - len(ends)
        verdict.repeated = sum(1 for times in ends.values() if times > 1)
        verdict.notes.append(f"{len(kills)} kills")
        verdict.require(drained, f"{verdict.lost} lost")
        needless = site.needlessly_repeated(kills)
        verdict.require(not needless, f"{len(needless)} ended twice long after they had ended once")
        wait_until(lambda: not _unfinished(site, results), 30, every=0.5)
        verdict.require(not _unfinished(site, results), f"{_unfinished(site, results)} without SUCCESS")
        verdict.require(all(node.alive for node in nodes), "a node ended by itself")
        for node in nodes:
            node.signal(signal.SIGTERM)
        verdict.require([node.wait() for node in nodes] == [0, 0], "a node did not end when it was told to")
        left = case.broker.left(site.url)
        verdict.require(not left, f"{len(left)} things are left that nobody will ever remove: {left[:3]}")
        verdict.require_in_time(verdict.longest <= 30.0, f"drained {verdict.longest:.0f} s after the last kill")
    return verdict


def _publish(site: Site, results: list[Any], tasks: int, seconds: float) -> None:
    """Publish evenly over so many seconds."""
    project, began = site.project, time.monotonic()
    while len(results) < tasks:
        with project.app.producer.collecting() as messages:
            first = len(results)
            results += [project.late.delay(number) for number in range(first, min(tasks, first + _BATCH))]
        project.app.producer.publish(list(messages))
        wait_until(lambda: False, max(0.0, began + seconds * len(results) / tasks - time.monotonic()))


def _unfinished(site: Site, results: Sequence[Any]) -> int:
    pieces = [results[first : first + _BATCH] for first in range(0, len(results), _BATCH)]
    return sum(len(piece) - site.states(piece)["SUCCESS"] for piece in pieces)
