"""What a run can know, and how it can end, at every place."""

from __future__ import annotations

import time

import pytest

from tests.nodes import PATIENCE
from tq_core import chord, group, states
from tq_core.canvas import subtask
from tq_core.errors import MaxRetriesExceededError


def answer(result):
    return result.get(timeout=PATIENCE)


@pytest.mark.row("S078", "S098", "S100", "S101", "S102", "S103", "S106", "S107", "S113")
def test_a_run_sees_its_request(project, site):
    result = project.runs.look.apply_async((1, "two"), {"three": 3.5}, shadow="a look", time_limit=600)
    seen = answer(result)
    assert seen["id"] == seen["correlation_id"] == seen["root_id"] == result.id
    assert (seen["task"], seen["args"], seen["kwargs"]) == ("project.runs.look", [1, "two"], {"three": 3.5})
    assert (seen["retries"], seen["is_eager"], seen["called_directly"], seen["utc"]) == (0, False, False, True)
    assert seen["hostname"].endswith("@here") or site.worker is None
    info = seen["delivery_info"]
    assert (info["exchange"], info["routing_key"], info["redelivered"]) == ("", "celery", False)
    assert (seen["parent_id"], seen["group"], seen["eta"], seen["expires"]) == (None, None, None, None)
    assert (seen["shadow"], seen["timelimit"], seen["ignore_result"]) == ("a look", [600, None], False)
    assert seen["origin"].startswith("gen")
    assert seen["reply_to"]


@pytest.mark.row("S105")
def test_a_run_sees_the_workers_log_level(project, site):
    seen = answer(project.runs.look.delay())
    assert (seen["loglevel"], seen["logfile"]) == (None if site.worker is None else 20, None)


def test_headers_of_a_call_are_seen_by_its_run(project):
    seen = answer(project.runs.look.apply_async(headers={"tenant": "acme", "id-of-order": 7}))
    assert seen["headers"] == {"tenant": "acme", "id-of-order": 7}
    assert seen["tenant"] == "acme"


def test_a_coroutine_sees_its_own_request(project):
    results = [project.runs.look_as_coroutine.delay(n) for n in range(5)]
    name = "project.runs.look_as_coroutine"
    assert [answer(result) for result in results] == [[n, r.id, name, 0, name] for n, r in enumerate(results)]


@pytest.mark.row("S078")
def test_runs_at_the_same_time_see_their_own_requests(project, bell, word, gate):
    results = [project.runs.meet.delay(word, str(gate.path)) for _ in range(2)]
    bell.wait(word, 2)
    gate.open()
    assert [answer(result) for result in results] == [[result.id, result.id] for result in results]


@pytest.mark.row("S099")
def test_members_of_a_group_know_it(project):
    result = group(project.runs.look.s(n) for n in range(3)).apply_async()
    seen = result.get(timeout=PATIENCE)
    assert [(one["group"], one["taskset"], one["group_index"]) for one in seen] == [
        (result.id, result.id, n) for n in range(3)
    ]
    assert answer(project.runs.look.delay())["taskset"] is None


@pytest.mark.needs("results for everybody")
def test_a_task_sent_by_a_task_knows_its_parent_and_is_its_child(project, site):
    result = project.runs.parent.delay(1)
    parent_id, child_id = answer(result)
    seen = answer(site.app.AsyncResult(child_id))
    assert (seen["parent_id"], seen["root_id"]) == (parent_id, parent_id)
    assert [child.id for child in result.children] == [child_id]


@pytest.mark.row("S129", "S107", "S102", "S131")
def test_a_retry_has_the_same_id_and_queue_and_what_follows_it_is_not_run(project, bell, word):
    result = project.runs.retry_until.apply_async((word, 2))
    assert answer(result) == 2
    assert bell.everything(word) == [["run", result.id, str(n), "celery"] for n in range(3)]


@pytest.mark.row("S079", "S129")
def test_at_the_limit_the_reason_is_the_failure(project, bell, word):
    result = project.runs.retry_until.delay(word, 99)
    with pytest.raises(project.runs.OrderRefused) as raised:
        answer(result)
    assert (raised.value.number, raised.value.reason) == (2, "not yet")
    assert result.state == states.FAILURE
    assert len(bell.everything(word)) == 3


@pytest.mark.row("S079", "S130", "S134")
def test_at_the_limit_without_a_reason_the_failure_is_max_retries_exceeded(project):
    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry project\.runs\.retry_without_a_reason"):
        answer(project.runs.retry_without_a_reason.delay())


@pytest.mark.row("S132")
def test_a_retry_need_not_raise(project, bell, word):
    project.runs.retry_quietly.delay(word)
    bell.wait(word, 2)
    assert sorted(bell.everything(word)) == [["after", "Retry"], ["second"]]


def test_a_retry_may_change_the_arguments(project):
    assert answer(project.runs.retry_with_others.delay(1)) == [2, 1, 1]


def test_a_task_without_a_limit_is_retried_for_as_long_as_it_asks(project):
    assert answer(project.runs.retry_for_long.delay(8)) == 8


def test_a_retry_may_have_a_limit_of_its_own(project):
    assert answer(project.runs.retry_less.delay()) == "gave up"


@pytest.mark.row("S111", "S133", "S143")
def test_a_retry_waits_for_its_countdown_in_the_state_retry(project, bell, word):
    result = project.runs.retry_later.delay(word, 1.0)
    bell.wait(word)
    # Whatever is read before the second run is one of these two; a waiting client is not woken by either.
    assert result.state in {states.PENDING, states.RETRY}
    assert answer(result) == "done"
    first, second = (float(said[1]) for said in bell.everything(word))
    assert second - first >= 0.9


@pytest.mark.row("S143")
def test_a_retry_that_waits_shows_its_reason(project, bell, word, site):
    result = project.runs.retry_later.delay(word, 3600)
    bell.wait(word)
    # One record is written before the next is: of as many later tasks as there are slots one ends after this one.
    while result.state == states.PENDING:
        answer(project.basics.add.delay(1, 1))
    assert result.state == states.RETRY
    assert isinstance(result.info, project.runs.OrderRefused)
    assert "retry_later" in result.traceback
    assert not result.ready()


def test_a_retry_keeps_the_serializer_of_its_call(project):
    value = {"a", "b"}
    assert answer(project.runs.retry_pickled.apply_async((value,), serializer="pickle")) == ["a", "b"]


@pytest.mark.parametrize(("kind", "error", "runs"), [("order", "OrderRefused", 3), ("zero", "ZeroDivisionError", 3)])
def test_autoretry_tries_again_and_then_fails_with_the_error_itself(project, bell, word, kind, error, runs):
    with pytest.raises(Exception, match=r".") as raised:
        answer(project.runs.fail_by_itself.delay(word, kind))
    assert type(raised.value).__name__ == error
    assert bell.everything(word) == [[str(n)] for n in range(runs)]


def test_autoretry_leaves_out_what_it_is_told_to(project, bell, word):
    with pytest.raises(OverflowError):
        answer(project.runs.fail_by_itself.delay(word, "over"))
    assert bell.everything(word) == [["0"]]


def test_autoretry_backs_off(project):
    assert answer(project.runs.back_off.delay()) == 3


@pytest.mark.row("S117", "S126", "S136")
def test_an_exception_comes_back_as_itself_with_its_attributes(project):
    result = project.runs.refuse.delay(7, "closed")
    error = result.get(timeout=PATIENCE, propagate=False)
    assert type(error) is project.runs.OrderRefused
    assert (error.number, error.reason) == (7, "closed")
    with pytest.raises(project.runs.OrderRefused):
        answer(result)


@pytest.mark.row("S136")
def test_an_exception_that_breaks_the_rule_is_seen_by_its_name_and_harms_nothing(project):
    result = project.runs.forget.delay(7, "closed")
    error = result.get(timeout=PATIENCE, propagate=False)
    assert type(error).__name__ == "Forgetful"
    assert "7: closed" in result.traceback
    assert answer(project.basics.add.delay(1, 1)) == 2


@pytest.mark.row("S121")
def test_the_traceback_is_that_of_the_worker(project):
    result = project.runs.refuse.delay(7, "closed")
    result.get(timeout=PATIENCE, propagate=False)
    assert "raise OrderRefused(number, reason)" in result.traceback
    assert "runs.py" in result.traceback
    assert "OrderRefused: (7, 'closed')" in result.traceback


@pytest.mark.row("S123", "S145", "S148", "S150")
def test_a_task_reports_states_of_its_own(project, bell, word, gate):
    result = project.runs.progress.delay(word, str(gate.path))
    bell.wait(word)
    assert (result.state, result.info) == ("PROGRESS", {"current": 1, "total": 2})
    gate.open()
    assert answer(result) == "done"
    assert (result.state, result.info) == (states.SUCCESS, "done")


def test_a_state_of_its_own_stays_over_that_of_having_started(project, bell, word, gate):
    result = project.runs.progress_at_once.delay(word, str(gate.path))
    bell.wait(word)
    for _ in range(3):  # each lets the worker tell whatever it has to tell
        answer(project.basics.add.delay(1, 1))
        assert (result.state, result.info) == ("PROGRESS", "at once")
    gate.open()
    answer(result)


@pytest.mark.row("S091", "S122", "S123", "S140", "S205")
def test_a_tracked_task_is_started_with_pid_and_host(project, bell, word, gate):
    result = project.runs.tracked.delay(word, str(gate.path))
    ((pid,),) = bell.wait(word)
    while result.state == states.PENDING:
        answer(project.basics.add.delay(1, 1))
    assert result.state == states.STARTED
    assert str(result.info["pid"]) == pid
    assert result.info["hostname"]
    gate.open()
    assert answer(result) == "done"


@pytest.mark.needs("results for everybody")
@pytest.mark.row("S146")
def test_a_task_can_be_asked_to_stop(project, bell, word, gate):
    result = project.runs.stoppable.delay(word, str(gate.path))
    bell.wait(word)
    assert not result.is_aborted()
    result.abort()
    assert (result.is_aborted(), result.state) == (True, "ABORTED")
    gate.open()
    assert answer(result) == "stopped"


@pytest.mark.row("S066", "S151", "S152", "S153", "S154", "S156", "S158")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("well", [["before"], ["success", "well"], ["after", "SUCCESS", "False"]]),
        ("fail", [["before"], ["failure", "KeyError", "True"], ["after", "FAILURE", "True"]]),
        (
            "retry",
            [
                ["before"],
                ["retry", "ValueError", "ExceptionInfo"],
                ["after", "RETRY", "True"],
                ["before"],
                ["success", "retry"],
                ["after", "SUCCESS", "False"],
            ],
        ),
    ],
)
def test_handlers_are_told_and_what_they_return_or_raise_changes_nothing(project, bell, word, how, told):
    result = project.runs.handled.apply_async((how,), {"word": word})
    value = result.get(timeout=PATIENCE, propagate=False)
    assert value == how if how != "fail" else type(value) is KeyError
    assert [[what, *rest] for what, task_id, *rest in bell.everything(word)] == told
    assert {task_id for _, task_id, *_ in bell.everything(word)} == {result.id}


@pytest.mark.row("S071", "S072")
def test_a_task_is_made_once_in_each_process_and_keeps_its_state(project):
    seen = [answer(project.runs.count.delay()) for _ in range(12)]
    by_process: dict[int, list[int]] = {}
    for pid, made, runs in seen:
        assert made == 1
        by_process.setdefault(pid, []).append(runs)
    for runs in by_process.values():
        assert runs == list(range(runs[0], runs[0] + len(runs)))


@pytest.mark.row("S084", "S206")
def test_an_ignored_result_leaves_no_state(project, bell, word):
    result = project.runs.silent.delay(word)
    bell.wait(word)
    for _ in range(3):
        answer(project.basics.add.delay(1, 1))
    assert result.state == states.PENDING


def test_a_call_may_ignore_its_result(project, bell, word, gate):
    result = project.basics.hold.apply_async((word, str(gate.path)), ignore_result=True)
    gate.open()
    bell.wait(word)
    for _ in range(3):
        answer(project.basics.add.delay(1, 1))
    assert result.state == states.PENDING


@pytest.mark.row("S085")
def test_a_failure_may_be_kept_though_results_are_not(project):
    result = project.runs.loud_only_in_failure.delay()
    with pytest.raises(ValueError, match="loud"):
        answer(result)
    assert "raise ValueError" in result.traceback


@pytest.mark.row("S175")
def test_waiting_for_a_task_inside_a_task_is_refused_at_once(project):
    with pytest.raises(RuntimeError, match="result"):
        answer(project.runs.wait_for_a_task.delay())


@pytest.mark.needs("results for everybody")
@pytest.mark.row("S170", "S171", "S172", "S173")
def test_a_callback_given_as_an_argument_gets_the_result_before_its_own_arguments(project, site):
    callback = subtask(project.basics.echo, ("stored",), {"key": 1})
    assert isinstance(callback, dict)
    sent_id = answer(project.runs.fetch.delay("http://a", callback=callback))
    assert answer(site.app.AsyncResult(sent_id)) == [["http://a", "page of http://a", "stored"], {"key": 1}]


@pytest.mark.row("S065", "S114")
def test_a_task_is_run_by_its_name_alone(project, site):
    assert project.runs.named.name == "sum-of-two-numbers"
    assert answer(site.app.send_task("sum-of-two-numbers", (2, 3))) == 5


@pytest.mark.row("S068")
def test_decorators_below_the_tasks_own_are_part_of_its_body(project):
    assert answer(project.runs.wrapped.delay(2, 3)) == 10


@pytest.mark.row("S111")
def test_a_countdown_is_waited_for(project):
    sent = time.time()
    assert answer(project.runs.look.apply_async(countdown=0.7))["now"] >= sent + 0.6


def test_a_task_may_let_others_take_its_place(project, bell, word):
    result = project.runs.replaced.apply_async((1,), link=project.basics.tell.s(word))
    assert answer(result) == 12
    assert bell.wait(word) == [["12"]]


@pytest.mark.needs("chords")
def test_a_task_may_add_to_the_chord_it_is_a_member_of(project):
    assert answer(chord([project.runs.enlarge.s(1)], project.basics.total.s()).delay()) == 102
