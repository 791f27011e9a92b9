"""Queues and exchanges: what the settings say, what is taken from the defaults, and where messages come to."""

from __future__ import annotations

import uuid

import kombu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import Celery
from tq_core.errors import ImproperlyConfigured
from tq_core.routing.bindings import matches
from tq_core.testing import worker as in_process


@pytest.fixture
def app():
    with Celery("proj", broker=f"memory://{uuid.uuid4().hex}", backend="disabled://", set_as_current=False) as app:
        yield app


def reached(app, **options):
    """Return exchange and routing key of a call, and the queues it comes to."""
    with app.producer.collecting() as messages:
        app.send_task("t", **options)
    ((exchange, key),) = {(message.exchange, message.routing_key) for message in messages}
    return exchange, key, sorted(message.queue for message in messages)


def test_the_manual_of_celery_on_topic_exchanges_holds(app):
    app.conf.task_default_queue = "default"
    app.conf.task_default_exchange = "tasks"
    app.conf.task_default_exchange_type = "topic"
    app.conf.task_default_routing_key = "task.default"
    app.conf.task_queues = (
        kombu.Queue("default", routing_key="task.#"),
        kombu.Queue("feed_tasks", routing_key="feed.#"),
        kombu.Queue("regular_tasks", kombu.Exchange("other", "topic"), routing_key="regular.#"),
    )
    app.conf.task_routes = {"t": {"queue": "feed_tasks", "routing_key": "feed.import"}}
    (plain,) = app.router.destinations({})
    assert (plain.queue, plain.exchange, plain.routing_key) == ("default", "tasks", "task.#")
    assert reached(app) == ("tasks", "feed.import", ["feed_tasks"])
    assert reached(app, queue="default", routing_key="task.x.y") == ("tasks", "task.x.y", ["default"])
    assert reached(app, exchange="tasks") == ("tasks", "feed.import", ["feed_tasks"])
    assert reached(app, exchange="other", routing_key="regular") == ("other", "regular", ["regular_tasks"])


def test_one_queue_may_be_bound_more_than_once(app):
    media = kombu.Exchange("media", "direct")
    app.conf.task_queues = [
        kombu.Queue("media", [kombu.binding(media, routing_key=key) for key in ("video", "image")]),
        kombu.Queue("image", media, routing_key="image"),
    ]
    assert reached(app, exchange="media", routing_key="video") == ("media", "video", ["media"])
    assert reached(app, exchange="media", routing_key="image") == ("media", "image", ["image", "media"])


def test_a_fanout_exchange_copies_to_all_of_its_queues_whatever_the_key(app):
    app.conf.task_queues = [{"name": name, "exchange": "all", "exchange_type": "fanout"} for name in ("a", "b")]
    for options in ({"exchange": "all"}, {"exchange": "all", "routing_key": "x"}, {"queue": "a"}):
        assert reached(app, **options)[2] == ["a", "b"]


def test_names_and_types_of_queues_that_say_nothing_are_the_defaults(app):
    app.conf.update(task_default_exchange="tasks", task_default_exchange_type="topic")
    app.conf.task_queues = ["plain", {"name": "typed", "exchange": "own", "exchange_type": "direct"}, {"name": "keyed",
                            "routing_key": "k"}]  # fmt: skip
    told = {name: (spec.exchange.name, spec.exchange.type, spec.routing_key) for name, spec in app.queues.items()}
    assert told == {
        "plain": ("tasks", "topic", "plain"),
        "typed": ("own", "direct", "typed"),
        "keyed": ("tasks", "topic", "k"),
    }
    made = app.queues["made"]
    assert (made.exchange.name, made.exchange.type, made.routing_key) == ("made", "topic", "made")


def test_without_settings_there_is_one_queue_of_the_default_names(app):
    app.conf.update(task_default_queue="q", task_default_routing_key="k", task_default_exchange="e")
    ((name, spec),) = app.queues.items()
    assert (name, spec.exchange.name, spec.exchange.type, spec.routing_key) == ("q", "e", "direct", "k")
    assert reached(app) == ("", "q", ["q"])


def test_an_alias_names_its_queue(app):
    app.conf.task_queues = [kombu.Queue("long.name.of.it", alias="short")]
    assert reached(app, queue="short")[2] == ["long.name.of.it"]


def test_a_worker_receives_from_what_it_was_told(app):
    app.conf.task_queues = ["a", "b", kombu.Queue("long", alias="c")]
    queues = app.queues
    assert queues.consume_from == ["a", "b", "long"]
    queues.select(["b", "c", "new"], ["c"])
    assert queues.consume_from == ["b", "new"]
    queues.select_add("added", routing_key="k")
    queues.deselect("new")
    assert queues.consume_from == ["b", "added"]
    assert queues["added"].routing_key == "k"
    with pytest.raises(ImproperlyConfigured, match="No queue is left to consume from: b without b"):
        queues.select("b", "b")


def test_a_queue_that_is_added_gets_what_its_exchange_spreads(app):
    app.conf.task_queues = [{"name": "a", "exchange": "all", "exchange_type": "fanout"}]
    assert reached(app, exchange="all")[2] == ["a"]
    app.queues.add(kombu.Queue("b", kombu.Exchange("all", "fanout")))
    assert reached(app, exchange="all")[2] == ["a", "b"]


@pytest.mark.row("S107")
def test_a_retried_copy_stays_in_its_queue_and_is_not_copied_again(app):
    app.conf.task_queues = [{"name": name, "exchange": "all", "exchange_type": "fanout"} for name in ("a", "b")]
    runs = []

    @app.task(bind=True, name="again", default_retry_delay=0, queue="b")
    def again(self):
        runs.append((self.request.delivery_info["routing_key"], self.request.retries))
        if self.request.retries < 2:
            raise self.retry()

    again.apply_async(exchange="all")
    with in_process.start_worker(app, queues=("a",)) as worker:
        worker.join()
    assert sorted(retries for _, retries in runs) == [0, 1, 2]
    assert app.broker.depth("b").ready == 1, "only the copy that the call made"


WORDS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)


@given(st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=4), WORDS)
def test_topics_match_as_in_amqp(pattern, words):
    def reaches(left, right):
        if not left:
            return not right
        if left[0] == "#":
            return reaches(left[1:], right) or (bool(right) and reaches(left, right[1:]))
        return bool(right) and left[0] in ("*", right[0]) and reaches(left[1:], right[1:])

    assert matches("topic", ".".join(pattern), ".".join(words)) == reaches(pattern, words)


def test_words_of_topics_are_taken_literally():
    assert not matches("topic", "a.b", "axb")
    assert matches("topic", "a+.#", "a+")
    assert not matches("direct", "a.*", "a.b")
    assert matches("fanout", "x", "y")
