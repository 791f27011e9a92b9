"""How messages look on the command line."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.message import Message

_LONGEST = 200


def described(message: Message | None) -> dict[str, Any]:
    """Return what a message says about itself, without reading its body: it may be hostile.

    Args:
        message: None for one whose envelope cannot be read.
    """
    if message is None:
        return {"id": None, "task": None, "args": None, "kwargs": None, "eta": None, "retries": None}
    headers = message.headers
    return {
        "id": message.id,
        "task": _printable(headers.get("task")),
        "args": _printable(headers.get("argsrepr")),
        "kwargs": _printable(headers.get("kwargsrepr")),
        "eta": _printable(headers.get("eta")),
        "retries": _printable(headers.get("retries")),
    }


def moment(seconds: float) -> str:
    """Write a Unix time for people, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _printable(value: Any) -> Any:
    """Make a foreign header safe for a terminal: no control characters, not endless."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = str(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
