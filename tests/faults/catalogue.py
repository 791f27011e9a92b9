"""Every scenario there is, with the promise it puts to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults import (
    growing,
    killing,
    leasing,
    malforming,
    misbehaving,
    outages,
    publishing,
    soaking,
    stopping,
    storage,
    waiting,
)
from tests.faults.brokers import BrokerUnderTest
from tests.faults.case import Case
from tests.faults.verdict import Verdict

Scenario = Callable[[Case], Verdict]


@dataclass(frozen=True, slots=True)
class Entry:
    """One scenario.

    Attributes:
        fault: its letter in the table of promises.
        promise: what must hold, as a sentence.
        run: injects the fault and judges.
        needs: ``server`` or ``file`` where it makes sense for such brokers only, else ``any``.
        in_short: False where even the short form takes too long for ``make test``.
        instead: the letter under which brokers that can have that fault promise this in other words.
    """

    fault: str
    promise: str
    run: Scenario
    needs: str = "any"
    in_short: bool = True
    instead: str = ""

    def concerns(self, broker: BrokerUnderTest) -> bool:
        """Tell whether this fault can happen to a broker."""
        kind = "file" if broker.server is None else "server"
        if self.instead and self.instead in broker.faults:
            return False
        return self.fault in broker.faults and self.needs in ("any", kind)

    def judge(self, case: Case) -> Verdict:
        """Run the scenario, and look at what is left of it where the broker can tell."""
        case.remains.clear()
        verdict = self.run(case)
        left = case.remains
        verdict.require(not left, f"{len(left)} things are left that nobody will ever remove: {left[:3]}")
        return verdict


CATALOGUE = (
    Entry("a", "a killed runner fails only the early tasks it ran", killing.runners_killed_early),
    Entry("a", "a killed runner loses no late task", killing.runners_killed_late),
    Entry("a", "a node goes on soon after its only runner was killed", killing.lone_runner_killed),
    Entry("b", "another node takes over what a killed one held", killing.nodes_killed_late),
    Entry("b", "what a killed node ran is reported as lost", killing.node_killed_early),
    Entry("c", "a restarted server loses nothing and the worker goes on", outages.restarts, "server", instead="d"),
    Entry("c", "cut connections lose nothing and the worker goes on", outages.cuts, "server"),
    Entry("c", "half-open connections are given up and the worker goes on", outages.half_open, "server"),
    Entry("c", "a locked file loses nothing and the worker goes on", outages.locked, "file"),
    Entry("d", "a killed and restarted node loses nothing it took", outages.node_restarts, "server"),
    Entry("e", "publishing to nobody raises soon", publishing.refused, "server"),
    Entry("e", "publishing to a silent broker ends and tells the truth", publishing.silent, "server"),
    Entry(
        "e", "publishing without an answer ends and tells the truth", publishing.unanswered, "server", in_short=False
    ),
    Entry("e", "publishing over cut connections loses nothing it took", publishing.cut, "server"),
    Entry("e", "publishing to a locked file ends and tells the truth", publishing.locked, "file"),
    Entry("f", "sigterm to every process interrupts nothing", stopping.warm_shutdown),
    Entry("f", "sigquit leaves no task without a final state", stopping.cold_shutdown),
    Entry("f", "a second signal leaves no task without a final state", stopping.second_signal),
    Entry("g", "a task longer than its lease runs once", leasing.long_task),
    Entry("g", "a frozen runner is fenced and goes on", leasing.frozen_runner),
    Entry("h", "malformed messages are buried and harm nothing", malforming.mixed_in),
    Entry("i", "no task ends a prefork worker", misbehaving.in_processes),
    Entry("i", "no task ends a worker of threads", misbehaving.in_threads),
    Entry("i", "no task ends a worker of coroutines", misbehaving.in_coroutines, in_short=False),
    Entry("i", "poison is buried after three deliveries", misbehaving.poison),
    Entry("j", "tasks due later survive the worker", waiting.due_later),
    Entry("k", "a chord whose worker was killed calls back once", waiting.chord),
    Entry("k", "a poisoned chord calls its errback once", waiting.poisoned_chord),
    Entry("n", "a minute of kills under load loses nothing", soaking.soak, in_short=False),
    Entry("o", "a removed database does not leave an idle worker", storage.database_removed, "file"),
    Entry("o", "a file that is no database is named", storage.database_unwritable, "file"),
    Entry("o", "a full disk is reported and survived", storage.disk_full, "file"),
    Entry("q", "memory does not grow with the tasks that ran", growing.memory),
)


def entries(broker: BrokerUnderTest, faults: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Yield the scenarios for a broker, of these faults or, when none is given, of all."""
    for entry in CATALOGUE:
        if entry.concerns(broker) and (not faults or entry.fault in faults):
            yield entry
