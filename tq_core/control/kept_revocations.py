"""What is revoked, kept in the deployment's store: workers that were away when it was said read it there."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tq_core.errors import BackendError
from tq_core.runner.revocations import Stamp

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.coordination import Coordination

logger = logging.getLogger("tq.control")

_PREFIX = "revoked:"
#: Changes whenever something is revoked, so that one look tells whether there is more to read.
_NEWEST = "newest-revocation"
#: Ids, or stamps, in one value of the store.
_AT_ONCE = 1000


class KeptRevocations:
    """The revoked ids and stamps of a deployment. Any thread; none of its methods raises for a store that is away.

    Args:
        coordination: where they are kept.
        lifetime: seconds for which each is kept.

    Attributes:
        behind: nothing has been read yet, or the store did not answer.
    """

    def __init__(self, coordination: Coordination, lifetime: float) -> None:
        self._coordination = coordination
        self._lifetime = lifetime
        self._seen: bytes | None = None
        self.behind = True

    @classmethod
    def of(cls, app: Celery) -> KeptRevocations | None:
        """Return what an application's result backend keeps, or None where it is not made for that."""
        capabilities = app.backend.capabilities
        if not (capabilities.coordination and capabilities.shared):
            return None
        return cls(app.backend.coordination(), app.conf.worker_revoke_expires)

    def keep(self, ids: Sequence[str], stamps: Sequence[Stamp] = ()) -> bool:
        """Add ids and stamps; False when the store does not answer, which is logged."""
        try:
            for start in range(0, len(ids), _AT_ONCE):
                self._put({"ids": list(ids[start : start + _AT_ONCE])})
            for start in range(0, len(stamps), _AT_ONCE):
                self._put({"stamps": list(stamps[start : start + _AT_ONCE])})
            self._coordination.put(_NEWEST, uuid.uuid4().bytes, self._lifetime)
        except BackendError as error:
            logger.warning("What is revoked could not be kept for workers that are away: %s", error)
            return False
        return True

    def load(self) -> tuple[list[str], list[Stamp]]:
        """Return all ids and stamps; none when the store does not answer, which is logged."""
        ids: list[str] = []
        stamps: list[Stamp] = []
        self.behind = True
        try:
            self._seen = self._coordination.get(_NEWEST)
            for _, value in self._coordination.scan(_PREFIX):
                kept = json.loads(value)
                ids += kept.get("ids", ())
                stamps += [Stamp(*stamp) for stamp in kept.get("stamps", ())]
            self.behind = False
        except BackendError as error:
            logger.warning("What is revoked could not be read: %s", error)
        except (ValueError, TypeError, AttributeError) as error:
            self.behind = False
            logger.error("What is revoked cannot be read, something else has written to it: %r", error)
        return ids, stamps

    def has_news(self) -> bool:
        """Tell whether something has been revoked since the last :meth:`load`."""
        try:
            newest = self._coordination.get(_NEWEST)
            return self.behind or newest not in (None, self._seen)
        except BackendError:
            return False

    def _put(self, value: dict[str, Any]) -> None:
        text = json.dumps(value, sort_keys=True).encode()
        # The same words have the same key: a client says them, and so does each worker that hears them.
        self._coordination.put(_PREFIX + hashlib.blake2b(text, digest_size=16).hexdigest(), text, self._lifetime)
