"""Queues and exchanges that are not as the settings say: a real worker says so once, and serves the others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest

from plugins.tq_amqp.tests.worker_site import WorkerSite
from tests.faults.site import Node, wait_until
from tests.private_servers import rabbitmqctl
from tq_core.errors import PublishError

#: What a user may do who has been given what tq asks for, and the queues whose names begin with "good".
_ENOUGH = r"^(tq[.]|good|celery|reply[.]|amq[.]gen|amq[.]default$)"


@pytest.fixture
def channel(vhost: str) -> Iterator[Any]:
    """A stranger's channel, who makes queues and exchanges as he likes."""
    parts = urlsplit(vhost)
    with amqp.Connection(f"{parts.hostname}:{parts.port}", "guest", "guest", virtual_host=parts.path[1:]) as connection:
        yield connection.channel()


@contextmanager
def limited_user(vhost: str) -> Iterator[str]:
    """Make a user who may not use everything, and yield his URL."""
    name, parts = f"limited-{uuid.uuid4().hex[:8]}", urlsplit(vhost)
    rabbitmqctl("add_user", name, "s3cr3t")
    try:
        rabbitmqctl("set_permissions", "-p", parts.path[1:], name, _ENOUGH, _ENOUGH, _ENOUGH)
        yield f"amqp://{name}:s3cr3t@{parts.hostname}:{parts.port}{parts.path}"
    finally:
        rabbitmqctl("delete_user", name)


def names() -> tuple[str, str]:
    """Return the names of a queue that can be used and of one that cannot."""
    tail = uuid.uuid4().hex[:8]
    return f"good-{tail}", f"bad-{tail}"


def judge(site: WorkerSite, node: Node, good: str, *words: str) -> None:
    """The worker has said what is wrong in one line, with these words in it, and serves the good queue all the same."""
    runners = node.runners()
    assert site.runs(node, good)
    assert wait_until(lambda: "It is tried again in" in node.text, 10), node.text
    errors = [line for line in node.text.splitlines() if ": ERROR/" in line or ": CRITICAL/" in line]
    assert len({line.partition("] ")[2] for line in errors}) == 1, errors
    for word in words:
        assert word in errors[0]
    assert site.runs(node, good)
    assert "Traceback" not in node.text
    assert "s3cr3t" not in node.text
    assert "Trying again" not in node.text, "the worker lost its connection"
    assert node.runners() == runners


def test_a_worker_names_a_queue_that_is_missing_and_serves_it_once_it_exists(site: WorkerSite, channel: Any) -> None:
    good, missing = names()
    site.settings["task_queues"] = [{"name": good}, {"name": missing, "no_declare": True}]
    node = site.worker(good, missing)
    judge(site, node, good, f"queue '{missing}' does not exist", "no_declare in task_queues")
    channel.queue_declare(missing, durable=True, auto_delete=False)
    assert site.runs(node, missing)


def test_a_worker_in_passive_mode_names_a_queue_that_is_missing(site: WorkerSite, channel: Any) -> None:
    good, missing = names()
    channel.queue_declare(good, durable=True, auto_delete=False)
    site.settings["task_queues"] = [{"name": good}, {"name": missing}]
    site.settings["broker_transport_options"] = {"passive": True}
    node = site.worker(good, missing)
    judge(site, node, good, f"queue '{missing}' does not exist", "passive")


def test_a_worker_names_a_queue_that_another_connection_has_for_itself(site: WorkerSite, channel: Any) -> None:
    good, taken = names()
    channel.queue_declare(taken, exclusive=True, durable=False, auto_delete=True)
    site.settings["task_queues"] = [{"name": good}, {"name": taken}]
    judge(site, site.worker(good, taken), good, f"queue '{taken}'", "exclusive", "task_queues")


def test_a_worker_names_a_queue_that_its_user_may_not_use(site: WorkerSite, vhost: str) -> None:
    good, secret = names()
    site.settings["task_queues"] = [{"name": good}, {"name": secret}]
    with limited_user(vhost) as url:
        node = site.worker(good, secret, url=url)
        judge(site, node, good, f"queue '{secret}' may not be used", "set_permissions")
        node.kill()


def test_a_worker_names_an_exchange_of_another_type(site: WorkerSite, channel: Any) -> None:
    good, wrong = names()
    channel.exchange_declare(f"{wrong}.news", "fanout", durable=True, auto_delete=False)
    bound = {"name": wrong, "exchange": f"{wrong}.news", "exchange_type": "topic", "routing_key": "#"}
    site.settings["task_queues"] = [{"name": good}, bound]
    judge(site, site.worker(good, wrong), good, f"exchange '{wrong}.news'", "exchange_type in task_queues")


def test_a_queue_with_other_arguments_is_served_with_one_warning(site: WorkerSite, channel: Any) -> None:
    good, other = names()
    channel.queue_declare(other, durable=True, auto_delete=False, arguments={"x-max-length": 1000})
    site.settings["task_queues"] = [{"name": good}, {"name": other, "message_ttl": 60}]
    node = site.worker(good, other)
    assert site.runs(node, good)
    assert site.runs(node, other)
    warnings = [line for line in node.text.splitlines() if ": WARNING/" in line and f"'{other}'" in line]
    assert len(warnings) == 1, warnings
    assert ": ERROR/" not in node.text


def test_a_client_without_the_permission_is_told_and_goes_on(site: WorkerSite, vhost: str) -> None:
    good, secret = names()
    with limited_user(vhost) as url:
        client = site.client(url)
        with pytest.raises(PublishError, match=f"'{secret}'.*set_permissions") as refused:
            client.send_task("project.good", (1,), queue=secret)
        assert not refused.value.maybe_sent
        assert "s3cr3t" not in str(refused.value)
        client.send_task("project.good", (1,), queue=good)
        assert client.broker.depth(good).ready == 1
        client.close()


def test_a_client_is_told_which_exchange_is_missing_and_goes_on(site: WorkerSite, channel: Any) -> None:
    good, lost = names()
    for name in (good, lost):
        channel.queue_declare(name, durable=True, auto_delete=False)
    news = {"name": lost, "exchange": f"{lost}.news", "exchange_type": "topic", "routing_key": "#"}
    site.settings["task_queues"] = [{"name": good}, news]
    site.settings["broker_transport_options"] = {"passive": True}
    client = site.client()
    with pytest.raises(PublishError, match=f"exchange '{lost}.news'") as refused:
        client.send_task("project.good", (1,), queue=lost)
    assert not refused.value.maybe_sent
    client.send_task("project.good", (1,), queue=good)
    assert client.broker.depth(good).ready == 1
