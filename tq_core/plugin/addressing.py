"""How a setting names a plugin: by URL scheme, by plain name, or by the path of a class."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from tq_core.config.masking import mask_url
from tq_core.errors import ImproperlyConfigured


def names_of(address: str) -> list[str]:
    """Return the names to look for, the longest first.

    ``db+sqlite+pysqlite:///x`` may be registered as ``db+sqlite+pysqlite``, as ``db+sqlite`` or as
    ``db``; a plain name such as ``rpc`` stands for itself.

    Args:
        address: a URL, several joined by ``;`` of which the first counts, or a name.
    """
    scheme = address.partition("://")[0].strip()
    parts = scheme.split("+")
    return ["+".join(parts[:n]) for n in range(len(parts), 0, -1)]


def first_registered(address: str, registered: Iterable[str]) -> str:
    """Return the longest registered name of an address, or its whole scheme when there is none."""
    names = names_of(address)
    known = set(registered)
    return next((name for name in names if name in known), names[0])


def is_path(address: str) -> bool:
    """Tell whether an address is a class's path: ``package.module:Class`` or ``package.module.Class``."""
    scheme = address.partition("://")[0]
    return "." in scheme or ":" in scheme


def resolve(path: str, setting: str) -> Any:
    """Import the class or object at a path.

    Args:
        path: ``package.module:Name`` or ``package.module.Name``, and what follows ``://`` is ignored.
        setting: what the path was configured for, for the error's text.

    Raises:
        ImproperlyConfigured: there is no such module or name, or the import raised.
    """
    path = path.partition("://")[0]
    module_name, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # an import may raise anything, and all of it means the same to the reader
        if "@" in path or "?" in path:
            # The error's own text repeats what was named, and that may be a URL that lacks its "://".
            raise ImproperlyConfigured(
                f"the {setting} {mask_url(path)!r} is neither a URL (scheme://host) nor the path of a class"
                " (package.module:Class)"
            ) from None
        raise ImproperlyConfigured(
            f"the {setting} {path!r} cannot be imported: {type(error).__name__}: {error}. Check the"
            " spelling, and that the module is on sys.path."
        ) from error
    return found
