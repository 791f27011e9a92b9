"""The deeds that are recorded: the same for Celery, whose traces are kept, and for tq, which is compared with them."""

from __future__ import annotations

from contextlib import closing

from redis import Redis

from plugins.tq_redis.tests.golden.trace import Commands, Monitor
from tests.interop.places import Place
from tests.interop.sides import Driver, WorkerNode
from tests.private_servers import private_redis
from tq_core.testing.conformance.patience import until

#: A call with every option there is.
EVERYTHING = {
    "countdown": 3600,
    "expires": 7200,
    "time_limit": 60,
    "soft_time_limit": 50,
    "shadow": "another name",
    "headers": {"tenant": "blue"},
    "ignore_result": True,
    "priority": 3,
}


def recorded(side: str) -> dict[str, Commands]:
    """Do everything on one side, on a Redis of its own, and return what the Redis was told."""
    with private_redis() as server, closing(Monitor(server.url)) as monitor, Redis.from_url(server.url) as redis:
        place = Place(server.url, server.url)
        with closing(Driver(side, place)) as driver:
            _publish(driver, monitor)
            with closing(WorkerNode(side, place, "celery", "worker@interop").ready()):
                _run(driver, monitor, redis)
        monitor.mark("end")
        sections = monitor.sections()
        del sections["end"]
        return sections


def _publish(driver: Driver, monitor: Monitor) -> None:
    """Publish to a queue that nobody serves."""
    monitor.mark("publish a call")
    driver("send", "add", [1, 2], {"queue": "idle"})
    for priority in (0, 5, 9):
        monitor.mark(f"publish with priority {priority}")
        driver("send", "add", [1, 2], {"queue": "idle", "priority": priority})
    monitor.mark("publish with every option")
    driver("send", "add", [1, 2], {"queue": "idle", **EVERYTHING})
    monitor.mark("worker starts")


def _run(driver: Driver, monitor: Monitor, redis: Redis) -> None:
    def quiet() -> bool:
        """Everything is settled; what is settled last is the message."""
        return not redis.exists("celery", "unacked", "unacked_index")

    # A worker of Celery's goes on with its start after it has said that it is ready.
    driver("ping", ["worker@interop"])
    driver("get", driver("send", "add", [1, 2], {"queue": "celery"}))
    until(quiet)
    monitor.mark("run a task")
    driver("get", driver("send", "add", [1, 2], {"queue": "celery"}))
    until(quiet)
    monitor.mark("run a task that fails")
    driver("get", driver("send", "fail", ["no", 3], {"queue": "celery"}))
    until(quiet)
    monitor.mark("run a task that asks for a retry")
    driver("get", driver("send", "hesitate", [1], {"queue": "celery"}))
    until(quiet)
    monitor.mark("run a chain")
    driver("journey", ["celery", "celery"])
    until(quiet)
    monitor.mark("run a chord")
    driver("meeting", ["celery", "celery"], "celery")
    until(quiet)
    monitor.mark("run a group and save it")
    driver("saved_group", "celery")
    until(quiet)
    monitor.mark("revoke a task")
    driver("revoke_at", ["11111111-1111-4111-8111-111111111111"], "worker@interop")
