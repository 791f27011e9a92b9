"""Finding the modules that hold an application's tasks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any


def import_named(names: Any) -> None:
    """Import what a setting names: a module, several, or none."""
    for module in (names,) if isinstance(names, str) else tuple(names or ()):
        importlib.import_module(module)


def import_related(packages: Iterable[str] | Callable[[], Iterable[str]] | None, related_name: str | None) -> None:
    """Import ``package.related_name`` of each package that has such a module.

    Args:
        packages: names, or a function returning them.
        related_name: name of the module, None for the package itself.

    Raises:
        ImportError: a package cannot be imported, or a module that is there fails to import.
    """
    from importlib.util import find_spec

    for package in (packages() if callable(packages) else packages) or ():
        importlib.import_module(package)
        name = f"{package}.{related_name}"
        # A package without such a module is fine; a module with a broken import inside is not.
        if related_name and find_spec(name) is not None:
            importlib.import_module(name)
