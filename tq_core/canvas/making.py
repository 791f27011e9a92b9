"""Signatures of whatever was given: a task, its name, another signature, or the map that a message holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tq_core.canvas.signature import Signature

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.task import Task

#: The value of a task.
V = TypeVar("V")
#: A kind of signature.
Kind = TypeVar("Kind", bound=Signature)


@overload
def signature(
    varies: Kind,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    app: Celery | None = None,
    **ex: Any,
) -> Kind: ...


@overload
def signature(
    varies: Task[..., V],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    app: Celery | None = None,
    **ex: Any,
) -> Signature[V]: ...


@overload
def signature(
    varies: str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    app: Celery | None = None,
    **ex: Any,
) -> Signature: ...


@overload
def signature(varies: Mapping[str, Any], *, app: Celery | None = None) -> Any: ...


def signature(
    varies: Any,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    app: Celery | None = None,
    **ex: Any,
) -> Any:
    """Return a signature.

    Args:
        varies: a task, a task's name, a signature (copied), or the mapping of one, as it arrives in a message.
        args, kwargs, options: of the call; added to those of a signature.
        app: the application that sends it.
        **ex: ``immutable``, ``type``, and further options.
    """
    if isinstance(varies, Signature):
        twin = varies.clone(args, kwargs, **{**(options or {}), **ex})
        if app is not None and twin._app is None:
            twin._app = app
        return twin
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies, app=app)
    return Signature(varies, args, kwargs, options, app=app, **ex)


#: The name in the oldest API.
subtask = signature


def maybe_signature(d: Any, app: Celery | None = None, clone: bool = False) -> Any:
    """Return a mapping as the signature it describes; anything else, None included, as it is.

    Args:
        d: a signature, a mapping, or something else.
        app: the application that sends it.
        clone: copy a signature instead of returning it.
    """
    if isinstance(d, Signature):
        twin = d.clone() if clone else d
    elif isinstance(d, Mapping) and "task" in d:
        twin = Signature.from_dict(d, app=app)
    else:
        return d
    if app is not None and twin._app is None:
        twin._app = app
    return twin


maybe_subtask = maybe_signature
