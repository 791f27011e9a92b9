"""Which broker and backend an application uses that names none: an SQLite file of the user's own."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: Paths already announced by this process, so that each is said once.
_announced: set[str] = set()


def default_urls(settings: Any) -> tuple[str, str]:
    """Return the URLs of broker and result backend.

    Without any broker the embedded default is used for both, and said so once. A broker that is named is used
    or fails; it is never replaced by the default.

    Args:
        settings: the application's settings.
    """
    backend = settings.result_backend
    broker = settings.broker_write_url or settings.broker_url
    if broker:
        return str(broker), str(backend or "disabled")
    path = default_database()
    url = f"sqlite:///{path.as_posix()}"
    if str(path) not in _announced:
        _announced.add(str(path))
        logger.warning("No broker_url is set: tasks and results are kept in %s", path)
    return url, str(backend or url)


def default_database() -> Path:
    """Return the path of the embedded database in the user's data directory (``TQ_DATA_DIR`` chooses another)."""
    chosen = os.environ.get("TQ_DATA_DIR")
    if chosen:
        directory = Path(chosen)
    elif sys.platform == "win32":
        directory = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "tq"
    elif sys.platform == "darwin":
        directory = Path.home() / "Library" / "Application Support" / "tq"
    else:
        directory = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tq"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory / "tq.db"
