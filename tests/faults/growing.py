"""Fault q: memory."""

from __future__ import annotations

from tests.faults.case import Case
from tests.faults.site import memory_of
from tests.faults.verdict import Verdict


def memory(case: Case) -> Verdict:
    """Resident memory of supervisor and runner after many tasks, against a quarter of them."""
    total = 3200 if case.short else 20_000
    most = 8.0 if case.short else 4.0
    verdict = Verdict("q", f"memory after {total} tasks", f"within {most:g} % of that after a quarter")
    with case.site() as site:
        node = site.node("-c", "1")
        node_ready = site.finished([site.project.good.delay(0)])
        verdict.require(node_ready, "not even the first task ran")
        sizes = []
        for part in range(4):
            results = [
                site.project.good.apply_async((n,), soft_time_limit=3600)
                for n in range(part * total // 4, (part + 1) * total // 4)
            ]
            verdict.require(site.finished(results, 120), f"{dict(site.states(results))}")
            sizes.append([memory_of(pid) for pid in (node.process.pid, *node.runners())])
        verdict.sent = verdict.run = total
        for who, first, last in zip(("supervisor", "runner"), sizes[0], sizes[-1], strict=True):
            growth = 100.0 * (last - first) / first
            verdict.notes.append(f"{who} {first} → {last} KiB ({growth:+.1f} %)")
            verdict.require(growth <= most, f"{who} grew by {growth:.1f} %")
    return verdict
