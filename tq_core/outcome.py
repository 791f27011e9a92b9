"""How a run may end. Every run ends as exactly one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tq_core import states


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The task returned.

    Attributes:
        value: what it returned.
        runtime: seconds.
    """

    value: Any
    runtime: float
    state = states.SUCCESS


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised, was stopped at a limit, or was lost.

    Attributes:
        error: the exception.
        traceback: its traceback as text.
        runtime: seconds, 0 when it never ran here.
    """

    error: BaseException
    traceback: str
    runtime: float = 0.0
    state = states.FAILURE


@dataclass(frozen=True, slots=True)
class Retried:
    """The task asked to run again.

    Attributes:
        error: the ``Retry`` it raised, carrying reason, time and the next run's signature.
        traceback: where it asked, as text.
        runtime: seconds.
    """

    error: Any
    traceback: str
    runtime: float
    state = states.RETRY


@dataclass(frozen=True, slots=True)
class Ignored:
    """The task wants no state to be kept."""

    runtime: float
    state = states.IGNORED


@dataclass(frozen=True, slots=True)
class Rejected:
    """The task refused its message.

    Attributes:
        reason: why, for the dead letter.
        requeue: True to have it delivered again instead.
        runtime: seconds.
    """

    reason: str
    requeue: bool
    runtime: float
    state = states.REJECTED


@dataclass(frozen=True, slots=True)
class Revoked:
    """The task was cancelled, or had expired.

    Attributes:
        reason: ``revoked``, ``expired`` or ``terminated``.
        runtime: seconds, 0 when it never started.
        signum: of the signal with which it was terminated, else None.
    """

    reason: str
    runtime: float = 0.0
    signum: int | None = None
    state = states.REVOKED


@dataclass(frozen=True, slots=True)
class Buried:
    """The message could not become a run, or must not become one again.

    Attributes:
        reason: one line, for the dead letter and the log.
        error: what is stored as the task's failure, if the message says which task it is.
        traceback: text, or None.
    """

    reason: str
    error: BaseException
    traceback: str | None = None
    runtime: float = 0.0
    state = states.FAILURE


Outcome = Succeeded | Failed | Retried | Ignored | Rejected | Revoked | Buried
