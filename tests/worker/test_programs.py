"""Programs and their workers: starting one by code, its log, its settings, mails about failures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.nodes import PATIENCE, WorkerProcess
from tq_core import Celery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

PROGRAM = """
import os
from tq_core import Celery

app = Celery("tasks")
app.conf.update(broker_url=os.environ["TEST_URL"], result_backend=os.environ["TEST_URL"])

@app.task(bind=True)
def look(self):
    print("printed by a task")
    self.get_logger().info("said by a task")
    self.get_logger().debug("whispered by a task")
    return [self.request.logfile, self.request.loglevel, self.request.hostname]

@app.task(name="fail")
def fail(kind):
    raise {"value": ValueError, "key": KeyError, "lookup": IndexError}[kind]("it must")

@app.task(name="quiet", send_error_emails=False)
def quiet():
    raise ValueError("nobody is told")

for name in ("fail",):
    app.tasks[name].error_whitelist = (KeyError, "builtins.LookupError")

if __name__ == "__main__":
    app.worker_main(["worker", "-l", "info", "-c", "1"])
"""


@pytest.fixture
def client(tmp_path, url):
    (tmp_path / "tasks.py").write_text(PROGRAM)
    with Celery("tasks", broker=url, backend=url, set_as_current=False) as app:
        yield app


@pytest.fixture
def run(tmp_path, env):
    started = []

    def run(*options, **variables):
        started.append(WorkerProcess(tmp_path, {**env, **variables}, *options, application="tasks"))
        return started[-1].ready()

    yield run
    for worker in started:
        worker.kill_everything()


@pytest.mark.row("S056", "S057")
def test_a_program_starts_its_own_worker(tmp_path, env, client):
    process = subprocess.Popen(
        [sys.executable, "tasks.py"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        # Run as a program its tasks carry the application's name, which here is its module's as well.
        assert client.send_task("tasks.look").get(timeout=PATIENCE)[1] == 20
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.row("S104", "S105", "S106", "S231", "S232", "S233")
def test_a_task_logs_prints_and_knows_the_workers_log(tmp_path, run, client):
    log = tmp_path / "worker.log"
    process = run("-c", "1", "-n", "named@here")
    result = client.send_task("tasks.look")
    assert result.get(timeout=PATIENCE) == [None, 20, "named@here"]
    (line,) = process.wait_for("said by a task")
    assert f"tasks.look[{result.id}]" in line
    assert "INFO" in line
    (line,) = process.wait_for("printed by a task")
    assert "WARNING" in line
    assert "whispered" not in process.text
    process.kill_everything()
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "tasks", "worker", "-l", "warning", "-c", "1"]
    env = {**os.environ, "TEST_URL": client.conf.broker_url}
    quiet = subprocess.Popen([*command, "-f", str(log)], cwd=tmp_path, env=env, start_new_session=True)
    try:
        assert client.send_task("tasks.look").get(timeout=PATIENCE)[:2] == [str(log), 30]
        quiet.terminate()
        quiet.wait(PATIENCE)
    finally:
        if quiet.poll() is None:
            os.killpg(quiet.pid, signal.SIGKILL)
            quiet.wait()
    text = log.read_text()
    assert "printed by a task" in text
    assert "said by a task" not in text


@pytest.mark.row("S190", "S191", "S192", "S194", "S195")
def test_a_worker_follows_settings_in_their_old_spelling(tmp_path, env, url):
    (tmp_path / "more.py").write_text(
        "from settled import app\n@app.task(name='more')\ndef more():\n    return 'more'\n"
    )
    (tmp_path / "settled.py").write_text("from tq_core import Celery\napp = Celery('settled')\n")
    (tmp_path / "celeryconfig.py").write_text(
        f"CELERY_BROKER_URL = {url!r}\nCELERY_RESULT_BACKEND = {url!r}\n"
        "CELERY_IMPORTS = ('more',)\nCELERY_CONCURRENCY = 3\n"
    )
    worker = WorkerProcess(tmp_path, {**env, "CELERY_CONFIG_MODULE": "celeryconfig"}, application="settled")
    try:
        worker.ready()
        children = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()
        assert len(children) == 3
        with Celery("client", broker=url, backend=url, set_as_current=False) as client:
            assert client.send_task("more").get(timeout=PATIENCE) == "more"
    finally:
        worker.kill_everything()


class MailServer:
    """Takes mails as SMTP servers do, and keeps them."""

    def __init__(self):
        self.mails = []
        self._came = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, client.makefile("rw", newline="\r\n") as lines:
                self._talk(lines)

    def _talk(self, lines):
        def say(text):
            lines.write(text + "\n")
            lines.flush()

        say("220 here")
        for line in lines:
            word = line[:4].upper().strip()
            if word == "DATA":
                say("354 go on")
                mail = []
                while (part := lines.readline().rstrip("\r\n")) != ".":
                    mail.append(part)
                with self._came:
                    self.mails.append("\n".join(mail))
                    self._came.notify_all()
            say("221 bye" if word == "QUIT" else "250 well")
            if word == "QUIT":
                return

    def wait(self, count):
        with self._came:
            assert self._came.wait_for(lambda: len(self.mails) >= count, PATIENCE)
            return list(self.mails)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)  # or the thread that accepts would keep it listening
        self._socket.close()


@pytest.mark.row("S086", "S087", "S198", "S211")
def test_admins_get_a_mail_about_each_failure_that_is_not_expected(tmp_path, run, client):
    server = MailServer()
    (tmp_path / "celeryconfig.py").write_text(
        "CELERY_SEND_TASK_ERROR_EMAILS = True\nADMINS = [('Ada', 'ada@example.org'), ('Bob', 'bob@example.org')]\n"
        f"SERVER_EMAIL = 'worker@example.org'\nEMAIL_HOST = '127.0.0.1'\nEMAIL_PORT = {server.port}\n"
    )
    process = run("-c", "1", CELERY_CONFIG_MODULE="celeryconfig")
    for name, args in [("fail", ["key"]), ("fail", ["lookup"]), ("quiet", []), ("fail", ["value"])]:
        result = client.send_task(name, args)
        result.get(timeout=PATIENCE, propagate=False)
    (mail,) = server.wait(1)
    for part in ("To: Ada <ada@example.org>, Bob <bob@example.org>", "From: worker@example.org", result.id):
        assert part in mail
    assert "ValueError: it must" in mail
    assert "Traceback" in mail
    server.close()
    client.send_task("fail", ["value"]).get(timeout=PATIENCE, propagate=False)
    process.wait_for("No mail about Task fail")
    assert len(server.mails) == 1
