"""What a run of the kit found: for each promise of a contract, whether a plugin keeps it.

Imports no pytest, so that a report can be shown where the kit itself is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


class Verdict(str, Enum):
    """What became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECLARED = "not declared"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Check:
    """One test that ran, or was left out.

    Attributes:
        test: the name of the test, with its parameters.
        promise: id of the promise that it proves.
        sentence: the promise.
        verdict: what the test says of it.
        reason: why it is broken, was not run, or which capability is not declared.
        details: the traceback, where it is broken.
        seconds: how long the test took.
    """

    test: str
    promise: str
    sentence: str
    verdict: Verdict
    reason: str = ""
    details: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One promise and what became of it.

    Attributes:
        promise: the promise's id, ``area.words``.
        sentence: the promise, for people.
        verdict: kept when every check passed; broken when one failed; not declared when the plugin does not make it;
            not run when the kit could not try.
        reason: one line: the failed check and its error, the capability that is not declared, or why it was not run.
        checks: the names of the checks behind the verdict; where it is broken, of those that failed.
        details: tracebacks of the failed checks, ``""`` otherwise.
        seconds: how long its checks took.
    """

    promise: str
    sentence: str
    verdict: Verdict
    reason: str = ""
    checks: tuple[str, ...] = ()
    details: str = ""
    seconds: float = 0.0

    @property
    def area(self) -> str:
        """What the promise is about: the first word of its id."""
        return self.promise.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Report:
    """Every promise of one contract, tried on one plugin.

    Attributes:
        contract: like ``broker``.
        plugin: the plugin's name, or what the caller called it.
        rows: in the order of the contract.
        problem: why the kit could not try the plugin at all; ``""`` otherwise.
    """

    contract: str
    plugin: str
    rows: tuple[Row, ...]
    problem: str = ""

    @property
    def exit_code(self) -> int:
        """0: every promise that the plugin makes is kept. 1: one is broken. 2: the kit could not try."""
        if self.problem or all(row.verdict is Verdict.NOT_RUN for row in self.rows):
            return 2
        return int(any(row.verdict is Verdict.BROKEN for row in self.rows))

    def counts(self) -> dict[Verdict, int]:
        """Return how many promises there are of each verdict."""
        return {verdict: sum(row.verdict is verdict for row in self.rows) for verdict in Verdict}

    def to_json(self) -> str:
        """Return the report as JSON text: the fields of this class and of :class:`Row`, and the counts."""
        document: dict[str, Any] = {
            "contract": self.contract,
            "plugin": self.plugin,
            "problem": self.problem,
            "exit_code": self.exit_code,
            "counts": {verdict.value: count for verdict, count in self.counts().items()},
            "rows": [{**asdict(row), "verdict": row.verdict.value} for row in self.rows],
        }
        return json.dumps(document, indent=2, ensure_ascii=False)

    def to_junit(self, path: Path) -> None:
        """Write the report as a JUnit XML file with one test case for each promise.

        Raises:
            OSError: the file cannot be written.
        """
        write_junit([self], path)

    def junit_suite(self) -> ElementTree.Element:
        """Return the report as the ``testsuite`` of a JUnit XML file, with one test case for each promise."""
        counts = self.counts()
        suite = ElementTree.Element(
            "testsuite",
            name=f"{self.contract} contract: {self.plugin}",
            tests=str(len(self.rows)),
            failures=str(counts[Verdict.BROKEN]),
            errors=str(int(bool(self.problem))),
            skipped=str(counts[Verdict.UNDECLARED] + counts[Verdict.NOT_RUN]),
        )
        for row in self.rows:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"tq.conformance.{self.contract}",
                name=f"{row.promise}: {row.sentence}",
                time=f"{row.seconds:.3f}",
            )
            if row.verdict is Verdict.BROKEN:
                ElementTree.SubElement(case, "failure", message=_xml(row.reason)).text = _xml(row.details)
            elif row.verdict is not Verdict.KEPT:
                ElementTree.SubElement(case, "skipped", message=_xml(f"{row.verdict.value}: {row.reason}"))
        if self.problem:
            case = ElementTree.SubElement(suite, "testcase", classname="tq.conformance", name="the kit runs")
            ElementTree.SubElement(case, "error", message=_xml(self.problem.partition("\n")[0])).text = _xml(
                self.problem
            )
        return suite


def write_junit(reports: Iterable[Report], path: Path) -> None:
    """Write reports as a JUnit XML file with one test suite for each.

    Raises:
        OSError: the file cannot be written.
    """
    suites = ElementTree.Element("testsuites")
    suites.extend(report.junit_suite() for report in reports)
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def rows_of(checks: Iterable[Check]) -> tuple[Row, ...]:
    """Gather checks into one row for each promise, in the order in which promises first occur."""
    by_promise: dict[str, list[Check]] = {}
    for check in checks:
        by_promise.setdefault(check.promise, []).append(check)
    return tuple(_row(found) for found in by_promise.values())


def _row(checks: list[Check]) -> Row:
    # A promise is broken by one failure, and tried by one success, whatever was left out beside it.
    order = (Verdict.BROKEN, Verdict.KEPT, Verdict.NOT_RUN, Verdict.UNDECLARED)
    verdict = min((check.verdict for check in checks), key=order.index)
    decisive = [check for check in checks if check.verdict is verdict]
    first = decisive[0]
    return Row(
        promise=first.promise,
        sentence=first.sentence,
        verdict=verdict,
        reason=first.reason,
        checks=tuple(check.test for check in decisive),
        details="\n\n".join(check.details for check in decisive if check.details),
        seconds=sum(check.seconds for check in checks),
    )


def _xml(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?" for c in text
    )
