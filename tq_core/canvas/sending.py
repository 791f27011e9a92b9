"""Sending several messages as one publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tq_core.app import Celery


@contextmanager
def one_publish(app: Celery) -> Iterator[None]:
    """While entered, this thread's or coroutine's sends are gathered; they leave together at the end.

    Inside another collection they join that one. Nothing is sent when the block raises.

    Raises:
        PublishError: not every message is known to be in the broker.
    """
    if app.producer.is_collecting:
        yield
        return
    with app.producer.collecting() as messages:
        yield
    app.producer.publish(messages)
