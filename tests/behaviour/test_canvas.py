"""Work-flows at every place, in Celery's form and stored."""

from __future__ import annotations

import pytest

from tests.nodes import PATIENCE
from tq_core import chain, chord, group
from tq_core.errors import ChordError


@pytest.fixture(params=["celery-5.6", "none"])
def flows(request, project, site):
    """The tasks of work-flows; they travel in the form of this ``interop``."""
    before = site.app.conf.interop
    site.app.conf.interop = request.param
    yield project.flows
    site.app.conf.interop = before


def heard_once(project, bell, word):
    """Tell what was said with this word, once a task that was sent afterwards has been run."""
    heard = bell.wait(word)
    assert project.basics.add.delay(1, 1).get(timeout=PATIENCE) == 2
    assert bell.said(word) == heard
    return [what for (what,) in heard]


@pytest.mark.needs("chords")
@pytest.mark.row("S177", "B05")
def test_chains_groups_and_chords_nest(flows):
    inner = chord([flows.add.s(1, 1) | flows.add.s(1) | flows.add.s(1), flows.add.s(2, 2)], flows.tsum.s())
    flow = chord(
        [inner | flows.add.s(1), group(flows.add.s(1, 0), flows.add.s(2, 0)), flows.add.s(5, 5)],
        flows.collect.s() | group(flows.tsum.s(), flows.tsum.s()) | flows.tsum.s() | flows.add.s(0.5),
    )
    assert flow.apply_async().get(timeout=PATIENCE) == 2 * (9 + 1 + 2 + 10) + 0.5


def test_a_chain_of_a_hundred_steps_arrives(flows):
    assert chain(flows.add.s(0, 0), *[flows.add.s(1)] * 100).delay().get(timeout=PATIENCE) == 100


@pytest.mark.needs("chords")
def test_a_body_runs_once_behind_a_whole_header(flows, project, bell, word):
    result = chord([flows.add.s(i, i) for i in range(30)], flows.collect.s(word=word)).delay()
    assert result.get(timeout=PATIENCE) == [2 * i for i in range(30)]
    assert heard_once(project, bell, word) == ["body"]


@pytest.mark.needs("chords")
def test_a_body_runs_once_behind_an_empty_header(flows, project, bell, word):
    assert chord([], flows.collect.s(word=word)).delay().get(timeout=PATIENCE) == []
    assert heard_once(project, bell, word) == ["body"]


FAILURES = {
    "fails": lambda f: [f.broken.s(), f.add.s(1, 1)],
    "several-fail": lambda f: [f.broken.s(), f.broken.s(), f.broken.s()],
    "fails-in-a-chain": lambda f: [f.broken.s() | f.add.s(1) | f.add.s(2), f.add.s(1, 1)],
    "fails-in-a-chord": lambda f: [chord([f.broken.s(), f.add.s(1, 1)], f.tsum.s()), f.add.s(1, 1)],
    "rejects": lambda f: [f.rejects.s(), f.add.s(1, 1)],
    "rejects-in-a-chain": lambda f: [f.rejects.s() | f.add.s(1) | f.add.s(2), f.add.s(1, 1)],
    "expired": lambda f: [f.add.s(1, 1).set(expires=-1), f.add.s(1, 1)],
    "unwritable-in-a-chain": lambda f: [f.unwritable.s() | f.add.s(1) | f.add.s(2), f.add.s(1, 1)],
}


@pytest.mark.needs("chords")
@pytest.mark.parametrize("how", FAILURES)
def test_an_errback_runs_once_where_a_member(how, flows, project, site, bell, word):
    header = FAILURES[how](flows)
    body = flows.collect.s(word=word).on_error(flows.told.s(word=word)) | flows.add.s(1)
    result = chord(header, body).delay()
    with pytest.raises(ChordError):
        result.get(timeout=PATIENCE)
    assert heard_once(project, bell, word) == ["errback"]


@pytest.mark.needs("chords")
def test_an_errback_runs_once_where_the_worker_of_a_member_dies(flows, project, site, bell, word):
    if site.pool != "prefork":
        pytest.skip("the worker itself would die")
    body = flows.collect.s(word=word).on_error(flows.told.s(word=word))
    with pytest.raises(ChordError, match="WorkerLostError"):
        chord([flows.dies.s(), flows.add.s(1, 1)], body).delay().get(timeout=PATIENCE)
    assert heard_once(project, bell, word) == ["errback"]


@pytest.mark.needs("chords")
def test_an_errback_runs_once_where_a_member_is_revoked(flows, project, site, bell, word, gate):
    if not site.app.broker.capabilities.control:
        pytest.skip("the broker carries no remote control")
    blockers = [flows.blocks.delay(str(gate.path), f"{word}-blocks") for _ in range(3)]
    bell.wait(f"{word}-blocks", 3)
    body = flows.collect.s(word=word).on_error(flows.told.s(word=word))
    result = chord([flows.add.s(1, 1), flows.add.s(2, 2)], body).delay()
    assert result.parent[0].revoke(wait=True, timeout=PATIENCE) is None
    for _ in blockers:
        gate.open()
    with pytest.raises(ChordError):
        result.get(timeout=PATIENCE)
    assert heard_once(project, bell, word) == ["errback"]


@pytest.mark.needs("chords")
def test_an_errback_runs_once_where_a_body_cannot_be_sent(flows, project, bell, word):
    body = flows.takes_nothing.s().on_error(flows.told.s(word=word))
    with pytest.raises(TypeError):
        chord([flows.add.s(1, 1), flows.add.s(2, 2)], body).delay().get(timeout=PATIENCE)
    assert heard_once(project, bell, word) == ["errback"]


@pytest.mark.needs("chords")
@pytest.mark.parametrize(("kind", "value"), [("task", 101), ("chain", 12), ("group", [2, 3]), ("chord", 5)])
def test_a_replaced_member_counts_by_what_took_its_place(kind, value, flows):
    result = chord([flows.replaced.s(1, kind), flows.add.s(1, 1)], flows.collect.s() | flows.collect.s()).delay()
    assert result.get(timeout=PATIENCE) == [value, 2]


@pytest.mark.needs("chords")
def test_a_step_is_replaced_within_a_chain(flows):
    flow = chain(flows.add.s(0, 1), flows.replaced.s("chord"), flows.add.s(1000), flows.add.s(1))
    assert flow.delay().get(timeout=PATIENCE) == 1006


@pytest.mark.needs("chords")
def test_a_member_adds_another_to_its_chord(flows):
    result = chord([flows.adds_to_chord.s(1), flows.add.s(1, 1)], flows.collect.s() | flows.tsum.s()).delay()
    assert result.get(timeout=PATIENCE) == 1 + 2 + 1001


def test_callbacks_of_results_are_called_when_they_are_there(flows, gate, word, bell, site):
    import threading

    called = threading.Event()
    seen = []
    result = flows.blocks.delay(str(gate.path), word)

    def note(ready):
        seen.append((ready.id, ready.successful()))
        called.set()

    assert result.then(note) is result
    assert seen == []
    bell.wait(word)
    gate.open()
    assert called.wait(PATIENCE)
    assert seen == [(result.id, True)]
