"""One measured system at one place: the process that drives it, and its workers."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.benchmarks import environments
from tests.benchmarks.systems.contract import PATIENCE, Unsupported

#: Seconds a worker has to say that it is ready, and to end.
_READY, _ENDED = 60.0, 30.0


class Failed(Exception):
    """A system did not do what was asked of it; the text is what it said."""


class Node:
    """A worker node: the processes that were started for it, and their children.

    Attributes:
        started: when, by the clock that all processes of a machine share (``time.perf_counter``).
        ready: seconds from its start to its word that it receives; None until it says so.
        cpu: CPU seconds of all its processes; known when it has ended.
    """

    def __init__(self, workers: dict[str, Any], options: Sequence[str], variables: dict[str, str], place: Path) -> None:
        self.ready: float | None = None
        self.cpu = 0.0
        self._word, self._signal = workers["ready"], getattr(signal, workers["signal"])
        self._said: deque[str] = deque(maxlen=40)
        self._announced = threading.Event()
        self._before = _cpu_of_children()
        self.started = time.perf_counter()
        self._processes = [
            subprocess.Popen(
                [*command, *options],
                cwd=place,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            for command in workers["commands"]
        ]
        for process in self._processes:
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if self._word and self._word in line and self.ready is None:
                self.ready = time.perf_counter() - self.started
                self._announced.set()
            self._said.append(line)
        self._announced.set()

    @property
    def text(self) -> str:
        """The last of what it said."""
        return "".join(self._said)

    def wait_ready(self) -> float:
        """Return the seconds from its start to its word that it receives.

        Raises:
            Unsupported: it says nothing of the kind.
            Failed: it ended before, or took too long.
        """
        if not self._word:
            raise Unsupported("does not say when it is ready")
        self._announced.wait(_READY)
        if self.ready is None:
            raise Failed(f"the worker was not ready:\n{self.text}")
        return self.ready

    def check(self) -> None:
        """Raise ``Failed`` when one of its processes has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise Failed(f"the worker ended with code {process.returncode}:\n{self.text}")

    def memory(self) -> float:
        """Return the proportional set size of all its processes, in MB."""
        return sum(_pss(pid) for process in self._processes for pid in _family(process.pid))

    def stop(self) -> None:
        """End it, by force when it does not end by itself, and reckon its CPU time."""
        for process in self._processes:
            process.send_signal(self._signal)
        for process in self._processes:
            try:
                process.wait(_ENDED)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.cpu = _cpu_of_children() - self._before


class Session:
    """A system that is driven, at a place; a context manager.

    Args:
        system: ``tq`` or a peer's name, for its module in ``systems/``; or ``FOLDER.NAME``.
        url: of the place.
        pool: of the workers.
        late: acknowledge late.
        directory: an empty directory; processes run there.
    """

    def __init__(self, system: str, url: str, *, pool: str, late: bool, directory: Path) -> None:
        self._directory = directory
        self._nodes: list[Node] = []
        room, _, name = system.rpartition(".")
        self._variables = {
            **environments.variables(),
            "BENCH_URL": url,
            "BENCH_POOL": pool,
            "BENCH_LATE": str(int(late)),
        }
        self._said = directory / "driver.log"
        with self._said.open("w") as log:
            self._process = subprocess.Popen(
                [
                    str(environments.python(system)),
                    "-m",
                    "tests.benchmarks.driver",
                    f"tests.benchmarks.{room or 'systems'}.{name}",
                ],
                cwd=directory,
                env=self._variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Session:
        try:
            self._answer()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10 if error is None else 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have the driver do something, and return its answer.

        Raises:
            Unsupported: the system cannot do that.
            Failed: it went wrong, or a worker ended meanwhile.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([verb, *arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the driver has ended:\n{self._tail()}") from None
        return self._answer()

    def _answer(self) -> Any:
        deadline = time.monotonic() + 2 * PATIENCE
        while not self._selector.select(0.2):
            for node in self._nodes:
                node.check()
            if time.monotonic() > deadline:
                raise Failed(f"no answer within {2 * PATIENCE:.0f} seconds:\n{self._tail()}")
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"the driver has ended:\n{self._tail()}")
        answer = json.loads(line)
        if "unsupported" in answer:
            raise Unsupported(answer["unsupported"])
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["value"]

    def _tail(self) -> str:
        return self._said.read_text(errors="replace")[-2000:]

    @contextmanager
    def worker(self, slots: int, *options: str, talkative: bool = False) -> Iterator[Node]:
        """Run a worker while the block is entered.

        Args:
            slots: tasks it runs at a time.
            options: further words of its command line.
            talkative: have it say when it is ready; it may log every task, too.
        """
        workers = self.ask("workers", slots)
        options = (*workers["talkative" if talkative else "quiet"], *options)
        node = Node(workers, options, self._variables, self._directory)
        self._nodes.append(node)
        try:
            yield node
        finally:
            self._nodes.remove(node)
            node.stop()

    def rate(self, how: str, count: int) -> float:
        """Send ``count`` calls by the driver's method ``how``, and return how many a second."""
        return float(count / self.ask("send", how, count))

    def drained(self, count: int | None = None) -> float:
        """Wait for what was sent first, or all of it, and return how many results came in a second."""
        answer = self.ask("drain", count)
        return float(answer["count"] / answer["seconds"])


def _cpu_of_children() -> float:
    """Return the CPU seconds of children that have ended, with their own children's."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    try:
        children = [
            int(word)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for word in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(member for child in children for member in _family(child))]


def _pss(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
