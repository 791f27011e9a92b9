"""Runs of pytest inside of tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

#: Installed plugins that have nothing to do with ours, and take longer to load than it.
_LEFT_OUT = ("cacheprovider", "hypothesispytest", "pytest_cov", "time_machine")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run the files that the test made with pytest, in a process of its own, with these options."""

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*(f"-pno:{name}" for name in _LEFT_OUT), *options)

    return run
