"""An application for one test: its own again afterwards, and nobody else's meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core import Celery, current, get_current_app
from tq_core.backends import memory as memory_backend
from tq_core.brokers import memory as memory_broker
from tq_core.errors import BackendError, ImproperlyConfigured
from tq_core.testing.drain import Drain
from tq_core.testing.isolation import find_application, isolated

#: An address that must never be used: whoever tries gets an error.
FORBIDDEN = "redis://127.0.0.1:1/0"


@pytest.fixture
def app() -> Celery:
    app = Celery("mine", broker=FORBIDDEN, backend=FORBIDDEN, set_as_current=False)
    app.conf.task_always_eager = True

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return app


def test_tasks_stay_and_stores_are_memory_of_this_test(app):
    with isolated(app) as same:
        assert same is app
        result = app.tasks["add"].delay(1, 2)
        Drain(app).run()
        assert result.get(timeout=1) == 3
        assert app.broker_address.startswith("memory://")
    with isolated(app):
        assert app.broker.queues() == []
        assert app.AsyncResult(result.id).state == "PENDING"


def test_settings_are_put_back_however_the_test_changed_them(app):
    before = dict(app.conf.changes())
    with isolated(app, {"task_default_queue": "tests"}):
        assert app.conf.task_default_queue == "tests"
        assert app.conf.task_always_eager is False
        app.conf.task_default_queue = "changed"
        app.conf.beat_schedule["nightly"] = {"task": "add", "schedule": 10}
    assert dict(app.conf.changes()) == before
    assert app.conf.beat_schedule == {}
    assert app.broker_address == FORBIDDEN


def test_nothing_is_kept_in_memory(app):
    spaces = len(memory_broker._NAMESPACES), len(memory_backend._NAMESPACES)
    with isolated(app):
        app.tasks["add"].delay(1, 2)
        Drain(app).run()
        assert len(memory_broker._NAMESPACES) == spaces[0] + 1
    assert (len(memory_broker._NAMESPACES), len(memory_backend._NAMESPACES)) == spaces


def test_the_current_application_is_the_one_under_test(app):
    outer = get_current_app()
    with isolated(app):
        assert get_current_app() is app
        with isolated() as inner:
            assert get_current_app() is inner
        assert get_current_app() is app
    assert get_current_app() is outer
    assert current.get_current_app() is outer


def test_plugins_that_the_program_registered_stay(app):
    from tq_core.plugin import hookimpl

    class Observer:
        def __init__(self) -> None:
            self.seen: list[str] = []

        @hookimpl
        def tq_before_publish(self, message: Any) -> None:
            self.seen.append(message.headers["task"])

    observer = Observer()
    app.plugins.register(observer)
    with isolated(app):
        app.tasks["add"].delay(1, 2)
    assert observer.seen == ["add"]


def test_an_application_without_results_has_none_here_either():
    app = Celery("fire-and-forget", broker=FORBIDDEN, set_as_current=False)
    with isolated(app), pytest.raises(BackendError, match="No result backend"):
        app.AsyncResult("some-id").get(timeout=1)


def test_an_application_without_any_address_keeps_results(tmp_path, monkeypatch):
    monkeypatch.setenv("TQ_DATA_DIR", str(tmp_path))
    with isolated(Celery("embedded", set_as_current=False)) as app:
        assert app.AsyncResult("some-id").state == "PENDING"
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_refused_and_leaves_the_application_as_it_was(app):
    with pytest.raises(ImproperlyConfigured, match="the test"), isolated(app, {"task_time_limit": "soon"}):
        pass
    assert app.broker_address == FORBIDDEN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop_of_this_test:nothing", "names nothing, not an application"),
        ("shop_of_this_test:number", "names an object of type int"),
        ("shop_of_this_test", None),
        ("shop_of_this_test:made.app", None),
    ],
)
def test_an_application_is_found_by_name(tmp_path, monkeypatch, name, message):
    text = "from tq_core import Celery\ncelery = Celery('shop', set_as_current=False)\nnumber = 1\n"
    (tmp_path / "shop_of_this_test.py").write_text(f"{text}class made:\n    app = celery\n")
    monkeypatch.syspath_prepend(tmp_path)
    if message is None:
        assert find_application(name).main == "shop"
    else:
        with pytest.raises(ImproperlyConfigured, match=message):
            find_application(name)
