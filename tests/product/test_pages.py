"""Pages that the product promises."""

from __future__ import annotations

from pathlib import Path

import pytest

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.row("S176")
def test_a_page_says_what_makes_a_good_task():
    page = (_DOCS / "tasks.md").read_text()
    for word in ("**Granularity.**", "**Locality.**", "**State.**", "ids, not objects"):
        assert word in page
