"""Every numbered promise is shown by a test, or is known not to be kept yet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.product.rows import OPEN, ROWS

_ROOT = Path(__file__).parents[2]


def named() -> Iterator[tuple[str, str]]:
    """Yield the promises that tests name with ``@pytest.mark.row``, and where."""
    for path in sorted([*_ROOT.glob("tests/**/test_*.py"), *_ROOT.glob("plugins/*/tests/**/test_*.py")]):
        text = path.read_text()
        if "mark.row" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.row":
                for word in node.args:
                    assert isinstance(word, ast.Constant), f"{path}:{word.lineno}: not a plain text"
                    yield str(word.value), f"{path.relative_to(_ROOT)}:{word.lineno}"


def test_every_promise_is_shown_by_a_test_or_known_to_be_open():
    shown = {row for row, _ in named()}
    assert [row for row in ROWS if row not in shown and row not in OPEN] == []


def test_what_a_test_shows_is_not_called_open():
    assert [(row, place) for row, place in named() if row in OPEN] == []


def test_open_promises_are_among_those_that_are_followed():
    assert [row for row in OPEN if row not in ROWS] == []
