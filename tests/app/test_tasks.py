"""Defining tasks: names, options, classes, annotations, models."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Optional

import pytest

from tq_core import Celery, Task, shared_task
from tq_core.errors import ImproperlyConfigured, NotRegistered
from tq_core.testing.worker import start_worker

pydantic = pytest.importorskip("pydantic")


@pytest.fixture
def app(request):
    name = re.sub(r"\W", "", request.node.name)
    with Celery("proj", broker=f"memory://{name}", backend=f"memory://{name}") as app:
        yield app


@pytest.mark.row("S047", "S048", "S049", "S051")
def test_an_application_is_the_way_to_everything():
    app = Celery("testTasks", broker="memory://a", backend="memory://b", set_as_current=False)
    assert (app.main, app.conf.broker_url, app.conf.result_backend) == ("testTasks", "memory://a", "memory://b")
    assert re.fullmatch(r"<Celery __main__ at 0x[0-9a-f]+>", repr(Celery(set_as_current=False)))
    for name in ("task", "conf", "control", "worker_main", "tasks", "send_task", "AsyncResult", "signature"):
        assert getattr(app, name) is not None


@pytest.mark.row("S050")
def test_applications_in_several_threads_keep_their_tasks_and_messages_apart():
    apps = [
        Celery(name, broker=f"memory://apart-{name}", backend="disabled://", changes={"task_serializer": serializer})
        for name, serializer in (("one", "json"), ("two", "yaml"))
    ]
    made = {}

    def use(app):
        @app.task(name=f"{app.main}.task")
        def task():
            pass

        made[app.main] = task
        for _ in range(20):
            task.delay()

    threads = [threading.Thread(target=use, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for app, content_type in zip(apps, ("application/json", "application/x-yaml"), strict=True):
        waiting = app.broker.peek("celery", 100)
        assert {d.message.headers["task"] for d in waiting} == {f"{app.main}.task"}
        assert {d.message.content_type for d in waiting} == {content_type}
        assert len(waiting) == 20
    assert not set(apps[0].tasks.regular()) & {"two.task"}
    assert not set(apps[1].tasks.regular()) & {"one.task"}
    for app in apps:
        app.close()


@pytest.mark.row("S052", "S054", "S055", "S062", "S064", "S076")
def test_a_function_becomes_a_task_of_its_modules_name(app):
    @app.task
    def add(x, y):
        return x + y

    assert add.name == f"{__name__}.add"
    assert app.tasks[add.name] is add
    assert add in app.tasks.values()
    assert re.fullmatch(rf"<@task: {re.escape(__name__)}\.add of proj at 0x[0-9a-f]+>", repr(add))
    assert (add(2, 2), add.run(1, 2)) == (4, 3)
    assert app.broker.depth("celery").ready == 0


PROGRAM = """
import sys
from tq_core import Celery
app = Celery(*sys.argv[1:], broker="memory://")
@app.task
def add(x, y):
    return x + y
if __name__ == "__main__":
    import program
    print(add.name, repr(add).split(" at ")[0], program.add.name)
"""


@pytest.mark.row("S053", "S054", "S057")
@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "__main__.add <@task: __main__.add of __main__ program.add"),
        (["testTasks"], "testTasks.add <@task: testTasks.add of testTasks program.add"),
    ],
)
def test_a_task_of_a_program_is_named_after_its_application(tmp_path, arguments, printed):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == printed, done.stderr


@pytest.mark.row("S061", "S063", "S065", "S067", "S077")
def test_options_of_the_decorator_are_attributes_of_the_task(app):
    @app.task()
    def bare():
        pass

    @app.task(name="sum-of-two-numbers", ignore_result=True, default_retry_delay=0.5, serializer="yaml", queue="q")
    def add(x, y):
        return x + y

    assert bare.name == f"{__name__}.bare"
    assert (add.name, add.ignore_result, add.default_retry_delay) == ("sum-of-two-numbers", True, 0.5)
    assert (add.serializer, add.queue) == ("yaml", "q")


@pytest.mark.row("S079", "S080", "S204", "S205", "S206")
def test_attributes_have_celerys_defaults_and_follow_the_settings(app):
    @app.task
    def task():
        pass

    assert (task.max_retries, task.default_retry_delay, task.rate_limit) == (3, 180, None)
    assert (task.acks_late, task.track_started, task.ignore_result) == (False, False, False)
    app.conf.update(CELERY_ACKS_LATE=True, CELERY_TRACK_STARTED=True, CELERY_IGNORE_RESULT=True)
    assert (task.acks_late, task.track_started, task.ignore_result) == (True, True, True)


@pytest.mark.row("S066", "S073")
def test_an_abstract_class_is_a_base_and_no_task(app):
    class Base(app.Task):
        abstract = True

        def run(self):
            return type(self).__name__

    class Concrete(Base):
        name = "concrete"

    concrete = app.register_task(Concrete())

    @app.task(base=Base, bind=True)
    def function(self):
        return isinstance(self, Base)

    with start_worker(app):
        assert concrete.delay().get(timeout=30) == "Concrete"
        assert function.delay().get(timeout=30) is True
    assert not [name for name in app.tasks if "Base" in name]


@pytest.mark.row("S075")
def test_a_class_given_to_the_application_is_the_base_of_later_tasks_and_its_call_is_used(app):
    seen = []

    class ContextTask(Task):
        abstract = True

        def __call__(self, *args, **kwargs):
            seen.append(self.name)
            return self.run(*args, **kwargs)

    app.Task = ContextTask

    @app.task
    def add_together(a, b):
        return a + b

    assert isinstance(add_together, ContextTask)
    with start_worker(app):
        assert add_together.delay(23, 42).get(timeout=30) == 65
    assert seen == [add_together.name]


def test_a_task_is_told_that_it_is_bound(app):
    told = []

    class Bound(Task):
        def on_bound(self, app):
            told.append((self.name, app.main))

    @app.task(base=Bound, name="bound")
    def bound():
        pass

    assert told == [("bound", "proj")]


@pytest.mark.row("S155")
def test_a_class_that_overrides_execute_is_told_that_it_is_never_called(app):
    class Old(Task):
        name = "old"

        def execute(self, request, pool, loglevel, logfile, **kwargs):
            raise AssertionError

    with pytest.warns(DeprecationWarning, match=r"Old\.execute\(\) is never called"):
        app.register_task(Old())


@pytest.mark.row("S135")
def test_a_task_that_is_not_registered_is_named(app):
    with pytest.raises(NotRegistered, match=r"myapp\.tasks\.add"):
        app.tasks["myapp.tasks.add"]


@pytest.mark.row("S058", "S135")
def test_a_message_for_a_name_nobody_registered_fails_and_is_kept(app):
    @app.task(name="project.myapp.tasks.add")
    def add(x, y):
        return x + y

    with start_worker(app) as worker:
        result = app.send_task("myapp.tasks.add", (1, 1))
        with pytest.raises(NotRegistered, match=r"myapp\.tasks\.add"):
            result.get(timeout=30)
        worker.join()
    (letter,) = app.broker.dead_letters()
    assert letter.message.id == result.id


@pytest.mark.row("S209")
def test_annotations_of_the_settings_change_tasks(app):
    calls = []

    def before_start(self, task_id, args, kwargs):
        calls.append(self.name)

    def doubling(run):
        return lambda *args: 2 * run(*args)

    app.conf.task_annotations = {
        "*": {"max_retries": 9, "before_start": before_start},
        "annotated": {"rate_limit": "10/m", "@__call__": doubling},
    }

    @app.task(name="annotated")
    def annotated(x):
        return x

    with start_worker(app):
        assert annotated.delay(4).get(timeout=30) == 8
    assert (annotated.rate_limit, annotated.max_retries, calls) == ("10/m", 9, ["annotated"])


def test_annotations_may_be_an_object(app):
    class Annotations:
        def annotate(self, task):
            return {"priority": 3} if task.name == "annotated" else None

    app.conf.task_annotations = (Annotations(), {"*": {"queue": "q"}})

    @app.task(name="annotated")
    def annotated():
        pass

    app.finalize()
    assert (annotated.priority, annotated.queue) == (3, "q")


def test_a_shared_task_is_each_applications_own(app):
    @shared_task(bind=True, name="shared.whose")
    def whose(self):
        return self.app.main

    other = Celery("other", broker="memory://whose", backend="memory://whose", set_as_current=False)
    for each in (app, other):
        with start_worker(each):
            each.set_current()
            assert whose.delay().get(timeout=30) == each.main
    other.close()
    app.set_current()


def test_arguments_are_checked_before_anything_is_sent(app):
    @app.task
    def add(x, y, *, z=0):
        return x + y + z

    for args, kwargs in [((1,), {}), ((1, 2, 3), {}), ((1, 2), {"w": 1})]:
        with pytest.raises(TypeError):
            add.apply_async(args, kwargs)

    @app.task(typing=False)
    def unchecked(x):
        pass

    unchecked.delay(1, 2, 3)
    assert app.broker.depth("celery").ready == 1


def test_an_application_that_checks_no_arguments_sends_any(request):
    with Celery("loose", broker="memory://loose", backend="disabled://", strict_typing=False) as app:

        @app.task
        def add(x, y):
            return x + y

        add.delay(1)
        assert app.broker.depth("celery").ready == 1


class Order(pydantic.BaseModel):
    number: int
    reason: str = "none"


class Receipt(pydantic.BaseModel):
    total: float


class Told(pydantic.BaseModel):
    name: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def told(cls, data, info):
        return {"name": f"{info.context['celery_task_name']} {info.context['key']}"}


def test_arguments_and_results_may_be_models(app):
    @app.task(pydantic=True)
    def buy(order: Order, times: int = 1, other: Optional[Order] = None) -> Receipt:  # noqa: UP045  # this form too
        assert isinstance(order, Order)
        assert other is None or isinstance(other, Order)
        return Receipt(total=order.number * times + (other.number if other is not None else 0))

    @app.task(pydantic=True, bind=True)
    async def abuy(self, order: Order) -> Receipt | None:
        return Receipt(total=order.number) if self.request.id and order.number else None

    with start_worker(app):
        assert buy.delay({"number": 2}, times=3).get(timeout=30) == {"total": 6.0}
        assert buy.delay({"number": 2}, other={"number": "5"}).get(timeout=30) == {"total": 7.0}
        assert abuy.delay({"number": 2}).get(timeout=30) == {"total": 2.0}
        assert abuy.delay({"number": 0}).get(timeout=30) is None
        refused = buy.delay({"number": "many"})
        assert type(refused.get(timeout=30, propagate=False)).__name__ == "ValidationError"
        assert "validation error for Order" in refused.traceback
    assert buy(Order(number=1)) == {"total": 1.0}


def test_models_may_be_strict_know_their_task_and_be_written_in_another_way(app):
    @app.task(pydantic=True, pydantic_strict=True, name="strict")
    def strict(order: Order):
        return order.number

    @app.task(pydantic=True, pydantic_context={"key": "value"}, pydantic_dump_kwargs={"exclude": {"reason"}}, name="c")
    def context(told: Told) -> Order:
        return Order(number=len(told.name))

    with pytest.raises(pydantic.ValidationError):
        strict({"number": "1"})
    assert strict({"number": 1}) == 1
    assert context({}) == {"number": len("c value")}


def test_annotations_that_nobody_can_resolve_are_named(app):
    def nowhere():
        class Hidden(pydantic.BaseModel):
            pass

        @app.task(pydantic=True)
        def task(x: Hidden):
            pass

        return task

    with pytest.raises(ImproperlyConfigured, match="'Hidden' is not defined"):
        nowhere()({})


@pytest.mark.row("S129", "S130")
def test_a_task_called_like_a_function_raises_what_it_would_be_retried_for(app):
    @app.task(bind=True)
    def task(self, exc):
        raise self.retry(exc=exc)

    with pytest.raises(KeyError):
        task(KeyError("mine"))
    with pytest.raises(app.tasks[task.name].retry.__globals__["Retry"], match="Task can be retried"):
        task(None)


def test_a_request_can_be_put_in_place_for_a_test(app):
    @app.task(bind=True)
    def task(self):
        return [self.request.id, self.request.retries]

    task.push_request(id="pushed", retries=2)
    try:
        assert task.run() == ["pushed", 2]
        assert task.request.id == "pushed"
    finally:
        task.pop_request()
    assert task.request.id is None
