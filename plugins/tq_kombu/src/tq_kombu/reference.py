"""Writes the table of transports into docs/brokers-kombu.md.

Run as ``python -m tq_kombu.reference FILE``; whatever stands between the two marks is replaced.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from tq_core.brokers.kombu_bridge.traits import Traits
from tq_kombu.transports import TRANSPORTS

BEGIN, END = "<!-- transports: begin -->", "<!-- transports: end -->"

_HOLDS = {
    "worker": "the worker's memory",
    "timeout": "the server, until its visibility timeout",
    "connection": "the server, as long as the connection",
}


def table() -> str:
    """Return the table in Markdown; transports that are equal in everything share a row."""
    rows = [
        "| transport | needs | capabilities | a received message is kept by | what does not hold | tried against |",
        "|---|---|---|---|---|---|",
    ]
    seen: dict[str, list[str]] = {}
    for alias, traits in TRANSPORTS.items():
        seen.setdefault(_row(traits), []).append(f"`{alias}`")
    return "\n".join([*rows, *(f"| {', '.join(aliases)} | {row} |" for row, aliases in seen.items())])


def _row(traits: Traits) -> str:
    able = [field.name for field in fields(traits.capabilities) if getattr(traits.capabilities, field.name) is True]
    needs = f"`{traits.requires}`" if traits.requires else "nothing"
    reasons: dict[str, list[str]] = {}
    for promise, reason in traits.breaks.items():
        reasons.setdefault(reason, []).append(f"`{promise}`")
    lacks = "; ".join(f"{reason} ({', '.join(promises)})" for reason, promises in reasons.items())
    cells = [needs, ", ".join(able) or "none", _HOLDS[traits.hold], lacks or "—", traits.proof or "nothing"]
    return " | ".join(cells)


def written_into(page: str) -> str:
    """Return a page with the present table between its marks.

    Raises:
        ValueError: a mark is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written_into(file.read_text("utf-8")), "utf-8")
