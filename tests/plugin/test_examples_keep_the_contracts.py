"""Each example of the tutorials passes its own tests, as its reader would run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import EXAMPLES

if TYPE_CHECKING:
    from .conftest import Environment

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")))
def test_an_example_passes_its_own_tests(environment: Environment, example: str) -> None:
    done = environment.pytest(EXAMPLES / example)
    assert done.returncode == 0, done.stdout + done.stderr
