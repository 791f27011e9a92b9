"""The aio pool: coroutine tasks in one event loop, plain functions in threads beside it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tq_core.errors import TimeLimitExceeded, WorkerLostError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

EVERY_POOL = ["aio", "prefork", "threads", "solo"]


@pytest.fixture
def project_file() -> Path:
    return Path(__file__).with_name("aio_project.py")


@pytest.fixture
def worker(start_worker):
    return start_worker("-P", "aio", "-c", "20").ready()


def test_the_banner_names_the_pool(worker):
    assert "concurrency: 20 (aio)" in worker.text


def test_without_a_concurrency_there_are_a_hundred_slots(start_worker):
    assert "concurrency: 100 (aio)" in start_worker("-P", "aio").ready().text


def test_hundreds_of_coroutines_run_at_once_in_one_process(start_worker, project, bell, open_gate):
    start_worker("-P", "aio", "-c", "300").ready()
    results = [project.wait_at_gate.delay(n) for n in range(300)]
    waiting = bell.wait("waiting", 300)
    assert len({(pid, thread) for _, pid, thread in waiting}) == 1
    open_gate()
    assert [result.get(timeout=30) for result in results] == list(range(300))


def test_there_are_never_more_coroutines_than_slots(start_worker, project, bell, open_gate):
    start_worker("-P", "aio", "-c", "2").ready()
    results = [project.wait_at_gate.delay(n) for n in range(3)]
    bell.wait("waiting", 2)
    # A third would have been started with the second, in the same turn of the loop.
    assert len(bell.said("waiting")) == 2
    open_gate()
    assert [result.get(timeout=30) for result in results] == [0, 1, 2]


def test_processes_multiply_the_loops(start_worker, project, bell, open_gate):
    start_worker("-P", "aio", "-c", "2", "--processes", "2").ready()
    results = [project.wait_at_gate.delay(n) for n in range(4)]
    assert len({pid for _, pid, _ in bell.wait("waiting", 4)}) == 2
    open_gate()
    for result in results:
        result.get(timeout=30)


def test_plain_functions_run_in_threads_beside_the_loop(worker, project, bell, open_gate):
    blocking = [project.block_at_gate.delay(n) for n in range(3)]
    assert len({thread for _, _, thread in bell.wait("waiting", 3)}) == 3
    # The loop turns while three functions block.
    assert project.add_later.delay(1, 2).get(timeout=30) == 3
    open_gate()
    assert [result.get(timeout=30) for result in blocking] == [0, 1, 2]


@pytest.mark.parametrize("pool", EVERY_POOL)
def test_a_coroutine_knows_its_run_across_awaits_tasks_and_threads(start_worker, project, pool):
    start_worker("-P", pool, "-c", "2").ready()
    for result in [project.where_am_i.delay() for _ in range(5)]:
        name = "project.where_am_i"
        assert result.get(timeout=30) == [result.id, name, result.id, [result.id, result.id], [result.id, name]]


def test_what_a_run_sets_in_its_context_is_not_seen_by_the_next(start_worker, project):
    start_worker("-P", "aio", "-c", "1").ready()
    results = [project.leave_in_context.delay(word) for word in ("one", "two", "three")]
    assert [result.get(timeout=30) for result in results] == ["nothing"] * 3


class TestEndings:
    def test_an_exception_is_raised_by_get_with_the_tasks_own_traceback(self, worker, project):
        result = project.fail.delay("broken")
        with pytest.raises(ValueError, match="broken"):
            result.get(timeout=30)
        assert "raise ValueError(text)" in result.traceback
        assert "tq_core" not in result.traceback

    @pytest.mark.parametrize("task", ["leave", "leave_from_child"])
    def test_sys_exit_ends_the_task_and_not_the_worker(self, worker, project, task):
        with pytest.raises(BaseException, match="leaving"):
            getattr(project, task).delay().get(timeout=30)
        assert project.add_later.delay(1, 1).get(timeout=30) == 2

    def test_a_coroutine_is_retried_until_it_succeeds(self, worker, project):
        assert project.fail_twice.delay().get(timeout=30) == 2

    def test_autoretry_gives_up_with_the_original_error(self, worker, project):
        with pytest.raises(ZeroDivisionError):
            project.divide.delay(1, 0).get(timeout=30)

    def test_a_coroutine_may_reject_and_ignore(self, worker, project):
        rejected = project.reject.delay()
        worker.wait_for("rejected: not for me")
        ignored = project.ignore.delay()
        worker.wait_for(rf"project\.ignore\[{ignored.id}\] ignored")
        assert rejected.state == ignored.state == "PENDING"

    def test_another_task_may_take_its_place(self, worker, project):
        assert project.become.delay(2, 3).get(timeout=30) == 5

    def test_links_and_chains_follow_a_coroutine(self, worker, project):
        chain = project.add_later.s(1, 1) | project.add.s(1) | project.add_later.s(1)
        assert chain.delay().get(timeout=30) == 4

    @pytest.mark.parametrize("pool", ["aio", "prefork"])
    def test_an_asynchronous_generator_is_refused_with_advice(self, start_worker, project, pool):
        start_worker("-P", pool, "-c", "2").ready()
        with pytest.raises(TypeError, match=r"project\.stream is an asynchronous generator.*into a list"):
            project.stream.delay().get(timeout=30)
        with pytest.raises(TypeError, match=r"project\.forget_to_await .* returned a coroutine, which nobody awaits"):
            project.forget_to_await.delay().get(timeout=30)

    def test_a_coroutine_that_cancels_all_others_makes_them_fail_and_none_hang(self, worker, project, bell, open_gate):
        results = [project.wait_at_gate.delay(n) for n in range(3)]
        bell.wait("waiting", 3)
        project.cancel_everything.delay().get(timeout=30)
        for result in results:
            with pytest.raises(BaseException) as raised:  # CancelledError has no text
                result.get(timeout=30)
            assert type(raised.value).__name__ == "CancelledError"
        assert project.add_later.delay(1, 1).get(timeout=30) == 2


class TestLimits:
    @pytest.mark.parametrize("pool", EVERY_POOL)
    def test_the_soft_limit_is_raised_in_a_coroutine_wherever_it_is(self, start_worker, project, bell, pool):
        start_worker("-P", pool, "-c", "2").ready()
        at_await = project.clean_up_at_soft_limit.apply_async((60,), soft_time_limit=0.3)
        nested = project.gather_until_soft_limit.apply_async(soft_time_limit=0.3)
        assert [result.get(timeout=30) for result in (at_await, nested)] == ["cleaned up"] * 2
        assert len(bell.wait("child", 2)) == 2
        assert project.spin.apply_async((60,), soft_time_limit=0.3).get(timeout=30) == "cleaned up"
        with pytest.raises(Exception, match="SoftTimeLimitExceeded") as raised:
            project.nap.apply_async((60,), soft_time_limit=0.3).get(timeout=30)
        assert type(raised.value).__name__ == "SoftTimeLimitExceeded"

    def test_the_hard_limit_cancels_a_coroutine_and_no_other(self, worker, project, bell, open_gate):
        spared = project.wait_at_gate.delay("spared")
        slow = project.wait_at_gate.apply_async(("slow",), time_limit=0.5)
        with pytest.raises(TimeLimitExceeded):
            slow.get(timeout=30)
        assert bell.wait("cancelled") == [["slow"]]
        open_gate()
        assert spared.get(timeout=30) == "spared"

    def test_the_hard_limit_frees_the_slot_of_a_coroutine_that_swallows_cancellation(self, start_worker, project, bell):
        worker = start_worker("-P", "aio", "-c", "1").ready()
        stubborn = project.swallow_cancellation.apply_async(time_limit=0.5)
        with pytest.raises(TimeLimitExceeded):
            stubborn.get(timeout=30)
        bell.wait("swallowed")
        assert project.add_later.delay(1, 1).get(timeout=30) == 2
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0

    def test_the_hard_limit_ends_a_function_in_a_thread(self, worker, project):
        with pytest.raises(TimeLimitExceeded):
            project.sleep.apply_async((60,), time_limit=0.5).get(timeout=30)
        assert project.add.delay(1, 1).get(timeout=30) == 2

    def test_a_runner_whose_loop_stays_blocked_after_the_hard_limit_is_replaced(self, start_worker, project, bell):
        worker = start_worker("-P", "aio", "-c", "2").ready()
        blocking = project.block_for_ever.apply_async(time_limit=0.5)
        with pytest.raises(TimeLimitExceeded):
            blocking.get(timeout=30)
        worker.wait_for(r"project\.block_for_ever\[.*this runner is ended and replaced")
        assert str(project.nap.delay(0).get(timeout=30)) != bell.said("blocking")[0][0]

    def test_a_blocked_loop_is_reported_with_the_task_and_the_line(self, worker, project):
        project.block.delay(2.5).get(timeout=30)
        (line,) = worker.wait_for("The event loop is blocked by")
        assert "project.block[" in line
        assert "project.py" in line
        assert "in block()" in line


class TestLoops:
    @pytest.mark.parametrize("pool", EVERY_POOL)
    def test_runs_of_one_slot_share_a_loop_until_the_worker_ends(self, start_worker, project, bell, pool):
        worker = start_worker("-P", pool, "-c", "1").ready()
        first, second = (project.which_loop.delay().get(timeout=30) for _ in range(2))
        assert first == [second[0], "first"]
        assert second[1] == "kept"
        project.leave_child_behind.delay().get(timeout=30)
        assert not bell.said("left")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        bell.wait("left")


class TestShutdown:
    def test_a_warm_shutdown_waits_for_coroutines_and_gives_back_what_waits(
        self, start_worker, project, bell, open_gate
    ):
        worker = start_worker("-P", "aio", "-c", "2").ready()
        running = [project.wait_at_gate.delay(n) for n in range(2)]
        bell.wait("waiting", 2)
        later = project.add_later.delay(1, 1)
        worker.signal(signal.SIGTERM)
        worker.wait_for("Warm shutdown")
        open_gate()
        assert [result.get(timeout=30) for result in running] == [0, 1]
        assert worker.wait() == 0
        assert later.state == "PENDING"
        assert project.app.broker.depth("celery").ready == 1

    def test_a_cold_shutdown_requeues_late_coroutines_and_fails_early_ones(self, start_worker, project, bell):
        worker = start_worker("-P", "aio", "-c", "2").ready()
        early = project.swallow_cancellation.delay()
        bell.wait("swallowing")
        late = project.nap_late.delay(600)
        bell.wait("napping")
        worker.signal(signal.SIGQUIT)
        assert worker.wait() != 0
        with pytest.raises(WorkerLostError):
            early.get(timeout=30)
        assert late.state == "PENDING"
        assert project.app.broker.depth("celery").ready == 1

    def test_a_killed_runner_loses_only_its_own_coroutines(self, start_worker, project, bell, open_gate):
        start_worker("-P", "aio", "-c", "1", "--processes", "2").ready()
        results = {name: project.wait_at_gate.delay(name) for name in ("one", "two")}
        pids = {name: int(pid) for name, pid, _ in bell.wait("waiting", 2)}
        os.kill(pids["one"], signal.SIGKILL)
        with pytest.raises(WorkerLostError):
            results["one"].get(timeout=30)
        open_gate()
        assert results["two"].get(timeout=30) == "two"
