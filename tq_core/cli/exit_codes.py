"""Every exit code of ``tq``, and which error ends with which."""

from __future__ import annotations

from enum import IntEnum

from tq_core import errors


class ExitCode(IntEnum):
    """What the exit status of a command says; the member's text stands in the reference."""

    sentence: str

    def __new__(cls, value: int, sentence: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    OK = 0, "The command did what it was asked."
    FAILURE = 1, "It failed: a task failed, a worker stopped at once, a file could not be written, and the like."
    USAGE = 2, "The command line is wrong, or names an application that does not exist."
    CONFIGURATION = 3, "The configuration cannot be used; nothing was started."
    PLUGIN = 4, "A plugin is missing, broken, disabled, outdated or in conflict with another."
    FINDINGS = 5, "`tq doctor` found something that needs attention."
    NOT_SUPPORTED = 6, "The broker or result backend in use cannot do this."
    TIMEOUT = 7, "What was waited for did not happen in the time given."
    UNAVAILABLE = 69, "The broker or the result backend cannot be reached."
    INTERRUPTED = 130, "The command was interrupted with Ctrl-C."


#: The first class that fits decides.
_BY_ERROR: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.BrokerUnavailable, ExitCode.UNAVAILABLE),
    (errors.PublishError, ExitCode.UNAVAILABLE),
    (errors.BackendUnavailable, ExitCode.UNAVAILABLE),
    (errors.NotSupported, ExitCode.NOT_SUPPORTED),
    (errors.PluginError, ExitCode.PLUGIN),
    (errors.ImproperlyConfigured, ExitCode.CONFIGURATION),
    (errors.TimeoutError, ExitCode.TIMEOUT),
)


def code_for(error: BaseException) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILURE)
