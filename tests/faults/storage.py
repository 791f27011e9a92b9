"""Fault o: the database file goes away, cannot be written, or its disk is full."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.case import Case
from tests.faults.site import Site, wait_until
from tests.faults.verdict import Verdict

_TARGET = "says what is wrong; goes on by itself, or ends with a non-zero code"


def database_removed(case: Case) -> Verdict:
    """The database is deleted under a running worker; the client makes a new one."""
    verdict = Verdict("o", "database removed", _TARGET)
    with case.site(busy=1.0) as site:
        node = site.node("-c", "1")
        verdict.require(site.finished([site.project.good.delay(0)]), "not even the first task ran")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{_file(site)}{suffix}").unlink(missing_ok=True)
        site.project.app.close()
        site.project.app.forget_connections()
        # A worker without its file either ends or finds the new one.
        goes_on = wait_until(lambda: not node.alive or _works(site), 30, every=0.5)
        verdict.require(goes_on, f"alive but idle: {node.text[-400:]}")
        if not node.alive:
            verdict.require(node.wait(5) != 0, "exit code 0")
        verdict.sent = verdict.run = 2
    return verdict


def database_unwritable(case: Case) -> Verdict:
    """Nobody may write the file when the worker starts."""
    verdict = Verdict("o", "database unwritable at start", _TARGET)
    with case.site() as site:
        folder = site.directory / "closed"
        folder.mkdir()
        (folder / "queue.db").write_bytes(b"this is no database" * 100)
        node = site.node("-c", "1", env={"FAULTS_URL": f"sqlite:///{folder / 'queue.db'}"}, ready=False)
        said = wait_until(lambda: not node.alive or "not a database" in node.text, 20)
        verdict.require(said, f"silent: {node.text[-300:]}")
        verdict.require("not a database" in node.text, f"unreadable: {node.text[-300:]}")
        verdict.require("Traceback" not in node.text, "a traceback")
        if not node.alive:
            verdict.require(node.wait(5) != 0, "exit code 0")
    return verdict


def disk_full(case: Case) -> Verdict:
    """No file may grow any more: the worker says so, and goes on when there is room again."""
    verdict = Verdict("o", "disk full", _TARGET)
    with case.site(busy=1.0) as site:
        node = site.node("-c", "1")
        verdict.require(site.finished([site.project.good.delay(0)]), "not even the first task ran")
        result = site.project.early.delay(1, 1.0)
        wait_until(lambda: site.count("start")["1"] == 1)
        pids = [node.process.pid, *node.runners()]
        # The write-ahead log may not grow; the worker's own log, which is smaller, may.
        size = Path(f"{_file(site)}-wal").stat().st_size
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        said = wait_until(lambda: not node.alive or "disk" in node.text, 20)
        for pid in pids:
            _lift(pid)
        verdict.require(said, f"silent: {node.text[-300:]}")
        verdict.require(site.finished([result], 30), f"{dict(site.states([result]))}")
        verdict.require(site.finished([site.project.good.delay(2)], 30), "does not go on")
        verdict.require(node.alive, "the node ended")
        verdict.sent = verdict.run = 3
        verdict.notes.append(f"the task is {next(iter(site.states([result])))}")
    return verdict


def _file(site: Site) -> Path:
    """Return the database file of a site on SQLite."""
    return Path(urlsplit(site.url).path)


def _lift(pid: int) -> None:
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _works(site: Site) -> bool:
    try:
        return site.finished([site.project.good.delay(1)], 2)
    except Exception:  # the client's own connection may still be to the file that is gone
        site.project.app.forget_connections()
        return False
