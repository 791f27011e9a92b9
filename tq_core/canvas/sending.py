"""Sending several messages as one publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tq_core.canvas.graph import keeping

if TYPE_CHECKING:
    from tq_core.app import Celery


@contextmanager
def one_publish(app: Celery) -> Iterator[None]:
    """While entered, this thread's or coroutine's sends are gathered; they leave together at the end.

    Inside another collection they join that one. Nothing is sent when the block raises.

    Raises:
        BackendError: what is to be sent later could not be stored (``interop: none``).
        PublishError: not every message is known to be in the broker.
    """
    if app.producer.is_collecting:
        with keeping(app):
            yield
        return
    with app.producer.collecting() as messages, keeping(app):
        yield
    app.producer.publish(messages)
