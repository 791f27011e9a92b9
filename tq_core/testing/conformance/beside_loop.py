"""Blocking calls beside a running event loop, which must not notice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

#: How often the loop must have come round while a call blocks.
ROUNDS = 10


def beside_a_loop(block: Callable[[], Any], release: Callable[[], None]) -> Any:
    """Call ``block`` in a thread beside a running loop; once the loop has come round some times, call ``release``
    in a thread, too. Return what ``block`` returned.

    Raises:
        AssertionError: signal handlers or the current loop are not what they were.
    """
    before = _surroundings()

    async def main() -> Any:
        blocked = asyncio.create_task(asyncio.to_thread(block))
        for _ in range(ROUNDS):
            await asyncio.sleep(0.001)
        await asyncio.to_thread(release)
        return await blocked

    value = asyncio.run(main())
    assert _surroundings() == before, "signal handlers were changed"
    return value


def _surroundings() -> list[Any]:
    wake_up = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wake_up)
    return [wake_up, *(signal.getsignal(number) for number in sorted(signal.valid_signals()))]
