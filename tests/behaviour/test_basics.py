"""A call and its answer, at every place."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.nodes import PATIENCE
from tq_core import Celery, chain, chord, group, states
from tq_core.old_api import TaskSet
from tq_core.results.async_result import AsyncResult


@pytest.mark.row("S108", "S110", "S118", "S119", "S120", "S141", "S149")
def test_a_result_comes_back(project):
    result = project.basics.add.delay(4, 4)
    assert re.fullmatch(r"<AsyncResult: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}>", repr(result))
    assert result.wait(timeout=PATIENCE) == 8
    assert (result.state, result.result, result.successful(), result.failed()) == (states.SUCCESS, 8, True, False)


@pytest.mark.row("S149")
def test_a_result_that_is_ready_is_not_asked_for_again(project, site):
    result = project.basics.add.delay(4, 4)
    assert result.get(timeout=PATIENCE) == 8
    site.app.backend.forget([result.id])
    assert (result.get(), result.state) == (8, states.SUCCESS)


@pytest.mark.row("S125", "S127", "S128", "S139")
def test_a_result_is_known_by_its_id_alone_until_it_is_forgotten(project, site):
    task_id = project.basics.add.delay(4, 4).id
    assert AsyncResult(task_id, app=site.app).get(timeout=PATIENCE) == 8
    site.app.AsyncResult(task_id).forget()
    assert site.app.AsyncResult(task_id).state == states.PENDING
    assert site.app.AsyncResult("nobody-knows-this-id").state == states.PENDING


def test_many_calls_are_sent_at_once(project):
    results = project.basics.add.apply_many([(1, 2), [3, 4], {"x": 5, "y": 6}])
    assert [result.get(timeout=PATIENCE) for result in results] == [3, 7, 11]


@pytest.mark.row("S193")
def test_how_long_results_are_kept_is_a_setting(site):
    assert site.app.conf.result_expires == timedelta(days=1)
    conf = Celery(set_as_current=False, changes={"CELERY_TASK_RESULT_EXPIRES": 300}).conf
    assert conf.result_expires in (300, timedelta(seconds=300))


@pytest.mark.row("S116")
def test_waiting_ends_after_its_timeout(project, bell, word, gate):
    result = project.basics.hold.delay(word, str(gate.path))
    bell.wait(word)
    with pytest.raises(TimeoutError):
        result.get(timeout=0.05)
    gate.open()
    assert result.get(timeout=PATIENCE) == word


@pytest.mark.row("S120", "S126", "S142")
def test_a_failure_comes_back_as_the_tasks_own_exception(project):
    result = project.basics.fail.delay("broken")
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=PATIENCE)
    assert result.state == states.FAILURE
    assert not result.successful()
    assert "raise ValueError(text)" in result.traceback


@pytest.mark.row("S115", "S119", "S122")
def test_a_task_is_pending_until_it_has_ended(project, bell, word, gate):
    result = project.basics.hold.delay(word, str(gate.path))
    bell.wait(word)
    assert (result.state, result.ready(), result.result) == (states.PENDING, False, None)
    gate.open()
    assert result.get(timeout=PATIENCE) == word
    assert (result.state, result.ready(), result.successful()) == (states.SUCCESS, True, True)


@pytest.mark.row("S109", "S112", "S236", "S237", "S238")
@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_arguments_travel_in_every_serializer(project, serializer, compression):
    args, kwargs = ["é", 1, 2.5, None, [True, {"a": {"b": []}}]], {"key": "value"}
    call = project.basics.echo.apply_async(args, kwargs, serializer=serializer, compression=compression)
    assert call.get(timeout=PATIENCE) == [args, kwargs]


@pytest.mark.row("S239")
def test_a_serializer_registered_with_kombu_can_be_named(project):
    assert project.basics.echo.apply_async((1, "two"), serializer="rot13json").get(timeout=PATIENCE) == [[1, "two"], {}]


@pytest.mark.row("S236")
def test_what_only_pickle_can_hold_travels_in_pickle(project):
    assert project.basics.count_in.apply_async(({1, 2, 3},), serializer="pickle").get(timeout=PATIENCE) == 3


@pytest.mark.row("S174")
def test_the_results_of_a_task_set_come_in_the_order_of_its_tasks(project):
    task_set = TaskSet([project.basics.add.subtask((n, n)) for n in range(5)])
    assert task_set.apply_async().join(timeout=PATIENCE, interval=0.1) == [0, 2, 4, 6, 8]


@pytest.mark.needs("chords")
@pytest.mark.row("S177")
def test_tasks_are_put_together(project):
    add = project.basics.add
    assert chain(add.s(1, 1), add.s(2), add.s(3)).delay().get(timeout=PATIENCE) == 7
    assert group(add.s(n, n) for n in range(4)).delay().get(timeout=PATIENCE) == [0, 2, 4, 6]
    assert chord((add.s(n, n) for n in range(4)), project.basics.total.s()).delay().get(timeout=PATIENCE) == 12


def test_callbacks_of_a_call_get_its_result_or_its_failure(project, bell, word):
    project.basics.add.apply_async((2, 2), link=project.basics.tell.s(word))
    assert bell.wait(word) == [["4"]]
    failed = project.basics.fail.apply_async(("no",), link_error=project.basics.tell_failed.s(word=word))
    assert bell.wait(word, 2)[1] == [failed.id]


def test_a_call_may_have_an_id_of_its_own(project, word):
    assert project.basics.add.apply_async((1, 2), task_id=word).id == word
    assert AsyncResult(word, app=project.application.app).get(timeout=PATIENCE) == 3


@pytest.mark.row("S109")
def test_a_call_that_expires_before_it_is_run_is_revoked(project):
    result = project.basics.add.apply_async((1, 1), expires=-1)
    with pytest.raises(Exception, match="expired"):
        result.get(timeout=PATIENCE)
    assert result.state == states.REVOKED


@pytest.mark.row("S112", "S208")
def test_a_queue_that_nobody_defined_is_made_and_holds_its_tasks(project, site, word):
    project.basics.add.apply_async((1, 1), queue=word)
    assert site.app.broker.depth(word).ready == 1
    site.app.broker.purge(word)
