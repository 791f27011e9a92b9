"""How much memory this process uses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident_kib() -> int:
    """Return the resident memory of this process in KiB; its peak where the current value cannot be had."""
    try:
        pages = int(_STATM.read_text().split()[1])
        return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)
    except (OSError, ValueError, IndexError):
        try:
            import resource
        except ImportError:  # Windows has no such count; recycling by memory is off there
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
