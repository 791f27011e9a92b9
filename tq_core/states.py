"""The states a task passes through, as every Celery client knows them.

A state is a string subclass nowhere: plain upper-case words travel on the wire and in the database.
"""

from __future__ import annotations

#: Waiting, or unknown: nothing is ever written for this state.
PENDING = "PENDING"
#: A worker holds the message (written only as an event).
RECEIVED = "RECEIVED"
#: A worker runs the task; stored only with ``task_track_started``.
STARTED = "STARTED"
#: The task returned; its value is the result.
SUCCESS = "SUCCESS"
#: The task raised, was lost with its worker, or exceeded a hard limit.
FAILURE = "FAILURE"
#: The task was cancelled, or had expired before it could start.
REVOKED = "REVOKED"
#: The task refused its message (written only as an event).
REJECTED = "REJECTED"
#: The task will run again; the stored result is the exception that asked for it.
RETRY = "RETRY"
#: The task asked for no state to be kept (written only as an event).
IGNORED = "IGNORED"
#: An abortable task was asked to stop.
ABORTED = "ABORTED"

#: States that will not change any more.
READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
#: States of a task that still has something before it.
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
#: States whose stored result is an exception.
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
#: The older documentation's name of :data:`EXCEPTION_STATES`.
FAILURE_STATES = EXCEPTION_STATES
#: States whose exception ``AsyncResult.get`` raises.
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
#: Every built-in state.
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})
