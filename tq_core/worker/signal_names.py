"""The signals with which a task may be terminated."""

from __future__ import annotations

import signal
from typing import Any

#: Ends a task without a grace.
AT_ONCE = frozenset(int(getattr(signal, name)) for name in ("SIGKILL", "SIGQUIT") if hasattr(signal, name))
#: Does what the soft time limit does, and nothing more; -1 where there is no such signal.
INTERRUPT = int(getattr(signal, "SIGUSR1", -1))


def signal_number(given: Any) -> int:
    """Return the number of a signal.

    Args:
        given: its number, or its name with or without ``SIG``; None for ``SIGTERM``.

    Raises:
        ValueError: there is no such signal.
    """
    if given is None or given == "":
        return int(signal.SIGTERM)
    try:
        if isinstance(given, int) or (isinstance(given, str) and given.isdigit()):
            return int(signal.Signals(int(given)))
        name = given.upper()
        return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"there is no signal {given!r:.60}; use a name such as 'SIGTERM', or its number") from None
