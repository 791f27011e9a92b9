"""Large work-flows, and how long their messages are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from tests.nodes import PATIENCE
from tests.private_servers import private_redis
from tq_core import Celery, chain, chord, clock, group
from tq_core.errors import ChordError
from tq_core.testing.worker import start_worker


@pytest.fixture(params=["memory", "redis"])
def app(request: pytest.FixtureRequest) -> Iterator[Celery]:
    """An application whose work-flows are stored."""
    with ExitStack() as stack:
        url = f"memory://large-{uuid.uuid4().hex}"
        if request.param == "redis":
            url = stack.enter_context(private_redis()).url
        made = Celery("large", broker=url, backend=url, set_as_current=False, changes={"interop": "none"})
        stack.callback(made.close)
        made.task(lambda x, y: x + y, name="add")
        made.task(sum, name="tsum", typing=False)
        yield made


@pytest.fixture
def lengths(app: Celery, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the bodies of all messages that are encoded."""
    found: list[int] = []
    encode = app.producer.encoder.encode

    def noting(*args: Any, **kwargs: Any) -> Any:
        messages = encode(*args, **kwargs)
        found.extend(len(message.body) for message in messages)
        return messages

    monkeypatch.setattr(app.producer.encoder, "encode", noting)
    return found


def test_no_message_of_a_long_chain_is_longer_than_those_of_a_short_one(app: Celery, lengths: list[int]) -> None:
    add = app.tasks["add"]
    with start_worker(app, concurrency=2):
        chain(add.s(0, 0), *[add.s(1)] * 3).delay().get(timeout=PATIENCE)
        longest = max(lengths)
        assert chain(add.s(0, 0), *[add.s(1)] * 1000).delay().get(timeout=4 * PATIENCE) == 1000
    assert max(lengths) <= longest + len("9999") * 2


@pytest.mark.parametrize("interop", ["celery-5.6", "none"])
def test_a_chord_of_ten_thousand_comes_to_its_body(app: Celery, lengths: list[int], interop: str) -> None:
    app.conf.interop = interop
    add, tsum = app.tasks["add"], app.tasks["tsum"]
    with start_worker(app, concurrency=2):
        header = [add.s(i, 1) for i in range(10_000)]
        result = chord(header, tsum.s() | add.s(1) | add.s(1) | add.s(1)).delay()
        members = sorted(lengths)[:9_000]
        assert result.get(timeout=4 * PATIENCE) == sum(range(10_000)) + 10_003
    if interop == "none":
        assert members[-1] < 400  # only the body's own message holds the values


def test_chords_behind_each_other_nest_deeper_than_messages_may(app: Celery, lengths: list[int]) -> None:
    add, tsum = app.tasks["add"], app.tasks["tsum"]
    step = [group(add.s(1), add.s(1)), tsum.s(), add.s(-2)]
    with start_worker(app, concurrency=2):
        assert chain(add.s(0, 0), *(step * 6)).delay().get(timeout=PATIENCE) == 0
        longest = max(lengths)
        assert chain(add.s(0, 0), *(step * 25)).delay().get(timeout=PATIENCE) == 0
    assert max(lengths) <= longest + 10


@pytest.fixture
def saved(app: Celery, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys under which something is kept."""
    keys: list[str] = []
    save = app.backend.save_group

    def noting(key: str, value: Any) -> None:
        keys.append(key)
        save(key, value)

    monkeypatch.setattr(app.backend, "save_group", noting)
    return keys


def test_a_work_flow_is_stored_under_one_key(app: Celery, saved: list[str]) -> None:
    add, tsum = app.tasks["add"], app.tasks["tsum"]
    inner = chord([chain(add.s(1, 1), add.s(1), add.s(1)) for _ in range(5)], tsum.s() | add.s(1) | add.s(1))
    result = chord([inner, inner.clone(), add.s(1, 1)], tsum.s() | add.s(1) | add.s(1)).delay()
    with start_worker(app, concurrency=2):
        assert result.get(timeout=PATIENCE) == 2 * (5 * 4 + 2) + 2 + 2
    assert len(saved) == 1


def test_a_small_work_flow_is_not_stored_at_all(app: Celery, saved: list[str]) -> None:
    add, tsum = app.tasks["add"], app.tasks["tsum"]
    with start_worker(app, concurrency=2):
        assert chord([add.s(1, 1) | add.s(1), add.s(2, 2)], tsum.s()).delay().get(timeout=PATIENCE) == 7
    assert saved == []


def test_a_work_flow_that_takes_long_is_stored_once_more(
    app: Celery, saved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app.conf.result_expires = timedelta(days=1)
    add = app.tasks["add"]
    result = chain(add.s(1, 1), add.s(1), add.s(1), add.s(1)).delay()
    present = clock.now
    monkeypatch.setattr(clock, "now", lambda: present() + 13 * 3600)
    with start_worker(app, concurrency=2):
        assert result.get(timeout=PATIENCE) == 5
    assert saved == saved[:1] * 2


def test_what_is_not_stored_any_more_fails_and_says_so(app: Celery, saved: list[str]) -> None:
    add, tsum = app.tasks["add"], app.tasks["tsum"]
    flow = chord([chain(add.s(1, 1), add.s(1), add.s(1)), add.s(1, 1)], tsum.s() | add.s(1) | add.s(1))
    result = flow.delay()
    (graph_id,) = saved
    app.backend.delete_group(graph_id)
    with start_worker(app, concurrency=2), pytest.raises(ChordError, match=f"WorkflowLost.*{graph_id}"):
        result.get(timeout=PATIENCE)
