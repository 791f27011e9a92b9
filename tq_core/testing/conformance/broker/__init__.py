"""The broker contract as tests. Subclass :class:`BrokerConformance` and override its ``address`` or ``broker``."""

from __future__ import annotations

from tq_core.testing.conformance.broker.broadcast import BroadcastChecks
from tq_core.testing.conformance.broker.connecting import ConnectionChecks
from tq_core.testing.conformance.broker.control import ControlChecks
from tq_core.testing.conformance.broker.counting import CountingChecks
from tq_core.testing.conformance.broker.crashes import CrashChecks
from tq_core.testing.conformance.broker.dead_letters import DeadLetterChecks
from tq_core.testing.conformance.broker.delivery import DeliveryChecks
from tq_core.testing.conformance.broker.due import DueTimeChecks
from tq_core.testing.conformance.broker.endings import EndingChecks
from tq_core.testing.conformance.broker.forks import ForkChecks
from tq_core.testing.conformance.broker.ground import ids, message
from tq_core.testing.conformance.broker.leases import LeaseChecks
from tq_core.testing.conformance.broker.loops import LoopChecks
from tq_core.testing.conformance.broker.machine import ModelChecks
from tq_core.testing.conformance.broker.moving import MoveChecks
from tq_core.testing.conformance.broker.network import NetworkChecks
from tq_core.testing.conformance.broker.pause import PauseChecks
from tq_core.testing.conformance.broker.payloads import PayloadChecks
from tq_core.testing.conformance.broker.priority import PriorityChecks
from tq_core.testing.conformance.broker.processes import ProcessChecks

__all__ = ["BrokerConformance", "ids", "message"]


# pytest runs the checks of the last base first.
class BrokerConformance(
    ModelChecks,
    NetworkChecks,
    CrashChecks,
    ProcessChecks,
    ForkChecks,
    LoopChecks,
    PayloadChecks,
    BroadcastChecks,
    ControlChecks,
    PauseChecks,
    MoveChecks,
    CountingChecks,
    DeadLetterChecks,
    LeaseChecks,
    PriorityChecks,
    DueTimeChecks,
    EndingChecks,
    DeliveryChecks,
    ConnectionChecks,
):
    """Every promise of :mod:`tq_core.contracts.broker` that can be seen from outside.

    Override ``address``: where the broker is. Or override ``broker``, a broker whose leases last :attr:`LEASE` seconds
    (setting ``lease_duration``), and ``other`` where it is ``shared``: a second connection to the same queues;
    then the checks that need other processes are left out.
    """
