"""The short forms of the fault suite; `make faults` runs the long ones."""

from __future__ import annotations

import sys

import pytest

from tests.faults import growing, killing, leasing, misbehaving, stopping, storage, waiting
from tests.faults.verdict import Scenario

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the suite looks at processes through /proc")


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(killing.runners_killed_early, id="a_killed_runner_fails_only_the_early_tasks_it_ran"),
        pytest.param(killing.runners_killed_late, id="a_killed_runner_loses_no_late_task"),
        pytest.param(killing.nodes_killed_late, id="another_node_takes_over_what_a_killed_one_held"),
        pytest.param(killing.node_killed_early, id="what_a_killed_node_ran_is_reported_as_lost"),
        pytest.param(stopping.warm_shutdown, id="sigterm_to_every_process_interrupts_nothing"),
        pytest.param(stopping.cold_shutdown, id="sigquit_leaves_no_task_without_a_final_state"),
        pytest.param(stopping.second_signal, id="a_second_signal_leaves_no_task_without_a_final_state"),
        pytest.param(leasing.long_task, id="a_task_longer_than_its_lease_runs_once"),
        pytest.param(leasing.frozen_runner, id="a_frozen_runner_is_fenced_and_goes_on"),
        pytest.param(misbehaving.in_processes, id="no_task_ends_a_prefork_worker"),
        pytest.param(misbehaving.in_threads, id="no_task_ends_a_worker_of_threads"),
        pytest.param(waiting.due_later, id="tasks_due_later_survive_the_worker"),
        pytest.param(waiting.chord, id="a_chord_whose_worker_was_killed_calls_back_once"),
        pytest.param(waiting.poisoned_chord, id="a_poisoned_chord_calls_its_errback_once"),
        pytest.param(storage.database_removed, id="a_removed_database_does_not_leave_an_idle_worker"),
        pytest.param(storage.database_unwritable, id="a_file_that_is_no_database_is_named"),
        pytest.param(storage.disk_full, id="a_full_disk_is_reported_and_survived"),
    ],
)
def test_the_promise_is_kept(scenario: Scenario) -> None:
    verdict = scenario(True)
    assert verdict.kept, f"{verdict.target}: {verdict.broken}"


def test_memory_does_not_grow_with_the_tasks_that_ran() -> None:
    verdict = growing.memory(True)
    assert verdict.kept, f"{verdict.target}: {verdict.broken}"
