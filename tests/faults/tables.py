"""The tables of ``docs/reliability.md`` that are made from the suite itself: ``python -m tests.faults.tables``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.faults.brokers import BROKERS
from tests.faults.case import Case
from tests.faults.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_POOLS = ("prefork", "threads", "aio")


def promises() -> str:
    """Return the table of what is put to the test, and on which brokers it can be."""
    lines = ["| fault | promise | can be run on |", "|---|---|---|"]
    for entry in CATALOGUE:
        names = ", ".join(name for name, broker in BROKERS.items() if entry.concerns(broker))
        lines.append(f"| {entry.fault} | {entry.promise} | {names} |")
    return "\n".join(lines)


def misbehaviour() -> str:
    """Return the table of misbehaving tasks and how they end on each pool."""
    lines = [f"| A task that … | {' | '.join(_POOLS)} |", f"|---|{'---|' * len(_POOLS)}"]
    with Case(BROKERS["sqlite"], short=True).site() as site:
        for trick in site.project.mischief.TRICKS.values():
            cells = " | ".join(_ending(trick, pool) for pool in _POOLS)
            lines.append(f"| {trick.does} | {cells} |")
    return "\n".join(lines)


def _ending(trick: Any, pool: str) -> str:
    if pool not in trick.pools:
        return "—"
    states = " or ".join(trick.states)
    if trick.replaced is None:
        return f"{states}; perhaps a new process"
    return f"{states}; new process" if pool in trick.replaced else states


def filled(page: str) -> str:
    """Return the page with every generated table as it should be."""
    for name, table in (("promises", promises()), ("misbehaviour", misbehaviour())):
        pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n\n)(.*?)(\n\n<!-- end -->)", re.DOTALL)
        assert pattern.search(page), f"{PAGE.name} has no place for the table of {name}"
        page = pattern.sub(lambda match, table=table: match[1] + table + match[3], page)  # type: ignore[misc]  # mypy wants no defaults here
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
