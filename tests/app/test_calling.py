"""What the options of a call, of a task and of the settings put into a message; calls that run at once."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from tq_core import Celery, states
from tq_core.errors import EncodeError, ImproperlyConfigured
from tq_core.results.eager import EagerResult
from tq_core.testing.worker import start_worker
from tq_core.timeutil import unix_from_iso


@pytest.fixture
def app(request):
    name = re.sub(r"\W", "", request.node.name)
    with Celery("proj", broker=f"memory://{name}", backend=f"memory://{name}") as app:
        yield app


@pytest.fixture
def add(app):
    @app.task(name="proj.add")
    def add(x, y):
        return x + y

    return add


def sent(app, queue="celery"):
    """Return the only message that waits."""
    (delivery,) = app.broker.peek(queue, 10)
    return delivery.message


@pytest.mark.row("S108", "S109", "S114")
def test_a_call_sends_names_and_arguments_and_nothing_of_the_code(app, add):
    result = add.delay(4, y=4)
    message = sent(app)
    assert message.headers["task"] == "proj.add"
    assert message.headers["id"] == message.id == result.id
    args, kwargs, embedded = json.loads(message.body)
    assert (args, kwargs) == ([4], {"y": 4})
    assert set(embedded) == {"callbacks", "errbacks", "chain", "chord"}


@pytest.mark.row("S092", "S093", "S094", "S112")
def test_options_of_the_call_win_over_those_of_the_task(app):
    app.conf.task_queues = [{"name": "bound", "exchange": "news", "exchange_type": "direct", "routing_key": "sport"}]

    @app.task(name="t", queue="of-the-task", priority=4, serializer="yaml", compression="zlib")
    def task():
        pass

    @app.task(name="e", exchange="news", routing_key="sport")
    def to_exchange():
        pass

    task.delay()
    message = sent(app, "of-the-task")
    assert (message.priority, message.content_type, message.headers["compression"]) == (
        4,
        "application/x-yaml",
        "application/x-gzip",
    )
    task.apply_async(queue="of-the-call", priority=7, serializer="json", compression="bzip2")
    message = sent(app, "of-the-call")
    assert (message.priority, message.content_type) == (7, "application/json")
    assert message.headers["compression"] == "application/x-bz2"
    to_exchange.delay()
    message = sent(app, "bound")
    assert (message.exchange, message.routing_key) == ("news", "sport")


@pytest.mark.row("S088", "S199")
@pytest.mark.parametrize(
    ("serializer", "content_type"),
    [
        ("json", "application/json"),
        ("pickle", "application/x-python-serialize"),
        ("yaml", "application/x-yaml"),
        ("msgpack", "application/x-msgpack"),
    ],
)
def test_the_serializer_of_a_task_or_of_the_settings_writes_its_messages(app, add, serializer, content_type):
    app.conf.update(CELERY_TASK_SERIALIZER=serializer)
    add.delay(1, 2)
    assert sent(app).content_type == content_type
    app.broker.purge("celery")
    app.conf.task_serializer = "json"
    add.serializer = serializer
    add.delay(1, 2)
    assert sent(app).content_type == content_type


@pytest.mark.row("S111", "S203")
def test_times_are_sent_in_utc(app, add):
    app.conf.timezone = "Europe/Oslo"
    before = datetime.now(timezone.utc)
    add.apply_async((1, 2), countdown=60, expires=timedelta(seconds=90))
    headers = sent(app).headers
    due, expires = (datetime.fromisoformat(headers[name]) for name in ("eta", "expires"))
    assert due.utcoffset() == expires.utcoffset() == timedelta(0)
    assert timedelta(seconds=59) < due - before < timedelta(seconds=90)
    assert timedelta(seconds=89) < expires - before < timedelta(seconds=120)


@pytest.mark.row("S202")
def test_an_eta_of_another_zone_is_the_same_moment(app, add):
    app.conf.timezone = "Europe/Oslo"
    moment = datetime(2030, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    add.apply_async((1, 2), eta=moment)
    message = sent(app)
    assert message.due == moment.timestamp() == unix_from_iso(message.headers["eta"])


def test_limits_shadow_and_headers_of_a_call_are_sent(app, add):
    add.apply_async((1, 2), time_limit=9, soft_time_limit=8, shadow="sum", headers={"tenant": "a"}, ignore_result=True)
    headers = sent(app).headers
    assert headers["timelimit"] == [9, 8]
    assert (headers["shadow"], headers["tenant"], headers["ignore_result"]) == ("sum", "a", True)


def test_a_task_may_name_itself_for_monitors(app):
    class Named(app.Task):
        abstract = True

        def shadow_name(self, args, kwargs, options):
            return f"proj.add({args[0]})"

    @app.task(base=Named, name="proj.named")
    def named(x):
        pass

    named.delay(7)
    assert sent(app).headers["shadow"] == "proj.add(7)"


def test_functions_among_a_tasks_options_are_its_methods(app):
    told = []

    def shadow_name(self, args, kwargs, options):
        return f"{self.name}({args[0]})"

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        told.append((self.name, str(exc)))

    @app.task(name="proj.pick", shadow_name=shadow_name, on_failure=on_failure)
    def pick(x):
        raise ValueError(x)

    pick.delay(7)
    assert sent(app).headers["shadow"] == "proj.pick(7)"
    pick.apply((8,))
    assert told == [("proj.pick", "8")]


@pytest.mark.parametrize(("args", "kwargs"), [("ab", None), (None, [1]), ({"a": 1}, None)])
def test_arguments_that_are_no_list_or_no_mapping_are_refused(app, args, kwargs):
    @app.task(typing=False)
    def any_task(*args, **kwargs):
        pass

    with pytest.raises(TypeError, match="must be a"):
        any_task.apply_async(args, kwargs)


def test_a_countdown_that_is_no_number_is_refused(app, add):
    with pytest.raises(ImproperlyConfigured, match="countdown must be a number of seconds, not 'soon'"):
        add.apply_async((1, 2), countdown="soon")


def test_arguments_that_cannot_be_serialized_are_refused_and_nothing_is_sent(app, add):
    with pytest.raises(EncodeError):
        add.delay(object(), 1)
    assert app.broker.depth("celery").ready == 0


def test_a_call_can_be_stamped_by_its_options(app, add):
    add.apply_async((1, 2), stamped_headers=["team"], team="red")
    headers = sent(app).headers
    assert (headers["stamped_headers"], headers["stamps"]) == (["team"], {"team": "red"})


class TestManyCalls:
    def test_have_their_options_in_common(self, app, add):
        results = add.apply_many(((n, n) for n in range(3)), queue="bulk", countdown=60, headers={"team": "red"})
        found = [delivery.message for delivery in app.broker.peek("bulk", 10)]
        assert sorted(message.id for message in found) == sorted(result.id for result in results)
        assert {message.headers["team"] for message in found} == {"red"}
        assert all(message.due for message in found)

    @pytest.mark.parametrize(
        "bad", [(object(), 1), (1, 2, 3), {"z": 1}, "ab"], ids=["no JSON", "too many", "unknown", "a text"]
    )
    def test_are_not_sent_at_all_when_one_is_wrong(self, app, add, bad):
        with pytest.raises((EncodeError, TypeError)):
            add.apply_many([(1, 2), bad])
        assert app.broker.depth("celery").ready == 0

    def test_have_ids_of_their_own(self, app, add):
        with pytest.raises(TypeError, match="leave task_id out"):
            add.apply_many([(1, 2), (3, 4)], task_id="mine")
        assert app.broker.depth("celery").ready == 0

    def test_of_none_send_nothing(self, app, add):
        assert add.apply_many([]) == []
        assert app.broker.depth("celery").ready == 0

    def test_run_at_once_where_the_settings_say_so(self, app, add):
        app.conf.task_always_eager = True
        assert [result.get() for result in add.apply_many([(1, 2), (3, 4)])] == [3, 7]

    def test_that_an_exchange_copies_have_one_result_each(self, app, add):
        fanout = {"exchange": "all", "exchange_type": "fanout"}
        app.conf.task_queues = {"left": fanout, "right": fanout}
        first, second = add.apply_many([(1, 2), (3, 4)], exchange="all")
        for queue in ("left", "right"):
            assert {each.message.id for each in app.broker.peek(queue, 10)} == {first.id, second.id}


@pytest.mark.row("S097")
@pytest.mark.parametrize(("order", "expected"), [("low_first", [0, 5, 9]), ("high_first", [9, 5, 0])])
def test_waiting_tasks_are_served_by_their_priority(app, order, expected):
    app.conf.task_priority_order = order
    ran = []

    @app.task(name="proj.note")
    def note(number):
        ran.append(number)

    for number in (5, 9, 0):
        note.apply_async((number,), priority=number)
    with start_worker(app) as worker:
        worker.join()
    assert ran == expected


@pytest.mark.row("S046", "S124")
def test_a_result_shows_its_backend_without_the_password(app, add):
    assert add.delay(1, 2).backend is app.backend
    other = Celery("x", backend="redis://:secret@127.0.0.1:6379/0", set_as_current=False)
    shown = f"{other.AsyncResult('id').backend}{other.backend_address}"
    assert "redis://" in shown
    assert "secret" not in shown


@pytest.mark.row("S200")
def test_results_are_written_in_the_result_serializer(app, add):
    app.conf.update(result_serializer="yaml", result_accept_content=["yaml"])
    with start_worker(app):
        assert add.delay(1, 2).get(timeout=30) == 3


@pytest.mark.row("S201")
def test_a_message_whose_content_type_is_not_accepted_is_refused_and_kept(app, add):
    with start_worker(app) as worker:
        result = add.apply_async((1, 2), serializer="pickle")
        with pytest.raises(Exception, match=r"pickle|content"):
            result.get(timeout=30)
        worker.join()
    (letter,) = app.broker.dead_letters()
    assert letter.message.id == result.id


@pytest.mark.row("S207", "S208", "S092")
def test_queues_and_routes_of_the_settings_decide(app, add):
    app.conf.update(
        CELERY_QUEUES={"low-priority": {"exchange": "low", "binding_key": "low"}, "other": {}},
        task_routes={"proj.add": "low-priority"},
    )
    add.delay(1, 2)
    assert app.broker.depth("low-priority").ready == 1


@pytest.mark.row("S064")
def test_calling_a_task_like_a_function_sends_nothing(app, add):
    assert add(2, 2) == 4
    assert app.broker.depth("celery").ready == 0


# at once


@pytest.fixture
def eager(app):
    app.conf.task_always_eager = True
    return app


@pytest.mark.row("S103")
def test_an_eager_call_is_seen_as_one(eager):
    @eager.task(bind=True)
    def look(self, *args):
        request = self.request
        return [request.is_eager, request.called_directly, request.id, list(request.args), request.retries]

    result = look.delay(1, (2, 3))
    assert isinstance(result, EagerResult)
    # The arguments have been through the serializer: a tuple does not come back as one.
    assert result.get() == [True, False, result.id, [1, [2, 3]], 0]
    assert (result.state, result.ready(), result.successful()) == (states.SUCCESS, True, True)
    assert eager.broker.depth("celery").ready == 0


def test_an_eager_call_refuses_what_a_message_could_not_carry(eager):
    @eager.task(typing=False)
    def take(*args):
        return True

    with pytest.raises(EncodeError):
        take.delay(object())
    assert take.apply_async(({1, 2},), serializer="pickle").get() is True


def test_an_eager_failure_is_kept_or_raised_as_the_settings_say(eager):
    @eager.task
    def fail():
        raise ValueError("eager")

    result = fail.delay()
    assert (result.state, result.failed()) == (states.FAILURE, True)
    assert "raise ValueError" in result.traceback
    with pytest.raises(ValueError, match="eager"):
        result.get()
    eager.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="eager"):
        fail.delay()


def test_an_eager_task_is_retried_at_once_with_the_same_id(eager):
    seen = []

    @eager.task(bind=True, max_retries=2)
    def retry(self, enough):
        seen.append((self.request.id, self.request.retries))
        if self.request.retries < enough:
            raise self.retry(exc=KeyError("again"), countdown=3600)
        return self.request.retries

    result = retry.delay(2)
    assert result.get() == 2
    assert seen == [(result.id, n) for n in range(3)]
    with pytest.raises(KeyError):
        retry.delay(9).get()


def test_a_quiet_retry_of_an_eager_task_runs_at_once_and_sends_nothing(app):
    seen = []

    @app.task(bind=True)
    def quiet(self):
        seen.append(self.request.retries)
        if not self.request.retries:
            self.retry(throw=False, countdown=3600)
            seen.append("after")
        return self.request.retries

    assert quiet.apply().get() == 0
    assert seen == [0, 1, "after"]
    assert app.broker.depth("celery").ready == app.broker.depth("celery").parked == 0


def test_handlers_and_callbacks_of_an_eager_call_are_called(eager):
    told = []

    class Told(eager.Task):
        abstract = True

        def on_success(self, retval, task_id, args, kwargs):
            told.append(("success", retval))

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            told.append(("failure", type(exc)))

    @eager.task(base=Told)
    def divide(x, y):
        return x / y

    @eager.task
    def note(value):
        told.append(("callback", value))

    divide.apply_async((4, 2), link=note.s())
    divide.apply_async((1, 0), link_error=note.si("failed"))
    assert told == [("success", 2.0), ("callback", 2.0), ("failure", ZeroDivisionError), ("callback", "failed")]


def test_an_eager_result_can_be_stored(app):
    app.conf.update(task_always_eager=True, task_store_eager_result=True)

    @app.task
    def add(x, y):
        return x + y

    result = add.delay(1, 2)
    assert app.AsyncResult(result.id).get(timeout=30) == 3
