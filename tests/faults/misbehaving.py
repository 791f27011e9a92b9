"""Fault i: tasks that misbehave; see :mod:`tests.faults.mischief` for what they do."""

from __future__ import annotations

import time
from typing import Any

from tests.faults.site import Site
from tests.faults.verdict import Verdict

#: Slow by nature: left out of the short form.
_SLOW = frozenset({"crash_recursion", "large_result", "alarm", "swallow_everything", "hold_the_interpreter"})


def in_processes(short: bool) -> Verdict:
    """Every trick on a prefork node of one runner."""
    return _misbehave("prefork", "1", short)


def in_threads(short: bool) -> Verdict:
    """Every trick that does not end threads as such, on a node of two threads."""
    return _misbehave("threads", "2", short)


def _misbehave(pool: str, concurrency: str, short: bool) -> Verdict:
    verdict = Verdict(
        "i", f"misbehaving tasks, {pool}", "worker alive, the next good task within 1 s, FAILURE for each"
    )
    with Site() as site:
        node = site.node("-P", pool, "-c", concurrency)
        site.finished([site.project.good.delay(0)])
        for name, (task, states, pools, hard, soft) in site.project.mischief.TRICKS.items():
            if pool not in pools or (short and name in _SLOW):
                continue
            verdict.sent += 1
            options: dict[str, Any] = {"time_limit": hard, "soft_time_limit": soft}
            result = task.apply_async(**{key: value for key, value in options.items() if value})
            if not site.finished([result], 15):
                verdict.broken.append(f"{name}: no final state")
                verdict.lost += 1
            else:
                record = site.project.app.backend.fetch([result.id])[result.id]
                verdict.run += 1
                verdict.require(record.state in states, f"{name}: {record.state}")
                if record.state == "FAILURE":
                    verdict.require(record.result.get("exc_type"), f"{name}: its FAILURE says nothing")
            moment = time.monotonic()
            good = site.finished([site.project.good.delay(1)], 15)
            verdict.took(time.monotonic() - moment)
            verdict.require(good, f"{name}: the next good task never ran")
            verdict.require_in_time(
                time.monotonic() - moment <= (6 if hard else 1), f"{name}: it held up the next good task"
            )
            verdict.require(node.alive, f"{name}: the node ended")
            if not node.alive:
                break
    return verdict
