"""The reference pages that are written from the code, against the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tq_core import Task
from tq_core.call_options import CallOptions
from tq_core.canvas.chain import chain
from tq_core.request import Request
from tq_core.results.async_result import AsyncResult
from tq_core.task_attributes import TaskAttributes

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of pages that were written just now."""
    directory = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, CHECKOUT / "scripts" / "api_reference.py", directory], check=True)
    return directory


def test_the_pages_are_what_the_code_says(pages: Path) -> None:
    written = sorted(pages.iterdir())
    assert {"canvas.md", "results.md", "tasks.md"} <= {page.name for page in written}
    for page in written:
        kept = CHECKOUT / "docs" / "reference" / page.name
        assert kept.read_text(encoding="utf-8") == page.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize("documented", [TaskAttributes, Request, CallOptions])
def test_each_attribute_is_told(pages: Path, documented: type) -> None:
    page = (pages / "tasks.md").read_text(encoding="utf-8")
    cells = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    names = {name for name in documented.__annotations__ if not name.startswith("_")}
    assert names - {name.strip("`,") for name in cells.split()} == set()


@pytest.mark.parametrize(("name", "documented"), [("tasks", Task), ("canvas", chain), ("results", AsyncResult)])
def test_each_method_is_told(pages: Path, name: str, documented: type) -> None:
    page = (pages / f"{name}.md").read_text(encoding="utf-8")
    ours = [owner for owner in documented.__mro__ if owner.__module__.startswith("tq_core")]
    methods = {
        method
        for owner in ours
        for method, value in vars(owner).items()
        if callable(value) and not method.startswith("_") and not isinstance(value, type)
    }
    assert {method for method in methods if f"### {method}\n" not in page and f"`{method}`" not in page} == set()
