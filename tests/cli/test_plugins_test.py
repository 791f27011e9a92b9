"""``tq plugins test``, as somebody who wrote a plugin meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tq_core.cli.exit_codes import ExitCode

#: A module with a serializer that forgets what a number was.
BLUNT = """
from tq_core.serializers.json import JSONSerializer


class Blunt(JSONSerializer):
    name = "blunt"
    content_type = "application/x-blunt"

    def loads(self, data):
        value = super().loads(data)
        return float(value) if isinstance(value, int) else value
"""


def test_every_promise_is_a_row_and_every_plugin_a_column(tq):
    done = tq("plugins", "test", "json", "yaml", "--contract", "serializer", "--only", "names")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    head, first, second, _, *counts = done.stdout.splitlines()
    assert head.split()[:4] == ["CONTRACT", "PROMISE", "JSON", "YAML"]
    assert first.split()[:4] == ["serializer", "names.complete", "kept", "kept"]
    assert second.split()[:4] == ["serializer", "names.encoding", "kept", "kept"]
    assert counts == ["json, serializer: 2 kept", "yaml, serializer: 2 kept"]


def test_all_contracts_of_a_plugin_are_tried(tq):
    reports = tq.json("plugins", "test", "memory", "--only", "connection", "--only", "locks", "--only", "description")
    assert [report["contract"] for report in reports] == ["broker", "backend", "coordination", "plugin"]
    assert {report["plugin"] for report in reports} == {"memory"}
    assert {row["verdict"] for report in reports for row in report["rows"]} == {"kept"}


def test_a_broken_promise_is_told_with_its_reason_and_exits_one(tq):
    tq.write("blunt.py", BLUNT)
    done = tq("plugins", "test", "blunt:Blunt", "--contract", "serializer", "--only", "values.plain", "--details")
    assert done.returncode == ExitCode.FAILURE, done.stdout + done.stderr
    assert "broken: values.plain (blunt:Blunt): plain values come back equal and of their type" in done.stdout
    assert "test_plain_values_come_back[3]" in done.stdout
    assert "assert same(" in done.stdout
    assert done.stdout.endswith("blunt:Blunt, serializer: 1 broken\n")


def test_what_is_not_declared_is_counted_with_the_capability(tq):
    url = f"file://{tq.directory}"
    done = tq("plugins", "test", "file", "--url", url, "--contract", "backend", "--only", "chords")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "not declared" in done.stdout
    assert done.stdout.endswith(" not declared (chords)\n")


def test_settings_reach_the_plugin(tq):
    url = f"file://{tq.directory}"
    settings = ["--setting", "result_serializer=raw", "--only", "records.values"]
    done = tq("plugins", "test", "file", "--url", url, "--contract", "backend", *settings)
    assert done.returncode == ExitCode.FAILURE
    assert "raw" in done.stdout


def test_junit_has_a_suite_for_each_contract(tq):
    tq("plugins", "test", "json", "--only", "names", "--only", "description", "--junit", "kit.xml")
    suites = ElementTree.parse(tq.directory / "kit.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["serializer contract: json", "plugin contract: json"]
    assert suites[0].get("tests") == "2"
    assert suites[0][0].get("name", "").startswith("names.complete: ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["jsn"], ExitCode.USAGE, "did you mean 'json'?"),
        (["solo", "threads", "--url", "x://"], ExitCode.USAGE, "write URLs instead of names"),
        (["tq_core.pools.solo:SoloPool"], ExitCode.USAGE, "--contract"),
        (["json", "--only", "nonsense"], ExitCode.USAGE, "'nonsense'"),
        (["json", "--contract", "nonsense"], ExitCode.CONFIGURATION, "broker, backend, coordination"),
        (["memory", "--setting", "lease_duratoin=1"], ExitCode.CONFIGURATION, "lease_duration"),
        (["memory", "--setting", "lease_duration=soon"], ExitCode.CONFIGURATION, "lease_duration"),
        (["memory", "--setting", "lease_duration"], ExitCode.USAGE, "name=value"),
        (["memory", "--contract", "pool"], ExitCode.PLUGIN, "the pool 'memory'"),
        (["file:///no/such/place", "--contract", "backend"], ExitCode.UNAVAILABLE, "/no/such/place"),
    ],
)
def test_what_cannot_be_tried_says_why(tq, arguments, code, said):
    done = tq("plugins", "test", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_told_to_nobody(tq):
    done = tq("plugins", "test", "sqlite://me:geheim@host/x", "file://you:geheim@host/y", "--contract", "backend")
    assert done.returncode != ExitCode.OK
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_the_kits_own_needs_the_extra_is_named(tmp_path: Path, missing: str):
    """A directory with all that is installed here, but for one package, is the environment of somebody else."""
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.stem.partition("-")[0] not in (missing, "__pycache__") and entry.suffix != ".pth":
            (tmp_path / entry.name).symlink_to(entry)
    paths = [str(Path(__file__).parents[2]), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tq_core.cli.main", "plugins", "test", "json", "--contract", "serializer"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.CONFIGURATION, done.stdout + done.stderr
    assert f"needs {missing}, which is not installed: pip install 'tq-core[testing]'" in done.stderr


def test_json_says_all_there_is(tq):
    done = tq("plugins", "test", "json", "--only", "names", "--contract", "serializer", "--json")
    (report,) = json.loads(done.stdout)
    assert report["counts"]["kept"] == 2
    assert report["rows"][0]["promise"] == "names.complete"
