"""Trying a plugin from outside, and what the report says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conformance.doubles import serializers
from tq_core.errors import ImproperlyConfigured
from tq_core.testing.conformance.report import Check, Report, Verdict, rows_of
from tq_core.testing.conformance.run import run

BROKEN = f"{serializers.__name__}:WritesAnything"


@pytest.fixture(scope="module")
def report() -> Report:
    """A serializer with two faults."""
    return run("serializer", BROKEN)


def test_a_report_has_a_row_for_each_promise_with_its_reason(report: Report) -> None:
    rows = {row.promise: row for row in report.rows}
    assert rows["values.plain"].verdict is Verdict.KEPT
    assert len(rows["values.plain"].checks) > 10
    assert rows["refusal.foreign"].verdict is Verdict.BROKEN
    assert rows["refusal.foreign"].area == "refusal"
    assert "DID NOT RAISE" in rows["refusal.foreign"].reason
    assert "serializer.py" in rows["refusal.foreign"].details
    assert (report.contract, report.plugin, report.exit_code) == ("serializer", BROKEN, 1)


def test_a_report_is_written_as_json(report: Report) -> None:
    document = json.loads(report.to_json())
    assert document["exit_code"] == 1
    assert document["counts"]["broken"] == 2
    assert {row["promise"] for row in document["rows"] if row["verdict"] == "broken"} == {
        "refusal.foreign",
        "values.bytes",
    }


def test_a_report_is_written_as_junit_xml(report: Report, tmp_path: Path) -> None:
    report.to_junit(tmp_path / "report.xml")
    (suite,) = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suite.get("tests") == str(len(report.rows))
    assert suite.get("failures") == "2"
    failed = [case.get("name", "") for case in suite if case.find("failure") is not None]
    assert sorted(name.partition(":")[0] for name in failed) == ["refusal.foreign", "values.bytes"]


def test_only_some_promises_or_areas_are_tried() -> None:
    rows = run("serializer", "json", only=["refusal", "values.any"]).rows
    assert [row.promise for row in rows] == ["values.any", "refusal.foreign", "refusal.endless"]
    assert {row.verdict for row in rows} == {Verdict.KEPT}


@pytest.mark.parametrize(
    ("contract", "plugin", "url", "text"),
    [
        ("broker", "nosuch", None, "PluginNotFound"),
        ("broker", "sqlite", "sqlite:////no/such/directory/tq.db", "BrokerUnavailable"),
        ("backend", "file", "file:///no/such/directory", "BackendUnavailable"),
        ("plugin", "no-such-distribution", None, "pip install no-such-distribution"),
        ("pool", "nosuch", None, "PluginNotFound"),
    ],
)
def test_what_cannot_be_tried_is_a_problem_and_no_failure(
    contract: str, plugin: str, url: str | None, text: str
) -> None:
    report = run(contract, plugin, url)
    assert text in report.problem
    assert (report.rows, report.exit_code) == ((), 2)


def test_an_unknown_contract_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="no contract 'brokers'; the kit knows broker, backend"):
        run("brokers", "memory")


def test_settings_reach_the_plugin(tmp_path: Path) -> None:
    report = run("backend", "file", tmp_path.as_uri(), {"result_serializer": "nosuch"})
    assert "'nosuch'" in report.problem


def test_a_password_in_the_url_is_not_shown() -> None:
    path = f"{__name__}:RepeatsItsUrl"
    report = run("broker", path, f"{path}://user:s3cr3t%20w0rd@host", only=["connection.connects"])
    assert "********" in report.problem
    assert "s3cr3t" not in report.to_json()


class RepeatsItsUrl:
    """A broker whose error shows what must not be seen."""

    def __init__(self, request: object) -> None:
        from urllib.parse import unquote

        raise ImproperlyConfigured(f"cannot use {request.url} nor {unquote(request.url)}")  # type: ignore[attr-defined]


def test_a_promise_is_broken_by_one_check_and_kept_by_one() -> None:
    def check(promise: str, verdict: Verdict) -> Check:
        return Check("test", promise, "sentence", verdict)

    rows = rows_of(
        [
            check("a.x", Verdict.KEPT),
            check("b.x", Verdict.NOT_RUN),
            check("a.x", Verdict.BROKEN),
            check("b.x", Verdict.KEPT),
            check("c.x", Verdict.UNDECLARED),
        ]
    )
    assert [(row.promise, row.verdict.value) for row in rows] == [
        ("a.x", "broken"),
        ("b.x", "kept"),
        ("c.x", "not declared"),
    ]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution ``careless`` on the path, with a description in which everything is wrong that can be."""
    metadata = tmp_path / "careless-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: careless\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tq.brokers]\ncareless = careless\n")
    (tmp_path / "client_library.py").write_text("")
    (tmp_path / "careless.py").write_text(
        "import client_library\n"
        "from tq_core.contracts.backend import BackendCapabilities\n"
        "from tq_core.contracts.broker import BrokerCapabilities\n"
        "from tq_core.plugin import PluginInfo, hookimpl\n"
        "info = PluginInfo(\n"
        "    name='a careless plugin', summary='stores things',\n"
        "    capabilities={'brokers': 1, 'broker:careles': BackendCapabilities(), 'backend': None},\n"
        ")\n"
        "@hookimpl\n"
        "def tq_broker(request): ...\n"
        "@hookimpl\n"
        "def tq_backend(request): ...\n"
        "@hookimpl\n"
        "def tq_settings_schema():\n"
        "    return {'Careless-Height': {'type': 'number of floors'}, 'broker_url': {'description': 'x'},\n"
        "            'careless_depth': {'type': 'integer', 'description': 'How deep.', 'default': 'very'}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert str(tmp_path) in sys.path


@pytest.mark.usefixtures("installed")
def test_a_careless_description_fails_every_check_of_it() -> None:
    report = run("plugin", "careless")
    assert report.problem == ""
    broken = {row.promise: row.reason for row in report.rows if row.verdict is Verdict.BROKEN}
    kept = {row.promise for row in report.rows if row.verdict is Verdict.KEPT}
    assert kept == {"loading.hooks", "description.version"}, broken
    assert "client_library" in broken["loading.light"]
    assert "tq_backend" in broken["loading.registered"]
    assert "careless_depth" in broken["settings.defaults"]
