"""``docs/testing.md``, followed to the letter: its files are written as they stand there, and pytest runs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = "pytester"

Run = Callable[..., pytest.RunResult]

GUIDE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")


def files() -> dict[str, str]:
    """Return the guide's files by name: its blocks that begin with one."""
    blocks = re.findall(r"^```(?:python|ini)\n# (\S+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return dict(blocks)


def test_the_examples_of_the_guide_pass(pytester: pytest.Pytester, run: Run) -> None:
    for name, text in files().items():
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    tests = sum(text.count("\ndef test_") + text.count("async def test_") for text in files().values())
    tests += sum(text.count("    def test_") for text in files().values())
    assert tests > 12
    run().assert_outcomes(passed=tests)


def test_every_fixture_of_the_guide_exists(run: Run) -> None:
    rows = re.findall(r"^\| (`.*?) \|", GUIDE.partition("## An example")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    section = GUIDE.partition("## Tests written for Celery")[2].partition("## ")[0]
    named |= set(re.findall(r"`((?:use_)?celery_\w+|depends_on_\w+)`", section))
    assert len(named) > 20
    shown = run("--fixtures").stdout.str()
    assert {name for name in named if not re.search(rf"^{name}\b", shown, re.MULTILINE)} == set()
