"""Fault f: signals."""

from __future__ import annotations

import signal
import time

from tests.faults.case import Case
from tests.faults.site import Site, wait_until
from tests.faults.verdict import Verdict


def warm_shutdown(case: Case) -> Verdict:
    """SIGTERM to every process at once: what runs ends, the rest is back in the queue."""
    verdict = Verdict("f", "SIGTERM to the group", "0 lost, exit = longest task + 1 s")
    seconds = 1.0 if case.short else 3.0
    with case.site() as site:
        node = site.node("-c", "2")
        running = [site.project.early.delay(n, seconds) for n in range(2)]
        reserved = [site.project.late.delay(n) for n in range(2, 12)]
        wait_until(lambda: len(site.count("start")) == 2)
        node.signal(signal.SIGTERM, everyone=True)
        moment = time.monotonic()
        code = node.wait(seconds + 10)
        took = time.monotonic() - moment
        verdict.took(took)
        verdict.require(code == 0, f"exit code {code}")
        verdict.require_in_time(took <= seconds + 1, f"exit after {took:.1f} s")
        verdict.require(site.states(running)["SUCCESS"] == 2, f"running: {dict(site.states(running))}")
        depth = site.project.app.broker.depth("celery")
        verdict.require(depth.ready == 10, f"the queue has {depth} of 10")
        site.node("-c", "2")
        verdict.require(site.finished(reserved, 20), f"reserved: {dict(site.states(reserved))}")
        _totals(site, verdict, 12, lost=0)
    return verdict


def cold_shutdown(case: Case) -> Verdict:
    """SIGQUIT: out at once; late tasks go back, early ones fail."""
    return _cold(case, "SIGQUIT", [signal.SIGQUIT], 0.0)


def second_signal(case: Case) -> Verdict:
    """SIGTERM twice is SIGQUIT."""
    return _cold(case, "SIGTERM twice", [signal.SIGTERM, signal.SIGTERM], 0.3)


def _cold(case: Case, name: str, numbers: list[signal.Signals], pause: float) -> Verdict:
    verdict = Verdict("f", f"{name} to the group", "exit within 2 s; late back in the queue, early FAILURE")
    with case.site() as site:
        node = site.node("-c", "2")
        early = [site.project.early.delay(0, 300)]
        late = [site.project.late.delay(1, 1.5)]
        wait_until(lambda: len(site.count("start")) == 2)
        wait_until(lambda: False, 0.2)
        for number in numbers:
            node.signal(number, everyone=True)
            wait_until(lambda: False, pause)
        moment = time.monotonic()
        code = node.wait(20)
        verdict.took(time.monotonic() - moment)
        verdict.require(code is not None, "still alive after 20 s")
        verdict.require_in_time(verdict.longest <= 2.0, f"exit after {verdict.longest:.1f} s")
        verdict.require(site.states(early)["FAILURE"] == 1, f"early: {dict(site.states(early))}")
        verdict.require(site.project.app.broker.depth("celery").ready == 1, "the late task is not back in the queue")
        site.node("-c", "1")
        verdict.require(site.finished(late, 20), f"late: {dict(site.states(late))}")
        _totals(site, verdict, 2, lost=1)
    return verdict


def _totals(site: Site, verdict: Verdict, sent: int, lost: int) -> None:
    ends = site.count("end")
    verdict.sent, verdict.run = sent, len(site.count("start"))
    verdict.lost = sent - len(ends)
    verdict.repeated = sum(1 for times in ends.values() if times > 1)
    verdict.require(verdict.lost == lost, f"{verdict.lost} did not end")
    verdict.require(verdict.repeated == 0, f"{verdict.repeated} ended twice")
