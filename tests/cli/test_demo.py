"""``tq demo``."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tq_core.demo import run


def test_the_demonstration_finds_what_there_is_and_leaves_nothing_behind(tq):
    tq.env["TMPDIR"] = str(tq.directory / "tmp")
    Path(tq.env["TMPDIR"]).mkdir()
    report = tq.json("demo", "--limit", "40", "-c", "2")
    assert report["agrees"]
    assert report["files"] == 40
    assert report["retried"] == "succeeded at attempt 3"
    assert report["failed"]["state"] == "FAILURE"
    assert "ZeroDivisionError" in report["failed"]["traceback"]
    assert not list(Path(tq.env["TMPDIR"]).glob("tq-demo-*"))


def test_without_a_terminal_it_speaks_in_plain_lines(tq):
    done = tq("demo", "--limit", "5", "-c", "1")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "tasks per second" in done.stdout


def test_an_interrupted_demonstration_stops_its_worker_and_cleans_up(tq):
    tq.env["TMPDIR"] = str(tq.directory / "tmp")
    Path(tq.env["TMPDIR"]).mkdir()
    demo = tq.start("demo")
    demo.wait_for("Starting a worker")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 130
    assert not list(Path(tq.env["TMPDIR"]).glob("tq-demo-*"))


def test_an_interruption_while_the_worker_is_being_started_leaves_no_worker(tmp_path, monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        """A start in whose midst Ctrl-C is pressed."""

        def __init__(self, command, **options):
            super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **options)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    class Screen:
        def note(self, text):
            pass

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(run.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), run._worker(tmp_path, Screen(), 1):
        pass
    (worker,) = started
    try:
        assert worker.wait(10) == -signal.SIGTERM
    finally:
        worker.kill()
        worker.wait()
