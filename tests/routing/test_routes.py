"""Which queue a call goes to: routes in all their forms, and who decides when several have been named."""

from __future__ import annotations

import re
import sys
import types
import uuid

import kombu
import pytest

from tq_core import Celery
from tq_core.errors import ImproperlyConfigured, NotSupported, QueueNotFound


@pytest.fixture
def app():
    with Celery("proj", broker=f"memory://{uuid.uuid4().hex}", backend="disabled://", set_as_current=False) as app:
        yield app


def sent(app, name="feed.tasks.import_feed", args=(), **options):
    """Return the messages of a call."""
    with app.producer.collecting() as messages:
        app.send_task(name, args, **options)
    return list(messages)


def queue_of(app, name="feed.tasks.import_feed", args=(), **options):
    """Return the one queue a call goes to."""
    (message,) = sent(app, name, args, **options)
    return message.queue


def router(name, args, kwargs, options, task=None, **more):
    if name.startswith("feed."):
        return {"queue": "feeds", "priority": args[0] if args else 3}
    return None


class Router:
    def route_for_task(self, task, args=None, kwargs=None):
        return "feeds" if task.startswith("feed.") else None


@pytest.fixture
def routers(monkeypatch):
    """A module of routers, as a project has one."""
    module = types.ModuleType("proj_routers")
    module.function, module.Class, module.instance = router, Router, Router()
    monkeypatch.setitem(sys.modules, "proj_routers", module)


FORMS = {
    "a name": {"feed.tasks.import_feed": "feeds"},
    "a name with options": {"feed.tasks.import_feed": {"queue": "feeds"}},
    "a glob": {"feed.*": "feeds"},
    "a compiled expression": {re.compile(r"feed\.(tasks|jobs)"): "feeds"},
    "an expression as text": {"/feed[.]tasks[.]/": "feeds"},
    "a list of mappings": [{"other.*": "others"}, {"feed.*": "feeds"}],
    "pairs in order": ([("feed.*", "feeds"), ("*", "others")],),
    "a function": router,
    "a list with a function": (lambda name, *rest, **more: None, router),
    "a class": Router,
    "an instance": Router(),
    "the path of a function": "proj_routers.function",
    "the path of a class": ("proj_routers:Class",),
    "the path of an instance": ["proj_routers.instance"],
}


@pytest.mark.parametrize("routes", FORMS.values(), ids=FORMS)
def test_routes_are_written_in_many_forms(app, routers, routes):
    app.conf.task_routes = routes
    assert queue_of(app) == "feeds"
    assert queue_of(app, "video.encode") in ("celery", "others")


def test_the_first_route_that_says_something_decides(app):
    app.conf.task_routes = (lambda *args, **more: None, {"feed.tasks.import_feed": "first"}, {"feed.*": "second"})
    assert queue_of(app) == "first"
    assert queue_of(app, "feed.other") == "second"


def test_a_name_is_asked_before_the_patterns_of_its_mapping(app):
    app.conf.task_routes = {"feed.*": "pattern", "feed.tasks.import_feed": "name"}
    assert queue_of(app) == "name"


def test_an_empty_route_ends_the_search(app):
    app.conf.task_routes = (lambda *args, **more: {}, {"feed.*": "feeds"})
    assert queue_of(app) == "celery"


def test_a_route_gives_every_option_of_a_call(app):
    app.conf.task_queues = [kombu.Queue("feeds", kombu.Exchange("feeds", "topic"), "feed.#")]
    app.conf.task_routes = {
        "feed.*": {"queue": "feeds", "routing_key": "feed.import", "priority": 6, "serializer": "yaml",
                   "compression": "zlib", "expires": 60, "delivery_mode": 1, "headers": {"tenant": "a"}},
    }  # fmt: skip
    (message,) = sent(app)
    assert (message.queue, message.exchange, message.routing_key) == ("feeds", "feeds", "feed.import")
    assert (message.priority, message.content_type, message.delivery_mode) == (6, "application/x-yaml", 1)
    assert (message.headers["compression"], message.headers["tenant"]) == ("application/x-gzip", "a")
    assert message.expiration == 60
    (message,) = sent(app, priority=2, serializer="json", compression=None, expires=None)
    assert (message.priority, message.content_type) == (2, "application/json")
    assert message.expiration == 60, "None leaves it to the route"


def test_a_route_decides_before_the_settings_but_not_before_the_task(app):
    app.conf.task_routes = {"*": {"serializer": "yaml", "compression": "zlib"}}
    plain = app.task(name="plain")(lambda: None)
    own = app.task(name="own", serializer="json", compression="bzip2")(lambda: None)
    with app.producer.collecting() as messages:
        plain.delay()
        own.delay()
    told = [(message.content_type, message.headers["compression"]) for message in messages]
    assert told == [("application/x-yaml", "application/x-gzip"), ("application/json", "application/x-bz2")]


def test_a_route_says_how_publishing_is_tried_again(app, monkeypatch):
    from tq_core.errors import BrokerUnavailable

    tries = []

    def refuse(messages):
        tries.append(messages)
        raise BrokerUnavailable("not now")

    monkeypatch.setattr(app.broker, "publish", refuse)
    app.conf.task_routes = {
        "once": {"retry": False},
        "thrice": {"retry_policy": {"max_retries": 2, "interval_step": 0}},
    }
    app.broker.publish = refuse
    for name, count in (("once", 1), ("thrice", 3)):
        with pytest.raises(BrokerUnavailable):
            app.send_task(name)
        assert len(tries) == count
        tries.clear()


def test_a_router_sees_the_call_and_decides_by_it(app):
    seen = []

    def by_arguments(name, args, kwargs, options, task=None, **more):
        seen.append((name, args, kwargs, options.get("priority"), task))
        return {"queue": f"shard-{args[0] % 2}"}

    add = app.task(name="add", priority=4, typing=False)(lambda x: x)
    app.conf.task_routes = by_arguments
    for number in (1, 2):
        with app.producer.collecting() as messages:
            add.delay(number)
        assert messages[0].queue == f"shard-{number % 2}"
    assert seen == [("add", (1,), {}, 4, add), ("add", (2,), {}, 4, add)]


@pytest.mark.parametrize(
    ("call", "task", "route", "expected"),
    [
        ({"queue": "c"}, {"queue": "t"}, {"queue": "r"}, "c"),
        ({}, {"queue": "t"}, {"queue": "r"}, "t"),
        ({}, {}, {"queue": "r"}, "r"),
        ({}, {}, None, "celery"),
        ({"queue": None}, {"queue": "t"}, {"queue": "r"}, "r"),
        ({"exchange": "news", "routing_key": "sport"}, {"queue": "t"}, {"queue": "r"}, "sport"),
        ({"queue": "c"}, {"exchange": "news", "routing_key": "sport"}, None, "c"),
        ({}, {"exchange": "news", "routing_key": "sport"}, {"queue": "r", "routing_key": "x"}, "sport"),
        ({"routing_key": "sport"}, {}, {"exchange": "news", "routing_key": "art"}, "sport"),
        ({}, {}, {"exchange": "news", "routing_key": "art"}, "art"),
        ({"queue": "c", "exchange": "news", "routing_key": "sport"}, {}, None, "c"),
        ({"exchange": "", "routing_key": "c"}, {"queue": "t"}, {"queue": "r"}, "c"),
        ({"routing_key": "sport"}, {"queue": "t"}, None, "t"),
        ({"routing_key": "nobody's"}, {}, None, "celery"),
        ({"exchange": kombu.Exchange("news"), "routing_key": "art"}, {}, None, "art"),
        ({"queue": kombu.Queue("c")}, {}, {"queue": "r"}, "c"),
    ],
)
def test_the_call_decides_before_the_task_the_task_before_the_route_and_that_before_the_default(
    app, call, task, route, expected
):
    app.conf.task_queues = [
        kombu.Queue("celery"),
        kombu.Queue("sport", kombu.Exchange("news"), "sport"),
        kombu.Queue("art", kombu.Exchange("news"), "art"),
    ]
    app.conf.task_routes = route and {"add": route}
    add = app.task(name="add", **task)(lambda: None)
    with app.producer.collecting() as messages:
        add.apply_async(**call)
    assert [message.queue for message in messages] == [expected]


@pytest.mark.parametrize(
    ("answer", "told"),
    [(7, "answered 7 for feed.tasks.import_feed; a router returns"), (["feeds"], r"answered \['feeds'\]")],
)
def test_a_router_that_answers_with_no_route_is_told(app, answer, told):
    app.conf.task_routes = lambda *args, **more: answer
    with pytest.raises(ImproperlyConfigured, match=told):
        sent(app)


def test_a_router_that_cannot_be_imported_is_named(app):
    app.conf.task_routes = "proj_routers.missing"
    with pytest.raises(ImproperlyConfigured, match=r"the router 'proj_routers\.missing' cannot be imported"):
        sent(app)


def test_an_option_that_no_call_has_is_refused(app):
    with pytest.raises(ImproperlyConfigured, match="did you mean 'queue'"):
        app.conf.update(task_routes={"feed.*": {"queu": "feeds"}})


def test_missing_queues_are_made_only_where_that_is_allowed(app):
    app.conf.task_queues = ["celery", "feeds"]
    app.conf.task_create_missing_queues = False
    app.conf.task_routes = {"feed.*": "video"}
    assert queue_of(app, queue="feeds") == "feeds"
    with pytest.raises(QueueNotFound, match=r"'video' is not defined in task_queues \(defined: celery, feeds\)"):
        sent(app, "other", queue="video")
    with pytest.raises(QueueNotFound, match="'video'"):
        sent(app)


@pytest.mark.row("S095")
@pytest.mark.parametrize("options", [{}, {"mandatory": True}], ids=["as it is", "mandatory"])
def test_a_call_that_reaches_no_queue_is_an_error(app, options):
    app.conf.task_queues = [{"name": "sport", "exchange": "news", "exchange_type": "topic", "routing_key": "sport.#"}]
    with pytest.raises(
        QueueNotFound, match="No queue in task_queues is bound to exchange 'news' with routing key 'art'"
    ):
        sent(app, exchange="news", routing_key="art", **options)


@pytest.mark.row("S096")
def test_immediate_is_refused_with_the_reason(app):
    with pytest.raises(NotSupported, match=r"immediate: no broker .* can be given expires="):
        sent(app, immediate=True)
    with pytest.raises(NotSupported, match="the task now for want"):
        app.task(name="now", immediate=True)(lambda: None)


def test_routes_and_queues_that_are_set_after_the_first_call_hold_from_then_on(request):
    with Celery("late", broker=f"memory://{request.node.name}", backend="disabled://") as app:
        app.task(name="late.add")(lambda: None).delay()
        app.conf.task_queues = {"celery": {}, "reports": {"exchange": "news", "exchange_type": "fanout"}}
        app.conf.task_routes = {"late.*": {"queue": "reports"}}
        app.tasks["late.add"].delay()
        assert app.broker.depth("celery").ready == 1
        assert app.broker.depth("reports").ready == 1
        app.tasks["late.add"].apply_async(exchange="news")
        assert app.broker.depth("reports").ready == 2
