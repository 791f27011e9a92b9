"""Station 9, first half: what a task's end sets in motion — callbacks, the next link of a chain, a chord's count.

Nothing is sent here. The messages are made while the application's producer collects them; they leave together with the
task's own settlement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tq_core import current
from tq_core.canvas.errbacks import fail_unsent, send_errback
from tq_core.errors import BackendUnavailable, ChordError
from tq_core.message import Message
from tq_core.protocol.exception import rebuild_exception
from tq_core.runner.job import Job

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.canvas.errbacks import Claims
    from tq_core.contracts.backend import ChordPart
    from tq_core.request import Request


class FollowUps:
    """Makes the messages that follow from outcomes. Used by one thread.

    Args:
        app: the application, whose canvas and producer are used.
        claims: takes the chords that fail by what is made here; to be closed once that has left.
    """

    def __init__(self, app: Celery, claims: Claims) -> None:
        self._app = app
        self._claims = claims

    def after_success(self, job: Job, request: Request, value: Any) -> list[Message]:
        """Return the messages that follow from a success; the results they stand for become the request's children."""
        message = job.message
        assert message is not None
        if not message.callbacks and not message.chain:
            return []
        with self._sending_for(request) as collected:
            for callback in message.callbacks or ():
                self._send(callback, (value,), request)
            if message.chain:
                # The next link is the last element; it carries the rest of the chain with it.
                *rest, following = message.chain
                self._send(following, (value,), request, chain=list(rest) or None)
        return collected

    def after_failure(
        self,
        job: Job,
        request: Request,
        error: BaseException,
        traceback: str | None,
        *,
        with_errbacks: bool = True,
    ) -> list[Message]:
        """Return the messages that follow from a failure: the errbacks, called with the failed task's id."""
        message = job.message
        assert message is not None
        errbacks = message.errbacks if with_errbacks else None
        if not errbacks and not message.chain:
            return []
        with self._sending_for(request) as collected:
            for errback in errbacks or ():
                send_errback(self._app, errback, request, error, traceback or "")
            for following in reversed(message.chain or ()):
                # The rest of the chain will never run; a chord that waits for its last step must hear of it.
                fail_unsent(self._app, following, error, with_errbacks=False, claims=self._claims)
        return collected

    def after_chord(self, request: Request, body: Any, parts: Sequence[ChordPart]) -> list[Message]:
        """Return the messages of a complete chord: its body with the values, or its errbacks."""
        signature = self._app.signature(body)
        failed = next((part for part in parts if part.state != "SUCCESS"), None)
        with self._sending_for(request) as collected:
            if failed is None:
                self._send_body(signature, [part.result for part in parts], request)
            else:
                cause = rebuild_exception(failed.result)
                error = ChordError(f"Dependency {failed.task_id} raised {cause!r}")
                fail_unsent(self._app, signature, error, claims=self._claims)
        return collected

    def _send_body(self, body: Any, values: list[Any], request: Request) -> None:
        try:
            body.apply_async((values,), root_id=request.root_id)
        except BackendUnavailable:
            raise
        except Exception as error:  # it does not take a list, or cannot be written: nobody but its errbacks can be told
            fail_unsent(self._app, body, error, claims=self._claims)

    def _sending_for(self, request: Request) -> _Sending:
        return _Sending(self._app, request)

    def _send(self, signature: Any, args: tuple[Any, ...], request: Request, chain: Any = None) -> None:
        options: dict[str, Any] = {"parent_id": request.id, "root_id": request.root_id or request.id}
        if chain:
            options["chain"] = chain
        self._app.signature(signature).apply_async(args, **options)


class _Sending:
    """While entered, sends are collected and count as sent by ``request``'s task; its caller hears of their results."""

    def __init__(self, app: Celery, request: Request) -> None:
        self._collecting = app.producer.collecting()
        self._replying = app.producer.reply_address.instead(request.reply_to)
        self._request = request

    def __enter__(self) -> list[Message]:
        self._token = current.running.set(self._request)
        self._replying.__enter__()
        messages: list[Message] = self._collecting.__enter__()
        return messages

    def __exit__(self, *raised: Any) -> None:
        self._collecting.__exit__(*raised)
        self._replying.__exit__(*raised)
        current.running.reset(self._token)
