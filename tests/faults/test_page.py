"""``docs/reliability.md`` says what the suite tests."""

from __future__ import annotations

from tests.faults.tables import PAGE, filled


def test_the_generated_tables_are_up_to_date() -> None:
    page = PAGE.read_text()
    assert page == filled(page), "docs/reliability.md is out of date: run `make docs`"
