"""The kit from the outside: try an installed plugin without writing a test file.

    report = run("broker", "sqlite", url="sqlite:////tmp/try.db")

The checks run in a process of their own, which may hang, crash or be killed by what it tries; each check is told
of as soon as it is decided, and a new process goes on with the rest. Needs pytest and hypothesis
(``pip install 'tq-core[testing]'``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tq_core.errors import ImproperlyConfigured
from tq_core.testing.conformance import require_tools
from tq_core.testing.conformance.report import Check, Report, Verdict, rows_of

#: Contract → the class of :mod:`tq_core.testing.conformance.subject` with its checks.
CONTRACTS: Mapping[str, str] = {
    "broker": "TestBroker",
    "backend": "TestBackend",
    "coordination": "TestCoordination",
    "serializer": "TestSerializer",
    "pool": "TestPool",
    "schedule_store": "TestScheduleStore",
    "plugin": "TestPlugin",
}

#: Checks that may hang or end their process before the kit gives up on a plugin.
CASUALTIES = 5


def run(
    contract: str,
    plugin: str,
    url: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    only: Sequence[str] = (),
    limit: float = 60.0,
    patience: float = 20.0,
) -> Report:
    """Try every promise of a contract on a plugin. Blocks; may be called from any thread.

    The store behind the URL need not be empty, since the checks use names of their own and tidy up; still, give it one
    that nobody works with.

    Args:
        contract: a key of :data:`CONTRACTS`. ``coordination`` is tried through the result backend that offers it,
            ``plugin`` is the description of a distribution.
        plugin: the plugin's registered name, or the path of a class (``package.module:Class``); for the contract
            ``plugin`` the name of its distribution.
        url: where a broker, backend or schedule store is; ``plugin://`` when None.
        settings: what differs from tq's defaults, by setting name; plain data.
        only: ids of promises, or areas (the ids' first words), to try; all when empty.
        limit: seconds one check may take; one that takes longer is broken, and its process is ended.
        patience: seconds in which something that a check waits for must happen.

    Returns:
        the report; what keeps the kit from trying (a missing plugin, a server that does not answer) is its
        ``problem``, not an error.

    Raises:
        ImproperlyConfigured: there is no such contract, or pytest or hypothesis is not installed.
        TypeError: ``settings`` are not plain data.
    """
    if contract not in CONTRACTS:
        raise ImproperlyConfigured(f"there is no contract {contract!r}; the kit knows {', '.join(CONTRACTS)}")
    require_tools()
    address = url or (plugin if ":" in plugin or "." in plugin or contract not in _BY_URL else f"{plugin}://")
    order = {
        "test": CONTRACTS[contract],
        "contract": contract,
        "url": address,
        "settings": dict(settings or {}),
        "only": list(only),
        "limit": limit,
        "patience": patience,
    }
    with tempfile.TemporaryDirectory(prefix="tq-conformance-") as directory:
        checks, problem = _Attempts(Path(directory), order).all()
    hide = _Hide(address)
    checks = [replace(check, reason=hide(check.reason), details=hide(check.details)) for check in checks]
    return Report(contract, plugin, rows_of(checks), hide(problem))


_BY_URL = frozenset({"broker", "backend", "coordination", "schedule_store"})


class _Attempts:
    """Runs session after session until every check is decided.

    Args:
        directory: for the order, which may hold a password, and the journal; readable by this user alone.
        order: what :mod:`tq_core.testing.conformance.session` reads.
    """

    def __init__(self, directory: Path, order: dict[str, Any]) -> None:
        self._directory = directory
        self._order = order
        self._decided: dict[str, Check] = {}
        self._planned: dict[str, Check] = {}

    def all(self) -> tuple[list[Check], str]:
        """Return the checks in the contract's order, and why the kit could not try, or ``""``."""
        for _ in range(CASUALTIES):
            code, output, journal = self._session()
            problem, running = self._read(journal)
            if problem:
                return [], problem
            if running is not None:
                self._decided[running] = self._casualty(running, code, output)
            elif code != 0:
                return self._ordered(), f"the kit's own session failed with exit code {code}:\n{output[-4000:]}"
            if self._planned.keys() <= self._decided.keys():
                break
        return self._ordered(), ""

    def _session(self) -> tuple[int, str, list[dict[str, Any]]]:
        order, journal = self._directory / "order.json", self._directory / "journal"
        journal.unlink(missing_ok=True)
        order.write_text(json.dumps({**self._order, "done": list(self._decided)}))
        process = subprocess.Popen(
            [sys.executable, "-m", "tq_core.testing.conformance.session", str(self._directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                # Plugins of pytest that happen to be installed may change how tests run.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "",
                "TQ_CONFORMANCE_PATIENCE": str(self._order["patience"]),
            },
            start_new_session=True,
        )
        try:
            output, _ = process.communicate()
        finally:
            # What a check started and did not end must not outlive it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
        return process.returncode, output, [json.loads(line) for line in lines]

    def _read(self, journal: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
        """Take in what a session wrote; return its problem, and the check that was running when it ended."""
        problem, running = "", None
        for entry in journal:
            match entry["event"]:
                case "problem":
                    problem = entry["text"]
                case "planned":
                    self._planned.setdefault(entry["node"], _check(entry))
                case "started":
                    running = entry["node"]
                case "decided":
                    running = None
                    self._decided[entry["node"]] = _check(entry)
        return problem, running

    def _casualty(self, node: str, code: int, output: str) -> Check:
        details = output[-8000:]
        _, hung, trace = output.partition("Timeout (")
        if hung:
            reason, details = f"it did not end within {self._order['limit']:g} s", (hung + trace)[:8000]
        elif code < 0:
            reason = f"it ended its process by {signal.Signals(-code).name}"
        else:
            reason = f"it ended its process with exit code {code}"
        return replace(self._planned[node], verdict=Verdict.BROKEN, reason=reason, details=details)

    def _ordered(self) -> list[Check]:
        return [self._decided.get(node, planned) for node, planned in self._planned.items()]


def _check(entry: Mapping[str, Any]) -> Check:
    fields = {**entry["check"], "verdict": Verdict(entry["check"]["verdict"])}
    return Check(**fields)


class _Hide:
    """Replaces the passwords of a URL, as written and as meant, by asterisks."""

    def __init__(self, url: str) -> None:
        found = set[str]()
        for part in url.split(";"):  # several servers may be named
            # The scheme may be a class's path, of which urlsplit makes nothing.
            with suppress(ValueError):
                password = urlsplit("x://" + part.partition("://")[2]).password or ""
                found |= {password, unquote(password)}
        self._secrets = sorted(found - {""}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text
