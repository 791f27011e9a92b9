"""Fault h: malformed messages, put straight into the queue among good ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.faults.case import Case
from tests.faults.raw_queue import TASK, Parts, RawQueue
from tests.faults.site import Node, Site, memory_of, wait_until
from tests.faults.verdict import Verdict
from tests.malformed import MALFORMED, SECRET, Malformed, huge

#: KiB by which a node may have grown in the end.
_GROWTH = 100 << 10


def mixed_in(case: Case) -> Verdict:
    """Put every kind of malformed message between good tasks; then ask how things stand."""
    tasks = 100 if case.short else 300
    verdict = Verdict(
        "h", "malformed messages", f"all buried with reason and one line; {tasks} good ones run; no restart"
    )
    with case.site() as site:
        node = site.node("-c", "1")
        verdict.require(site.finished([site.project.good.delay(0)]), "not even the first task ran")
        runners = node.runners()
        connections = case.broker.connections(site.url)
        pids = [node.process.pid, *runners]
        before = sum(map(memory_of, pids))
        queue = case.broker.raw(site.url)
        moment = time.monotonic()
        bad, results, refused = _mix(site, queue, tasks, mebibytes=65 if case.short else 50)
        verdict.require(site.finished(results, 60), f"good ones: {dict(site.states(results))}")
        verdict.took(time.monotonic() - moment)
        verdict.sent, verdict.run = len(results), site.states(results)["SUCCESS"]
        verdict.lost = verdict.sent - verdict.run
        verdict.require(verdict.lost == 0, f"{verdict.lost} good tasks did not succeed")
        wait_until(lambda: len(queue.buried()) >= len(bad), 20)
        _judge_burials(verdict, node, bad, queue.buried())
        queue.close()
        verdict.require(node.alive, "the node ended")
        verdict.require(node.runners() == runners, "a runner was replaced")
        verdict.require(connections <= case.broker.connections(site.url), "a connection was closed")
        verdict.require("Trying again" not in node.text, "the worker lost its connection")
        moment = time.monotonic()
        verdict.require(site.finished([site.project.good.delay(1)], 10), "no good task runs any more")
        verdict.require_in_time(time.monotonic() - moment <= 0.5, "the next good task took more than 0.5 s")
        verdict.require_in_time(verdict.longest <= 10.0, f"the good ones took {verdict.longest:.1f} s")
        bounded = wait_until(lambda: sum(map(memory_of, pids)) - before < _GROWTH, 5)
        grown = (sum(map(memory_of, pids)) - before) / 1024
        most = (sum(memory_of(pid, "VmHWM") for pid in pids) - before) / 1024
        verdict.notes.append(f"{len(bad)} kinds; refused by the broker itself: {len(refused)}")
        verdict.notes.append(f"memory {grown:+.0f} MiB, at most {most:+.0f} MiB in between")
        verdict.require(bounded, f"memory grew by {grown:.0f} MiB")
    return verdict


def _mix(site: Site, queue: RawQueue, tasks: int, mebibytes: int) -> tuple[dict[str, str], list[Any], list[str]]:
    """Publish good tasks with bad messages between them.

    Returns:
        kinds of the bad messages by name, the good tasks' results, and the kinds the broker refused.
    """
    kinds = {kind: _parts(flaw) for kind, flaw in MALFORMED.items() if flaw.fits_an_envelope}
    kinds["a body that is too large"] = _parts(huge(mebibytes))
    kinds.update(queue.bad)
    kinds.update(queue.odd)
    results: list[Any] = []
    bad: dict[str, str] = {}
    refused = []
    for number, (kind, parts) in enumerate(kinds.items()):
        while len(results) * len(kinds) < number * tasks:
            results.append(site.project.good.delay(len(results)))
        task_id = f"bad-{number}"
        if not queue.put(task_id, _named(parts, task_id)):
            refused.append(kind)
        elif kind not in queue.odd:
            bad[task_id] = kind
    results += [site.project.good.delay(number) for number in range(len(results), tasks)]
    return bad, results, refused


def _parts(flaw: Malformed) -> Parts:
    message = flaw.message("{id}", TASK)
    return {"headers": message.headers, "body": message.body, "content_type": message.content_type}


def _named(parts: Parts, task_id: str) -> Parts:
    headers = parts.get("headers")
    if isinstance(headers, Mapping) and headers.get("id") == "{id}":
        return {**parts, "headers": {**headers, "id": task_id}}
    return parts


def _judge_burials(verdict: Verdict, node: Node, bad: Mapping[str, str], buried: Mapping[str, str]) -> None:
    missing = [kind for task_id, kind in bad.items() if task_id not in buried]
    silent = [kind for task_id, kind in bad.items() if not buried.get(task_id, "-")]
    verdict.require(not missing, f"not buried: {missing}")
    verdict.require(not silent, f"buried without a reason: {silent}")
    lines = node.text.splitlines()
    said = Counter("Buried a message" in line for line in lines)[True]
    odd = {task_id: reason for task_id, reason in buried.items() if task_id not in bad}
    verdict.require(said == len(buried), f"{said} lines about {len(buried)} burials; odd ones: {odd}")
    verdict.require(SECRET not in node.text, "a body stands in the log")
    verdict.require(not any(line.startswith("forged") for line in lines), "a message forged a line of the log")
    verdict.require("\x1b" not in node.text, "control characters in the log")
    verdict.require("Traceback" not in node.text, "a traceback in the log")
    longest = max(map(len, lines))
    verdict.require(longest < 2000, f"a line of {longest} characters in the log")
