"""A worker in processes of its own on a Redis of these tests' own, and ways to hear from its tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.private_servers import private_redis
from tests.worker.conftest import bell, env, open_gate, project, start_worker

__all__ = ["bell", "env", "open_gate", "project", "start_worker"]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with private_redis() as server:
        yield server.url


@pytest.fixture
def url(redis_url: str) -> str:
    """Where the application keeps everything; a test module may have another."""
    return redis_url


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, url: str) -> None:
    """Forget what the test before this one left behind."""
    if url.startswith("redis"):
        from redis import Redis

        with Redis.from_url(url) as client:
            client.flushall()


@pytest.fixture
def project_file() -> Path:
    return Path(__file__).with_name("limited_project.py")


@pytest.fixture
def configure(env: dict[str, str]) -> Callable[..., None]:
    """Give workers that are started from now on these settings."""

    def set_all(**settings: Any) -> None:
        env["TEST_SETTINGS"] = json.dumps(settings)

    return set_all
