"""An application that names no broker keeps its tasks in a file of the user's own; one that does never does."""

from __future__ import annotations

import os
import subprocess
import sys

CLIENT = """
import sys
from tq_core import Celery
app = Celery("x", **eval(sys.argv[1]))

@app.task
def add(x, y):
    return x + y

for number in range(3):
    add.delay(number, number)
print(app.broker.depth("celery").ready)
"""


def run(tmp_path, arguments):
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    env.pop("TQ_DATA_DIR", None)
    command = [sys.executable, "-c", CLIENT, repr(arguments)]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_without_a_broker_tasks_are_kept_in_the_users_data_directory_and_that_is_said_once(tmp_path):
    done = run(tmp_path, {})
    assert done.stdout == "3\n", done.stderr
    path = tmp_path / "data" / "tq" / "tq.db"
    assert path.is_file()
    assert path.parent.stat().st_mode & 0o077 == 0
    assert done.stderr.count(str(path)) == 1


def test_a_named_broker_that_does_not_answer_is_never_replaced(tmp_path):
    done = run(tmp_path, {"broker": f"sqlite:///{tmp_path}/missing/directory/q.db"})
    assert done.returncode != 0
    assert "missing/directory" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_broker_nobody_installed_says_what_to_install(tmp_path):
    done = run(tmp_path, {"broker": "beanstalk://localhost"})
    assert done.returncode != 0
    assert "pip install tq-beanstalk" in done.stderr
    assert not (tmp_path / "data").exists()
