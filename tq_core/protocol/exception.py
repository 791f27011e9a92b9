"""Exceptions as plain data: ``{"exc_type": name, "exc_message": [arguments], "exc_module": module}``.

Reading such a map never imports anything and never makes an instance of what is not an exception class:
whoever may write results could otherwise have any function called (CVE-2021-23727).
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from tq_core import errors
from tq_core.protocol.saferepr import saferepr

_CELERY = "celery.exceptions"
_BILLIARD = "billiard.exceptions"
_KOMBU = "kombu.exceptions"

#: Our errors under the names every Celery peer knows.
_FOREIGN_NAMES: dict[type[BaseException], tuple[str, str]] = {
    errors.TQError: (_CELERY, "CeleryError"),
    errors.BackendError: (_CELERY, "BackendError"),
    errors.MaxRetriesExceededError: (_CELERY, "MaxRetriesExceededError"),
    errors.BrokerUnavailable: (_KOMBU, "OperationalError"),
    **{
        kind: (_CELERY, kind.__name__)
        for kind in (
            *(
                errors.ImproperlyConfigured,
                errors.QueueNotFound,
                errors.TimeoutError,
                errors.IncompleteStream,
            ),
            *(errors.ChordError, errors.SecurityError, errors.TaskPredicate, errors.Ignore, errors.Reject),
            *(errors.Retry, errors.TaskError, errors.NotRegistered, errors.AlreadyRegistered),
            *(errors.TaskRevokedError, errors.InvalidTaskError, errors.UnpickleableExceptionWrapper),
            *(errors.WorkerShutdown, errors.WorkerTerminate),
        )
    },
    **{
        kind: (_BILLIARD, kind.__name__)
        for kind in (
            *(errors.SoftTimeLimitExceeded, errors.TimeLimitExceeded),
            *(errors.WorkerLostError, errors.Terminated),
        )
    },
    **{
        kind: (_KOMBU, kind.__name__)
        for kind in (
            errors.SerializationError,
            errors.EncodeError,
            errors.DecodeError,
            errors.ContentDisallowed,
        )
    },
}
_OUR_CLASSES: dict[tuple[str, str], type[BaseException]] = {
    **{names: kind for kind, names in _FOREIGN_NAMES.items()},
    # celery.exceptions offers these as well, and older peers name it as their home.
    **{(_CELERY, names[1]): kind for kind, names in _FOREIGN_NAMES.items()},
    (_CELERY, "BackendStoreError"): errors.BackendStoreError,
    (_CELERY, "BackendGetMetaError"): errors.BackendGetMetaError,
    (_CELERY, "RetryTaskError"): errors.Retry,
}

_SCALARS = (str, int, float, bool, type(None), datetime, date, time, Decimal, UUID, bytes)
_DEEPEST = 20


def describe_exception(error: BaseException, encode: Callable[[Any], object] | None = None) -> dict[str, Any]:
    """Return an exception as plain data. Never raises.

    Args:
        error: the exception.
        encode: the serializer's ``dumps``; an argument it refuses becomes its repr. None
            keeps what JSON holds.
    """
    kind = type(error)
    module, name = _FOREIGN_NAMES.get(kind) or (kind.__module__, kind.__qualname__)
    try:
        args = list(error.args)
    except Exception:  # args may be a property of a foreign class
        args = []
    return {
        "exc_type": str(name),
        "exc_message": [arg if _fits(arg, encode) else saferepr(arg) for arg in args],
        "exc_module": str(module),
    }


def _fits(value: Any, encode: Callable[[Any], object] | None) -> bool:
    if encode is None:
        return _is_plain(value, 0)
    try:
        encode(value)
    except Exception:  # serializers call foreign code
        return False
    return True


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, _SCALARS):
        # Longer integers than Python converts to text cannot be written either.
        return type(value) is not int or value.bit_length() < 10_000
    if depth > _DEEPEST:
        return False
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item, depth + 1) for key, item in value.items())
    return False


def rebuild_exception(described: Any) -> BaseException:
    """Return the exception that :func:`describe_exception`, or a Celery peer, wrote. Never raises.

    A class is looked up only in modules this process has loaded. Where it is not found, or is no exception
    class, an exception class of that name is made up, so that the name is still seen.

    Args:
        described: the map; anything else becomes an exception that shows it.
    """
    if isinstance(described, BaseException):  # from a pickling backend
        return described
    if not isinstance(described, Mapping):
        return errors.TaskError(saferepr(described))
    module, name = described.get("exc_module"), described.get("exc_type")
    message = described.get("exc_message")
    args = tuple(message) if isinstance(message, (list, tuple)) else () if message is None else (message,)
    name = name if isinstance(name, str) and name else "UnknownError"
    module = module if isinstance(module, str) and module else builtins.__name__
    kind = _find(module, name)
    error = _instance(kind, args) if kind is not None else None
    return error if error is not None else _made_up(module, name, args)


def _find(module: str, name: str) -> type[BaseException] | None:
    ours = _OUR_CLASSES.get((module, name))
    if ours is not None:
        return ours
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        # vars() and not getattr: a module or a class may run code when asked for what it does not have.
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _instance(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException | None:
    try:
        error: Any = kind(*args)
    except Exception:  # its constructor takes other arguments than it hands to Exception
        try:
            error = kind.__new__(kind, *args)
            error.args = args
        except Exception:  # foreign code
            return None
    try:
        str(error)  # one that skipped its constructor may lack what its text is made of
    except Exception:  # foreign code
        return None
    return error if isinstance(error, BaseException) else None


def _made_up(module: str, name: str, args: tuple[Any, ...]) -> BaseException:
    # A class, though made at run time: its name is what logs, tracebacks and users' tests look at.
    try:
        kind: type[Exception] = type(name.rpartition(".")[2] or name, (Exception,), {"__module__": module})
    except ValueError:  # a name with a NUL or a lone surrogate
        return errors.TaskError(ascii(name), *args)
    return kind(*args)
