"""The fixtures of ``celery.contrib.pytest`` by their names, for tests that were written for Celery.

Their names, scopes and defaults are those of Celery 5's documentation, "Testing with Celery". The worker is
``tq_core.testing.worker``; what it has no use for is accepted and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.testing.worker import InProcessWorker

#: Settings of the applications below unless ``celery_config`` has others.
_DEFAULTS = {"broker_url": "memory://", "result_backend": "cache+memory://"}
#: Seconds that running tasks have when the test has ended, unless the parameters say otherwise.
_SHUTDOWN_TIMEOUT = 10.0


class CurrentAppTrap:
    """Stands in for the current application where a test must not use it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("Test depends on current_app")


@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Settings of the test application; override it."""
    return {}


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """Arguments of the test application's constructor; override it."""
    return {}


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Accepted for compatibility: log lines reach pytest as they are."""
    return False


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Modules that are imported before a worker starts; override it."""
    return ()


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[Any]:
    """Class-based tasks that are registered with the application before a worker starts; override it."""
    return ()


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """Pool of the workers; override it."""
    return "solo"


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """Arguments of the workers: ``concurrency``, ``pool``, ``queues``, ``exclude_queues``, ``shutdown_timeout``."""
    return {}


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """True makes a test fail that uses the current application without asking for ``depends_on_current_app``."""
    return False


@pytest.fixture(scope="session")
def celery_session_app(
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """A test application for the whole session."""
    with _application(celery_config, celery_parameters, trap=use_celery_app_trap) as app:
        yield app


@pytest.fixture(scope="session")
def celery_session_worker(
    celery_session_app: Celery,
    celery_includes: Sequence[str],
    celery_class_tasks: Sequence[Any],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[InProcessWorker]:
    """A worker for the whole session."""
    for task in celery_class_tasks:
        celery_session_app.register_task(task)
    with _worker(celery_session_app, celery_includes, celery_worker_pool, celery_worker_parameters) as worker:
        yield worker


@pytest.fixture
def celery_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """A test application; the mark ``celery(**settings)`` changes its settings."""
    settings = dict(celery_config)
    for mark in reversed(list(request.node.iter_markers("celery"))):
        settings.update(mark.kwargs)
    with _application(settings, celery_parameters, trap=use_celery_app_trap) as app:
        yield app
        if app.broker_address.startswith("memory:"):
            for queue in app.broker.queues():  # the next test finds nothing of this one
                app.broker.purge(queue)


@pytest.fixture
def celery_worker(
    celery_app: Celery,
    celery_includes: Sequence[str],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[InProcessWorker]:
    """A worker for one test."""
    with _worker(celery_app, celery_includes, celery_worker_pool, celery_worker_parameters) as worker:
        yield worker


@pytest.fixture
def depends_on_current_app(celery_app: Celery) -> Iterator[None]:
    """Make ``celery_app`` the current application, also where ``use_celery_app_trap`` is set."""
    from tq_core import current

    with current.standing_in(celery_app):
        yield


@contextmanager
def _application(settings: Mapping[str, Any], parameters: Mapping[str, Any], *, trap: bool) -> Iterator[Celery]:
    """Make an application that is current meanwhile, or forbid using the current one."""
    from tq_core import current
    from tq_core.app import Celery

    given = {"main": "celery.tests", "set_as_current": False, "config_source": {}, **parameters}
    app = Celery(**given)
    app.conf.update({**({} if app.conf.is_set("broker_url") else _DEFAULTS), **settings})
    stand_in: Any = CurrentAppTrap() if trap else app
    with app, current.standing_in(stand_in):
        yield app


@contextmanager
def _worker(
    app: Celery, includes: Sequence[str], pool: str, parameters: Mapping[str, Any]
) -> Iterator[InProcessWorker]:
    """Start a worker with Celery's parameters."""
    from tq_core.discovery import import_named
    from tq_core.testing.worker import start_worker

    import_named(includes)
    queues = _names(parameters.get("queues"))
    excluded = _names(parameters.get("exclude_queues"))
    with start_worker(
        app,
        concurrency=parameters.get("concurrency") or 1,
        pool=parameters.get("pool", pool),
        queues=app.queues.consumed(queues, excluded),
        shutdown_timeout=parameters.get("shutdown_timeout", _SHUTDOWN_TIMEOUT),
    ) as worker:
        yield worker


def _names(queues: Any) -> tuple[str, ...]:
    """Read names of queues from a comma-separated text or a sequence."""
    if isinstance(queues, str):
        queues = queues.split(",")
    return tuple(name.strip() for name in queues or ())
