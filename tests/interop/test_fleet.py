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

pytestmark = pytest.mark.timeout(600)

QUEUES = [f"q-{side}" for side in SIDES]
NODES = [f"{side}@interop" for side in SIDES]


@pytest.fixture
def fleet(stage: Stage) -> Stage:
    """The stage with all its workers running."""
    for side in SIDES:
        stage.worker(side)
    return stage


@pytest.mark.parametrize("sender", SIDES)
def test_a_chain_goes_through_workers_of_every_side(fleet: Stage, sender: str) -> None:
    there_and_back = [*QUEUES, *reversed(QUEUES)]
    expected = [*NODES, *reversed(NODES)]
    assert fleet.driver(sender)("journey", there_and_back) == expected


def needs(stage: Stage, feature: str) -> None:
    """Skip the test at a place where neither side has a feature."""
    if feature in stage.site.without:
        pytest.skip(f"there is no {feature} at {stage.word}")


@pytest.mark.parametrize("end", SIDES)
@pytest.mark.parametrize("sender", SIDES)
def test_a_chord_has_parts_on_every_side_and_its_body_on_any(fleet: Stage, sender: str, end: str) -> None:
    needs(fleet, "chord")
    queues = QUEUES * 2
    assert fleet.driver(sender)("meeting", queues, f"q-{end}") == sum(n + 1 for n in range(len(queues)))


@pytest.mark.parametrize("sender", SIDES)
def test_a_chord_with_a_failed_part_fails_for_every_side(fleet: Stage, sender: str) -> None:
    needs(fleet, "chord")
    assert fleet.driver(sender)("broken_meeting", QUEUES, "q-tq") == ["FAILURE", "ChordError", True]
    assert fleet.driver(sender)("broken_meeting", list(reversed(QUEUES)), "q-celery-5.7") == [
        "FAILURE",
        "ChordError",
        True,
    ]


@pytest.mark.parametrize("sender", SIDES)
def test_nodes_of_every_side_answer_every_client(fleet: Stage, sender: str) -> None:
    ask = fleet.driver(sender)
    assert ask("ping", NODES) == sorted(({node: {"ok": "pong"}} for node in NODES), key=str)
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
