"""An application for one test: its tasks and settings are real, its queues and results are memory of their own."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tq_core import current
from tq_core.app import Celery
from tq_core.backends import memory as memory_backend
from tq_core.brokers import memory as memory_broker
from tq_core.config.settings import Settings
from tq_core.errors import ImproperlyConfigured

#: What :meth:`Settings.origin` says of a setting the test made.
_ORIGIN = "the test"
#: Attributes that are tried when only a module is named, in this order.
_ATTRIBUTES = ("app", "celery")


@contextmanager
def isolated(app: Celery | None = None, settings: Mapping[str, Any] | None = None) -> Iterator[Celery]:
    """While entered, an application sends to queues and stores in results that nobody else sees.

    Its broker and backend are ``memory://`` ones that are empty at the start and gone at the end. It is the current
    application meanwhile, so tasks made with ``shared_task`` belong to it. Its settings are put back afterwards.
    An application that has a broker but no result backend gets none here either.

    Args:
        app: one of your own; None makes a new one, which has the shared tasks only and reads no configuration.
        settings: over the application's own.

    Raises:
        ImproperlyConfigured: a setting is wrong.
    """
    url = f"memory://test-{uuid.uuid4().hex}"
    original = None if app is None else app.conf
    app = Celery("tests", set_as_current=False, config_source={}) if app is None else app
    fresh = app.conf.copy()
    fresh.layer({**_isolating(fresh, url), **(settings or {})}, _ORIGIN)
    _adopt(app, fresh)
    try:
        with current.standing_in(app):
            yield app
    finally:
        if original is None:
            app.close()
        else:
            _adopt(app, original)
        memory_broker.forget(url)
        memory_backend.forget(url)


def _adopt(app: Celery, settings: Settings) -> None:
    """Give the application other settings, and keep the plugins that its program has registered."""
    plugins = app.plugins
    app.adopt_settings(settings)
    app.plugins = plugins


def _isolating(conf: Settings, url: str) -> dict[str, Any]:
    """Return the settings that keep a test apart from everything else."""
    broker_named = conf.broker_write_url or conf.broker_url
    backend_named = conf.result_backend and not str(conf.result_backend).startswith("disabled")
    return {
        "broker_url": url,
        "broker_read_url": None,
        "broker_write_url": None,
        "result_backend": "disabled" if broker_named and not backend_named else url,
        "task_always_eager": False,
    }


def find_application(name: str) -> Celery:
    """Import the application that an option or a mark names, and the modules of its tasks.

    Args:
        name: ``module:attribute``, or a module that has an ``app`` or ``celery``.

    Raises:
        ImproperlyConfigured: it is not there, or no application.
        ImportError: importing its module failed.
    """
    module_name, _, path = name.partition(":")
    found: Any = importlib.import_module(module_name)
    if path:
        for part in path.split("."):
            found = getattr(found, part, None)
    else:
        found = _first_application(found)
    if not isinstance(found, Celery):
        what = "nothing" if found is None else f"an object of type {type(found).__name__}"
        raise ImproperlyConfigured(
            f"The application under test, {name!r}, names {what}, not an application; say module:attribute, "
            "such as proj.celery:app"
        )
    found.import_task_modules()
    return found


def _first_application(module: ModuleType) -> Celery | None:
    candidates = (getattr(module, attribute, None) for attribute in _ATTRIBUTES)
    return next((found for found in candidates if isinstance(found, Celery)), None)
