"""Exceptions as plain data."""

from __future__ import annotations

import gc
import json
import subprocess  # noqa: F401  # loaded, so that a lookup in it could succeed
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import errors
from tq_core.protocol.exception import describe_exception, rebuild_exception
from tq_core.serializers.json import JSONSerializer


@pytest.mark.parametrize("error", [ValueError("bad", 3), KeyError("k"), OSError(2, "gone"), errors.Reject("no")])
def test_an_exception_comes_back(error: Exception) -> None:
    back = rebuild_exception(describe_exception(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_a_class_whose_constructor_takes_more_than_its_arguments_keeps_class_and_text() -> None:
    error = json.JSONDecodeError("bad", "doc", 1)
    back = rebuild_exception(describe_exception(error))
    assert type(back) is json.JSONDecodeError
    assert str(back) == str(error)


def test_arguments_nobody_can_serialize_become_texts() -> None:
    described = describe_exception(ValueError({1, 2}, object, b"x"))
    assert described["exc_message"][0] == "{1, 2}"
    JSONSerializer().dumps(described)
    assert describe_exception(ValueError({1}), JSONSerializer().dumps)["exc_message"] == ["{1}"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "int"),
        ("subprocess", "Popen"),
        ("os", "path.join"),
    ],
)
def test_nothing_but_an_exception_class_is_ever_called(module: str, name: str) -> None:
    back = rebuild_exception({"exc_type": name, "exc_message": ["echo hello"], "exc_module": module})
    assert type(back).__name__ == name.rpartition(".")[2]
    assert type(back).__mro__[1] is Exception


def test_a_class_that_is_no_exception_is_not_even_constructed(tmp_path: Path) -> None:
    made = tmp_path / "made"
    program = [sys.executable, "-c", f"open({str(made)!r}, 'w')"]
    with warnings.catch_warnings(record=True) as seen:  # a child nobody waits for is warned about
        warnings.simplefilter("always")
        rebuild_exception({"exc_type": "Popen", "exc_message": [program], "exc_module": "subprocess"})
        gc.collect()
    # The collector may find what other tests left behind; only a child process is this test's.
    assert not [warning for warning in seen if "subprocess" in str(warning.message)]
    assert not made.exists()


def test_a_module_is_never_imported() -> None:
    assert "antigravity" not in sys.modules
    back = rebuild_exception({"exc_type": "Error", "exc_message": [], "exc_module": "antigravity"})
    assert "antigravity" not in sys.modules
    assert (type(back).__name__, type(back).__module__) == ("Error", "antigravity")


wild: st.SearchStrategy[Any] = st.none() | st.integers() | st.text() | st.lists(st.text())


@given(st.fixed_dictionaries({}, optional={"exc_type": wild, "exc_module": wild, "exc_message": wild}) | wild)
def test_any_map_becomes_an_exception(described: Any) -> None:
    assert isinstance(rebuild_exception(described), BaseException)
