"""The tables of ``docs/interop.md`` that are made from the suite itself: ``python -m tests.interop.tables``."""

from __future__ import annotations

import re
from pathlib import Path

from tests.interop.matrix import FEATURES, PAIRS
from tests.interop.places import PLACES

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"


def matrix() -> str:
    """Return the table of what is tested between whom."""
    pairs = [f"{_named(producer)} → {_named(worker)}" for producer, worker in PAIRS]
    lines = [f"| feature | {' | '.join(pairs)} |", f"|---|{'---|' * len(pairs)}"]
    lines += [f"| {name} | {' | '.join('✓' for _ in pairs)} |" for name in FEATURES]
    return "\n".join(lines)


def features() -> str:
    """Return the table of what each feature means."""
    return "\n".join(
        ["| feature | what is seen |", "|---|---|", *(f"| {n} | {f.shown} |" for n, f in FEATURES.items())]
    )


def places() -> str:
    """Return the table of places."""
    lines = ["| place | messages and results | formats | not there |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {site.shown} | {', '.join(site.encodings)} | {', '.join(site.without)} |"
        for name, site in PLACES.items()
    ]
    return "\n".join(lines)


def _named(side: str) -> str:
    return side.replace("celery-", "")


def filled(page: str) -> str:
    """Return the page with every generated table as it should be."""
    for name, table in (("matrix", matrix()), ("features", features()), ("places", places())):
        pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n\n)(.*?)(\n\n<!-- end -->)", re.DOTALL)
        match = pattern.search(page)
        assert match, f"{PAGE.name} has no place for the table of {name}"
        page = page[: match.start(2)] + table + page[match.end(2) :]
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
