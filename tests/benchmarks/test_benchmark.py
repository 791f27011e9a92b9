"""The benchmark itself: it measures, judges and reports; it never asserts on time."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.benchmarks import environments, report
from tests.benchmarks.__main__ import main
from tests.benchmarks.campaign import Campaign, Plan
from tests.benchmarks.environments import Peer, Unavailable
from tests.benchmarks.measures.catalogue import MEASURES
from tests.benchmarks.measures.measure import Reading
from tests.benchmarks.measures.sizes import QUICK, Sizes
from tests.benchmarks.places import BROKERS
from tests.benchmarks.session import Failed, Session
from tests.benchmarks.systems.contract import System, Unsupported

#: On a busy machine a quick run of everything takes some minutes.
pytestmark = pytest.mark.timeout(330)

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def measured(directory: Path, *words: str) -> dict[str, Any]:
    """Return what a quick run writes as JSON, with its table under ``table`` and what it said under ``said``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", "found.json", "--output", "found.md", *words],
        cwd=directory,
        env=environments.variables(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads((directory / "found.json").read_text("utf-8"))
    table = (directory / "found.md").read_text("utf-8")
    assert done.stdout.strip() == table.strip()
    return {**data, "table": table, "said": done.stderr}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run of everything on SQLite finds."""
    return measured(tmp_path_factory.mktemp("bench"))


def figures(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return everything that was measured, by its name."""
    return {entry["figure"]: entry for scene in found["scenes"] for entry in scene["figures"]}


def test_a_run_measures_tq_and_the_ceiling(found):
    by_name = figures(found)
    assert all(len(entry["runs"]["tq"]) == 1 for entry in by_name.values())
    for name in ("delay() loop", "bulk", "drain, 1 slot", "drain, 2 slots", "round trip p50, 1 slot"):
        assert by_name[name]["medians"]["tq"] > 0
        assert by_name[name]["medians"]["ceiling"] > 0


def test_what_was_measured_stands_in_the_table(found):
    for name, entry in figures(found).items():
        assert f"| {name} | {report._shown(entry['medians']['tq'], entry['unit'])} |" in found["table"]


def test_only_what_tq_lacks_is_not_measured(found):
    notes = [note for scene in found["scenes"] for note in scene["notes"]]
    assert {note.partition(":")[0] for note in notes} <= {"coroutines", "events"}


def test_coroutines_sleep_side_by_side(tmp_path):
    found = measured(tmp_path, "--pool", "aio", "--measure", "coroutines")
    count = QUICK.naps
    assert 1 < figures(found)[f"{count} tasks of asyncio.sleep(1)"]["medians"]["tq"] < count


def test_the_run_says_what_it_was_asked_for(found):
    assert found["options"]["brokers"] == ["sqlite"]
    assert found["options"]["measures"] == list(MEASURES)


def test_every_target_is_of_a_figure_that_is_measured(found):
    def shape(figure: str) -> str:
        # Quick runs ask for less, which stands in some names.
        return re.sub(r"\b(of|from|to) [\d,]+|[\d,]+ (waiting|pending|tasks)", r"\1 N \2", figure)

    # Measured with another pool, and waiting for what tq does not have yet.
    others = {"500 tasks of asyncio.sleep(1)", "drain with task events, 2 slots: loss"}
    known = {shape(name) for name in (*figures(found), *others)}
    wanted = yaml.safe_load((FOLDER / "targets.yaml").read_text("utf-8"))
    for section, targets in wanted.items():
        assert section in {*BROKERS, "every broker"}
        times = targets.pop("times", {})
        assert set(times) <= set(environments.peers())
        for figure in [*targets, *(name for aims in times.values() for name in aims)]:
            assert shape(figure) in known, f"{section}: nothing measures {figure!r}"


def test_the_list_names_every_word_of_the_command_line(capsys):
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    for name in (*MEASURES, *BROKERS, *environments.peers(), "prefork", "aio"):
        assert re.search(rf"^  {name}\b", said, re.MULTILINE), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--measure", "drian"], "unknown measure 'drian', did you mean 'drain'?"),
        (["--broker", "kafka"], "unknown broker 'kafka' Known: sqlite, postgresql"),
        (["--against", "celery,hueyy"], "unknown peer 'hueyy', did you mean 'huey'?"),
        (["--pool", ","], "no pool was named. Known: prefork"),
        (["--runs", "0"], "must be 1 or more"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_make_hands_its_words_on():
    done = subprocess.run(
        ["make", "-n", f"VENV={sys.prefix}", "bench", "--", "--quick", "--measure", "chain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-m tests.benchmarks --quick --measure chain" in done.stdout


# --- what goes wrong -------------------------------------------------------------------------------------


def test_a_worker_that_dies_is_reported_with_its_last_words(tmp_path):
    with (
        Session("doubles.dying", "none://", pool="prefork", late=False, directory=tmp_path) as session,
        session.worker(1),
        pytest.raises(Failed, match="there is no licence"),
    ):
        session.ask("round_trips", 1)


def test_a_worker_that_is_never_ready_is_reported(tmp_path):
    with (
        Session("doubles.dying", "none://", pool="prefork", late=False, directory=tmp_path) as session,
        session.worker(1) as node,
        pytest.raises(Failed, match="was not ready"),
    ):
        node.wait_ready()


def test_what_a_system_lacks_is_told_apart_from_failure(tmp_path):
    with Session("doubles.dying", "none://", pool="prefork", late=False, directory=tmp_path) as session:
        with pytest.raises(Unsupported, match="has no chords"):
            session.ask("take", "chord", 3)
        with pytest.raises(Failed, match="AttributeError"):
            session.ask("take", "juggle", 3)
        assert session.ask("send", "calls", 2) > 0


def test_a_driver_that_cannot_load_its_system_says_so(tmp_path):
    with (
        pytest.raises(Failed, match="No module named"),
        Session("doubles.missing", "none://", pool="prefork", late=False, directory=tmp_path),
    ):
        pass


def test_peers_that_fail_are_noted_and_the_others_are_measured(monkeypatch):
    broken = Peer("broken", requires=["x==1"], brokers={"sqlite": 1}, python=["3.99"])
    monkeypatch.setattr(environments, "known", lambda: {"broken": broken, "elsewhere": replace(broken, brokers={})})
    plan = Plan(["sqlite"], ["prefork"], ["enqueue"], ["broken", "elsewhere"], runs=2, late=False, sizes=QUICK)
    campaign = Campaign(plan, say=lambda text: None)
    campaign.run()
    scene = campaign.scenes[0]
    assert len(scene.values["bulk"]["tq"]) == 2
    told = "\n".join(scene.remarks())
    assert "enqueue: broken was not measured: broken needs Python 3.99" in told
    assert "enqueue: elsewhere does not run on sqlite." in told


def test_a_peer_that_cannot_be_imported_is_noted(monkeypatch):
    odd = Peer("odd", requires=[], brokers={"sqlite": 1}, imports="import nonsense")
    monkeypatch.setattr(environments, "known", lambda: {"odd": odd})
    monkeypatch.setattr(environments, "python", lambda system: Path(sys.executable))
    plan = Plan(["sqlite"], ["prefork"], ["imports"], ["odd"], runs=1, late=False, sizes=QUICK)
    campaign = Campaign(plan, say=lambda text: None)
    campaign.run()
    (remark,) = campaign.scenes[0].remarks()
    assert remark.startswith("imports: odd failed")
    assert "No module named 'nonsense'" in remark


def test_a_python_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(Unavailable, match=r"needs Python 3\.98 or 3\.99, .*install it"):
        environments.base_of(Peer("new", requires=[], brokers={}, python=["3.98", "3.99"]))


# --- how it is reckoned ----------------------------------------------------------------------------------


def scene(**runs: list[float]) -> report.Scene:
    """Return three runs of a rate and of a time on Redis."""
    found = report.Scene("redis", "prefork")
    for system, values in runs.items():
        for run, value in enumerate(values):
            found.add(run, system, Reading("drain, 1 slot", "/s", value))
            found.add(run, system, Reading("round trip p50, 1 slot", "ms", 1000 / value))
    return found


def test_ratios_are_of_the_same_run():
    # The machine was twice as fast in the second run; in the third it was slow for one of them.
    found = scene(tq=[10_000, 20_000, 9_000], celery=[500, 1_000, 900])
    assert found.median("drain, 1 slot", "tq") == 10_000
    assert found.spread("drain, 1 slot", "tq") == (9_000, 20_000)
    assert found.ratio("drain, 1 slot", "celery") == pytest.approx(20)


def test_a_ratio_says_how_many_times_better_also_where_less_is_better():
    assert scene(tq=[10_000], celery=[500]).ratio("round trip p50, 1 slot", "celery") == pytest.approx(20)


def test_a_run_without_a_figure_is_left_out():
    found = report.Scene("redis", "prefork")
    for run, system, value in ((0, "tq", 10.0), (1, "tq", 30.0), (1, "huey", 10.0), (2, "huey", 20.0)):
        found.add(run, system, Reading("bulk", "/s", value))
    assert found.ratio("bulk", "huey") == pytest.approx(3)


@pytest.mark.parametrize(("rate", "verdict"), [(15_000, "reached"), (14_999, "**missed**")])
def test_a_rate_is_held_against_its_aim(rate, verdict):
    assert f"| ≥ 15,000 | {verdict} |" in report.markdown([scene(tq=[rate])], 1)


@pytest.mark.parametrize(("rate", "verdict"), [(1_250, "reached"), (1_000, "**missed**")])
def test_a_time_is_held_against_its_aim(rate, verdict):
    assert f"| ≤ 0.80 | {verdict} |" in report.markdown([scene(tq=[rate])], 1)


@pytest.mark.parametrize(("rate", "verdict"), [(500, "reached"), (501, "**missed**")])
def test_a_ratio_is_held_against_its_aim(rate, verdict):
    table = report.markdown([scene(tq=[10_000], celery=[rate])], 1)
    assert re.search(
        rf"^\| celery \| drain, 1 slot \| [\d.,]+ \| ≥ 20 \| {re.escape(verdict)} \|$", table, re.MULTILINE
    )


def test_other_pools_are_not_held_against_the_aims_of_prefork():
    found = scene(tq=[1])
    found.pool = "threads"
    assert "missed" not in report.markdown([found], 1)


def test_a_slower_peer_is_asked_for_less_of_the_same():
    less = Sizes().divided(20)
    assert less.drain == Sizes().drain // 20
    assert less.chain == Sizes().chain
    assert less.chords == Sizes().chords[:1]


# --- peers, which tests do not install -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tq", *environments.peers()])
def test_every_system_has_all_that_must_be_measured(name):
    tree = ast.parse((FOLDER / "systems" / f"{name}.py").read_text("utf-8"))
    (driven,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Driven")
    assert {node.name for node in driven.body if isinstance(node, ast.FunctionDef)} >= System.__abstractmethods__


@pytest.mark.parametrize("name", list(environments.known()))
def test_every_peer_is_pinned_and_runs_somewhere(name):
    peer = environments.known()[name]
    assert all("==" in requirement for requirement in peer.requires)
    assert set(peer.brokers) <= set(BROKERS)
    for broker, measures in peer.skips.items():
        assert broker in peer.brokers
        assert set(measures) <= set(MEASURES)


@pytest.mark.parametrize("broker", BROKERS.values(), ids=lambda broker: broker.name)
def test_every_ceiling_exists(broker):
    for name in (broker.ceiling, *broker.clients.values()):
        if name is not None:
            assert "class Driven(" in (FOLDER / "ceilings" / f"{name}.py").read_text("utf-8")
