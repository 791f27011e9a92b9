"""A proxy between a plugin and its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest

from tq_core.errors import BackendUnavailable, BrokerUnavailable, PublishError
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.proxy import Proxy

#: Seconds within which a call must return or raise although its server does not answer.
BOUND = 1.5 * PATIENCE
#: Settings that ask a plugin to be quick about giving up, seconds.
HASTY = {"broker_connection_timeout": 1.0, "broker_connection_retry_on_startup": False}

_Answer = TypeVar("_Answer")


@contextmanager
def proxied(address: Address | None) -> Iterator[tuple[Address, Proxy]]:
    """Put a proxy in front of the server at an address; skip the check where there is none.

    Yields:
        the address that leads through the proxy, and the proxy.
    """
    if address is None:
        pytest.skip("no fixture `address` with the plugin's URL")
    scheme, _, rest = address.url.partition("://")
    # The scheme may be a class's path, of which urlsplit makes nothing.
    parts = urlsplit(f"x://{rest}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        pytest.skip("the URL has no host and port, which a proxy could stand before")
    with Proxy(host, port) as proxy:
        credentials = parts.netloc.rpartition("@")[0]
        netloc = f"{credentials}@{proxy.host}:{proxy.port}" if credentials else f"{proxy.host}:{proxy.port}"
        url = scheme + urlunsplit(parts._replace(netloc=netloc)).removeprefix("x")
        yield replace(address, url=url, settings={**address.settings, **HASTY}), proxy


def insist(call: Callable[[], _Answer]) -> _Answer:
    """Call again and again until the server is there again; fail when it never is.

    Raises:
        Exception: whatever else ``call`` raises than that the server cannot be reached.
    """
    pause = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except (BrokerUnavailable, PublishError, BackendUnavailable) as error:
            if time.monotonic() > deadline:
                pytest.fail(f"it does not work again: {error!r}")
        pause.wait(0.1)


def cut_ever_more_rarely(proxy: Proxy, working: Thread) -> None:
    """Cut all connections again and again until the work has ended, quickly at first.

    The pauses grow, since a client whose first connection has much to do must get through it at last.
    """
    pause = 0.02
    while not working.ended(pause):
        proxy.cut()
        pause *= 1.1
