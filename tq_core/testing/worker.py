"""A worker inside the test's own process: real runner, real broker, no other process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tq_core.runner.board import Board
from tq_core.runner.runner import Runner, RunnerSpec
from tq_core.worker.options import node_name

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Seconds to wait for the runner to start, and for what it runs to end.
_PATIENCE = 30.0


@contextmanager
def start_worker(
    app: Celery, *, concurrency: int = 1, pool: str = "threads", queues: Sequence[str] = ()
) -> Iterator[Runner]:
    """Run a worker in threads of this process while the block is entered.

    Works with every broker, also with ``memory://``, which other processes cannot see. On leaving, what runs is
    finished
    and what only waits is given back. Hard time limits of tasks that never return to Python, and tasks that end their
    process, are beyond it: they would end the test.

    Args:
        app: the application.
        concurrency: tasks at a time.
        pool: a pool that runs outside of the main thread, such as ``threads``.
        queues: names to receive from; all configured ones when empty.

    Raises:
        TimeoutError: the runner did not come up, or a task did not end.
    """
    app.finalize()
    board = Board(1, concurrency)
    spec = RunnerSpec(
        number=0,
        consumer_id=f"test:{uuid.uuid4().hex[:12]}",
        node=node_name("test@%h"),
        queues=tuple(app.queues.consumed(tuple(queues))),
        pool=pool,
        slots=concurrency,
    )
    runner = Runner(app, spec, board)
    thread = threading.Thread(target=runner.run, name="Runner", daemon=True)
    thread.start()
    try:
        if not runner.wait_ready(_PATIENCE):
            raise TimeoutError(f"the runner was not ready within {_PATIENCE:g} seconds")
        yield runner
    finally:
        runner.drain()
        thread.join(_PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f"a task was still running {_PATIENCE:g} seconds after the test had ended")
        board.close()
