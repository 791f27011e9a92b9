"""A call and its answer, at every place."""

from __future__ import annotations

import pytest

from tests.nodes import PATIENCE
from tq_core import states


def test_a_result_comes_back(project):
    assert project.basics.add.delay(4, 4).get(timeout=PATIENCE) == 8


def test_a_failure_comes_back_as_the_tasks_own_exception(project):
    result = project.basics.fail.delay("broken")
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=PATIENCE)
    assert result.state == states.FAILURE
    assert "raise ValueError(text)" in result.traceback


def test_a_task_is_pending_until_it_has_ended(project, bell, word, gate):
    result = project.basics.hold.delay(word, str(gate.path))
    bell.wait(word)
    assert (result.state, result.ready(), result.result) == (states.PENDING, False, None)
    gate.open()
    assert result.get(timeout=PATIENCE) == word
    assert (result.state, result.ready(), result.successful()) == (states.SUCCESS, True, True)
