"""The tutorials show the code that the tests run: every quoted block stands in the example's file as it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

import pytest

from .conftest import CHECKOUT, EXAMPLES

DOCS = CHECKOUT / "docs" / "plugins"
TUTORIALS = ("broker", "backend", "serializer", "pool", "testing")

_BLOCK = re.compile(r"^```(python|toml|json)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SOURCE = re.compile(r"\[`[^`]+`\]\((examples/[^)]+)\):\n\n\Z")


def quotes(page: str) -> Iterator[tuple[str | None, str]]:
    """Yield the blocks of code of a page, each with the file that the line before it names."""
    for block in _BLOCK.finditer(page):
        source = _SOURCE.search(page[: block.start()])
        yield source and source.group(1), block.group(2)


def stands_in(quoted: str, text: str) -> bool:
    """Tell whether lines stand one below the other in a text, however deeply indented there."""
    wanted, lines = quoted.splitlines(), text.splitlines()
    windows = (lines[start : start + len(wanted)] for start in range(len(lines)))
    return any(dedent("\n".join(window)).splitlines() == wanted for window in windows)


@pytest.mark.parametrize("name", TUTORIALS)
def test_what_a_tutorial_quotes_is_what_the_example_says(name: str) -> None:
    found = list(quotes((DOCS / f"{name}.md").read_text("utf-8")))
    assert found
    for source, quoted in found:
        assert source is not None, f"{name}.md does not say where this stands:\n{quoted}"
        assert stands_in(quoted, (DOCS / source).read_text("utf-8")), f"{source} does not have:\n{quoted}"


def test_every_file_of_an_example_is_spoken_of() -> None:
    pages = "".join((DOCS / f"{name}.md").read_text("utf-8") for name in TUTORIALS)
    for path in EXAMPLES.glob("tq-*/src/*/*.py"):
        if path.name != "__init__.py":
            assert path.relative_to(DOCS).as_posix() in pages


def test_a_quote_that_differs_would_be_noticed() -> None:
    page = "[`a.py`](examples/a.py):\n\n```python\ndef f():\n    return 1\n```\n\n```json\n{}\n```\n"
    assert list(quotes(page)) == [("examples/a.py", "def f():\n    return 1\n"), (None, "{}\n")]
    assert stands_in("def f():\n    return 1\n", "class A:\n\n    def f():\n        return 1\n\n    x = 1")
    assert not stands_in("def f():\n    return 1\n", "def f():\n    return 2\n")
    assert not stands_in("def f():\n    return 1\n", "def f():\n\n    return 1\n")


def test_the_index_leads_to_every_tutorial() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    assert [name for name in TUTORIALS if f"]({name}.md" not in index] == []
