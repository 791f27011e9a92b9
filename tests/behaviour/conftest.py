"""The behaviour suite: the same tests over every broker and pool, through a worker that runs as in production.

A test here takes the fixture ``project`` (or ``site``) and is run once for each place and pool: memory (a worker in
threads of the test's process), SQLite, PostgreSQL, Redis, RabbitMQ with results in Redis and with results by rpc, each
on prefork and on threads. One worker is started for each and serves all of its tests, so a test leaves it as it was: it
waits for the results of what it sends, and holds tasks back only with its own ``gate``.

* ``project``: the project's package. Each module below ``tests/behaviour/project/`` is found by itself, imported by
  the worker, and an attribute here: ``project.basics.add.delay(2, 2)``. Rooms add a module of their own.
* ``site``: ``site.app``, ``site.pool``, ``site.place``, ``site.bell``, ``site.worker`` (None over memory; else
  ``.lines`` of its log and ``.wait_for(pattern)``), ``site.directory``.
* ``bell``: ``project.signs.say(word, …)`` in a task is heard here: ``bell.wait(word, count)``. All tests of a site
  share it, so words are made with ``word``. ``bell.everything(word)`` is what was said before: no less, no more.
* ``word``: a word nobody else uses.
* ``gate``: a task that calls ``project.signs.wait_at(str(gate.path))`` goes on after ``gate.open()``.
* ``PATIENCE`` of :mod:`tests.nodes`: for ``get(timeout=PATIENCE)``.

``pytest tests/behaviour -k redis-threads`` runs one site. A further place is a line in ``places.py``.

A test of what some places cannot do says ``@pytest.mark.needs("chords")``, and is skipped there.

A test that shows a numbered promise of the product says so: ``@pytest.mark.row("S047", "S051")``.
"""

from __future__ import annotations

import functools
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.behaviour.places import PLACES, Urls
from tests.behaviour.site import Site, open_site
from tests.nodes import Bell, Gate

_SITES = [f"{place}-{pool}" for place, found in PLACES.items() for pool in found.pools]


@pytest.fixture(scope="session")
def _opened() -> Iterator[Callable[[str], Urls]]:
    """Opens a place once for all of its pools, which follow one another: some servers are slow to make room."""
    with ExitStack() as stack:

        @functools.cache
        def opened(name: str) -> Urls:
            return stack.enter_context(PLACES[name].open())

        yield opened


@pytest.fixture(scope="session", params=_SITES)
def _open_site(
    request: pytest.FixtureRequest, home: Any, require_service: Callable[[str], str], _opened: Callable[[str], Urls]
) -> Iterator[Site]:
    if sys.platform == "win32":
        pytest.skip("the worker is stopped by POSIX signals")
    name, _, pool = request.param.partition("-")
    place = PLACES[name]
    for service in place.services:
        require_service(service)
    try:
        with open_site(request.param, place, pool, _opened(name)) as site:
            yield site
    except FileNotFoundError as error:  # the program of a private server
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def site(request: pytest.FixtureRequest, _open_site: Site) -> Iterator[Site]:
    """The place, its worker and its client."""
    for marker in request.node.iter_markers("needs"):
        if missing := _open_site.place.without.intersection(marker.args):
            pytest.skip(f"there are no {', '.join(missing)} at {_open_site.name}")
    with _open_site.entered():
        yield _open_site


@pytest.fixture
def project(site: Site) -> Any:
    """The project as its client sees it."""
    return site.project


@pytest.fixture
def bell(site: Site) -> Bell:
    """Hears what tasks say."""
    return site.bell


@pytest.fixture
def word() -> str:
    """A word nobody else uses."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
def gate(site: Site, word: str) -> Iterator[Gate]:
    """A gate of this test alone; it opens at the end of the test."""
    with closing(Gate(site.directory / f"g{word}")) as gate:
        yield gate
