"""``tq worker`` from the outside."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tq_core.cli.exit_codes import ExitCode


def test_a_worker_runs_what_is_called_and_its_result_can_be_fetched(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1")
    worker.wait_for(r"\[tasks\]")
    worker.wait_for(r"ready\.$")
    done = tq("-A", "proj", "call", "proj.add", "-a", "[20, 22]", "--wait", "30")
    assert (done.returncode, done.stdout) == (0, "42\n")
    worker.wait_for(r"Task proj\.add\[.*\] succeeded in")
    failed = tq("-A", "proj", "call", "proj.fail", "--wait", "30")
    assert failed.returncode == ExitCode.FAILURE
    assert "ValueError: as it must" in failed.stdout
    assert worker.stop() == 0


def test_dead_letters_are_shown_replayed_and_dropped(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1")
    worker.wait_for(r"ready\.$")
    task_id = tq("-A", "proj", "call", "proj.nowhere").stdout.strip()
    worker.wait_for("Buried a message")
    (letter,) = tq.json("-A", "proj", "dead", "list")
    assert (letter["id"], letter["task"]) == (task_id, "proj.nowhere")
    assert "proj.nowhere" in tq.json("-A", "proj", "dead", "show", task_id)["reason"]
    assert tq.json("-A", "proj", "dead", "replay", task_id) == {"replayed": 1}
    worker.wait_for("Buried a message", 2)
    assert tq.json("-A", "proj", "dead", "drop", "--all", "--force") == {"dropped": 1}
    assert tq.json("-A", "proj", "dead", "list") == []


def test_what_tasks_print_and_log_is_in_the_log_file(tq):
    log = tq.directory / "worker.log"
    worker = tq.start("-A", "proj", "worker", "-l", "INFO", "-c", "1", "-f", "worker.log")
    worker.wait_for(r"\[tasks\]")
    done = tq("-A", "proj", "call", "proj.speak", "--wait", "30")
    assert done.returncode == 0, done.stderr
    assert worker.stop() == 0
    text = log.read_text()
    assert "WARNING/ForkPoolWorker-1] printed by a task" in text
    task_id = text.split("Task proj.speak[")[1].split("]")[0]
    assert f"INFO/ForkPoolWorker-1] proj.speak[{task_id}]: logged by a task" in text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_log_disk_neither_stops_nor_silences_the_worker(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1", "-f", "/dev/full")
    worker.wait_for("The log file /dev/full cannot be written: No space left on device")
    worker.wait_for(r"ready\.$")
    assert tq("-A", "proj", "call", "proj.add", "-a", "[1, 1]", "--wait", "30").stdout == "2\n"
    worker.wait_for(r"Task proj\.add\[.*\] succeeded")
    assert worker.stop() == 0


def test_a_runner_in_a_fresh_process_logs_like_a_forked_one(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1", "--pool-start-method", "spawn")
    worker.wait_for(r"ready\.$")
    assert tq("-A", "proj", "call", "proj.speak", "--wait", "30").returncode == 0
    worker.wait_for(r"WARNING/SpawnPoolWorker-1\] printed by a task")
    worker.wait_for(r"proj\.speak\[.*\]: logged by a task")
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-P", "nosuch"], "-P nosuch"),
        (["-c", "many"], "--concurrency"),
        (["-l", "loud"], "--loglevel"),
        (["--autoscale", "x"], "--autoscale"),
        (["--logfile", "/not/there/worker.log"], "--logfile /not/there/worker.log: No such file"),
        (["--pidfile", "/not/there/worker.pid"], "--pidfile /not/there/worker.pid: No such file"),
        (["--statedb", "/not/there/state.db"], "--statedb /not/there/state.db: No such file"),
        (["-Q", "celery", "-X", "celery"], "-Q/-X"),
        (["-I", "not_there"], "No module named 'not_there'"),
        (["--uid", "no-such-user"], "no-such-user"),
        (["--umask", "rwx"], "--umask"),
        (["--workdir", "/not/there"], "--workdir"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--time-limit", "x"], "--time-limit"),
    ],
)
def test_a_wrong_option_is_named_in_one_line_and_nothing_starts(tq, options, says):
    done = tq("-A", "proj", "worker", *options)
    assert done.returncode not in (0, None)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "ready" not in done.stdout


@pytest.mark.parametrize("level", ["INFO", "info", "20", "Info"])
def test_a_log_level_is_a_name_in_any_case_or_a_number(tq, level):
    worker = tq.start("-A", "proj", "worker", "-c", "1", "-l", level)
    worker.wait_for(r"INFO/MainProcess\] celery@.* ready\.$")
    assert worker.stop() == 0


def test_every_option_of_celery_is_accepted(tq):
    worker = tq.start(
        *("-A", "proj", "worker", "-n", "w1@%h", "-l", "info", "-c", "1", "-P", "prefork", "-O", "fair", "-E"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--heartbeat-interval", "5"),
        *("--prefetch-multiplier", "1", "--max-tasks-per-child", "10", "--max-memory-per-child", "900000"),
        *("--time-limit", "60", "--soft-time-limit", "50", "-S", "state.db", "-Q", "celery,other", "-I", "proj"),
    )
    worker.wait_for(r"w1@.* ready\.$")
    assert any(".> other" in line for line in worker.lines)
    assert worker.stop() == 0


def test_a_pid_file_of_a_living_process_is_respected_and_a_stale_one_replaced(tq):
    pidfile = tq.write("worker.pid", "99999999\n")
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1", "--pidfile", "worker.pid")
    worker.wait_for(r"ready\.$")
    assert int(pidfile.read_text()) == worker.process.pid
    second = tq("-A", "proj", "worker", "--pidfile", "worker.pid")
    assert second.returncode == ExitCode.FAILURE
    assert f"process {worker.process.pid} holds it" in second.stderr
    in_background = tq("-A", "proj", "worker", "--pidfile", "worker.pid", "--detach")
    assert in_background.returncode == ExitCode.FAILURE
    assert worker.stop() == 0
    assert not pidfile.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork()")
def test_a_detached_worker_goes_on_alone_until_it_is_told_to_end(tq):
    pidfile, log = tq.directory / "worker.pid", tq.directory / "worker.log"
    started = tq("-A", "proj", "worker", "-l", "info", "-D", "-c", "1", "--pidfile", str(pidfile), "-f", str(log))
    assert started.returncode == 0, started.stderr
    done = tq("-A", "proj", "call", "proj.add", "-a", "[1, 1]", "--wait", "40")
    assert done.stdout == "2\n", log.read_text()
    pid = int(pidfile.read_text())
    descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    os.kill(pid, signal.SIGTERM)
    if descriptor is not None:
        import select

        assert select.select([descriptor], [], [], 30)[0]
        assert not pidfile.exists()


def test_a_watched_worker_starts_anew_when_its_source_changes(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1", "--watch")
    worker.wait_for(r"ready\.$")
    source = tq.directory / "proj.py"
    source.write_text(source.read_text() + '\n@app.task(name="proj.new")\ndef new():\n    return "new"\n')
    worker.wait_for("Changed: proj.py")
    worker.wait_for(r"\. proj\.new$")
    worker.wait_for(r"ready\.$", 2)
    assert worker.stop() == 0


def test_a_watched_worker_survives_a_syntax_error(tq):
    worker = tq.start("-A", "proj", "worker", "-l", "info", "-c", "1", "--watch")
    worker.wait_for(r"ready\.$")
    source = tq.directory / "proj.py"
    good = source.read_text()
    source.write_text(good + "\nthis is no Python\n")
    worker.wait_for("ended with exit code 2")
    source.write_text(good)
    worker.wait_for(r"ready\.$", 2)
    assert worker.stop() == 0


def test_a_program_may_run_the_worker_itself(tq):
    tq.write("own.py", "from proj import app\napp.worker_main(['worker', '-l', 'info', '-c', '1'])\n")
    tq.command = [sys.executable]
    worker = tq.start("own.py")
    worker.wait_for(r"ready\.$")
    assert worker.stop() == 0


@pytest.mark.parametrize("options", [[], ["-f", "worker.log"]], ids=["terminal", "logfile"])
def test_task_modules_that_cannot_be_imported_are_one_line_on_standard_error(tq, options):
    done = tq("-A", "proj", "worker", "-I", "nosuchmodule", *options)
    assert done.returncode == ExitCode.FAILURE
    assert done.stderr.startswith("Error: The task modules cannot be imported: ModuleNotFoundError")
    assert len(done.stderr.splitlines()) == 1
    if options:
        assert "nosuchmodule" in (tq.directory / "worker.log").read_text()
