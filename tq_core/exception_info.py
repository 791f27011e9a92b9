"""An exception with its traceback, as handlers and signals get it."""

from __future__ import annotations

import traceback as tracebacks
from types import TracebackType
from typing import Any


class ExceptionInfo:
    """What was raised, and where.

    Attributes:
        exception: the exception.
        type: its class.
        tb: its traceback object, from the task's own frame on; None where only the text is known.
        traceback: the traceback as text; also ``str()`` of this object.
    """

    __slots__ = ("exception", "tb", "traceback", "type")

    def __init__(self, exception: BaseException, skip_frames: int = 0, text: str | None = None) -> None:
        self.exception = exception
        self.type = type(exception)
        tb = exception.__traceback__
        for _ in range(skip_frames):
            # Frames of tq itself say nothing to the person who wrote the task.
            if tb is not None and tb.tb_next is not None:
                tb = tb.tb_next
        self.tb: TracebackType | None = tb
        self.traceback = text if text is not None else format_exception(exception, tb)

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, Any]:
        """The triple of :func:`sys.exc_info`."""
        return (self.type, self.exception, self.tb)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


def format_exception(error: BaseException, tb: TracebackType | None = None) -> str:
    """Return the traceback text of an exception whose own formatting may fail."""
    try:
        return "".join(tracebacks.format_exception(type(error), error, tb or error.__traceback__))
    except Exception as broken:  # a user's __str__ or __repr__ raised; the class and that error still help
        return f"{type(error).__name__}: <its text could not be made: {type(broken).__name__}>\n"
