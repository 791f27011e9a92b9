"""Rate limits: how often tasks start on one node, and on all nodes together, and what passes them by."""

from __future__ import annotations

import time

import pytest

from tq_core.testing.conformance.patience import until

POOLS = [("prefork", "-c", "3"), ("threads", "-c", "3"), ("aio", "-c", "3"), ("solo", "--prefetch-multiplier", "1")]


def last_start(bell, sent, count):
    """Return how many seconds after ``sent`` the last of some tasks has started."""
    return max(float(when) for _, when in bell.wait("start", count)) - sent


@pytest.mark.parametrize("options", POOLS)
@pytest.mark.row("S081")
def test_all_runners_of_a_node_keep_a_limit_together(start_worker, project, bell, configure, options):
    configure(task_annotations={"project.start": {"rate_limit": "20/s"}})
    start_worker("-P", *options).ready()
    sent = time.monotonic()
    results = [project.start.delay(n) for n in range(11)]
    # The clock begins before the first start, so a slow machine can only make this longer.
    assert last_start(bell, sent, 11) >= 0.5
    for result in results:
        result.get(timeout=30)


@pytest.mark.parametrize("options", POOLS)
def test_other_tasks_pass_by_and_nothing_is_lost(start_worker, project, bell, options):
    worker = start_worker("-P", *options).ready()
    for n in range(20):
        project.rare.delay(n)
    assert [project.add.delay(n, 1).get(timeout=30) for n in range(5)] == [1, 2, 3, 4, 5]
    assert len(bell.wait("rare")) == 1
    until(lambda: project.app.broker.depth("celery").parked == 19, "they do not wait at the broker")
    assert len(bell.everything("rare")) == 1
    answers = project.app.control.rate_limit("project.rare", 0, reply=True, limit=1, timeout=10)
    assert [list(answer.values()) for answer in answers] == [[{"ok": "rate limit disabled successfully"}]]
    project.rare.delay("free")
    until(lambda: ["free"] in bell.said("rare"), "the limit is still kept")
    worker.signal(15)
    assert worker.wait() == 0


def test_those_that_waited_start_once_the_limit_is_lifted(start_worker, project, bell):
    start_worker("-c", "2").ready()
    for n in range(3):
        project.rare.delay(n)
    until(lambda: project.app.broker.depth("celery").parked == 2)
    project.app.control.rate_limit("project.rare", None)
    assert sorted(bell.wait("rare", 3)) == [["0"], ["1"], ["2"]]


def test_a_limit_set_at_run_time_holds_also_for_runners_that_start_later(start_worker, project, bell):
    start_worker("-c", "1", "--max-tasks-per-child", "1", "--pool-start-method", "spawn").ready()
    answers = project.app.control.rate_limit("project.start", "1/h", reply=True, limit=1, timeout=10)
    assert [list(answer.values()) for answer in answers] == [[{"ok": "new rate limit set successfully"}]]
    for n in range(2):
        project.start.delay(n)
    bell.wait("start")
    assert project.add.delay(1, 1).get(timeout=30) == 2  # on the next runner
    until(lambda: project.app.broker.depth("celery").parked == 1)
    assert len(bell.everything("start")) == 1


def test_a_limit_that_cannot_be_set_is_answered(start_worker, project):
    start_worker("-c", "1").ready()

    def answer(name, limit):
        ((told,),) = [one.values() for one in project.app.control.rate_limit(name, limit, reply=True, limit=1)]
        return told["error"]

    assert "'often' is no rate limit: expected starts a second" in answer("project.start", "often")
    assert "True is no rate limit" in answer("project.start", True)
    assert answer("project.nothing", "1/s") == "unknown task"


@pytest.mark.row("S196")
def test_the_default_limit_is_that_of_tasks_without_their_own(start_worker, project, bell, configure):
    configure(task_default_rate_limit="5/s", task_annotations={"project.add": {"rate_limit": 0}})
    start_worker("-c", "2").ready()
    sent = time.monotonic()
    for n in range(4):
        project.start.delay(n)
    assert [project.add.delay(n, 1).get(timeout=30) for n in range(3)] == [1, 2, 3]
    assert last_start(bell, sent, 4) >= 0.6


@pytest.mark.row("S197")
def test_limits_can_be_switched_off(start_worker, project, bell, configure):
    configure(worker_disable_rate_limits=True)
    start_worker("-c", "2").ready()
    for n in range(4):
        project.rare.delay(n)
    assert len(bell.wait("rare", 4)) == 4


def test_a_limit_of_the_deployment_is_kept_by_all_nodes_together(start_worker, project, bell, configure):
    configure(task_annotations={"project.start": {"rate_limit": "10/s"}}, task_rate_limit_scope="deployment")
    for name in ("one@%h", "two@%h"):
        start_worker("-c", "2", "-n", name).ready()
    sent = time.monotonic()
    for n in range(11):
        project.start.delay(n)
    assert last_start(bell, sent, 11) >= 1.0


def test_a_limit_of_the_deployment_needs_a_store_that_is_shared(start_worker, env, project, configure, tmp_path):
    configure(task_rate_limit_scope="deployment")
    env["TEST_BACKEND"] = f"file://{tmp_path}"
    worker = start_worker("-c", "1")
    assert worker.wait() != 0
    assert "The rate limit of task project.rare is to hold for the whole deployment" in worker.text
    assert "Traceback" not in worker.text


def test_a_limit_that_cannot_be_read_stops_the_worker_at_its_start(start_worker, project, configure):
    configure(task_annotations={"project.add": {"rate_limit": "10 a day"}})
    worker = start_worker("-c", "1")
    assert worker.wait() != 0
    assert "Task project.add: '10 a day' is no rate limit" in worker.text
    assert "Traceback" not in worker.text
