"""Tasks that run for longer than RabbitMQ waits for a sign of life."""

from __future__ import annotations

from plugins.tq_amqp.tests.worker_site import WorkerSite
from tests.faults.amqp_objects import connections


def test_a_worker_sends_heartbeats_while_a_task_runs(site: WorkerSite) -> None:
    site.settings["broker_heartbeat"] = 2
    node = site.worker("long")
    assert site.runs(node, "long")
    before = connections(site.url)
    assert site.runs(node, "long", seconds=7.0)  # RabbitMQ waits for 4
    assert before <= connections(site.url), node.text
    assert "Trying again" not in node.text
