"""Applications and tasks as a program uses them."""

from __future__ import annotations

import re
import threading

import pytest

from tq_core import Celery, Task, shared_task
from tq_core.errors import NotRegistered, QueueNotFound, SoftTimeLimitExceeded
from tq_core.testing.worker import start_worker


@pytest.fixture
def app(request):
    with Celery("proj", broker=f"memory://{request.node.name}", backend=f"memory://{request.node.name}") as app:
        yield app


def test_a_task_is_named_after_its_module_and_function(app):
    @app.task
    def add(x, y):
        return x + y

    assert add.name == f"{__name__}.add"
    assert app.tasks[add.name] is add
    assert add(2, 2) == 4
    assert re.fullmatch(r"<@task: .*\.add of proj at 0x[0-9a-f]+>", repr(add))


def test_a_task_of_the_main_module_is_named_after_the_application(app):
    assert app.gen_task_name("add", "__main__") == "proj.add"
    assert Celery(set_as_current=False).gen_task_name("add", "__main__") == "__main__.add"


def test_options_of_the_decorator_are_attributes_of_the_task(app):
    @app.task(name="sum-of-two", ignore_result=True, max_retries=7)
    def add(x, y):
        return x + y

    assert (add.name, add.ignore_result, add.max_retries) == ("sum-of-two", True, 7)


def test_attributes_nobody_gave_follow_the_settings(app):
    @app.task
    def add(x, y):
        return x + y

    assert add.acks_late is False
    app.conf.task_acks_late = True
    assert add.acks_late is True


def test_annotations_change_tasks_defined_before_and_after(app):
    app.conf.task_annotations = {"*": {"max_retries": 9}, f"{__name__}.late": {"max_retries": 1}}

    @app.task
    def early():
        pass

    app.finalize()

    @app.task
    def late():
        pass

    assert (early.max_retries, late.max_retries) == (9, 1)


def test_wrong_arguments_are_refused_when_the_task_is_called(app):
    @app.task
    def add(x, y):
        return x + y

    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        add.delay(1)
    with pytest.raises(TypeError, match="too many positional arguments"):
        add.delay(1, 2, 3)


def test_an_unknown_task_is_not_registered(app):
    with pytest.raises(NotRegistered, match="nothing"):
        app.tasks["nothing"]


def test_class_based_tasks_keep_state_between_runs(app):
    class Count(Task):
        name = "count"

        def __init__(self):
            self.calls = 0

        def run(self):
            self.calls += 1
            return self.calls

    count = app.register_task(Count)
    with start_worker(app):
        assert [count.delay().get(timeout=30) for _ in range(3)] == [1, 2, 3]


def test_a_custom_base_class_wraps_every_call_and_sees_every_end(app):
    seen = []

    class Watched(app.Task):
        def __call__(self, *args, **kwargs):
            seen.append("call")
            return self.run(*args, **kwargs)

        def on_success(self, retval, task_id, args, kwargs):
            seen.append(("success", retval))

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            seen.append(("failure", type(exc).__name__, "Traceback" in str(einfo)))

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            seen.append(("after", status))

    app.Task = Watched

    @app.task
    def divide(x, y):
        return x / y

    assert isinstance(divide, Watched)
    with start_worker(app):
        assert divide.delay(4, 2).get(timeout=30) == 2
        with pytest.raises(ZeroDivisionError):
            divide.delay(1, 0).get(timeout=30)
    assert seen == [
        "call",
        ("success", 2.0),
        ("after", "SUCCESS"),
        "call",
        ("failure", "ZeroDivisionError", True),
        ("after", "FAILURE"),
    ]


def test_a_bound_task_sees_its_run(app):
    @app.task(bind=True)
    def look(self, word, key=None):
        request = self.request
        return [request.id, request.args, request.kwargs, request.retries, request.is_eager, request.delivery_info]

    with start_worker(app):
        result = look.delay("a", key="b")
        task_id, args, kwargs, retries, is_eager, info = result.get(timeout=30)
    assert (task_id, args, kwargs, retries, is_eager) == (result.id, ["a"], {"key": "b"}, 0, False)
    assert (info["exchange"], info["routing_key"]) == ("", "celery")
    assert look.request.id is None


def test_two_threads_see_their_own_request(app):
    meeting = threading.Barrier(2, timeout=30)

    @app.task(bind=True)
    def meet(self):
        before = self.request.id
        meeting.wait()
        return before == self.request.id == self.request.correlation_id

    with start_worker(app, concurrency=2):
        assert [r.get(timeout=30) for r in (meet.delay(), meet.delay())] == [True, True]


def test_a_task_sent_by_a_task_is_its_child(app):
    @app.task(bind=True)
    def child(self):
        return [self.request.parent_id, self.request.root_id]

    @app.task
    def parent():
        return child.delay().id

    with start_worker(app):
        result = parent.delay()
        child_id = result.get(timeout=30)
        assert app.AsyncResult(child_id).get(timeout=30) == [result.id, result.id]
        assert [c.id for c in result.children] == [child_id]


def test_routes_of_the_settings_decide_and_options_of_the_call_win(app):
    app.conf.task_routes = {f"{__name__}.fast*": "quick", "re:.*slow": {"queue": "patient"}}

    @app.task
    def fast_one():
        pass

    @app.task
    def slow():
        pass

    fast_one.delay()
    slow.delay()
    slow.apply_async(queue="elsewhere")
    ready = {queue: app.broker.depth(queue).ready for queue in ("quick", "patient", "elsewhere", "celery")}
    assert ready == {"quick": 1, "patient": 1, "elsewhere": 1, "celery": 0}


def test_a_queue_that_must_not_be_made_is_refused(app):
    app.conf.task_create_missing_queues = False

    @app.task
    def add(x, y):
        return x + y

    with pytest.raises(QueueNotFound, match="'unknown' is not defined"):
        add.apply_async((1, 1), queue="unknown")


def test_topic_exchanges_copy_a_task_to_every_queue_that_is_bound(app):
    app.conf.task_queues = [
        {"name": "all", "exchange": "news", "exchange_type": "topic", "routing_key": "#"},
        {"name": "sport", "exchange": "news", "exchange_type": "topic", "routing_key": "sport.*"},
        {"name": "deep", "exchange": "news", "exchange_type": "topic", "routing_key": "*.*.final"},
    ]

    @app.task
    def read():
        pass

    read.apply_async(exchange="news", routing_key="sport.chess")
    read.apply_async(exchange="news", routing_key="sport.chess.final")
    assert [app.broker.depth(queue).ready for queue in ("all", "sport", "deep")] == [2, 1, 1]


def test_a_shared_task_belongs_to_every_application(app):
    @shared_task(name="shared.double")
    def double(x):
        return 2 * x

    other = Celery("other", broker="memory://shared-other", backend="memory://shared-other", set_as_current=False)
    assert "shared.double" in app.tasks
    assert "shared.double" in other.tasks
    app.set_current()
    assert double.app is app
    with start_worker(app):
        assert double.delay(21).get(timeout=30) == 42
    assert other.broker.depth("celery").ready == 0


def test_applications_share_nothing(app):
    other = Celery("other", broker="memory://nothing", backend="memory://nothing", set_as_current=False)

    @app.task
    def mine():
        pass

    assert mine.name not in other.tasks
    mine.delay()
    assert other.broker.depth("celery").ready == 0


def test_a_soft_limit_given_by_the_call_reaches_the_task(app):
    @app.task
    def spin():
        try:
            while True:
                pass
        except SoftTimeLimitExceeded:
            return "stopped"

    with start_worker(app):
        assert spin.apply_async(soft_time_limit=0.1).get(timeout=30) == "stopped"


def test_a_custom_state_is_seen_by_the_caller(app):
    told, go_on = threading.Event(), threading.Event()

    @app.task(bind=True)
    def progress(self):
        self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
        told.set()
        go_on.wait(30)
        return "done"

    with start_worker(app):
        result = progress.delay()
        assert told.wait(30)
        assert (result.state, result.info) == ("PROGRESS", {"current": 1, "total": 2})
        go_on.set()
        assert result.get(timeout=30) == "done"
