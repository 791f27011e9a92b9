"""What a worker says about itself when it starts."""

from __future__ import annotations

import logging
import platform
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tq_core.worker.worker import Worker


def installed_version() -> str:
    """Return the version of the installed distribution; 0.0.0 in a bare checkout."""
    import tq_core

    return str(tq_core.__version__)


def banner(worker: Worker) -> str:
    """Return the worker's start-up text; addresses are shown without passwords.

    Args:
        worker: about to start. At log level INFO and below its tasks are listed.
    """
    app, options, layout = worker.app, worker.options, worker.layout
    slots = layout.processes * layout.slots
    concurrency = f"{slots} ({worker.pool_name})"
    if layout.slots > 1 and layout.processes > 1:
        concurrency += f", {layout.processes} processes with {layout.slots} each"
    if options.autoscale:
        concurrency = f"{{min={options.autoscale[1]}, max={options.autoscale[0]}}} ({worker.pool_name})"
    lines = [
        "",
        f" {worker.hostname}  tq {installed_version()}",
        f" {platform.platform(terse=True)}, Python {platform.python_version()}, {datetime.now():%Y-%m-%d %H:%M:%S}",
        "",
        " [config]",
        f" .> app:         {app.main or '__main__'}:{id(app):#x}",
        f" .> transport:   {app.broker_address}",
        f" .> results:     {app.backend_address}",
        f" .> concurrency: {concurrency}",
        " .> task events: OFF",
        "",
        " [queues]",
    ]
    for name in worker.queues:
        queue = app.queues[name]
        exchange = queue.exchange
        described = f"{exchange.name}({exchange.type})" if exchange is not None else ""
        lines.append(f" .> {name:<16} exchange={described} key={queue.routing_key}")
    lines.append("")
    if options.loglevel is not None and options.loglevel <= logging.INFO:
        lines.append(" [tasks]")
        lines += [f"  . {name}" for name in sorted(app.tasks) if not name.startswith("celery.")]
        lines.append("")
    return "\n".join(lines)
