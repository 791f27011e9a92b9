"""What is in Redis: the documents and keys of Celery 5.3 to 5.7, read and written."""

from __future__ import annotations

import json
import logging
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import redis
import yaml

from tq_core.contracts.backend import Backend, ChordPart, ResultRecord
from tq_core.states import FAILURE, STARTED, SUCCESS
from tq_core.testing.conformance.patience import PATIENCE, Thread

#: What Celery 5.7 left in Redis for the task ``add(2, 2)``.
CELERYS = (
    '{"status": "SUCCESS", "result": 4, "traceback": null, "children": [], '
    '"date_done": "2026-11-21T02:51:22.760261+00:00", "task_id": "5c6f"}'
)
DONE = "2026-11-21T02:51:22.760261+00:00"
GZIPPED = b"\x00celery-compressed\x00application/x-gzip\x00"


def test_a_result_that_celery_wrote_is_read(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    server.set(prefix + "celery-task-meta-5c6f", CELERYS)
    (record,) = open_backend().fetch(["5c6f"]).values()
    assert record == ResultRecord("5c6f", SUCCESS, 4, children=[], date_done=DONE)


def test_a_result_is_written_as_celery_writes_it_and_announced_on_its_key(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    key = prefix + "celery-task-meta-5c6f"
    with server.pubsub(ignore_subscribe_messages=False) as pubsub:
        pubsub.subscribe(key)
        assert pubsub.get_message(timeout=10)["type"] == "subscribe"
        open_backend().store([ResultRecord("5c6f", SUCCESS, 4, date_done=DONE)])
        announced = pubsub.get_message(timeout=10)["data"]
    assert json.loads(announced) == json.loads(CELERYS)
    assert server.get(key) == announced
    assert 0 < server.ttl(key) <= 600


@pytest.mark.parametrize("expires", [0, None])
def test_results_that_never_expire_have_no_ttl(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend], expires: int | None
) -> None:
    open_backend(result_expires=expires).store([ResultRecord("kept", SUCCESS, 4)])
    assert server.ttl(prefix + "celery-task-meta-kept") == -1


def test_failures_live_as_long_as_they_are_told_to(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend(result_failure_expires=5000)
    backend.store([ResultRecord("good", SUCCESS, 4), ResultRecord("bad", FAILURE, {})])
    assert server.ttl(prefix + "celery-task-meta-good") <= 600 < server.ttl(prefix + "celery-task-meta-bad")


def test_an_underscore_joins_a_prefix_that_ends_in_a_letter(
    server: redis.Redis, prefix: str, address: Any, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend(result_backend_transport_options={"global_keyprefix": prefix + "team"})
    backend.store([ResultRecord("x", SUCCESS, 4)])
    assert server.exists(prefix + "team_celery-task-meta-x")


def _meta(state: str) -> dict[str, Any]:
    return {
        "status": state,
        "result": "a peer's",
        "traceback": None,
        "children": [],
        "date_done": DONE,
        "task_id": "x",
    }


FORMATS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "json as Celery writes it": ("json", json.dumps),
    "json without spaces": ("json", lambda meta: json.dumps(meta, separators=(",", ":"))),
    "json in another order": ("json", lambda meta: json.dumps(dict(reversed(meta.items())))),
    "json, gzipped": ("json", lambda meta: GZIPPED + zlib.compress(json.dumps(meta).encode())),
    "msgpack": ("msgpack", msgpack.packb),
    "yaml": ("yaml", yaml.safe_dump),
    **{f"pickle {n}": ("pickle", lambda meta, n=n: pickle.dumps(meta, n)) for n in (2, 3, 4, 5)},
}


@pytest.mark.parametrize("written", FORMATS)
def test_a_success_is_final_in_whatever_format_a_peer_wrote_it(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend], written: str
) -> None:
    serializer, dumps = FORMATS[written]
    backend = open_backend(result_serializer=serializer)
    server.set(prefix + "celery-task-meta-x", dumps(_meta(SUCCESS)))
    backend.store([ResultRecord("x", FAILURE, {})])
    assert backend.fetch(["x"])["x"].result == "a peer's"


@pytest.mark.parametrize("state", [STARTED, FAILURE, "SUCCESSFUL", "NOSUCCESS", "S"])
@pytest.mark.parametrize("written", FORMATS)
def test_any_other_state_is_replaced_in_whatever_format_a_peer_wrote_it(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend], written: str, state: str
) -> None:
    serializer, dumps = FORMATS[written]
    backend = open_backend(result_serializer=serializer)
    server.set(prefix + "celery-task-meta-x", dumps(_meta(state)))
    backend.store([ResultRecord("x", SUCCESS, "ours")])
    assert backend.fetch(["x"])["x"].result == "ours"


def test_something_else_under_the_key_of_a_result_is_replaced(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    server.rpush(prefix + "celery-task-meta-list", "no", "result")
    server.set(prefix + "celery-task-meta-text", "no result")
    backend.store([ResultRecord("list", SUCCESS, 1), ResultRecord("text", SUCCESS, 2)])
    assert [record.result for record in backend.fetch(["list", "text"]).values()] == [1, 2]


def test_results_are_compressed_only_where_all_peers_can_read_them(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend], caplog: pytest.LogCaptureFixture
) -> None:
    value = "x" * 5000
    open_backend(result_compression="gzip", interop="celery-5.7").store([ResultRecord("new", SUCCESS, value)])
    stored = server.get(prefix + "celery-task-meta-new")
    assert stored.startswith(GZIPPED)
    assert json.loads(zlib.decompress(stored[len(GZIPPED) :]))["result"] == value
    with caplog.at_level(logging.WARNING):
        old = open_backend(result_compression="gzip")
    assert "interop" in caplog.text
    old.store([ResultRecord("old", SUCCESS, value)])
    assert server.get(prefix + "celery-task-meta-old").startswith(b"{")
    assert [record.result for record in old.fetch(["new", "old"]).values()] == [value, value]


def test_a_result_of_many_megabytes_arrives(open_backend: Callable[..., Backend]) -> None:
    value = "x" * 30_000_000
    open_backend().store([ResultRecord("large", SUCCESS, value)])
    (record,) = open_backend().watch(["large"], timeout=30)
    assert record.result == value


def test_a_group_is_kept_as_celery_keeps_it(
    server: redis.Redis, prefix: str, open_backend: Callable[..., Backend]
) -> None:
    saved = [["g", None], [[["a", None], None], [["b", None], None]]]
    backend = open_backend()
    backend.save_group("g", saved)
    assert json.loads(server.get(prefix + "celery-taskset-meta-g")) == {"result": saved}
    assert 0 < server.ttl(prefix + "celery-taskset-meta-g") <= 600


# chords


def part(index: int, result: Any = None) -> ChordPart:
    return ChordPart("c", index, f"t{index}", SUCCESS, index if result is None else result)


def finish(backend: Backend, *parts: ChordPart, claimant: str = "us") -> bool:
    return backend.add_chord_parts(parts, claimant=claimant, lease=30) == ["c"]


@pytest.fixture
def chord_key(prefix: str) -> str:
    return prefix + "celery-taskset-meta-c"


def celery_finishes(server: redis.Redis, chord_key: str, index: int) -> None:
    """Do what a Celery 5.6 worker does with a part."""
    server.zadd(chord_key + ".j", {json.dumps([1, f"t{index}", SUCCESS, index]): index})


def test_a_chord_is_counted_on_celerys_keys_and_each_of_them_expires(
    server: redis.Redis, chord_key: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    backend.open_chord("c", 3)
    backend.enlarge_chord("c", 1)
    finish(backend, part(1), part(0))
    scored = server.zrange(chord_key + ".j", 0, -1, withscores=True)
    assert [(json.loads(member), score) for member, score in scored] == [
        ([1, "t0", SUCCESS, 0], 0.0),
        ([1, "t1", SUCCESS, 1], 1.0),
    ]
    assert (server.get(chord_key + ".s"), server.get(chord_key + ".t")) == (b"3", b"1")
    assert server.smembers(chord_key + ".d") == {b"t0:0", b"t1:1"}
    assert all(0 < server.ttl(chord_key + ending) <= 600 for ending in (".j", ".t", ".s", ".d"))
    backend.close_chord("c")
    assert server.keys(chord_key + "*") == [(chord_key + ".c").encode()]
    assert server.get(chord_key + ".c") == b"done"
    assert 300 <= server.ttl(chord_key + ".c") <= 600


def test_parts_of_celery_workers_count(
    server: redis.Redis, chord_key: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    server.set(chord_key + ".s", 3)
    celery_finishes(server, chord_key, 0)
    celery_finishes(server, chord_key, 2)
    assert finish(backend, part(1))
    assert [p.result for p in backend.chord_parts("c")] == [0, 1, 2]


def test_a_part_that_a_celery_worker_counted_is_not_counted_again_by_ours(
    server: redis.Redis, chord_key: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    server.set(chord_key + ".s", 2)
    celery_finishes(server, chord_key, 0)
    assert not finish(backend, part(0, result="another result of the same task"))
    assert finish(backend, part(1))


def test_a_chord_whose_body_a_celery_worker_sent_is_not_sent_again(
    server: redis.Redis, chord_key: str, open_backend: Callable[..., Backend]
) -> None:
    backend = open_backend()
    backend.open_chord("c", 1)
    server.set(chord_key + ".c", "celery's token")  # 5.7, while it sends
    assert not finish(backend, part(0))
    server.delete(*(chord_key + ending for ending in (".j", ".t", ".s", ".d")))
    server.set(chord_key + ".c", "done")
    assert not finish(backend, part(0))
    assert backend.chord_parts("c") == []


# connections


class Credentials(redis.CredentialProvider):
    """Stands for a provider that fetches passwords from elsewhere."""

    asked = 0

    def get_credentials(self) -> tuple[str, str]:
        type(self).asked += 1
        return ("default", "any password will do where none is asked for")


@pytest.mark.parametrize(
    "given", [Credentials, Credentials(), f"{__name__}.Credentials"], ids=["class", "object", "path"]
)
def test_a_credential_provider_is_asked(open_backend: Callable[..., Backend], given: Any) -> None:
    before = Credentials.asked
    open_backend(redis_backend_credential_provider=given).connect(5)
    assert Credentials.asked > before


def test_results_are_found_whether_those_before_them_were_there_or_not(open_backend: Callable[..., Backend]) -> None:
    backend = open_backend()
    other = open_backend()
    for number, there_already in enumerate([True, False, False, True, True, False]):
        record = ResultRecord(f"turn-{number}", SUCCESS, number)
        if there_already:
            other.store([record])
            (found,) = backend.watch([record.task_id], timeout=PATIENCE)
        else:
            watch = Thread(lambda: list(backend.watch([record.task_id], timeout=PATIENCE)))  # noqa: B023  # joined here
            other.store([record])
            (found,) = watch.result()
        assert found.result == number
