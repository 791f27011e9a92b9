"""What a worker is told: the command line's options over the settings."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tq_core.app import Celery


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Everything a worker's start depends on; None means "as the settings say".

    Attributes:
        hostname: node name; ``%h`` host, ``%n`` name part, ``%d`` domain are replaced.
        pool: name of the pool.
        concurrency: slots in all (prefork) or in each process (threads).
        processes: runner processes.
        queues, exclude_queues: names to receive from, or all but these.
        prefetch_multiplier: messages held for each slot.
        max_tasks_per_child, max_memory_per_child: tasks, or KiB, after which a runner is replaced.
        time_limit, soft_time_limit: seconds, for tasks that say nothing else.
        start_method: ``fork``, ``forkserver`` or ``spawn``.
        autoscale: most and least runners.
        task_events: send task events.
        purge: empty the queues first.
        loglevel, logfile: of the log.
        quiet: no banner.
    """

    hostname: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    processes: int | None = None
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    prefetch_multiplier: int | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    start_method: str | None = None
    autoscale: tuple[int, int] | None = None
    task_events: bool | None = None
    purge: bool = False
    loglevel: int | None = None
    logfile: str | None = None
    quiet: bool = False


def node_name(pattern: str | None) -> str:
    """Return a worker's node name, ``celery@host`` unless another is asked for."""
    host = socket.gethostname()
    name, domain = host.partition(".")[::2]
    text = (pattern or "celery@%h").replace("%h", host).replace("%n", name).replace("%d", domain)
    return text if "@" in text else f"{text}@{host}"


def concurrency_of(app: Celery, options: WorkerOptions, usual: int | None = None) -> int:
    """Return the concurrency asked for; else what is usual for the pool, or the number of processors."""
    asked = options.concurrency or app.conf.worker_concurrency
    if asked in (None, "auto", 0):
        return usable_processors() if usual is None else usual
    return int(asked)


def usable_processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
