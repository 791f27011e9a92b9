"""Measure tq: one client process and one worker node on this machine, no-op tasks, results stored.

Each figure is the median of ``--runs`` runs. Rates of a shared machine move: compare the ratios of one session, never
the bare numbers of two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from node import HERE, environment, running

#: What is aimed at on SQLite with 2 cores, by figure; whether more or less is better.
TARGETS: dict[str, tuple[str, float]] = {
    "`import tq_core`, ms": ("≤", 100),
    "`from tq_core import Celery`, ms": ("≤", 100),
    "`tq --help`, ms": ("≤", 120),
    "`delay()` loop, /s": ("≥", 7_000),
    "bulk, /s": ("≥", 25_000),
    "drain, 1 slot, /s": ("≥", 6_500),
    "drain, 2 slots, /s": ("≥", 6_500),
    "worker CPU, 1 slot, µs/task": ("≤", 130),
    "worker CPU, 2 slots, µs/task": ("≤", 130),
    "round trip p50, 1 slot, ms": ("≤", 1.5),
    "round trip p99, 1 slot, ms": ("≤", 5),
    "round trip p50, 2 slots, ms": ("≤", 1.5),
    "round trip p99, 2 slots, ms": ("≤", 5),
    "ready, 2 slots, ms": ("≤", 400),
    "idle memory (PSS), 2 slots, MB": ("≤", 45),
}
#: Messages of one bulk publication.
_BULK = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="sqlite", help="a broker URL that is also a result backend [SQLite]")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of each drain [10000]")
    parser.add_argument("--runs", type=int, default=1, help="runs, of whose figures the medians are shown [1]")
    parser.add_argument("--quick", action="store_true", help="1,000 tasks: does everything work?")
    parser.add_argument("--late", action="store_true", help="acknowledge late")
    parser.add_argument("--json", action="store_true", help="print all runs as JSON")
    options = parser.parse_args()
    count = 1_000 if options.quick else options.tasks
    runs = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="tq-bench-") as directory:
            figures = start_up()
            for slots in (1, 2):
                url = f"sqlite:///{directory}/{slots}.db" if options.broker == "sqlite" else options.broker
                figures |= measure(url, slots, count, options.late)
            runs.append(figures)
    medians = {name: statistics.median(figures[name] for figures in runs) for name in runs[0]}
    print(json.dumps({"runs": runs, "medians": medians}, ensure_ascii=False) if options.json else table(medians))


def table(figures: dict[str, float]) -> str:
    """Return the figures beside their targets, in Markdown."""
    lines = ["| figure | measured | target |", "|---|---:|---:|"]
    for name, value in figures.items():
        sign, target = TARGETS.get(name, ("", 0.0))
        aim = f"{sign} {target:,g}" if sign else ""
        shown = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
        missed = (sign == "≤" and value > target) or (sign == "≥" and value < target)
        lines.append(f"| {name} | {shown}{' ✗' if missed else ''} | {aim} |")
    return "\n".join(lines)


def start_up() -> dict[str, float]:
    """Return the milliseconds that imports add to a start of Python, and those of a whole ``tq --help``."""
    python = [sys.executable, "-c"]
    bare = milliseconds([*python, "pass"])
    return {
        "`import tq_core`, ms": milliseconds([*python, "import tq_core"]) - bare,
        "`from tq_core import Celery`, ms": milliseconds([*python, "from tq_core import Celery"]) - bare,
        "`tq --help`, ms": milliseconds([sys.executable, "-m", "tq_core.cli.main", "--help"]),
    }


def milliseconds(command: list[str]) -> float:
    """Return the median time of a command that has run once before."""
    times = []
    for _ in range(8):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[1:])


def measure(url: str, slots: int, count: int, late: bool) -> dict[str, float]:
    """Return the figures of a worker with some slots."""
    app, add = application(url)
    figures: dict[str, float] = {}
    app.broker.connect(5)
    if slots == 1:
        figures["`delay()` loop, /s"] = rate(count // 2, lambda n: [add.delay(i, i) for i in range(n)])
        figures["bulk, /s"] = rate(count, lambda n: bulk(app, add, n))
        app.broker.purge("celery")
    plural = "slot" if slots == 1 else "slots"
    with running(slots, late=late) as idle:
        memory = idle.memory()
        trips = sorted(round_trip(add) for _ in range(300))
    with running(slots, late=late) as unused:
        pass
    results = bulk(app, add, count)
    with running(slots, wait=False, late=late) as busy:
        figures[f"drain, {slots} {plural}, /s"] = drain(app, results)
    # Starting and ending costs a worker the same, whether it runs tasks meanwhile or not.
    figures[f"worker CPU, {slots} {plural}, µs/task"] = (busy.cpu - unused.cpu) / count * 1e6
    figures[f"round trip p50, {slots} {plural}, ms"] = trips[150] * 1000
    figures[f"round trip p99, {slots} {plural}, ms"] = trips[297] * 1000
    if slots == 2:
        figures["ready, 2 slots, ms"] = statistics.mean(node.ready or 0.0 for node in (idle, unused)) * 1000
        figures["idle memory (PSS), 2 slots, MB"] = memory
    app.close()
    return figures


def application(url: str) -> tuple[Any, Any]:
    """Return the measured application and its task, for a broker."""
    os.environ["BENCH_URL"] = url
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    sys.modules.pop("tasks", None)
    import tasks

    return tasks.app, tasks.add


def drain(app: Any, results: list[Any]) -> float:
    """Return results per second from the first one to the last."""
    times = [time.perf_counter() for _ in app.backend.watch([result.id for result in results], timeout=300)]
    return (len(times) - 1) / (times[-1] - times[0])


def bulk(app: Any, add: Any, count: int) -> list[Any]:
    """Send in batches, and return the results' handles."""
    results: list[Any] = []
    for start in range(0, count, _BULK):
        with app.producer.collecting() as messages:
            results += [add.delay(start, i) for i in range(min(_BULK, count - start))]
        app.producer.publish(list(messages))
    return results


def round_trip(add: Any) -> float:
    """Return the seconds from a call to its result."""
    started = time.perf_counter()
    add.delay(1, 1).get(timeout=30)
    return time.perf_counter() - started


def rate(count: int, send: Callable[[int], object]) -> float:
    """Return how many a second are sent."""
    started = time.perf_counter()
    send(count)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
