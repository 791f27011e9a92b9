"""Opening the plugin under test once, before anything of it is checked."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

from tq_core.errors import PluginNotFound
from tq_core.testing.conformance.address import Address


def try_to_open(contract: str, address: Address, timeout: float) -> None:
    """Open the plugin once, and connect where there is a server, before anything of it is checked.

    Args:
        contract: the contract's word.
        address: where the plugin is.
        timeout: seconds in which a server must answer.

    Raises:
        TQError: the plugin cannot be opened, or its server does not answer.
    """
    _FIRST[contract](address, timeout)


def _connect(opened: Any, timeout: float) -> None:
    try:
        opened.connect(timeout)
    finally:
        opened.close()


def _installed(distribution: str) -> None:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise PluginNotFound(f"no distribution {distribution!r} is installed: pip install {distribution}") from error


_FIRST: Mapping[str, Callable[[Address, float], object]] = {
    "broker": lambda address, timeout: _connect(address.broker(), timeout),
    "backend": lambda address, timeout: _connect(address.backend(), timeout),
    "coordination": lambda address, timeout: _connect(address.backend(), timeout),
    "serializer": lambda address, timeout: address.serializer(),
    "pool": lambda address, timeout: address.pool_class(),
    "schedule_store": lambda address, timeout: address.schedule_store().close(),
    "plugin": lambda address, timeout: _installed(address.url),
}
