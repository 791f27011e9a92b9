"""Stopping a worker, orderly and not."""

from __future__ import annotations

import os
import signal

import pytest

from tq_core.errors import WorkerLostError
from tq_core.testing.conformance.patience import until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_warm_shutdown_finishes_what_runs_and_gives_the_rest_back(start_worker, project, bell, open_gate, number):
    worker = start_worker("-c", "1").ready()
    running = project.wait_at_gate.delay("running")
    bell.wait("waiting")
    waiting = project.add.delay(1, 1)
    worker.signal(number)
    worker.wait_for("Warm shutdown")
    # Once it is given back, not before: a gate opened earlier would let the runner start it in the meantime.
    until(lambda: project.app.broker.depth("celery").ready == 1)
    open_gate()
    assert running.get(timeout=30) == "running"
    assert worker.wait() == 0
    assert project.app.broker.depth("celery").ready == 1
    start_worker("-c", "1")
    assert waiting.get(timeout=30) == 2


def test_a_signal_to_the_whole_group_is_a_warm_shutdown_too(start_worker, project, bell, open_gate):
    worker = start_worker("-c", "2").ready()
    running = project.wait_at_gate.delay("running")
    bell.wait("waiting")
    os.killpg(worker.process.pid, signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    open_gate()
    assert running.get(timeout=30) == "running"
    assert worker.wait() == 0


@pytest.mark.parametrize("numbers", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM]])
def test_a_cold_shutdown_fails_early_tasks_and_requeues_late_ones(start_worker, project, bell, open_gate, numbers):
    worker = start_worker("-c", "2").ready()
    early = project.wait_at_gate.delay("early")
    late = project.wait_at_gate_late.delay("late")
    bell.wait("waiting", 2)
    worker.signal(numbers[0])
    if len(numbers) > 1:
        worker.wait_for("Warm shutdown")
        worker.signal(numbers[1])
    assert worker.wait() == 1
    with pytest.raises(WorkerLostError):
        early.get(timeout=30)
    start_worker("-c", "1")
    bell.wait("waiting", 3)
    open_gate()
    assert late.get(timeout=30) == "late"


def test_nothing_is_lost_when_supervisor_and_runners_are_killed_under_load(start_worker, project, bell):
    worker = start_worker("-c", "2").ready()
    numbers = range(200)
    results = [project.record_late.delay(n, 0.01) for n in numbers]
    bell.wait("done", 20)
    worker.kill_everything()
    start_worker("-c", "2")
    assert [result.get(timeout=60) for result in results] == list(numbers)
    assert {int(words[0]) for words in bell.said("done")} == set(numbers)


def test_runners_end_by_themselves_when_only_their_supervisor_is_killed(start_worker, project, bell):
    worker = start_worker("-c", "2").ready()
    numbers = range(100)
    results = [project.record_late.delay(n, 0.01) for n in numbers]
    bell.wait("done", 10)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.wait()  # its output closes only when the last runner has gone
    done = len({words[0] for words in bell.said("done")})
    assert done < len(numbers)
    start_worker("-c", "2")
    assert [result.get(timeout=60) for result in results] == list(numbers)
    assert len(bell.said("run")) == len(numbers)


def test_a_task_in_flight_on_a_killed_node_gets_a_failure_from_the_next_worker(start_worker, project, bell):
    worker = start_worker("-c", "1").ready()
    result = project.record_early.delay(1, 60)
    bell.wait("underway")
    worker.kill_everything()
    start_worker("-c", "1")
    with pytest.raises(WorkerLostError):
        result.get(timeout=60)
    assert len(bell.said("run")) == 1
