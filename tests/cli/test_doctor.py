"""Every known cause of a result that stays PENDING, provoked and named."""

from __future__ import annotations

import pytest

from tq_core.cli.exit_codes import ExitCode


def problems(tq, *options: str) -> str:
    done = tq("-A", "proj", *options, "doctor")
    assert "Traceback" not in done.stderr
    assert done.returncode == ExitCode.FINDINGS, done.stdout
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("!!"))


def test_a_sound_project_has_no_findings(tq):
    done = tq("-A", "proj", "doctor")
    assert done.returncode == 0, done.stdout
    assert "!!" not in done.stdout


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("task_ignore_result=True", "task_ignore_result is on"),
        ("result_backend='disabled'", "no results are kept"),
        ("result_backend='memory://'", "seen by one process only"),
        ("broker_url='memory://'", "seen by one process only"),
        ("task_always_eager=True", "task_always_eager is on"),
        ("result_expires=1", "deleted after 1 seconds"),
        ("result_accept_content=['yaml']", "result_accept_content"),
        ("accept_content=['yaml']", "accept_content does not allow"),
        ("broker_url='sqlite:///relative.db'", "relative to the working directory"),
    ],
)
def test_a_setting_that_keeps_results_pending_is_named(tq, settings, says):
    source = (tq.directory / "proj.py").read_text()
    tq.write("proj.py", f"{source}\napp.conf.update({settings})\n")
    assert says in problems(tq)


def test_a_task_that_ignores_its_result_is_named(tq):
    source = (tq.directory / "proj.py").read_text()
    tq.write("proj.py", f"{source}\n@app.task(name='proj.silent', ignore_result=True)\ndef silent(): pass\n")
    assert "(ignore_result): proj.silent" in tq("-A", "proj", "doctor").stdout


def test_messages_in_a_queue_that_nobody_receives_from_are_named(tq):
    tq("-A", "proj", "call", "proj.add", "--queue", "elsewhere")
    assert "1 messages wait in 'elsewhere'" in problems(tq)


def test_a_paused_queue_is_named(tq):
    tq("-A", "proj", "queue", "pause", "celery")
    assert "'celery' is paused" in problems(tq)


def test_a_task_module_that_cannot_be_imported_is_named(tq):
    source = (tq.directory / "proj.py").read_text()
    tq.write("proj.py", f"{source}\napp.conf.imports = ['missing_module']\n")
    assert "No module named 'missing_module'" in problems(tq)


def test_a_broker_that_is_away_is_named_and_the_other_checks_go_on(tq):
    found = tq.json("-A", "proj", "-b", f"sqlite:///{tq.directory}/not/there/tq.db", "doctor")
    states = {finding["check"]: finding["state"] for finding in found}
    assert states["broker"] == "problem"
    assert states["result backend"] == "ok"
