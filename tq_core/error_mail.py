"""Mails to the admins about tasks that failed."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable
from email.message import EmailMessage
from email.utils import formataddr
from typing import TYPE_CHECKING, Any

from tq_core.protocol.saferepr import saferepr

if TYPE_CHECKING:
    from tq_core.config.settings import Settings
    from tq_core.request import Request
    from tq_core.task import Task

logger = logging.getLogger(__name__)


def report_failure(task: Task, request: Request, error: BaseException, traceback: str) -> None:
    """Send the admins a mail about a failed run, unless the task expects this error. Never raises.

    Called in the thread that ran the task, which waits for the mail server for ``email_timeout`` seconds at most.

    Args:
        task: the task; its ``error_whitelist`` names exception classes, or their dotted paths, that send no mail.
        request: the failed run.
        error: what it raised.
        traceback: where, as text.
    """
    app = task.app
    if app is None or _is_listed(error, task.error_whitelist):
        return
    try:
        recipients = [_address(admin) for admin in app.conf.admins]
        if recipients:
            _send(app.conf, _letter(app.conf, recipients, request, error, traceback))
    except Exception as failed:  # a mail server's trouble must not change what became of the task
        server = f"{app.conf.email_host}:{app.conf.email_port}"
        logger.error("No mail about Task %s[%s] through %s: %r", task.name, request.id, server, failed)


def _is_listed(error: BaseException, listed: Iterable[Any]) -> bool:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return any(entry in names if isinstance(entry, str) else isinstance(error, entry) for entry in listed)


def _address(admin: Any) -> str:
    """Return an entry of ``admins``, an address or a name with its address, as a mail's header has it."""
    return admin if isinstance(admin, str) else formataddr((str(admin[0]), str(admin[1])))


def _letter(
    conf: Settings, recipients: list[str], request: Request, error: BaseException, traceback: str
) -> EmailMessage:
    letter = EmailMessage()
    shown = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    letter["Subject"] = f"[{request.hostname}] Task {request.task} ({request.id}) failed: {shown}"
    letter["From"] = conf.server_email
    letter["To"] = ", ".join(recipients)
    letter.set_content(
        f"Task {request.task}\nwith id {request.id}\nfailed on {request.hostname}: {shown}\n\n"
        f"args: {saferepr(request.args)}\nkwargs: {saferepr(request.kwargs)}\n\n{traceback}"
    )
    return letter


def _send(conf: Settings, letter: EmailMessage) -> None:
    connect = smtplib.SMTP_SSL if conf.email_use_ssl else smtplib.SMTP
    with connect(conf.email_host, conf.email_port, timeout=float(conf.email_timeout)) as server:
        if conf.email_use_tls:
            server.starttls()
        if conf.email_host_user:
            server.login(conf.email_host_user, conf.email_host_password or "")
        server.send_message(letter)
