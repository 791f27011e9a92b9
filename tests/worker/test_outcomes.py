"""How runs end, seen from the caller."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tq_core.errors import EncodeError, NotRegistered


@pytest.fixture(params=["prefork", "threads"])
def worker(request, start_worker):
    return start_worker("-P", request.param, "-c", "2").ready()


def test_a_result_comes_back(worker, project):
    assert project.add.delay(2, 2).get(timeout=30) == 4
    worker.wait_for(r"Task project\.add\[[-0-9a-f]+\] received")
    worker.wait_for(r"Task project\.add\[[-0-9a-f]+\] succeeded in [0-9.e-]+s: 4")


def test_the_exception_of_a_failed_task_is_raised_by_get(worker, project):
    result = project.fail.delay("broken")
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=30)
    assert result.state == "FAILURE"
    assert "raise ValueError(text)" in result.traceback
    worker.wait_for(r"Task project\.fail\[[-0-9a-f]+\] raised unexpected: ValueError\('broken'\)")


def test_a_task_is_retried_until_it_succeeds(worker, project, bell):
    assert project.fail_twice.delay().get(timeout=30) == 2
    assert [words[0] for words in bell.wait("attempt", 3)] == ["0", "1", "2"]


def test_the_reason_of_the_last_retry_is_the_failure(worker, project):
    with pytest.raises(KeyError, match="never"):
        project.fail_always.delay().get(timeout=30)


def test_autoretry_gives_up_with_the_original_error(worker, project):
    with pytest.raises(ZeroDivisionError):
        project.divide.delay(1, 0).get(timeout=30)


def test_sys_exit_ends_the_task_and_not_the_worker(worker, project):
    with pytest.raises(BaseException, match="leaving"):
        project.leave.delay().get(timeout=30)
    assert project.add.delay(1, 1).get(timeout=30) == 2


def test_a_countdown_is_waited_for_in_the_broker(worker, project):
    later = project.add.apply_async((1, 1), countdown=3600)
    soon = project.add.apply_async((2, 2), countdown=0.3)
    assert soon.get(timeout=30) == 4
    assert project.app.broker.depth("celery").parked == 1
    assert later.state == "PENDING"


def test_an_expired_task_is_revoked(start_worker, project):
    result = project.add.apply_async((1, 1), expires=-1)
    start_worker("-c", "1")
    with pytest.raises(Exception, match="expired"):
        result.get(timeout=30)
    assert result.state == "REVOKED"


def test_a_rejected_message_is_buried_with_its_reason(start_worker, project):
    worker = start_worker("-c", "1").ready()
    result = project.reject.delay()
    worker.wait_for("rejected: not for me")
    assert project.add.delay(1, 1).get(timeout=30) == 2
    letters = list(project.app.broker.dead_letters())
    assert [(letter.message.id, letter.reason) for letter in letters] == [(result.id, "not for me")]


def test_an_ignored_run_leaves_no_state(worker, project):
    result = project.ignore.delay()
    worker.wait_for("ignored")
    assert result.state == "PENDING"


def test_a_task_may_keep_no_result(worker, project, bell):
    result = project.silent.delay()
    bell.wait("silent")
    worker.wait_for("succeeded")
    assert project.add.delay(1, 1).get(timeout=30) == 2
    assert result.state == "PENDING"


def test_a_result_that_cannot_be_serialized_is_a_failure(worker, project):
    with pytest.raises((EncodeError, TypeError), match="object"):
        project.unserialisable.delay().get(timeout=30)
    assert project.add.delay(1, 1).get(timeout=30) == 2


def test_an_unknown_task_is_buried_and_fails(start_worker, project):
    start_worker("-c", "1").ready()
    result = project.app.send_task("project.missing", (1,))
    with pytest.raises(NotRegistered, match=r"project\.missing"):
        result.get(timeout=30)
    # One slot settles in order: after this result the message before it has its ending.
    assert project.add.delay(1, 1).get(timeout=30) == 2
    (letter,) = project.app.broker.dead_letters()
    assert "unknown task 'project.missing'" in letter.reason


def test_a_tracked_task_is_started_with_its_pid_and_host(worker, project, bell, open_gate):
    result = project.tracked.delay()
    pid = bell.wait("waiting")[0][1]
    # The state is written while the task waits at the gate; every watcher is rung by it.
    while result.state == "PENDING":
        assert project.add.delay(1, 1).get(timeout=30) == 2
    assert result.state == "STARTED"
    assert str(result.info["pid"]) == pid
    assert "@" in result.info["hostname"]
    open_gate()
    assert result.get(timeout=30) == "tracked"


def test_a_result_that_the_store_refuses_in_every_form_buries_its_message(start_worker, project, tmp_path):
    project.app.backend.connect(5)
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.execute(
            "CREATE TRIGGER picky BEFORE INSERT ON celery_taskmeta WHEN NEW.task_id = 'refused' "
            "BEGIN SELECT RAISE(ABORT, 'this id is not welcome'); END"
        )
    start_worker("-c", "1").ready()
    project.add.apply_async((1, 1), task_id="refused")
    # One slot settles in order: after this result the message before it has its ending.
    assert project.add.delay(2, 2).get(timeout=30) == 4
    (letter,) = project.app.broker.dead_letters()
    assert letter.message.id == "refused"
    assert "its result cannot be stored" in letter.reason
    assert "not welcome" in letter.reason
