"""Faults j and k: tasks that are due later, and chords, with the worker killed in between."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta, timezone

from tests.faults.case import Case
from tests.faults.site import Site, wait_until
from tests.faults.verdict import Verdict


def due_later(case: Case) -> Verdict:
    """Tasks with an ETA are all received, then the worker is killed before they are due."""
    count, delay = (300, 3.0) if case.short else (2000, 8.0)
    verdict = Verdict("j", f"{count} ETA tasks, worker killed", "each once, 0 early, within 15 s of due")
    with case.site() as site:
        node = site.node("-c", "2")
        due = datetime.now(timezone.utc) + timedelta(seconds=delay)
        results = [site.project.early.apply_async((n,), eta=due) for n in range(count)]
        wait_until(lambda: False, 0.5)
        node.kill()
        site.node("-c", "2")
        verdict.require(site.finished(results, delay + 40), f"{dict(site.states(results))}")
        verdict.took(max(0.0, time.time() - due.timestamp()))
        starts = site.count("start")
        verdict.sent, verdict.run = count, len(starts)
        verdict.lost = count - len(site.count("end"))
        verdict.repeated = sum(1 for times in starts.values() if times > 1)
        ahead = [moment for word, _, _, moment in site.entries() if word == "start" and moment < due.timestamp() - 0.01]
        verdict.require(verdict.lost == 0, f"{verdict.lost} lost")
        verdict.require(verdict.repeated == 0, f"{verdict.repeated} twice")
        verdict.require(not ahead, f"{len(ahead)} early")
        verdict.require_in_time(verdict.longest <= 15.0, f"the last ran {verdict.longest:.1f} s after it was due")
    return verdict


def chord(case: Case) -> Verdict:
    """A chord whose worker is killed half-way: its body runs once, with all values."""
    return _chord(case, poison=False)


def poisoned_chord(case: Case) -> Verdict:
    """The same with a member that kills its runner: the error callback runs once, the body never."""
    return _chord(case, poison=True)


def _chord(case: Case, *, poison: bool) -> Verdict:
    count = 40 if case.short else 200
    name = f"a chord of {count}{' with poison' if poison else ''}, worker killed"
    verdict = Verdict("k", name, "errback once" if poison else "body once, with every value")
    with case.site(**case.quick) as site:
        project = site.project
        header = [project.late.s(n, 0.02) for n in range(count)]
        if poison:
            header.insert(random.randrange(count), project.poison.s(count))
        body = project.total.s()
        body.link_error(project.failed.s())
        node = site.node("-c", "2")
        project.chord(header)(body)
        wait_until(lambda: sum(site.count("end").values()) >= count // 2)
        node.kill()
        moment = time.monotonic()
        site.node("-c", "2")
        word = "failed" if poison else "total"
        verdict.require(wait_until(lambda: site.count(word), 40), f"no {word}")
        verdict.took(time.monotonic() - moment)
        # Whatever would come a second time has had its chance once the queue is empty.
        wait_until(lambda: _is_empty(site), 20)
        wait_until(lambda: False, 0.5)
        verdict.sent, verdict.run = len(header), len(site.count("start"))
        verdict.lost = count - len(site.count("end"))
        verdict.repeated = sum(site.count(word).values()) - 1
        verdict.require(verdict.repeated == 0, f"{word} ran {verdict.repeated + 1} times")
        verdict.require(verdict.lost == 0, f"{verdict.lost} lost")
        if poison:
            verdict.require(not site.count("total"), "the body ran")
            verdict.require(site.count("start")[str(count)] <= 4, f"poison ran {site.count('start')[str(count)]} times")
        else:
            verdict.require(list(site.count("total")) == [str(sum(range(count)))], f"{dict(site.count('total'))}")
        verdict.require_in_time(verdict.longest <= 15.0 + count * 0.02, f"{word} after {verdict.longest:.1f} s")
    return verdict


def _is_empty(site: Site) -> bool:
    depth = site.project.app.broker.depth("celery")
    return not depth.ready and not depth.held
