"""The pages about pools and asyncio say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tq_core import Celery
from tq_core.contracts.capability import described

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_pools_lists_what_each_declares() -> None:
    page = (DOCS / "pools.md").read_text()
    table = page[page.index("| capability |") :].split("\n\n")[0]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    app = Celery(set_as_current=False)
    for column, name in enumerate(header[1:], start=1):
        said = {row[0].strip("`"): row[column] == "yes" for row in rows}
        declared = described(app.plugins.pool_class(name).capabilities)
        assert said == {capability: value for capability, (value, _) in declared.items()}, name


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_the_programs_of_the_asyncio_page_do_what_it_says(tmp_path, env, start_worker) -> None:
    page = (DOCS / "asyncio.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    programs = dict(re.findall(r"# (\w+\.py)\n(.*)", text, re.DOTALL)[0] for kind, text in blocks if "# " in text[:3])
    expected = next(text for kind, text in blocks if kind == "text")
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    start_worker("-P", "aio", "-c", "500", application="tasks").ready()
    client = subprocess.run(
        [sys.executable, "client.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert client.stdout == expected
