"""Measure tq: ``python tests/benchmarks/run.py [--broker URL] [--tasks N] [--json]``.

One client process and one worker node on this machine, no-op tasks, results stored. Rates of a shared machine move;
compare ratios of one run, never bare numbers of two.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", default="sqlite", help="sqlite, or a broker URL that is also a result backend")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of each drain")
    parser.add_argument("--late", action="store_true", help="acknowledge late")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tq-bench-") as directory:
        os.environ["BENCH_LATE"] = "1" if options.late else "0"
        figures: dict[str, float] = {"import ms": import_time()}
        for slots in (1, 2):
            url = options.broker
            if url == "sqlite":
                url = f"sqlite:///{directory}/bench-{slots}.db"
            figures |= measure(url, slots, options.tasks)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:34} {value:12,.1f}")


def import_time() -> float:
    """Return the median milliseconds that ``import tq_core`` adds to a Python start."""
    times = []
    for statement in ("pass", "from tq_core import Celery"):
        runs = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            runs.append(time.perf_counter() - started)
        times.append(statistics.median(runs))
    return (times[1] - times[0]) * 1000


@contextmanager
def worker(slots: int) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """Run a worker; yields it with the seconds it took to be ready."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "tasks", "worker", "-c", str(slots), "-l", "info"]
    process = subprocess.Popen(
        command, cwd=HERE, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(r" ready\.$", line.rstrip()):
            break
    seconds = time.perf_counter() - started
    # A full pipe would stop the worker.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield process, seconds
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def measure(url: str, slots: int, count: int) -> dict[str, float]:
    """Return the figures of a worker with some slots."""
    os.environ["BENCH_URL"] = url
    sys.path.insert(0, str(HERE))
    sys.modules.pop("tasks", None)
    import tasks

    app, add = tasks.app, tasks.add
    figures: dict[str, float] = {}
    app.broker.connect(5)
    if slots == 1:
        figures["delay() loop /s"] = rate(count // 2, lambda n: [add.delay(i, i) for i in range(n)])
        figures["bulk /s"] = rate(count - count // 2, lambda n: bulk(app, add, n))
        app.broker.purge("celery")
    results = bulk(app, add, count)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with quiet_worker(slots) as (process, _):
        figures[f"drain, {slots} slots /s"] = drain(app, results)
        figures[f"memory after, {slots} slots MB"] = pss(process.pid)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures[f"worker CPU us/task, {slots} slots"] = spent / count * 1e6
    with worker(slots) as (process, seconds):
        if slots == 2:
            figures["ready ms (2 slots)"] = seconds * 1000
            figures["idle PSS MB (2 slots)"] = pss(process.pid)
        trips = sorted(round_trip(add) for _ in range(300))
        figures[f"round trip p50 ms, {slots} slots"] = trips[150] * 1000
        figures[f"round trip p99 ms, {slots} slots"] = trips[297] * 1000
    app.close()
    return figures


@contextmanager
def quiet_worker(slots: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a worker at the default log level, waiting for nothing."""
    command = [sys.executable, "-m", "tq_core.cli.main", "-A", "tasks", "worker", "-c", str(slots)]
    process = subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process, 0.0
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def drain(app: Any, results: list[Any]) -> float:
    """Return results per second from the first one to the last."""
    seen = 0
    first = last = 0.0
    for _ in app.backend.watch([result.id for result in results], timeout=300):
        last = time.perf_counter()
        seen += 1
        if seen == 1:
            first = last
    return (seen - 1) / (last - first)


def bulk(app: Any, add: Any, count: int) -> list[Any]:
    """Send in batches of 100, and return the results' handles."""
    results: list[Any] = []
    for start in range(0, count, 100):
        with app.producer.collecting() as messages:
            results += [add.delay(start, i) for i in range(min(100, count - start))]
        app.producer.publish(list(messages))
    return results


def round_trip(add: Any) -> float:
    started = time.perf_counter()
    add.delay(1, 1).get(timeout=30)
    return time.perf_counter() - started


def rate(count: int, send: Any) -> float:
    started = time.perf_counter()
    send(count)
    return count / (time.perf_counter() - started)


def pss(pid: int) -> float:
    """Return the proportional set size of a process and its children in MB."""
    total = 0.0
    family = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for member in family:
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
    return total


if __name__ == "__main__":
    main()
