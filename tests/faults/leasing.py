"""Fault g: tasks longer than the lease, and runners that stand still longer than it."""

from __future__ import annotations

import os
import signal

from tests.faults.case import Case
from tests.faults.site import wait_until
from tests.faults.verdict import Verdict


def long_task(case: Case) -> Verdict:
    """A task of many leases runs once, though two nodes compete for it."""
    leases = 3 if case.short else 10
    verdict = Verdict("g", f"a task of {leases} leases", "runs once")
    with case.site(lease=1.0) as site:
        nodes = [site.node("-c", "1"), site.node("-c", "1")]
        results = [site.project.late.delay(0, leases * 1.0), site.project.early.delay(1, leases * 1.0)]
        verdict.require(site.finished(results, leases + 20), f"{dict(site.states(results))}")
        starts = site.count("start")
        verdict.sent, verdict.run = 2, len(starts)
        verdict.lost = 2 - len(site.count("end"))
        verdict.repeated = sum(times - 1 for times in starts.values())
        verdict.require(verdict.repeated == 0, f"started {dict(starts)}")
        verdict.require(site.states(results)["SUCCESS"] == 2, f"{dict(site.states(results))}")
        verdict.require(all(node.alive for node in nodes), "a node ended")
    return verdict


def frozen_runner(case: Case) -> Verdict:
    """A runner stopped for longer than its lease is fenced: its late acknowledgement is refused, and it goes on."""
    verdict = Verdict("g", "a runner frozen past its lease", "fenced; its ack refused and logged; goes on")
    with case.site(lease=1.0) as site:
        frozen = site.node("-c", "1")
        result = site.project.late.delay(0, 0.3)
        wait_until(lambda: site.count("start")["0"] == 1)
        (runner,) = frozen.runners()
        os.kill(runner, signal.SIGSTOP)
        other = site.node("-c", "1")
        verdict.require(wait_until(lambda: site.count("end")["0"] == 1, 20), "nobody took the task over")
        verdict.require(site.finished([result], 5), "no result")
        os.kill(runner, signal.SIGCONT)
        verdict.require(wait_until(lambda: "had gone to another worker" in frozen.text, 10), "nothing was logged")
        other.kill()
        more = site.project.late.delay(1)
        verdict.require(site.finished([more], 15), "the thawed runner does not go on")
        verdict.require(frozen.runners() == [runner], "the thawed runner was replaced")
        verdict.require("Traceback" not in frozen.text, "a traceback in the log")
        verdict.sent, verdict.run = 2, len(site.count("start"))
        verdict.repeated = sum(times - 1 for times in site.count("start").values())
        verdict.require(verdict.repeated == 1, f"started {dict(site.count('start'))}")
    return verdict
