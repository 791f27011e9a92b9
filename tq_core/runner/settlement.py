"""Stations 9 and 10: record what became of a batch, send what follows from it, and settle its messages.

The order matters, because a crash may come between any two steps: the result is stored before the message is
acknowledged, so a task that ran is never forgotten, and follow-ups leave with the acknowledgement, so that they
are neither lost nor, where the broker can do both at once, sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tq_core import states
from tq_core.canvas.errbacks import Claims
from tq_core.contracts.backend import ChordPart, ResultRecord
from tq_core.contracts.broker import Ack, Bury, Requeue, Settlement
from tq_core.errors import BackendUnavailable, Reject, TaskRevokedError, TimeLimitExceeded
from tq_core.exception_info import format_exception
from tq_core.message import Message
from tq_core.outcome import Buried, Failed, Ignored, Outcome, Rejected, Retried, Revoked, Succeeded
from tq_core.protocol.exception import describe_exception
from tq_core.result_stores import shares
from tq_core.runner import narration
from tq_core.runner.followups import FollowUps
from tq_core.runner.job import Job, request_of, task_of
from tq_core.timeutil import now
from tq_core.tracing import announce_failure, announce_internal_error, announce_revoked

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.backend import Backend
    from tq_core.request import Request

logger = logging.getLogger(__name__)

#: Seconds a claim of a complete chord keeps others out. Only a redelivered part asks again, and a message whose
#: holder died is redelivered no sooner than a second later. Were the claim to last longer, it would be refused to it;
#: the message would be acknowledged, and nobody would ever send the body.
_CHORD_LEASE = 0.5


@dataclass(slots=True)
class Batch:
    """What is to be written for some ended jobs; kept until all of it is written.

    Attributes:
        records: results to store.
        parts: chord parts to count, with the job they come from.
        follow_ups: messages to send.
        endings: one for each job.
        chords: chords whose bodies are among the follow-ups.
        undecided: jobs with outcomes of which nothing is in the other lists yet.
        stored, counted: how far writing has come, so that a retry after an error repeats nothing done.
    """

    records: list[ResultRecord] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    parts: list[tuple[ChordPart, Job]] = field(default_factory=list)
    follow_ups: list[Message] = field(default_factory=list)
    endings: list[Settlement] = field(default_factory=list)
    chords: list[str] = field(default_factory=list)
    undecided: list[tuple[Job, Outcome]] = field(default_factory=list)
    stored: bool = False
    counted: bool = False

    def mark(self) -> tuple[int, int, int, int, int]:
        """Return how long the lists are, for :meth:`cut`."""
        return len(self.records), len(self.jobs), len(self.parts), len(self.follow_ups), len(self.endings)

    def cut(self, mark: tuple[int, int, int, int, int]) -> None:
        """Take back what was added since ``mark``, so that a job is never half in a batch."""
        lists: tuple[list[Any], ...] = (self.records, self.jobs, self.parts, self.follow_ups, self.endings)
        for items, length in zip(lists, mark, strict=True):
            del items[length:]


class Settler:
    """Writes outcomes. Used by one thread: a runner's transport thread, or the supervisor for a dead runner.

    Args:
        app: the application.
        backend: where results go.
        settle: gives deliveries their endings: ``Consumer.settle`` or ``Succession.settle``.
        hostname: the worker's node name.
        claimant: names this process when it claims a complete chord.
    """

    def __init__(
        self,
        app: Celery,
        backend: Backend,
        settle: Callable[[Sequence[Settlement], Sequence[Message]], Sequence[Any]],
        *,
        hostname: str,
        claimant: str,
    ) -> None:
        self._app = app
        self._backend = backend
        self._settle = settle
        self._hostname = hostname
        self._claimant = claimant
        self._claims = Claims(claimant, _CHORD_LEASE)
        self._follow_ups = FollowUps(app, self._claims)
        self._extended = bool(app.conf.result_extended)
        self._keep_errors = app.conf.task_store_errors_even_if_ignored
        self._date_done = ""
        self._pending: Batch | None = None

    @property
    def pending(self) -> bool:
        """True while a batch could not be written; :meth:`flush` tries it again."""
        return self._pending is not None

    def settle(self, ended: Sequence[tuple[Job, Outcome]], endings: Sequence[Settlement] = ()) -> None:
        """Record, follow up and settle ended jobs.

        Args:
            ended: jobs with their outcomes.
            endings: deliveries that only have to be handed back.

        Raises:
            BrokerError, BackendError: not everything could be written; call :meth:`flush` later.
        """
        self.flush()
        self._date_done = now().isoformat()  # of all of the batch: it is written down at once
        self._pending = Batch(endings=list(endings), undecided=list(ended))
        self.flush()

    def flush(self) -> None:
        """Write what an earlier call could not.

        Raises:
            BrokerError, BackendError: it still cannot be written.
        """
        batch = self._pending
        if batch is None:
            return
        self._decide_all(batch)
        if not batch.stored:
            self._store(batch)
            batch.stored = True
        if batch.parts and not batch.counted:
            self._count(batch)
            batch.counted = True
        lost = self._settle(batch.endings, batch.follow_ups)
        if lost:
            logger.warning("%d messages had gone to another worker before they were settled", len(lost))
        else:
            # After a loss the bodies were not sent; whoever has the messages now claims the chords again.
            for group_id in batch.chords:
                self._backend.close_chord(group_id)
        self._pending = None

    def _decide_all(self, batch: Batch) -> None:
        while batch.undecided:
            job, outcome = batch.undecided[0]
            mark = batch.mark()
            try:
                self._decide(batch, job, outcome)
            except BackendUnavailable:
                # What follows cannot be read or counted just now; the task has ended all the same.
                batch.cut(mark)
                raise
            except BaseException as error:  # a callback that cannot be sent makes its task fail, not the worker
                batch.cut(mark)
                self._decide_unsendable(batch, job, error)
            batch.chords += self._claims.taken()
            del batch.undecided[0]

    # one job

    def _decide(self, batch: Batch, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Succeeded):
            self._decide_succeeded(batch, job, outcome)
        elif isinstance(outcome, Failed):
            self._decide_failed(batch, job, outcome)
        elif isinstance(outcome, Retried):
            self._decide_retried(batch, job, outcome)
        elif isinstance(outcome, Ignored):
            batch.endings.append(Ack(job.tag))
        elif isinstance(outcome, Rejected):
            if outcome.requeue:
                batch.endings.append(Requeue(job.tag))
            else:
                self._decide_rejected(batch, job, outcome)
        elif isinstance(outcome, Revoked):
            if not job.started:
                narration.ended(job, outcome)
            error = TaskRevokedError(outcome.reason)
            batch.follow_ups += self._follow_ups.after_failure(job, self._request(job), error, None)
            self._record_failure(batch, job, states.REVOKED, error, None)
            if job.plan is not None:
                announce_revoked(job.plan, self._request(job), outcome)
            batch.endings.append(Ack(job.tag))
        else:
            self._decide_buried(batch, job, outcome)

    def _decide_unsendable(self, batch: Batch, job: Job, error: BaseException) -> None:
        """Let a job fail whose outcome could not be put into messages and records."""
        mark = batch.mark()
        try:
            failed = Failed(error, format_exception(error), 0.0)
            narration.ended(job, failed)
            if job.plan is not None:
                announce_internal_error(job.plan, self._request(job), error)
            batch.follow_ups += self._fail_rest(job, error, failed.traceback)
            self._record_failure(batch, job, states.FAILURE, error, failed.traceback)
            batch.endings.append(Ack(job.tag))
        except BackendUnavailable:
            batch.cut(mark)
            raise
        except BaseException as hopeless:  # an error whose own text is user code that raises
            batch.cut(mark)
            reason = f"{type(error).__name__}, and then {type(hopeless).__name__} while it was written down"
            logger.error("Task %s[%s] could not be settled: %s", job.task_name, job.task_id, reason)
            batch.endings.append(Bury(job.tag, reason))

    def _fail_rest(self, job: Job, error: BaseException, traceback: str) -> list[Message]:
        """Return the messages that follow from the failure of a job that could not be settled as it ended."""
        if job.message is None:
            return []
        try:
            return self._follow_ups.after_failure(job, self._request(job), error, traceback)
        except BackendUnavailable:
            raise
        except Exception as second:  # an errback that cannot be sent either; the failure is recorded all the same
            logger.error("What follows the failure of %s[%s] is lost: %r", job.task_name, job.task_id, second)
            return []

    def _decide_succeeded(self, batch: Batch, job: Job, outcome: Succeeded) -> None:
        request = self._request(job)
        batch.follow_ups += self._follow_ups.after_success(job, request, outcome.value)
        if not _ignores_result(job):
            batch.records.append(self._record(job, request, states.SUCCESS, outcome.value, None))
            batch.jobs.append(job)
        self._add_part(batch, job, states.SUCCESS, outcome.value)
        batch.endings.append(Ack(job.tag))

    def _decide_failed(self, batch: Batch, job: Job, outcome: Failed, *, with_errbacks: bool = True) -> None:
        if not job.started and job.plan is not None:
            # Lost or stopped from outside: nobody has told the task's own handlers yet.
            narration.ended(job, outcome)
            announce_failure(job.plan, self._request(job), outcome)
        if with_errbacks:
            request = self._request(job)
            batch.follow_ups += self._follow_ups.after_failure(job, request, outcome.error, outcome.traceback)
        self._record_failure(batch, job, states.FAILURE, outcome.error, outcome.traceback)
        if job.late and _refuses(job, outcome):
            batch.endings.append(Bury(job.tag, f"failed: {narration.short(outcome.error, 1024)}", outcome.traceback))
        else:
            batch.endings.append(Ack(job.tag))

    def _decide_rejected(self, batch: Batch, job: Job, outcome: Rejected) -> None:
        """Bury the message; a rejected task has no state and no errbacks, but what waits for its value hears of it."""
        error = Reject(outcome.reason)
        batch.follow_ups += self._follow_ups.after_failure(job, self._request(job), error, None, with_errbacks=False)
        self._add_part(batch, job, states.FAILURE, describe_exception(error))
        batch.endings.append(Bury(job.tag, outcome.reason))

    def _decide_retried(self, batch: Batch, job: Job, outcome: Retried) -> None:
        request = self._request(job)
        batch.follow_ups += self._app.sender.collect_retry(outcome.error, request)
        if not _ignores_result(job):
            error = outcome.error.exc or outcome.error
            record = self._record(job, request, states.RETRY, describe_exception(error), outcome.traceback)
            batch.records.append(record)
            batch.jobs.append(job)
        batch.endings.append(Ack(job.tag))

    def _decide_buried(self, batch: Batch, job: Job, outcome: Buried) -> None:
        narration.ended(job, outcome)
        if job.message is not None:
            batch.follow_ups += self._follow_ups.after_failure(
                job, self._request(job), outcome.error, outcome.traceback
            )
            self._record_failure(batch, job, states.FAILURE, outcome.error, outcome.traceback)
        elif job.task_id and self._backend.capabilities.stores:
            # Undecodable, but its id could be read: whoever waits for it gets an answer.
            failure = describe_exception(outcome.error)
            batch.records.append(
                ResultRecord(
                    job.task_id,
                    states.FAILURE,
                    failure,
                    date_done=now().isoformat(),
                    reply_to=job.reply_to,
                )
            )
            batch.jobs.append(job)
        batch.endings.append(Bury(job.tag, outcome.reason, outcome.traceback))

    def _record_failure(self, batch: Batch, job: Job, state: str, error: BaseException, traceback: str | None) -> None:
        described = describe_exception(error)
        if not _ignores_result(job) or self._keeps_errors(job):
            batch.records.append(self._record(job, self._request(job), state, described, traceback))
            batch.jobs.append(job)
        self._add_part(batch, job, state, described)

    def _keeps_errors(self, job: Job) -> bool:
        return bool(self._keep_errors if job.plan is None else job.plan.task.store_errors_even_if_ignored)

    def _record(self, job: Job, request: Request, state: str, result: Any, traceback: str | None) -> ResultRecord:
        message = job.message
        assert message is not None
        return ResultRecord(
            message.id,
            state,
            result,
            traceback,
            [child.as_tuple() for child in request.children] if request.children else (),
            self._date_done if state in states.READY_STATES else None,
            message.group,
            message.parent_id,
            self._extended_fields(job, message) if self._extended else {},
            message.reply_to,
        )

    def _extended_fields(self, job: Job, message: Any) -> dict[str, Any]:
        fields = {
            "name": message.name,
            "args": message.args,
            "kwargs": message.kwargs,
            "worker": self._hostname,
            "retries": message.retries,
            "queue": job.delivery.queue,
        }
        if message.stamped_headers:
            fields["stamped_headers"] = list(message.stamped_headers)
            fields.update(message.stamps or {})
        return fields

    def _request(self, job: Job) -> Request:
        if job.request is None:
            job.request = request_of(job, self._hostname)
        return job.request

    # the batch

    def _add_part(self, batch: Batch, job: Job, state: str, result: Any) -> None:
        message = job.message
        if (
            message is not None
            and message.chord is not None
            and message.group is not None
            and self._backend.capabilities.chords
        ):
            part = ChordPart(message.group, message.group_index or 0, message.id, state, result)
            batch.parts.append((part, job))

    def _store(self, batch: Batch) -> None:
        if not batch.records:
            return
        for backend, records, jobs in shares(self._backend, batch.records, batch.jobs, task_of):
            if not backend.capabilities.stores:
                continue
            try:
                backend.store(records)
            except BackendUnavailable:
                raise
            except BaseException:  # what a task returned is written by code of its own, which may even exit
                # One of them cannot be stored as it is: find it, and let only that task fail.
                for record, job in zip(records, jobs, strict=True):
                    self._store_one(batch, backend, record, job)

    def _store_one(self, batch: Batch, backend: Backend, record: ResultRecord, job: Job) -> None:
        try:
            backend.store([record])
        except BackendUnavailable:
            raise
        except BaseException as error:
            failed = Failed(error, format_exception(error), 0.0)
            narration.ended(job, failed)
            if job.plan is not None:
                announce_internal_error(job.plan, self._request(job), error)
            described = describe_exception(error)
            failure = ResultRecord(
                record.task_id,
                states.FAILURE,
                described,
                failed.traceback,
                date_done=now().isoformat(),
                reply_to=record.reply_to,
            )
            self._store_failure(batch, backend, failure, job)
            batch.parts = [
                (replace(part, state=states.FAILURE, result=described) if owner is job else part, owner)
                for part, owner in batch.parts
            ]

    def _store_failure(self, batch: Batch, backend: Backend, failure: ResultRecord, job: Job) -> None:
        """Store that a result could not be stored; bury the message where not even that can be."""
        try:
            backend.store([failure])
        except BackendUnavailable:
            raise
        except Exception as error:  # trying it again for ever would stop this runner
            reason = f"its result cannot be stored: {type(error).__name__}: {narration.short(error, 1024, str)}"
            logger.error("Task %s[%s]: %s", job.task_name, job.task_id, reason)
            batch.endings = [
                Bury(job.tag, reason) if isinstance(ending, Ack) and ending.tag == job.tag else ending
                for ending in batch.endings
            ]

    def _count(self, batch: Batch) -> None:
        complete = self._backend.add_chord_parts(
            [part for part, _ in batch.parts], claimant=self._claimant, lease=_CHORD_LEASE
        )
        follow_ups: list[Message] = []
        for group_id in complete:
            job = next(job for part, job in batch.parts if part.group_id == group_id)
            assert job.message is not None
            parts = self._backend.chord_parts(group_id)
            follow_ups += self._follow_ups.after_chord(self._request(job), job.message.chord, parts)
        # All at once: when the backend fails in between, all of it is made again.
        batch.follow_ups += follow_ups
        batch.chords += [*self._claims.taken(), *complete]


def _ignores_result(job: Job) -> bool:
    asked = job.message.ignore_result if job.message is not None else None
    if asked is not None and asked is not False:
        return True
    return bool(job.plan is not None and job.plan.task.ignore_result)


def _refuses(job: Job, outcome: Failed) -> bool:
    """Tell whether a late-acknowledged message of a failed task goes to the dead letters."""
    assert job.plan is not None
    task = job.plan.task
    timed_out = isinstance(outcome.error, TimeLimitExceeded)
    own = task.acks_on_timeout if timed_out else task.acks_on_failure
    return not (task.acks_on_failure_or_timeout if own is None else own)
