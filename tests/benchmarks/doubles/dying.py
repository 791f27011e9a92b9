"""A system whose worker ends at once, as one does that is wrongly installed."""

from __future__ import annotations

import sys
import time
from typing import Any

from tests.benchmarks.systems.contract import System, Workers


class Driven(System):
    """It takes calls; nobody runs them."""

    def calls(self, count: int) -> list[Any]:
        return list(range(count))

    def round_trips(self, count: int) -> list[float]:
        # Longer than any worker takes to die; the harness does not wait for it.
        time.sleep(60)
        return []

    def finished(self, handle: Any) -> bool:
        return False

    def workers(self, slots: int) -> Workers:
        return Workers([[sys.executable, "-c", "raise SystemExit('there is no licence')"]], ready="ready")
