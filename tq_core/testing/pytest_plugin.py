"""The pytest plugin: fixtures for testing programs that use tq. ``docs/testing.md`` is its manual.

pytest loads this module in every run of everybody who has tq installed, so it imports pytest only; what a fixture
needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.task import Task
    from tq_core.testing.drain import Drain, Run
    from tq_core.testing.enqueued import Enqueued, EnqueuedCall
    from tq_core.testing.virtual_clock import VirtualClock
    from tq_core.testing.worker import InProcessWorker

#: Plugins that bring Celery's own fixtures.
_CELERYS = ("celery", "celery.contrib.pytest", "pytest_celery")


class RunQueued(Protocol):
    """What the fixtures ``drain`` and ``run_pending`` return; see :meth:`tq_core.testing.drain.Drain.run`."""

    def __call__(self, *, limit: int = 1000, propagate: bool = True) -> list[Run]:
        """Run what waits."""


class AssertEnqueued(Protocol):
    """What the fixture ``assert_enqueued`` returns; see :meth:`tq_core.testing.enqueued.Enqueued.require`."""

    def __call__(
        self, task: Task | str | None = None, *, count: int | None = None, **wanted: Any
    ) -> list[EnqueuedCall]:
        """Fail unless such a call waits."""


class RefuteEnqueued(Protocol):
    """What the fixture ``refute_enqueued`` returns; see :meth:`tq_core.testing.enqueued.Enqueued.refuse`."""

    def __call__(self, task: Task | str | None = None, **wanted: Any) -> None:
        """Fail if such a call waits."""


class ListEnqueued(Protocol):
    """What the fixture ``enqueued`` returns; see :meth:`tq_core.testing.enqueued.Enqueued.calls`."""

    def __call__(self) -> list[EnqueuedCall]:
        """Return what waits."""


# pytest's hooks


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the application under test."""
    parser.addini("tq_app", "the application that tq's fixtures use, as module:attribute", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marks, and add the fixtures whose names may be somebody else's."""
    config.addinivalue_line(
        "markers", "tq(app=None, **settings): which application the fixtures of tq use, and settings over its own"
    )
    plugins = config.pluginmanager
    if not any(plugins.hasplugin(name) for name in _CELERYS):
        config.addinivalue_line("markers", "celery(**settings): settings of the fixture celery_app")
        plugins.import_plugin("tq_core.testing.celery_fixtures")
    if not any(_has_fixture_app(plugin) for plugin in plugins.get_plugins()):
        plugins.import_plugin("tq_core.testing.app_fixture")


def _has_fixture_app(plugin: object) -> bool:
    """Tell whether a plugin seems to have a fixture ``app``; a conftest's is found first anyway."""
    return hasattr(plugin, "app") and not str(getattr(plugin, "__file__", "")).endswith("conftest.py")


# fixtures


@pytest.fixture
def tq_settings() -> Mapping[str, Any]:
    """Settings of ``tq_app`` over its own; override it to have some."""
    return {}


@pytest.fixture
def tq_app(request: pytest.FixtureRequest, tq_settings: Mapping[str, Any]) -> Iterator[Celery]:
    """The application under test, with queues and results in memory that are empty at the start.

    It is the one that the mark ``tq(app=…)`` or the option ``tq_app`` names, else a new one without tasks of its own.
    """
    from tq_core.testing.isolation import find_application, isolated

    name = request.config.getini("tq_app")
    settings = dict(tq_settings)
    for mark in reversed(list(request.node.iter_markers("tq"))):
        marked = dict(mark.kwargs)
        name = marked.pop("app", name)
        settings.update(marked)
    app = find_application(name) if isinstance(name, str) and name else name or None
    with isolated(app, settings) as isolated_app:
        yield isolated_app


@pytest.fixture
def tq_clock() -> Iterator[VirtualClock]:
    """The clock that decides when tasks are due and expire; it stands still until the test moves it."""
    from tq_core.testing.virtual_clock import virtual_time

    with virtual_time() as virtual:
        yield virtual


@pytest.fixture
def tq_worker_options() -> Mapping[str, Any]:
    """Arguments of ``tq_worker``, as of :func:`tq_core.testing.worker.start_worker`; override it to have some."""
    return {}


@pytest.fixture
def tq_worker(
    request: pytest.FixtureRequest, tq_app: Celery, tq_worker_options: Mapping[str, Any]
) -> Iterator[InProcessWorker]:
    """A worker in threads of this process, at the queues of ``tq_app``.

    Together with ``tq_clock`` it never waits for a time: when there is nothing else to do, the clock jumps.
    """
    from tq_core.testing.worker import start_worker

    if "tq_clock" in request.fixturenames:
        request.getfixturevalue("tq_clock").jumps = True
    with start_worker(tq_app, **tq_worker_options) as worker:
        yield worker


@pytest.fixture
def _tq_enqueued(tq_app: Celery) -> Enqueued:
    from tq_core.testing.enqueued import Enqueued

    return Enqueued(tq_app)


@pytest.fixture
def _tq_drain(request: pytest.FixtureRequest, tq_app: Celery) -> Drain:
    from tq_core.testing.drain import Drain

    if "tq_worker" in request.fixturenames:
        pytest.fail(
            "drain and run_pending run tasks in the test's own thread, and tq_worker would take them away: "
            "use one or the other. With tq_worker, wait with tq_worker.join() or result.get()",
            pytrace=False,
        )
    return Drain(tq_app)


@pytest.fixture
def enqueued(_tq_enqueued: Enqueued) -> ListEnqueued:
    """A function that returns the calls that wait in the queues of ``tq_app``."""
    return _tq_enqueued.calls


@pytest.fixture
def assert_enqueued(_tq_enqueued: Enqueued) -> AssertEnqueued:
    """A function that fails unless a call waits: ``assert_enqueued(task, args=…, countdown=…, count=…)``."""
    return _tq_enqueued.require


@pytest.fixture
def refute_enqueued(_tq_enqueued: Enqueued) -> RefuteEnqueued:
    """A function that fails if such a call waits: ``refute_enqueued(task, args=…)``."""
    return _tq_enqueued.refuse


@pytest.fixture
def run_pending(_tq_drain: Drain) -> RunQueued:
    """A function that runs, in this thread, what is due now and what follows from it."""
    return _tq_drain.run


@pytest.fixture
def drain(_tq_drain: Drain, tq_clock: VirtualClock) -> RunQueued:
    """A function that runs, in this thread, all that waits; the clock jumps to what is not due."""

    def run(*, limit: int = 1000, propagate: bool = True) -> list[Run]:
        __tracebackhide__ = True
        with tq_clock.jumping():
            return _tq_drain.run(limit=limit, propagate=propagate)

    return run
