"""The worker's log lines about tasks, worded as Celery users know them."""

from __future__ import annotations

import logging

from tq_core.outcome import Failed, Ignored, Outcome, Rejected, Retried, Revoked, Succeeded
from tq_core.runner.job import Job

logger = logging.getLogger("tq.worker.strategy")
outcome_logger = logging.getLogger("tq.app.trace")

#: Longest representation of a result in a log line.
_LONGEST = 46


def received(job: Job) -> None:
    """Say that a task was received."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("Task %s[%s] received", _name(job), job.task_id)


def ended(job: Job, outcome: Outcome) -> None:
    """Say how a task ended."""
    name, task_id = _name(job), job.task_id
    if isinstance(outcome, Succeeded):
        if outcome_logger.isEnabledFor(logging.INFO):
            outcome_logger.info(
                "Task %s[%s] succeeded in %ss: %s", name, task_id, outcome.runtime, short(outcome.value)
            )
    elif isinstance(outcome, Failed):
        error = outcome.error
        expected = job.plan is not None and isinstance(error, tuple(job.plan.task.throws))
        if expected:
            outcome_logger.info("Task %s[%s] raised expected: %s", name, task_id, short(error, 1024))
        else:
            outcome_logger.error(
                "Task %s[%s] raised unexpected: %s\n%s", name, task_id, short(error, 1024), outcome.traceback
            )
    elif isinstance(outcome, Retried):
        outcome_logger.info("Task %s[%s] retry: %s", name, task_id, short(outcome.error, 1024, str))
    elif isinstance(outcome, Ignored):
        outcome_logger.info("Task %s[%s] ignored", name, task_id)
    elif isinstance(outcome, Rejected):
        outcome_logger.warning(
            "Task %s[%s] rejected%s: %s",
            name,
            task_id,
            " and requeued" if outcome.requeue else "",
            outcome.reason,
        )
    elif isinstance(outcome, Revoked):
        doing = "Terminated" if outcome.reason == "terminated" else "Discarding revoked"
        outcome_logger.info("%s task: %s[%s] (%s)", doing, name, task_id, outcome.reason)
    else:
        # One line without the body: what a stranger put into the queue must not be able to forge log lines.
        logger.error(
            "Buried a message from queue %r (task %r, id %r): %s",
            job.delivery.queue,
            job.task_name or None,
            job.task_id or None,
            outcome.reason,
        )


def short(value: object, longest: int = _LONGEST, text: type[str] | None = None) -> str:
    """Return a bounded representation that never raises."""
    try:
        shown = str(value) if text is not None else repr(value)
    except BaseException as error:  # a user's __repr__ is user code, and may even exit
        shown = f"<{type(value).__name__}: its representation raised {type(error).__name__}>"
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def _name(job: Job) -> str:
    message = job.message
    return (message.shadow if message is not None else None) or job.task_name
