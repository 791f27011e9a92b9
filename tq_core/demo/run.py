"""The demonstration: a worker in its own processes, thousands of tasks, and a check that nothing was lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from tq_core import states
from tq_core.contracts.backend import ResultRecord
from tq_core.errors import TimeoutError, TQError

#: What is compared with the totals computed directly.
COMPARED = ("files", "lines", "bytes", "sha256")
#: Seconds between looks at whether the worker still runs.
_LOOK = 5.0
#: Seconds without any result after which the demonstration gives up.
_PATIENCE = 60.0
#: Seconds the worker is given to end.
_FAREWELL = 10.0


class Screen(Protocol):
    """Where the demonstration tells what it does."""

    def note(self, text: str) -> None:
        """Say a sentence."""

    def progress(self, total: int, label: str) -> AbstractContextManager[Any]:
        """Show something with ``advance(count)``."""


class DemoFailed(TQError):
    """The demonstration could not be finished."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came out.

    Attributes:
        totals: files, lines, bytes, slowest file … as the queue found them.
        expected: the same, computed directly.
        tasks: tasks that ran, retries included.
        seconds: from the first task sent to the last result.
        first_result: seconds from the start of the demonstration to the first result.
        retried: what the task said that failed twice.
        failed: state, error and traceback of the task that failed for good.
    """

    totals: dict[str, Any]
    expected: dict[str, Any]
    tasks: int
    seconds: float
    first_result: float
    retried: str
    failed: ResultRecord

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds

    @property
    def agrees(self) -> bool:
        """Whether the queue found what there is, and the failing tasks ended as they should."""
        return (
            all(self.totals[name] == self.expected[name] for name in COMPARED)
            and self.retried.startswith("succeeded")
            and self.failed.state == states.FAILURE
        )


def standard_library() -> list[str]:
    """Return the paths of the running Python's ``.py`` files, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    foreign = {"site-packages", "dist-packages", "__pycache__"}
    return sorted(str(path) for path in root.rglob("*.py") if foreign.isdisjoint(path.parts) and path.is_file())


def run(screen: Screen, *, concurrency: int | None = None, limit: int | None = None) -> Report:
    """Run the demonstration.

    Args:
        screen: where to tell what happens.
        concurrency: runner processes; as many as there are processors by default.
        limit: measure only so many files.

    Raises:
        DemoFailed: the worker ended, or nothing happened for a minute; its log is in the text.
    """
    began = monotonic()
    directory = Path(tempfile.mkdtemp(prefix="tq-demo-"))
    try:
        paths = standard_library()[:limit]
        with _worker(directory, screen, concurrency) as alive:
            return _measure(screen, paths, alive, began)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _worker(directory: Path, screen: Screen, concurrency: int | None) -> Iterator[Callable[[], None]]:
    """Run a worker on a new database; gives a function that raises when the worker has ended."""
    from tq_core.demo.app import app

    url = f"sqlite:///{(directory / 'tq.db').as_posix()}"
    app.conf.update(broker_url=url, result_backend=url)
    app.adopt_settings(app.conf)
    log = directory / "worker.log"
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "tq_core.demo.app:app", "-q", "-b", url]
    command += ["--result-backend", url, "worker", "-l", "warning", "-n", "demo@%h"]
    if concurrency is not None:
        command += ["-c", str(concurrency)]
    screen.note(f"Starting a worker on {url}")
    process: subprocess.Popen[bytes] | None = None

    def check() -> None:
        if process is not None and process.poll() is not None:
            text = log.read_text("utf-8", "replace").strip()
            raise DemoFailed(f"The worker ended with exit code {process.returncode}:\n{text}")

    try:
        with log.open("wb") as file, _held_signals():
            # A session of its own: Ctrl-C is for the demonstration, which then stops the worker in order.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=_environment()
            )
        yield check
    except TimeoutError as error:
        text = log.read_text("utf-8", "replace").strip()
        raise DemoFailed(f"{error}. The worker's log:\n{text}") from error
    finally:
        app.close()
        if process is not None:
            process.terminate()
            try:
                process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:
                _kill_session(process)


@contextmanager
def _held_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait: one in the midst of ``Popen`` would leave a worker that nobody can stop."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    arrived: list[int] = []
    held = (signal.SIGINT, signal.SIGTERM)
    former = {number: signal.signal(number, lambda came, _frame: arrived.append(came)) for number in held}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    for came in arrived[:1]:
        signal.raise_signal(came)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _environment() -> dict[str, str]:
    """Return an environment in which the worker finds this very package and follows no other settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TQ_", "CELERY_"))}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return kept


def _measure(screen: Screen, paths: Sequence[str], alive: Callable[[], None], began: float) -> Report:
    from tq_core.canvas.chord import chord
    from tq_core.canvas.group import group
    from tq_core.demo.app import app
    from tq_core.demo.tasks import ATTEMPTS, combine, flaky, hopeless, measure, measured, totals

    first_sent = monotonic()
    again, lost = flaky.delay(), hopeless.delay(1)
    body = chord(group([measure.s(path) for path in paths], app=app), app=app)(combine.s())
    header = [result.id for result in body.parent.results]
    screen.note(f"Sent {len(header)} tasks in a chord, one that fails twice, and one that fails for good")
    records: dict[str, ResultRecord] = {}
    with screen.progress(len(header), "Measuring the standard library") as bar:
        first_result = 0.0
        members = set(header)
        for record in _watch(app.backend, [*header, body.id, again.id, lost.id], alive):
            first_result = first_result or monotonic() - began
            records[record.task_id] = record
            if record.task_id in members:
                bar.advance(1)
    seconds = monotonic() - first_sent
    joined = records[body.id]
    if joined.state != states.SUCCESS:
        raise DemoFailed(f"The chord's body ended as {joined.state}: {joined.traceback or joined.result}")
    screen.note("Computing the same without the queue")
    return Report(
        totals=joined.result,
        expected=totals([measured(path) for path in paths]),
        tasks=len(header) + 1 + ATTEMPTS + 1,
        seconds=seconds,
        first_result=first_result,
        retried=str(records[again.id].result),
        failed=records[lost.id],
    )


def _watch(backend: Any, ids: Sequence[str], alive: Callable[[], None]) -> Iterator[ResultRecord]:
    """Yield the records of ``ids`` as they come, looking now and then whether the worker still runs."""
    missing = dict.fromkeys(ids)
    patience = monotonic() + _PATIENCE
    while missing:
        alive()
        try:
            for record in backend.watch(list(missing), timeout=_LOOK):
                del missing[record.task_id]
                patience = monotonic() + _PATIENCE
                yield record
        except TimeoutError:
            if monotonic() > patience:
                raise TimeoutError(f"{len(missing)} of {len(ids)} results did not come") from None
