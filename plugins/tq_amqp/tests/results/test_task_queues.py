"""``amqp://`` results: a queue for each task, read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from plugins.tq_amqp.tests.results.conftest import Side
from tests.private_servers import rabbitmqctl
from tq_core import Celery
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.errors import BackendError, TimeoutError
from tq_core.states import SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import until


def queues(vhost: str, *columns: str) -> dict[str, list[str]]:
    """Return what RabbitMQ says of the queues of a virtual host."""
    name = urlsplit(vhost).path[1:]
    told = rabbitmqctl("-q", "list_queues", "-p", name, "--no-table-headers", "name", *columns)
    return {line.split("\t")[0]: line.split("\t")[1:] for line in told.splitlines() if line}


@pytest.fixture
def opened(vhost: str) -> Iterator[Callable[..., Backend]]:
    """Opens backends and closes them after the test."""
    made: list[Backend] = []

    def open_(**settings: Any) -> Backend:
        made.append(Address(vhost, settings).backend())
        return made[-1]

    yield open_
    for backend in made:
        backend.close()


def done(task_id: str) -> ResultRecord:
    return ResultRecord(task_id, SUCCESS, 8, date_done="2026-01-02T03:04:05+00:00")


def test_a_result_is_looked_at_often_and_read_once(vhost: str, opened: Callable[..., Backend]) -> None:
    worker, client, stranger = opened(), opened(), opened()
    worker.store([done("read-once")])
    for looker in (client, stranger, client):
        assert looker.fetch(["read-once"])["read-once"].result == 8
    assert next(client.watch(["read-once"], timeout=30)).result == 8
    until(lambda: "readonce" not in queues(vhost), "the queue of a result that was read stays")
    assert stranger.fetch(["read-once"]) == {}
    with pytest.raises(TimeoutError):
        next(stranger.watch(["read-once"], timeout=0.2))
    assert client.fetch(["read-once"])["read-once"].result == 8


def test_a_task_has_the_queue_that_celery_made(vhost: str, opened: Callable[..., Backend]) -> None:
    opened(result_expires=3600).store([done("as-celery")])
    told = queues(vhost, "durable", "auto_delete", "exclusive", "arguments")["ascelery"]
    assert told == ["true", "true", "false", '[{"x-expires",3600000}]']


def test_asking_for_an_unknown_task_makes_no_queue(vhost: str, opened: Callable[..., Backend]) -> None:
    assert opened().fetch(["never-heard-of"]) == {}
    assert "neverheardof" not in queues(vhost)


def test_different_settings_on_both_sides_are_told(opened: Callable[..., Backend]) -> None:
    opened(result_expires=3600).store([done("differs")])
    with pytest.raises(BackendError, match="need the same values of result_persistent"):
        opened(result_expires=7200).store([done("differs")])


@pytest.mark.row("S210")
def test_the_oldest_names_of_the_settings_say_what_the_exchange_and_the_queues_are(vhost: str) -> None:
    old_names = {
        "BROKER_URL": vhost,
        "CELERY_RESULT_BACKEND": "amqp",
        "CELERY_RESULT_EXCHANGE": "answers",
        "CELERY_RESULT_EXCHANGE_TYPE": "topic",
        "CELERY_RESULT_PERSISTENT": False,
    }
    with Celery("old", config_source=old_names, set_as_current=False) as app:
        app.backend.store([done("old-names")])
        name = urlsplit(vhost).path[1:]
        told = rabbitmqctl("-q", "list_exchanges", "-p", name, "--no-table-headers", "name", "type", "durable")
        assert "answers\ttopic\tfalse" in told.splitlines()
        assert queues(vhost, "durable")["oldnames"] == ["false"]
        assert app.AsyncResult("old-names").get(timeout=30) == 8


def test_a_client_gets_the_results_of_a_worker(side: Callable[..., Side]) -> None:
    here = side("tq", "amqp")
    with here.worker():
        assert here.client("print(json.dumps([add.delay(n, n).get(timeout=30) for n in range(20)]))") == [
            n + n for n in range(20)
        ]


def test_a_chord_waits_for_its_header(side: Callable[..., Side]) -> None:
    here = side("tq", "amqp", result_chord_retry_interval=0.1)
    with here.worker():
        code = "from tq_core import chord\nprint(chord([add.s(n, n) for n in range(5)])(total.s()).get(timeout=30))"
        assert here.client(code) == 20
