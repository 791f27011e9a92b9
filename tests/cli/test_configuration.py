"""Configurations as the commands meet them: broken ones, named ones, and ``--json``."""

from __future__ import annotations

import json

import pytest

from tq_core.cli.exit_codes import ExitCode

ALL_READERS = (["worker"], ["queue", "list"], ["config", "show"], ["config", "check"])


@pytest.mark.parametrize("command", ALL_READERS, ids=" ".join)
def test_a_python_configuration_that_raises_is_one_line_with_its_place(tq, command):
    (tq.directory / "celeryconfig.yaml").unlink()
    tq.write("celeryconfig.py", "timezone = 'UTC'\n1 / 0\n")
    done = tq(*command)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "celeryconfig.py:2:1: ZeroDivisionError: division by zero" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ALL_READERS, ids=" ".join)
def test_a_configuration_that_is_not_there_is_named(tq, command):
    done = tq("--config", "nosuchmodule", *command)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "'nosuchmodule': there is no such file or module" in done.stdout + done.stderr


def test_the_doctor_survives_a_configuration_that_raises(tq):
    (tq.directory / "celeryconfig.yaml").unlink()
    tq.write("celeryconfig.py", "raise SystemExit(0)\n")
    done = tq("doctor")
    assert done.returncode == ExitCode.FINDINGS
    assert "celeryconfig.py:1:1: SystemExit: 0" in done.stdout


def test_the_check_takes_the_configuration_named_before_the_command(tq):
    tq.write("wrong.yaml", "broker_ulr: x\n")
    assert tq("--config", "wrong.yaml", "config", "check").returncode == ExitCode.CONFIGURATION


def test_the_check_writes_its_findings_as_json(tq):
    tq.write("wrong.yaml", "timezone: UTC\nbroker_ulr: x\n")
    (finding,) = tq.json("config", "check", "wrong.yaml")
    assert (finding["line"], finding["column"], finding["nearest"]) == (2, 1, "broker_url")
    assert tq.json("config", "check") == []


def test_a_comparison_is_written_as_json(tq):
    a = tq.write("a.yaml", "worker_concurrency: 2\n")
    b = tq.write("b.yaml", "worker_concurrency: 3\n")
    assert tq.json("config", "diff", str(a), str(b)) == {"worker_concurrency": {"a": 2, "b": 3}}


@pytest.mark.parametrize("command", [["config", "show", "timezone"], ["plugins", "list"], ["plugins"]], ids=" ".join)
def test_json_may_be_asked_for_before_the_command(tq, command):
    assert json.loads(tq("--json", *command).stdout)


def test_the_settings_of_a_named_application_are_shown(tq):
    tq.write("own.py", "from tq_core import Celery\napp = Celery('own', task_default_queue='mine')\n")
    assert tq.json("-A", "own", "config", "show", "task_default_queue") == {"task_default_queue": "mine"}
    assert tq("-A", "nothere", "config", "show").returncode == ExitCode.USAGE


def test_an_argument_that_the_driver_does_not_take_is_one_line(tq):
    options = "{engine_options: {connect_args: {password: hunter2}}}"
    tq.write("celeryconfig.yaml", f"broker_url: {tq.url}\nbroker_transport_options: {options}\n")
    done = tq("queue", "list")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "connect_args" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["u:hunter2@h", "redis//u:hunter2@h", "my.broker:Class?password=hunter2"])
def test_a_mistyped_url_does_not_show_its_password(tq, url):
    for command in (["queue", "list"], ["doctor"], ["worker"], ["config", "show", "broker_url"]):
        done = tq("-b", url, "--result-backend", url, *command)
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_every_mistake_of_an_applications_configuration_is_said_before_anything_starts(tq):
    tq.write("celeryconfig.yaml", "task_seralizer: json\nworker_concurrency: many\ntask_time_limit: 5 parsecs\n")
    tq.write("own.py", "from tq_core import Celery\napp = Celery('own')\n")
    done = tq("-A", "own", "worker")
    assert done.returncode == ExitCode.CONFIGURATION
    places = [line.split(": ")[0] for line in done.stderr.splitlines()]
    assert places[:3] == ["celeryconfig.yaml:1:1", "celeryconfig.yaml:2:21", "celeryconfig.yaml:3:18"]
