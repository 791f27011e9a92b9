"""Fixtures of every test, here and below ``plugins/``: a home of their own, free ports, databases, services."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.celery_environments import prepare
from tests.services import SERVICES


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Have real Celery installed before the tests that use it, whose time limit is not made for an installation."""
    if not session.config.option.collectonly and any(item.get_closest_marker("real_celery") for item in session.items):
        prepare()


def pytest_configure(config: pytest.Config) -> None:
    """Make known the mark of tests that show a numbered promise of the product."""
    config.addinivalue_line("markers", "row(*ids): the numbered promises of the product that this test shows")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home directory for this run, so that no test and no process it starts touches the developer's own."""
    directory = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(directory))
        for name in ("DATA", "CONFIG", "STATE", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(directory / name.lower()))
        for name in ("TQ_DATA_DIR", "CELERY_CONFIG_MODULE", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
            patch.delenv(name, raising=False)
        yield directory


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Ctrl-C means what it usually does, also in a run in the background, where shells let it be ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a database file that does not exist yet."""
    return f"sqlite:///{(tmp_path / 'tq.db').as_posix()}"


@pytest.fixture(scope="session")
def require_service() -> Callable[[str], str]:
    """Gives the URL of a running service by its name; without it the test is skipped, and under ``CI`` it fails."""

    def url_of(name: str) -> str:
        service = SERVICES[name]
        if service.answers():
            return service.url
        host, port = service.address
        reason = f"{name} does not answer at {host}:{port}; start it or set {service.variable}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return url_of
