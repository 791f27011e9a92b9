"""``rpc://`` between clients and workers in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from plugins.tq_amqp.tests.results.conftest import PATIENCE, Side
from tests.private_servers import rabbitmqctl
from tq_core import Celery, chord, group
from tq_core.contracts.backend import Backend, ResultRecord
from tq_core.errors import ImproperlyConfigured, NotSupported
from tq_core.results.async_result import AsyncResult
from tq_core.states import SUCCESS
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import Thread, until
from tq_core.testing.proxy import Proxy

#: What a client does, in words that both Celery and tq understand; the outcome is compared.
CONVERSATION = """
first = add.delay(2, 3)
many = [add.delay(n, n) for n in range(10)]
failed = fail.delay("bad", 7)
again = hesitate.delay(2)
linked = (add.s(1, 1) | add.s(10) | add.s(100)).delay()
large = text.delay(300_000)
try:
    failed.get(timeout=30)
    raised = None
except ValueError as error:
    raised = [type(error).__name__, list(error.args)]
print(json.dumps([
    first.get(timeout=30), [result.get(timeout=30) for result in many], raised, again.get(timeout=30),
    linked.get(timeout=30), len(large.get(timeout=30)), first.get(timeout=30), failed.state,
]))
"""
OUTCOME = [5, [n + n for n in range(10)], ["ValueError", ["bad", 7]], 2, 112, 300_000, 5, "FAILURE"]


@pytest.mark.real_celery
@pytest.mark.parametrize(
    ("client", "worker"),
    [("tq", "tq"), ("5.7", "tq"), ("5.5", "tq"), ("tq", "5.7"), ("tq", "5.5")],
    ids=lambda name: name.replace(".", "_"),
)
def test_a_client_gets_the_results_of_what_it_called(side: Callable[..., Side], client: str, worker: str) -> None:
    with side(worker).worker():
        assert side(client).client(CONVERSATION) == OUTCOME


# states and work-flows


def test_states_on_the_way_are_seen(side: Callable[..., Side], tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    code = f"""
result = progress.delay({str(fifo)!r})
pipe = open({str(fifo)!r}, "w")
seen = [result.state, result.info]
pipe.close()
print(json.dumps([*seen, result.get(timeout=30), result.state]))
"""
    here = side("tq", task_track_started=False)
    with here.worker():
        assert here.client(code) == ["PROGRESS", {"done": 1, "of": 2}, "done", "SUCCESS"]


def test_the_caller_hears_of_what_took_its_tasks_place_and_of_callbacks(side: Callable[..., Side]) -> None:
    code = """
replaced = replaced.delay(5).get(timeout=30)
called = add.apply_async((1, 2), link=add.s(10))
called.get(timeout=30)
print(json.dumps([replaced, called.children[0].get(timeout=30)]))
"""
    here = side("tq")
    with here.worker():
        assert here.client(code) == [6, 13]


def test_groups_and_coroutines_get_their_results(side: Callable[..., Side]) -> None:
    code = """
import asyncio
from tq_core import group

async def ask(n):
    return await (await add.adelay(n, 1))

async def main():
    return await asyncio.gather(*(ask(n) for n in range(100)))

members = group(add.s(n, n) for n in range(100)).delay()
print(json.dumps([members.get(timeout=30), asyncio.run(main())]))
"""
    here = side("tq")
    with here.worker():
        assert here.client(code) == [[n + n for n in range(100)], [n + 1 for n in range(100)]]


def test_a_worker_goes_on_when_the_caller_has_gone(side: Callable[..., Side]) -> None:
    here = side("tq")
    with here.worker():
        here.client("import os; add.delay(1, 1); print(0, flush=True); os._exit(0)")
        assert here.client("print(add.delay(2, 2).get(timeout=30))") == 4


def test_chords_and_saved_groups_are_refused_with_what_to_do(vhost: str) -> None:
    with Celery("refusing", broker=vhost, backend="rpc://") as app:

        @app.task
        def one() -> int:
            return 1

        with pytest.raises(NotSupported, match="Set result_backend to 'redis://"):
            chord([one.s(), one.s()])(one.si())
        with pytest.raises(NotSupported, match="Set result_backend to 'redis://"):
            (group(one.s(), one.s()) | one.si()).delay()
        with pytest.raises(NotSupported, match="Keep the GroupResult itself"):
            app.GroupResult("g", [AsyncResult("a", app=app)]).save()


def test_another_broker_than_rabbitmq_is_refused() -> None:
    app = Celery("refusing", broker="redis://localhost/0", backend="rpc://")
    with pytest.raises(ImproperlyConfigured, match=r"broker_url is redis://…\. Name a RabbitMQ"):
        _ = app.backend


# the queue


@pytest.fixture
def opened(vhost: str) -> Iterator[Callable[..., Backend]]:
    """Opens backends and closes them after the test."""
    made: list[Backend] = []

    def open_(url: str = "rpc://") -> Backend:
        made.append(Address(url, {"broker_url": vhost}).backend())
        return made[-1]

    yield open_
    for backend in made:
        backend.close()


def done(task_id: str, address: str) -> ResultRecord:
    return ResultRecord(task_id, SUCCESS, 8, date_done="2026-01-02T03:04:05+00:00", reply_to=address)


def names(vhost: str) -> list[str]:
    """Return the names of the queues in a virtual host."""
    told = rabbitmqctl("-q", "list_queues", "-p", urlsplit(vhost).path[1:], "--no-table-headers", "name")
    return told.split()


def test_a_client_has_one_queue_that_goes_with_it(vhost: str, opened: Callable[..., Backend]) -> None:
    client = opened()
    client.open_replies()
    client.open_replies()
    assert names(vhost).count(client.reply_address()) == 1
    client.close()
    assert client.reply_address() not in names(vhost)


@pytest.fixture
def proxy(vhost: str) -> Iterator[Proxy]:
    parts = urlsplit(vhost)
    assert parts.hostname is not None
    assert parts.port is not None
    with Proxy(parts.hostname, parts.port) as proxy:
        yield proxy


def test_what_is_sent_while_a_client_is_cut_off_waits_for_it(
    vhost: str, opened: Callable[..., Backend], proxy: Proxy
) -> None:
    parts = urlsplit(vhost)
    client = opened(f"rpc+amqp://guest:guest@{proxy.host}:{proxy.port}{parts.path}")
    worker = opened()
    client.open_replies()
    watching = Thread(lambda: next(client.watch(["late"], timeout=PATIENCE)))
    assert not watching.ended(0.05)
    proxy.refuse()
    proxy.cut()
    worker.store([done("late", client.reply_address())])
    assert not watching.ended(0.1)
    proxy.resume()
    assert watching.result(PATIENCE).result == 8


def test_a_deleted_queue_is_made_again(vhost: str, opened: Callable[..., Backend]) -> None:
    client, worker = opened(), opened()
    client.open_replies()
    address = client.reply_address()
    rabbitmqctl("delete_queue", "-p", urlsplit(vhost).path[1:], address)
    until(lambda: address in names(vhost), "the queue was not made again")
    worker.store([done("after", address)])
    assert next(client.watch(["after"], timeout=PATIENCE)).result == 8
