"""One place with its worker and its client: what every behaviour test of that place shares."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.behaviour.places import Place, Urls
from tests.nodes import Bell, WorkerProcess
from tq_core import Celery, current
from tq_core.testing.worker import start_worker

_HERE = Path(__file__).parent
#: Tasks at a time.
SLOTS = 3


class Site:
    """A running worker with an empty broker and backend, and the project as its client sees it.

    Attributes:
        name: ``place-pool``.
        place: where messages and results are.
        pool: name of the worker's pool.
        directory: for files of the tests.
        bell: hears what tasks ``say()``.
        worker: the worker's process; None where it lives in this one.
        project: the project's package; its modules are attributes.
    """

    def __init__(self, name: str, place: Place, pool: str, directory: Path) -> None:
        self.name, self.place, self.pool, self.directory = name, place, pool, directory
        self.worker: WorkerProcess | None = None
        self.bell: Bell
        self.project: Any
        self._modules: dict[str, ModuleType] = {}

    @property
    def app(self) -> Celery:
        """The client's application."""
        app: Celery = self.project.application.app
        return app

    @contextmanager
    def entered(self) -> Iterator[None]:
        """While entered, the project can be imported and its application is current; so for the time of one test."""
        others = {name: module for name, module in sys.modules.items() if _is_ours(name)}
        for name in others:
            del sys.modules[name]
        sys.modules.update(self._modules)
        sys.path.insert(0, str(_HERE))
        try:
            with current.standing_in(self.app) if self._modules else ExitStack():
                yield
        finally:
            sys.path.remove(str(_HERE))
            self._modules = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
            sys.modules.update(others)

    def _load(self, env: dict[str, str]) -> None:
        """Import the project as a client would."""
        kept = {name: os.environ.get(name) for name in env}
        os.environ.update(env)
        try:
            with self.entered():
                self.project = importlib.import_module("project")
                for module in self.project.MODULES:
                    importlib.import_module(module)
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _is_ours(name: str) -> bool:
    return name == "project" or name.startswith("project.")


@contextmanager
def open_site(name: str, place: Place, pool: str, urls: Urls) -> Iterator[Site]:
    """Run one worker at a place for as long as the block is entered."""
    directory = Path(tempfile.mkdtemp(prefix="tq-site-"))  # short: it holds sockets
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        broker, backend = urls
        site = Site(name, place, pool, directory)
        site.bell = stack.enter_context(closing(Bell(directory / "bell")))
        env = {
            "BEHAVIOUR_SETTINGS": json.dumps({"broker_url": broker, "result_backend": backend}),
            "BEHAVIOUR_BELL": str(site.bell.path),
        }
        site._load(env)
        stack.callback(site.app.close)
        if place.in_process:
            stack.enter_context(start_worker(site.app, concurrency=SLOTS, pool=pool))
        else:
            worker_env = {**os.environ, **env, "PYTHONUNBUFFERED": "1"}
            options = ("-P", pool, "-c", str(SLOTS), "-n", f"{name}@here")
            site.worker = WorkerProcess(_HERE, worker_env, *options, application="project.application")
            stack.callback(site.worker.kill_everything)
            site.worker.ready()
            stack.callback(_stop, site.worker)
        yield site


def _stop(worker: WorkerProcess) -> None:
    """End a worker as its operator would, so that it leaves nothing behind."""
    worker.signal(signal.SIGTERM)
    worker.wait()
