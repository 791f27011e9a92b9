"""Runners: many processes, their deaths, their replacement."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tq_core.errors import TimeLimitExceeded, WorkerLostError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def test_prefork_runs_tasks_in_as_many_processes_as_the_concurrency_says(start_worker, project, bell, open_gate):
    worker = start_worker("-c", "3").ready()
    results = [project.wait_at_gate.delay(n) for n in range(3)]
    pids = {int(words[1]) for words in bell.wait("waiting", 3)}
    assert len(pids) == 3
    assert worker.process.pid not in pids
    open_gate()
    assert sorted(result.get(timeout=30) for result in results) == [0, 1, 2]


def test_threads_run_tasks_in_one_process(start_worker, project, bell, open_gate):
    start_worker("-P", "threads", "-c", "3").ready()
    results = [project.wait_at_gate.delay(n) for n in range(3)]
    assert len({words[1] for words in bell.wait("waiting", 3)}) == 1
    open_gate()
    assert sorted(result.get(timeout=30) for result in results) == [0, 1, 2]


def test_processes_multiply_any_pool(start_worker, project, bell, open_gate):
    start_worker("--processes", "2", "-P", "threads", "-c", "2").ready()
    results = [project.wait_at_gate.delay(n) for n in range(4)]
    assert len({words[1] for words in bell.wait("waiting", 4)}) == 2
    open_gate()
    for result in results:
        result.get(timeout=30)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_every_start_method_runs_tasks(start_worker, project, method):
    start_worker("-c", "2", "--pool-start-method", method).ready()
    assert project.add.delay(2, 3).get(timeout=30) == 5


@pytest.mark.parametrize("task", ["kill_myself", "exit_process"])
def test_a_task_that_kills_its_process_fails_as_lost_and_the_worker_goes_on(start_worker, project, task):
    start_worker("-c", "1").ready()
    lost = getattr(project, task).delay()
    good = [project.add.delay(n, n) for n in range(20)]
    with pytest.raises(WorkerLostError, match="exited prematurely"):
        lost.get(timeout=30)
    assert [result.get(timeout=30) for result in good] == [2 * n for n in range(20)]


@pytest.mark.row("S090")
def test_only_the_task_a_dead_runner_ran_is_lost(start_worker, project, bell, open_gate):
    start_worker("-c", "2").ready()
    doomed = project.wait_at_gate.delay("doomed")
    spared = project.wait_at_gate.delay("spared")
    pids = {words[0]: int(words[1]) for words in bell.wait("waiting", 2)}
    os.kill(pids["doomed"], signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="signal 9"):
        doomed.get(timeout=30)
    open_gate()
    assert spared.get(timeout=30) == "spared"


@pytest.mark.row("S090", "S138")
def test_a_late_task_whose_runner_died_runs_again_when_told_to(start_worker, project, bell, open_gate):
    start_worker("-c", "1").ready()
    result = project.wait_at_gate_late.delay("late")
    first = int(bell.wait("waiting")[0][1])
    os.kill(first, signal.SIGKILL)
    second = int(bell.wait("waiting", 2)[1][1])
    assert second != first
    open_gate()
    assert result.get(timeout=30) == "late"
    assert len(bell.said("waiting")) == 2


def test_poison_is_buried_after_three_deliveries(start_worker, project, bell):
    start_worker("-c", "1").ready()
    result = project.poison.delay()
    with pytest.raises(WorkerLostError):
        result.get(timeout=30)
    assert len(bell.said("poisoned")) == 3
    # The runner that runs this is started after the dead one's messages were settled.
    assert project.add.delay(1, 1).get(timeout=30) == 2
    letters = list(project.app.broker.dead_letters())
    assert [letter.message.id for letter in letters] == [result.id]
    assert "killed its worker 3 times" in letters[0].reason


def test_a_runner_is_replaced_after_its_share_of_tasks(start_worker, project):
    start_worker("-c", "1", "--max-tasks-per-child", "2").ready()
    pids = [project.whoami.delay().get(timeout=30) for _ in range(6)]
    assert len(set(pids)) == 3
    assert all(pids.count(pid) == 2 for pid in pids)


def test_a_runner_is_replaced_when_it_has_grown_too_large(start_worker, project):
    start_worker("-c", "1", "--max-memory-per-child", "150000").ready()
    large = project.grow.delay(300).get(timeout=30)
    assert project.whoami.delay().get(timeout=30) != large


def test_the_pool_grows_and_shrinks_by_signals(start_worker, project, bell, open_gate):
    worker = start_worker("-c", "1").ready()
    first = project.wait_at_gate.delay("first")
    bell.wait("waiting", 1)
    second = project.wait_at_gate.delay("second")
    worker.signal(signal.SIGTTIN)
    bell.wait("waiting", 2)
    open_gate()
    assert first.get(timeout=30), second.get(timeout=30)
    worker.signal(signal.SIGTTOU)
    worker.wait_for(r"The pool has 1 runners")
    assert project.add.delay(1, 2).get(timeout=30) == 3


@pytest.mark.row("S082", "S137")
def test_the_hard_limit_kills_the_process_and_only_its_task(start_worker, project):
    start_worker("-c", "1", "--time-limit", "0.5").ready()
    slow = project.sleep.delay(60)
    with pytest.raises(TimeLimitExceeded):
        slow.get(timeout=30)
    assert project.add.delay(1, 1).get(timeout=30) == 2


def test_the_hard_limit_frees_a_thread_for_other_tasks(start_worker, project):
    start_worker("-P", "threads", "-c", "1").ready()
    slow = project.sleep.apply_async((60,), time_limit=0.5)
    with pytest.raises(TimeLimitExceeded):
        slow.get(timeout=30)
    assert project.add.delay(1, 1).get(timeout=30) == 2


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
@pytest.mark.row("S083", "S137")
def test_the_soft_limit_is_raised_inside_the_task(start_worker, project, pool):
    start_worker("-P", pool, "-c", "1").ready()
    result = project.spin.apply_async((60,), soft_time_limit=0.3)
    assert result.get(timeout=30) == "cleaned up"


def test_autoscale_adds_runners_while_all_are_busy(start_worker, project, bell, open_gate):
    worker = start_worker("--autoscale", "3,1").ready()
    results = [project.wait_at_gate.delay(n) for n in range(3)]
    pids = {words[1] for words in bell.wait("waiting", 3)}
    assert len(pids) == 3
    open_gate()
    assert sorted(result.get(timeout=30) for result in results) == [0, 1, 2]
    worker.wait_for("Scaling from 2 to 3 runners")


def test_a_worker_refuses_a_broker_its_runners_cannot_see(start_worker, env, project):
    env["TEST_URL"] = "memory://"
    worker = start_worker("-c", "1")
    assert worker.wait() != 0
    assert "keeps its messages inside one process" in worker.text
    assert "Traceback" not in worker.text
