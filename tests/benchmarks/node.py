"""A worker node that is measured."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(slots=True)
class Node:
    """A running worker.

    Attributes:
        pid: of its supervisor.
        ready: seconds from the start of the process to its line "ready.", or None where nobody waited for it.
        cpu: CPU seconds of all its processes; known when it has ended.
    """

    pid: int
    ready: float | None = None
    cpu: float = 0.0

    def memory(self) -> float:
        """Return the proportional set size of all its processes in MB."""
        return sum(map(_pss, _family(self.pid)))


@contextmanager
def running(slots: int, *, wait: bool = True, late: bool = False) -> Iterator[Node]:
    """Run a worker of ``tasks.py``.

    Args:
        slots: its ``--concurrency``.
        wait: until it is ready, with the log level that says so; otherwise it starts at the default level while the
            caller goes on.
        late: acknowledge late.
    """
    before = _cpu_of_children()
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "tasks", "worker", "-c", str(slots)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "-l", "info" if wait else "warning"],
        cwd=HERE,
        env={**environment(), "BENCH_LATE": str(int(late))},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    node = Node(process.pid)
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr if wait else ():
            said.append(line)
            if line.rstrip().endswith(" ready."):
                node.ready = time.perf_counter() - started
                break
        if wait and node.ready is None:
            raise SystemExit(f"The worker ended before it was ready:\n{''.join(said)}")
        # A full pipe would stop the worker.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield node
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        node.cpu = _cpu_of_children() - before


def environment() -> dict[str, str]:
    """Return the environment of what is measured: modules may be compiled once, as where they are installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _cpu_of_children() -> float:
    """Return the CPU seconds of children that have ended, with their own children's."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
