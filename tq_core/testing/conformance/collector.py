"""A pytest plugin object that turns the tests of a run into checks of promises."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from tq_core.testing.conformance.promises import UNDECLARED, Promise, promise_of
from tq_core.testing.conformance.report import Check, Verdict

#: Longest reason, in characters; the whole text is in the details.
REASON = 300


class Collector:
    """Gathers what each conformance test of a run says of its promise; other tests are not its concern.

    Register it with ``pytest.main([…], plugins=[collector])`` and hand :attr:`checks` to
    :func:`tq_core.testing.conformance.report.rows_of`.

    Args:
        told: called with each check as soon as it is decided.
    """

    def __init__(self, told: Callable[[Check], None] | None = None) -> None:
        #: In the order in which they were decided.
        self.checks: list[Check] = []
        self._told = told
        self._seconds = 0.0
        self._worst: tuple[Verdict, str, str] | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what set-up, call and tear-down of a test say, and decide when the last of them ended."""
        report = yield
        kept = promise_of(getattr(item, "function", None))
        if kept is None:
            return report
        if report.when == "setup":
            self._seconds, self._worst = 0.0, None
        self._seconds += report.duration
        if self._worst is None:
            self._worst = _judged(report, call)
        if report.when == "teardown":
            self._decide(item, kept)
        return report

    def _decide(self, item: pytest.Item, kept: Promise) -> None:
        verdict, reason, details = self._worst or (Verdict.KEPT, "", "")
        check = Check(item.name, kept.id, kept.sentence, verdict, reason, details, self._seconds)
        self.checks.append(check)
        if self._told is not None:
            self._told(check)


def _judged(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> tuple[Verdict, str, str] | None:
    """Return verdict, reason and details of one phase of a test; None when it says nothing."""
    if report.failed:
        return Verdict.BROKEN, _reason(report, call), report.longreprtext
    if report.skipped:
        for name, value in report.user_properties:
            if name == UNDECLARED:
                return Verdict.UNDECLARED, str(value), ""
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        return Verdict.NOT_RUN, text.removeprefix("Skipped: "), ""
    return None


def _reason(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(call.excinfo.value if call.excinfo else report.longreprtext)
    return " ".join(text.split())[:REASON]
