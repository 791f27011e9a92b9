"""Whether Celery's workers or clients use the same tables.

Alone, tq counts the parts of chords in a table of its own, and writes results as Celery 5.7 does. Celery's workers
count nothing, and Celery up to 5.6 reads pickles only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_core.errors import ImproperlyConfigured

#: The first Celery that writes results by ``result_serializer``, and reads both.
UNPICKLED = "celery-5.7"

_PEERS = ("celery-5.3", "celery-5.4", "celery-5.5", "celery-5.6", UNPICKLED)


def shared_with(settings: Mapping[str, Any]) -> str | None:
    """Return the oldest Celery that uses the tables, None where there is none.

    Args:
        settings: of the application; ``shared_with`` in ``result_backend_transport_options`` says it.

    Raises:
        ImproperlyConfigured: it is no Celery that is known.
    """
    chosen = (settings.get("result_backend_transport_options") or {}).get("shared_with")
    if chosen is None or chosen in _PEERS:
        return chosen
    raise ImproperlyConfigured(
        f"result_backend_transport_options: shared_with must be one of {', '.join(_PEERS)}, the oldest that uses the "
        f"same tables, not {chosen!r}"
    )
