"""What is left in Redis after a busy time: nothing that nobody will ever remove."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta, timezone
from typing import Any

from redis import Redis

from tests.faults.brokers import BROKERS
from tests.faults.raw_envelopes import RawEnvelopes, client_of
from tests.faults.redis_keys import patterns, unowned
from tests.faults.site import Site, wait_until
from tq_core.contracts.backend import ChordPart
from tq_core.states import SUCCESS
from tq_core.testing.conformance.patience import until

QUEUES = ("celery", "other")


def test_a_busy_time_leaves_only_what_expires_or_somebody_removes() -> None:
    with BROKERS["redis"].place() as url, Site(url, lease=1.0) as site:
        client, prefix = client_of(url)
        project, broker = site.project, site.project.app.broker
        results: list[Any] = []
        listening = broker.listen("news")
        survivor = site.node("-c", "2", "-Q", ",".join(QUEUES))
        for number in range(3):
            victim = site.node("-c", "2", "-Q", ",".join(QUEUES))
            results += _busy(site, number)
            broker.broadcast("news", b"to whom it may concern")
            wait_until(lambda victim=victim: _at_work(site, victim.runners()), 10)  # type: ignore[misc]  # bound
            victim.kill()
        RawEnvelopes(url).put("unreadable", {"raw": lambda task_id: b"{"})
        _coordinate(project.app.backend.coordination())
        _leave_unfinished(project.app.backend)
        assert site.finished(results), dict(site.states(results))
        assert wait_until(lambda: site.count("total") and site.count("failed")), "the chords did not end"
        for result in results[::2]:
            result.forget()
        assert broker.move("other", "celery") == 0
        until(lambda: client.zcard(f"{prefix}tq:consumers") == 2, "the dead are still registered")
        until(lambda: not broker.depth("celery").held, "something is still held")
        until(lambda: len(list(broker.dead_letters())) >= 2, "what was bad was not buried")
        survivor.signal(signal.SIGTERM)
        assert survivor.wait() == 0
        listening.close()
        assert unowned(url, QUEUES) == []
        assert _lasting(client, prefix) <= {
            "tq:queues", "tq:served", "tq:fence", "tq:dead", "tq:dead:letters", "tq:dead:number",
            *(f"_kombu.binding{kind}.{queue}" for kind in ("", "_permanent") for queue in QUEUES),
        }  # fmt: skip


def test_a_stranger_among_the_keys_is_found() -> None:
    with BROKERS["redis"].place() as url:
        client, prefix = client_of(url)
        client.set(f"{prefix}tq:fence", 3)
        client.set(f"{prefix}celery-task-meta-x", "{}", ex=60)
        assert unowned(url) == []
        client.set(f"{prefix}tq:forgotten", 1)
        client.set(f"{prefix}celery-task-meta-y", "{}")
        client.hset(f"{prefix}tq:held:7", "tag", "H1:0:celery")
        assert sorted(unowned(url)) == [
            "'celery-task-meta-y' stays for ever",
            "'tq:forgotten' stays for ever",
            f"{prefix.encode() + b'tq:held:7'!r} belongs to no consumer",
            "neither held nor waiting, or the reverse: [b'tag']",
        ]


def test_the_tables_of_keys_are_read_as_they_are_meant() -> None:
    owned, expiring = patterns(["celery"])
    assert any(pattern.fullmatch("celery\x06\x169") for pattern in owned)
    assert not any(pattern.fullmatch("forgotten") for pattern in owned + expiring)
    assert any(pattern.fullmatch("celery-taskset-meta-x.d") for pattern in expiring)


def _busy(site: Site, number: int) -> list[Any]:
    """Send tasks of every kind; return their results."""
    project, first = site.project, 1000 * number
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    results = [project.late.apply_async((first + n, 0.02), queue=QUEUES[n % 2], priority=n % 10) for n in range(30)]
    results += [project.early.apply_async((first + 100 + n,), eta=soon) for n in range(20)]
    if number == 0:
        results.append(project.poison.delay(first + 200))
    results.append(project.good.apply_async((1,), expires=soon - timedelta(hours=1)))
    project.chord([project.late.s(first + 300 + n, 0.01) for n in range(10)])(project.total.s())
    # One member has expired before it can run: the chord fails.
    body = project.total.s()
    body.link_error(project.failed.s())
    expired = project.late.s(first + 400).set(expires=soon - timedelta(hours=1))
    project.chord([expired, project.late.s(first + 401)])(body)
    project.group([project.good.s(n) for n in range(3)]).apply_async().save()
    return results


def _coordinate(coordination: Any) -> None:
    """Use what several nodes use together, and leave it as it is."""
    coordination.acquire("lock", "somebody", 60.0)
    coordination.count("counter", 1, 60.0)
    coordination.add("set", "member", 60.0)
    coordination.take("bucket", 1.0, 5.0)
    coordination.put("value", b"x", 60.0)


def _leave_unfinished(backend: Any) -> None:
    """Begin a chord whose members never come."""
    backend.open_chord("unfinished", 3)
    backend.enlarge_chord("unfinished", 1)
    part = ChordPart(group_id="unfinished", task_id="one", index=0, state=SUCCESS, result=1)
    assert backend.add_chord_parts([part], claimant="somebody", lease=5.0) == []


def _at_work(site: Site, pids: list[int]) -> bool:
    return any(pid in pids for word, _, pid, _ in site.entries() if word == "start")


def _lasting(client: Redis, prefix: str) -> set[str]:
    keys: Any = client.scan_iter(match=f"{prefix}*", count=1000)
    return {key.decode().removeprefix(prefix) for key in keys if client.pttl(key) == -1}
