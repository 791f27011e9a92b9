"""The commands as somebody at a terminal, or another program, meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tq_core.cli.exit_codes import ExitCode
from tq_core.cli.main import COMMANDS
from tq_core.cli.reference import PAGE, reference


@pytest.mark.parametrize("command", [*COMMANDS, "queue list", "queue peek", "dead list", "dead replay", "config show"])
def test_every_command_has_help_that_needs_no_application(tq, command):
    done = tq(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Usage: tq {command}" in done.stdout


def test_help_of_the_program_lists_every_command(tq):
    done = tq("--help")
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


def test_help_imports_neither_the_application_nor_rich(tq):
    done = tq.run_python("import sys; from tq_core.cli.main import run; run(['--help']); print(sorted(sys.modules))")
    assert "'click'" in done.stdout
    assert "'rich'" not in done.stdout
    assert "'tq_core.app'" not in done.stdout


def test_the_reference_page_is_what_the_commands_say():
    page = Path(__file__).parents[2] / PAGE
    assert page.read_text("utf-8") == reference(), "run python -m tq_core.cli.reference"


def test_an_unknown_command_names_the_nearest_one(tq):
    done = tq("wroker")
    assert done.returncode == ExitCode.USAGE
    assert "'worker'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_options_stand_before_and_after_the_command(tq, where):
    options = ["-A", "proj", "--json"]
    done = tq(*options, "queue", "list") if where == "before" else tq("queue", "list", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('[{"queue": "celery"')


def test_a_call_prints_the_id_of_the_message_that_waits(tq):
    sent = tq("-A", "proj", "call", "proj.add", "-a", "[1, 2]", "--queue", "other")
    assert sent.returncode == 0, sent.stderr
    (waiting,) = tq.json("-A", "proj", "queue", "peek", "other")
    assert waiting["id"] == sent.stdout.strip()
    assert waiting["task"] == "proj.add"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["-a", "{1"], "--args"),
        (["-a", '{"x": 1}'], "--args"),
        (["--eta", "tomorrow"], "--eta"),
        (["--countdown", "soon"], "--countdown"),
    ],
)
def test_a_call_with_a_wrong_value_names_the_option_and_sends_nothing(tq, options, named):
    done = tq("-A", "proj", "call", "proj.add", *options)
    assert done.returncode == ExitCode.USAGE
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert tq.json("-A", "proj", "queue", "peek", "celery") == []


def test_a_result_nobody_knows_is_pending(tq):
    done = tq("-A", "proj", "result", "no-such-id")
    assert (done.returncode, done.stdout) == (0, "PENDING\n")


def test_waiting_for_a_result_that_does_not_come_ends_with_its_own_exit_code(tq):
    done = tq("-A", "proj", "call", "proj.add", "-a", "[1, 2]", "--wait", "0.2")
    assert done.returncode == ExitCode.TIMEOUT
    assert "does a worker run" in done.stderr


def test_a_paused_queue_is_shown_until_it_is_resumed(tq):
    tq("-A", "proj", "queue", "pause", "celery")
    assert [row["paused"] for row in tq.json("-A", "proj", "queue", "list")] == [True]
    tq("-A", "proj", "queue", "resume", "celery")
    assert [row["paused"] for row in tq.json("-A", "proj", "queue", "list")] == [False]


def test_waiting_messages_are_moved_to_another_queue(tq):
    for number in range(3):
        tq("-A", "proj", "call", "proj.add", "-a", f"[{number}, 0]")
    done = tq("-A", "proj", "queue", "move", "celery", "spare", "--limit", "2")
    assert done.stdout == "2 messages moved from celery to spare\n"
    assert [row["args"] for row in tq.json("-A", "proj", "queue", "peek", "spare")] == ["[0, 0]", "[1, 0]"]
    assert tq.json("-A", "proj", "queue", "move", "celery", "spare") == {
        "source": "celery",
        "target": "spare",
        "moved": 1,
    }


def test_a_queue_is_purged_only_after_a_yes(tq):
    tq("-A", "proj", "call", "proj.add")
    refused = tq("-A", "proj", "queue", "purge", "celery", input="n\n")
    assert refused.returncode == ExitCode.INTERRUPTED
    assert len(tq.json("-A", "proj", "queue", "peek", "celery")) == 1
    done = tq("-A", "proj", "queue", "purge", "celery", input="y\n")
    assert done.stdout == "1 messages dropped from celery\n"
    assert tq.json("-A", "proj", "queue", "peek", "celery") == []


def test_a_broker_that_is_away_is_one_line_and_exit_code_69(tq):
    done = tq("-A", "proj", "-b", f"sqlite:///{tq.directory}/not/there/tq.db", "queue", "list")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_a_broker_cannot_do_has_its_own_exit_code(tq):
    done = tq("-A", "proj", "-b", "nosuchbroker://host", "queue", "list")
    assert done.returncode == ExitCode.PLUGIN
    assert "nosuchbroker" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_with_mistakes_stops_every_command(tq):
    tq.write("celeryconfig.yaml", "broker_ulr: x\ntask_serialiser: json\n")
    done = tq("queue", "list")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "celeryconfig.yaml:1:1" in done.stderr
    assert "celeryconfig.yaml:2:1" in done.stderr


def test_passwords_are_never_printed(tq):
    done = tq("-A", "proj", "-b", "nosuchbroker://user:topsecret@host", "doctor")
    assert done.returncode == ExitCode.FINDINGS
    assert "topsecret" not in done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for(tq, shell):
    done = tq("completion", shell)
    assert done.returncode == 0
    assert "_TQ_COMPLETE" in done.stdout


def test_completion_knows_the_commands(tq):
    tq.env |= {"_TQ_COMPLETE": "bash_complete", "COMP_WORDS": "tq wor", "COMP_CWORD": "1"}
    assert "worker" in tq().stdout
