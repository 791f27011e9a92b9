"""The kit's own pytest session, in a process of its own: ``python -m tq_core.testing.conformance.session DIRECTORY``.

Reads ``order.json`` in the directory and writes ``journal``, one JSON object a line as things happen. Called by
:mod:`tq_core.testing.conformance.run`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import pytest

from tq_core.errors import TQError
from tq_core.testing import conformance
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.collector import Collector
from tq_core.testing.conformance.opening import try_to_open
from tq_core.testing.conformance.promises import promise_of
from tq_core.testing.conformance.report import Check, Verdict

#: The file of tests. Not imported here: pytest is to rewrite its asserts, and those of what it imports.
SUBJECT = Path(__file__).with_name("subject.py")

#: Seconds in which a server must answer before anything is tried.
ANSWER = 10.0


class Journal:
    """Tells the waiting process what happens; a pytest plugin object.

    Args:
        stream: written line by line.
        order: ``done`` names the tests to leave out, ``only`` the promises or areas to try, ``limit`` the seconds
            of one test.
    """

    def __init__(self, stream: TextIO, order: dict[str, Any]) -> None:
        self._stream = stream
        self._done = frozenset(order["done"])
        self._only = frozenset(order["only"])
        self._limit = float(order["limit"])
        self._node = ""
        # Kept from before pytest captures what tests write.
        self._stderr = os.fdopen(os.dup(2), "w")

    def write(self, event: str, **facts: Any) -> None:
        """Write one line, and hand it to the system: the next test may end this process."""
        self._stream.write(json.dumps({"event": event, **facts}) + "\n")
        self._stream.flush()

    def pytest_configure(self) -> None:
        """Let failed asserts of the kit say what they compared."""
        conformance.rewrite_asserts()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Choose the tests to run and say which they are."""
        chosen = []
        for item in items:
            kept = promise_of(getattr(item, "function", None))
            if kept is None or (self._only and not self._only & {kept.id, kept.area}):
                continue
            check = Check(item.name, kept.id, kept.sentence, Verdict.NOT_RUN, "checks before it ended the session")
            self.write("planned", node=item.nodeid, check=asdict(check))
            if item.nodeid not in self._done:
                chosen.append(item)
        items[:] = chosen

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a test begins, and give it its time."""
        self._node = nodeid
        self.write("started", node=nodeid)
        faulthandler.dump_traceback_later(self._limit, exit=True, file=self._stderr)

    def pytest_runtest_logfinish(self) -> None:
        """Let the time of a test be over."""
        faulthandler.cancel_dump_traceback_later()

    def decided(self, check: Check) -> None:
        """Tell what a test says of its promise."""
        self.write("decided", node=self._node, check=asdict(check))


class Subject:
    """A pytest plugin object that brings the address of the plugin under test."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @pytest.fixture(scope="session")
    def subject_address(self) -> Address:
        """Where the plugin under test is."""
        return self._address


def main(directory: Path) -> int:
    """Run the checks that the order asks for; return the process's exit code."""
    order = json.loads((directory / "order.json").read_text("utf-8"))
    with (directory / "journal").open("a", encoding="utf-8") as stream:
        journal = Journal(stream, order)
        address = Address(order["url"], order["settings"])
        try:
            try_to_open(order["contract"], address, ANSWER)
        except TQError as error:
            journal.write("problem", text=f"{type(error).__name__}: {error}")
            return 0
        (directory / "pytest.ini").write_text("[pytest]\n")
        code = pytest.main(
            [
                f"{SUBJECT}::{order['test']}",
                f"--rootdir={directory}",
                f"--config-file={directory / 'pytest.ini'}",
                f"--basetemp={directory / 'files'}",
                "--noconftest",
                "--import-mode=importlib",
                "--tb=short",
                "-q",
                "-pno:cacheprovider",
                "-pno:faulthandler",
            ],
            plugins=[journal, Collector(journal.decided), Subject(address)],
        )
    failed_or_none = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    return 0 if code in failed_or_none else int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
