"""Causes of results that stay PENDING which can be seen in the settings and tasks of one process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from tq_core.cli.findings import Finding, good, problem, skipped

if TYPE_CHECKING:
    from tq_core.app import Celery

CHECK = "results stay PENDING"
#: Results that live shorter than this many seconds are gone before most callers ask.
_SHORT_LIFE = 60


def examine(app: Celery) -> Iterator[Finding]:
    """Look for each known cause.

    Args:
        app: its settings and tasks are read, nothing is connected to.
    """
    findings = [*_ignored(app), *_unreadable(app), *_elsewhere(app), *_short_lived(app), *_eager(app)]
    if findings:
        yield from findings
    else:
        yield good(CHECK, "no cause in the settings of tasks and results")
    yield skipped(
        "old workers",
        "a worker started with older code or other settings takes tasks from the same queue; look for stray ones with "
        "`ps ax | grep worker`",
    )


def _ignored(app: Celery) -> Iterator[Finding]:
    conf = app.conf
    if conf.task_ignore_result:
        yield problem(CHECK, "task_ignore_result is on: no task keeps its result", "Switch it off, or ask no result.")
        return
    own = sorted(name for name, task in app.tasks.items() if task.ignore_result and not name.startswith("celery."))
    if own:
        yield skipped(CHECK, f"these tasks keep no result (ignore_result): {', '.join(own)}")


def _unreadable(app: Celery) -> Iterator[Finding]:
    conf = app.conf
    accepted = conf.result_accept_content or conf.accept_content or ()
    written = app.serializers.get(conf.result_serializer).content_type
    if written not in {app.serializers.get(name).content_type for name in accepted}:
        yield problem(
            CHECK,
            f"results are written as {written}, which result_accept_content (or accept_content) does not allow",
            f"Add {conf.result_serializer!r} to it.",
        )


def _elsewhere(app: Celery) -> Iterator[Finding]:
    for name, url in (("broker_url", app.broker_address), ("result_backend", app.backend_address)):
        scheme, _, path = url.partition(":///")
        if path and "sqlite" in scheme and not path.startswith("/") and path[1:2] != ":":
            yield problem(
                CHECK,
                f"{name} is {url}, relative to the working directory: a client and a worker started in different "
                "directories use different databases",
                f"Write an absolute path: {scheme}:////absolute/path/{path}",
            )


def _short_lived(app: Celery) -> Iterator[Finding]:
    expires = app.conf.result_expires
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    if seconds and seconds < _SHORT_LIFE:
        yield problem(
            CHECK,
            f"results are deleted after {seconds:g} seconds (result_expires), and are PENDING again from then on",
            "Let them live longer, or ask for them sooner.",
        )


def _eager(app: Celery) -> Iterator[Finding]:
    if app.conf.task_always_eager:
        yield problem(
            CHECK,
            "task_always_eager is on: tasks run in the calling process, and no worker or backend hears of them",
            "Switch it off outside of tests.",
        )
