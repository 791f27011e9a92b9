"""Revoking: tasks that wait, tasks that run, and workers that were away when it was said."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tq_core.canvas.chord import chord
from tq_core.errors import ChordError, TaskRevokedError
from tq_core.results.async_result import AsyncResult

ANSWER = {"reply": True, "limit": 1, "timeout": 10}


def send_stamped(task: Any, *args: Any, **stamps: Any) -> AsyncResult:
    call = task.s(*args)
    call.stamp(**stamps)
    return call.apply_async()


def assert_revoked(result: AsyncResult, reason: str = "revoked") -> None:
    with pytest.raises(TaskRevokedError, match=reason):
        result.get(timeout=30)
    assert result.state == "REVOKED"


@pytest.mark.row("S144")
def test_a_worker_that_starts_later_honours_what_was_revoked(start_worker, project, bell):
    result = project.start.delay()
    project.app.control.revoke(result.id)
    start_worker("-c", "1").ready()
    assert_revoked(result)
    assert bell.wait("revoked") == [["project.start", result.id, "False", "None", "False"]]
    assert bell.everything("start") == []


def test_a_node_hands_on_what_it_heard_to_those_that_start_later(start_worker, project, bell):
    task_id = str(uuid.uuid4())
    node = start_worker("-c", "1", "-n", "first@here").ready()
    # Told to this node only, as any client of Celery tells all of them: the client itself keeps nothing.
    project.app.control.revoke(task_id, destination=["first@here"], **ANSWER)
    node.kill_everything()
    start_worker("-c", "1", "-n", "second@here").ready()
    assert_revoked(project.start.apply_async(task_id=task_id))


def test_an_expired_task_is_told_of_as_such(start_worker, project, bell):
    result = project.start.apply_async(expires=-1)
    start_worker("-c", "1").ready()
    assert_revoked(result, "expired")
    assert bell.wait("revoked") == [["project.start", result.id, "False", "None", "True"]]


def test_stamped_tasks_are_revoked_wherever_they_wait(start_worker, project, bell):
    def stamped(value):
        return send_stamped(project.start, str(value), customer=value)

    waiting = [stamped("a"), stamped("b"), stamped(["c", "a"])]
    project.app.control.revoke_by_stamped_headers({"customer": ["a", "z"]})
    start_worker("-c", "1").ready()
    assert_revoked(waiting[0])
    assert_revoked(waiting[2])
    waiting[1].get(timeout=30)
    (answer,) = project.app.control.revoke_by_stamped_headers({"customer": "b"}, **ANSWER)
    assert next(iter(answer.values())) == {"ok": "headers {'customer': 'b'} flagged as revoked, but not terminated"}
    assert_revoked(stamped("b"))
    assert [words[0] for words in bell.everything("start")] == ["b"]


@pytest.mark.parametrize(
    ("pool", "task"), [("prefork", "stay"), ("solo", "stay"), ("threads", "stay"), ("aio", "rest")]
)
@pytest.mark.row("S144")
def test_a_running_task_can_be_stopped_and_cleans_up(start_worker, project, bell, pool, task):
    start_worker("-P", pool, "-c", "2").ready()
    result = getattr(project, task).delay()
    bell.wait("staying")
    (answer,) = project.app.control.revoke(result.id, terminate=True, **ANSWER)
    assert next(iter(answer.values())) == {"ok": f"terminate: {result.id}"}
    bell.wait("leaving")
    assert_revoked(result, "terminated")
    assert bell.wait("revoked") == [[f"project.{task}", result.id, "True", "15", "False"]]
    assert project.add.delay(1, 1).get(timeout=30) == 2


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_tasks_that_do_not_let_themselves_be_stopped_are_stopped_all_the_same(start_worker, project, bell, pool):
    start_worker("-P", pool, "-c", "3").ready()
    stubborn, stamped = project.stubborn.delay(), send_stamped(project.stubborn, customer="a")
    other = send_stamped(project.stay, customer="b")
    bell.wait("staying", 3)
    stubborn.revoke(terminate=True)
    stamped.revoke_by_stamped_headers({"customer": "a"}, terminate=True)
    bell.wait("laughing", 2)
    assert_revoked(stubborn, "terminated")
    assert_revoked(stamped, "terminated")
    told = sorted(["project.stubborn", one.id, "True", "15", "False"] for one in (stubborn, stamped))
    assert sorted(bell.wait("revoked", 2)) == told
    assert other.state == "PENDING"
    other.revoke(terminate=True)
    assert_revoked(other, "terminated")
    assert project.add.delay(1, 1).get(timeout=30) == 2


def test_a_kill_leaves_no_time_to_clean_up_and_hits_one_task_only(start_worker, project, bell):
    start_worker("-c", "2").ready()
    victim, other = project.stay.delay("victim"), project.stay.delay("other")
    bell.wait("staying", 2)
    project.app.control.terminate(victim.id, signal="KILL")
    assert_revoked(victim, "terminated")
    assert bell.wait("revoked") == [["project.stay", victim.id, "True", "9", "False"]]
    assert bell.everything("leaving") == []
    project.app.control.terminate(other.id)
    assert_revoked(other, "terminated")


def test_sigusr1_is_the_soft_limit_before_its_time(start_worker, project, bell):
    start_worker("-c", "1").ready()
    result = project.tidy.delay()
    bell.wait("staying")
    project.app.control.terminate(result.id, signal="SIGUSR1")
    assert result.get(timeout=30) == "cleaned up"


def test_bad_requests_are_answered(start_worker, project):
    start_worker("-c", "1").ready()

    def answer(method, **arguments):
        (told,) = project.app.control.broadcast(method, arguments, **ANSWER)
        return next(iter(told.values()))

    assert answer("revoke", task_id="x", terminate=True, signal="SIGNOTHING") == {
        "error": "there is no signal 'SIGNOTHING'; use a name such as 'SIGTERM', or its number"
    }
    assert answer("terminate", task_id="x", signal=15) == {"ok": "terminate: tasks unknown"}
    assert "not int" in answer("revoke_by_stamped_headers", headers=5)["error"]
    assert "texts or numbers" in answer("revoke_by_stamped_headers", headers={"a": [{}]})["error"]


def test_a_chord_with_a_revoked_member_fails(start_worker, project):
    result = chord([project.add.s(1, 1), project.add.s(2, 2)], project.gather.s(), app=project.app).apply_async()
    project.app.control.revoke(result.parent.results[0].id)
    start_worker("-c", "1").ready()
    with pytest.raises(ChordError, match="TaskRevokedError"):
        project.app.AsyncResult(result.id).get(timeout=30)


class TestWithoutRemoteControl:
    """On a broker that carries none, the store alone tells."""

    @pytest.fixture
    def url(self, sqlite_url):
        return sqlite_url

    @pytest.mark.row("S144")
    def test_running_workers_and_later_ones_hear_of_it(self, start_worker, project):
        before, after = project.add.delay(1, 1), str(uuid.uuid4())
        before.revoke()
        worker = start_worker("-c", "1").ready()
        assert_revoked(before)
        project.app.control.revoke([after])
        worker.wait_for("1 tasks and 0 stamps were revoked elsewhere", 2)
        assert_revoked(project.add.apply_async((1, 1), task_id=after))


class TestWithoutCoordination:
    """Where the store cannot keep it, a file of the worker does."""

    @pytest.fixture
    def env(self, env, tmp_path):
        return {**env, "TEST_BACKEND": (tmp_path / "results").as_uri()}

    @pytest.fixture(autouse=True)
    def results(self, tmp_path, monkeypatch):
        (tmp_path / "results").mkdir()
        monkeypatch.setenv("TEST_BACKEND", (tmp_path / "results").as_uri())

    @pytest.mark.row("S144")
    def test_a_restarted_worker_honours_it(self, start_worker, project, tmp_path):
        task_id = str(uuid.uuid4())
        options = ("-c", "1", "-S", str(tmp_path / "worker.state"))
        worker = start_worker(*options).ready()
        project.app.control.revoke(task_id, **ANSWER)
        project.app.control.revoke_by_stamped_headers({"customer": "a"}, **ANSWER)
        worker.kill_everything()
        start_worker(*options).ready()
        assert_revoked(project.add.apply_async((1, 1), task_id=task_id))
        assert_revoked(send_stamped(project.add, 1, 1, customer="a"))

    def test_a_file_of_something_else_is_left_alone(self, start_worker, project, tmp_path):
        (tmp_path / "worker.state").write_bytes(b"\x80\x04.")
        worker = start_worker("-c", "1", "-S", str(tmp_path / "worker.state"))
        assert worker.wait() != 0
        assert "worker.state is not a state file of tq" in worker.text
        assert "Traceback" not in worker.text
        assert (tmp_path / "worker.state").read_bytes() == b"\x80\x04."
