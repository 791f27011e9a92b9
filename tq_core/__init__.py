"""tq: a distributed task queue with Celery's API, settings and messages on a small core of plugins.

``from tq_core import Celery`` is where a program starts. Importing this package imports no plugin and no
client library; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.canvas.chain import chain
    from tq_core.canvas.chord import chord
    from tq_core.canvas.group import group
    from tq_core.canvas.making import maybe_signature, signature
    from tq_core.canvas.mapping import chunks, xmap, xstarmap
    from tq_core.canvas.signature import Signature
    from tq_core.current import get_current_app, get_current_task
    from tq_core.shared import shared_task
    from tq_core.task import Task

__all__ = [
    "Celery",
    "Signature",
    "Task",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "get_current_app",
    "get_current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "xmap",
    "xstarmap",
]

_HOMES = {
    "Celery": "tq_core.app",
    "shared_task": "tq_core.shared",
    "Task": "tq_core.task",
    "Signature": "tq_core.canvas.signature",
    "signature": "tq_core.canvas.making",
    "maybe_signature": "tq_core.canvas.making",
    "chain": "tq_core.canvas.chain",
    "group": "tq_core.canvas.group",
    "chord": "tq_core.canvas.chord",
    "chunks": "tq_core.canvas.mapping",
    "xmap": "tq_core.canvas.mapping",
    "xstarmap": "tq_core.canvas.mapping",
    "get_current_app": "tq_core.current",
    "get_current_task": "tq_core.current",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("tq-core")
        except PackageNotFoundError:  # a checkout on sys.path that was never installed
            return "0.0.0"
    if name == "current_app":
        return importlib.import_module("tq_core.current").get_current_app()
    if name == "current_task":
        return importlib.import_module("tq_core.current").get_current_task()
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
