"""The backend contract as tests. Subclass :class:`BackendConformance` and override its ``address`` or ``backend``."""

from __future__ import annotations

from tq_core.testing.conformance.backend.chords import ChordChecks
from tq_core.testing.conformance.backend.ground import record
from tq_core.testing.conformance.backend.keeping import KeepingChecks
from tq_core.testing.conformance.backend.network import NetworkChecks
from tq_core.testing.conformance.backend.processes import ProcessChecks
from tq_core.testing.conformance.backend.records import RecordChecks
from tq_core.testing.conformance.backend.replies import ReplyChecks
from tq_core.testing.conformance.backend.subscriptions import SubscriptionChecks
from tq_core.testing.conformance.backend.surroundings import SurroundingsChecks
from tq_core.testing.conformance.backend.watching import WatchChecks

__all__ = ["BackendConformance", "record"]


# pytest runs the checks of the last base first.
class BackendConformance(
    NetworkChecks,
    ProcessChecks,
    SurroundingsChecks,
    ReplyChecks,
    ChordChecks,
    KeepingChecks,
    SubscriptionChecks,
    WatchChecks,
    RecordChecks,
):
    """Every promise of :mod:`tq_core.contracts.backend` that can be seen from outside.

    Override ``address``: where the backend is. Or override ``backend``, which writes JSON, and ``other`` where it is
    ``shared``: a second connection to the same store; and ``short_lived`` where records expire: a backend whose
    results live half a second. Then the checks that need other processes are left out.
    """
