"""Which option decides where a call goes, when several have been given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_core.errors import NotSupported


def laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of two levels as one: call over task over route.

    What the upper level says holds. Where it names a queue or an exchange, the lower level's queue, exchange and
    routing key are about another place, and are left out.

    Args:
        lower: options that hold where nothing else is said.
        upper: options that hold first.
    """
    if not lower:
        return upper
    merged = {**lower, **upper}
    if upper.get("queue") is not None:
        _drop(merged, upper, "exchange", "routing_key")
    elif upper.get("exchange") is not None:
        _drop(merged, upper, "queue")
    return merged


def refuse_immediate(name: str) -> None:
    """Say why a task cannot be sent with ``immediate``.

    Args:
        name: the task's.

    Raises:
        NotSupported: always.
    """
    raise NotSupported(
        f"immediate: no broker can refuse the task {name} for want of an idle worker (RabbitMQ has given the flag up "
        "with version 3). Leave it out; a task that must not wait for long can be given expires="
    )


def _drop(merged: dict[str, Any], upper: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if upper.get(name) is None:
            merged.pop(name, None)
