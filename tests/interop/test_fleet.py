"""One fleet of workers of all sides on the same broker: work that passes through all of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.interop.conftest import Stage
from tests.interop.hands import Letter, put, take
from tests.interop.places import SIDES
from tests.interop.sides import WorkerNode
from tq_core.testing.conformance.patience import until

pytestmark = [pytest.mark.real_celery, pytest.mark.timeout(600)]


@pytest.fixture
def fleet(request: pytest.FixtureRequest, stage: Stage) -> Stage:
    """The stage with all its workers running; sides that cannot work together there are no part of it."""
    for name in ("sender", "end"):
        side = request.node.callspec.params.get(name, "tq")
        if side not in stage.site.fleet:
            pytest.skip(f"{side} cannot read what others write at {stage.word}")
    for side in SIDES:
        stage.worker(side)
    return stage


def queues(fleet: Stage) -> list[str]:
    """The queues of all its workers."""
    return [f"q-{side}" for side in fleet.site.fleet]


def nodes(fleet: Stage) -> list[str]:
    """The names of all its workers."""
    return [f"{side}@interop" for side in fleet.site.fleet]


@pytest.mark.parametrize("sender", SIDES)
def test_a_chain_goes_through_workers_of_every_side(fleet: Stage, sender: str) -> None:
    there_and_back = [*queues(fleet), *reversed(queues(fleet))]
    expected = [*nodes(fleet), *reversed(nodes(fleet))]
    assert fleet.driver(sender)("journey", there_and_back) == expected


def needs(stage: Stage, feature: str) -> None:
    """Skip the test at a place where neither side has a feature."""
    if feature in stage.site.without:
        pytest.skip(f"there is no {feature} at {stage.word}")


@pytest.mark.parametrize("end", SIDES)
@pytest.mark.parametrize("sender", SIDES)
def test_a_chord_has_parts_on_every_side_and_its_body_on_any(fleet: Stage, sender: str, end: str) -> None:
    needs(fleet, "chord")
    parts = queues(fleet) * 2
    assert fleet.driver(sender)("meeting", parts, f"q-{end}") == sum(n + 1 for n in range(len(parts)))


@pytest.mark.parametrize("sender", SIDES)
def test_a_chord_with_a_failed_part_fails_for_every_side(fleet: Stage, sender: str) -> None:
    needs(fleet, "chord")
    parts = queues(fleet)
    for order, end in ((parts, parts[0]), (list(reversed(parts)), parts[-1])):
        assert fleet.driver(sender)("broken_meeting", order, end) == ["FAILURE", "ChordError", True]


@pytest.mark.parametrize("sender", SIDES)
def test_nodes_of_every_side_answer_every_client(fleet: Stage, sender: str) -> None:
    ask = fleet.driver(sender)
    assert ask("ping", nodes(fleet)) == sorted(({node: {"ok": "pong"}} for node in nodes(fleet)), key=str)
    assert ask("ping_matching", "tq@*", "glob", 1) == [{"tq@interop": {"ok": "pong"}}]
    assert ask("ping_matching", "tq@.*", "pcre", 1) == [{"tq@interop": {"ok": "pong"}}]


@pytest.mark.parametrize("side", [side for side in SIDES if side != "tq"])
def test_a_starting_celery_worker_learns_from_ours_what_is_revoked(
    fleet: Stage, start: Callable[..., WorkerNode], side: str
) -> None:
    revoked, queue = str(uuid.uuid4()), f"late-{side}"
    (answer,) = fleet.driver(side)("revoke_at", [revoked], "tq@interop")
    assert answer == {"tq@interop": {"ok": f"tasks { ({revoked}) } flagged as revoked"}}
    start(side, queue, f"late-{side}@interop")
    sent = fleet.driver(side)("send", "add", [1, 2], {"queue": queue, "task_id": revoked})
    assert fleet.driver(side)("get", sent) == ["TaskRevokedError", "revoked"]


@pytest.mark.parametrize("side", SIDES)
def test_the_least_that_celery_accepts_is_enough_for_every_side(fleet: Stage, side: str) -> None:
    if fleet.place.backend == "rpc://":
        pytest.skip("it says not where its result is to be sent")
    task_id = str(uuid.uuid4())
    put(fleet.place, f"q-{side}", Letter(b"[[1, 2], {}, {}]", {"task": "project.add", "id": task_id}))
    assert fleet.driver(side)("get", task_id) == 3


@pytest.mark.parametrize("encoding", ["json", "pickle", "msgpack", "zstd"])
@pytest.mark.parametrize("side", SIDES)
def test_every_encoding_is_named_alike(fleet: Stage, side: str, encoding: str) -> None:
    """The matrix would not notice a client that took no heed of the encoding it was told to use."""
    options = {"serializer": "json", "compression": "zstd"} if encoding == "zstd" else {"serializer": encoding}
    queue = f"nobody-{side}-{encoding}"
    fleet.driver(side)("send", "add", [1, 2], {"queue": queue, **options})
    letter = until(lambda: take(fleet.place, queue), "nothing was sent")
    named = (letter.content_type, letter.content_encoding, letter.headers.get("compression"))
    assert (
        named
        == {
            "json": ("application/json", "utf-8", None),
            "pickle": ("application/x-python-serialize", "binary", None),
            "msgpack": ("application/x-msgpack", "binary", None),
            "zstd": ("application/json", "utf-8", "application/zstd"),
        }[encoding]
    )
