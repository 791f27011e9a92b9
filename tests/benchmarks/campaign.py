"""A whole run: every measure of every system, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks import environments
from tests.benchmarks.environments import Unavailable
from tests.benchmarks.measures.bench import Bench
from tests.benchmarks.measures.catalogue import MEASURES
from tests.benchmarks.measures.measure import Measure, Reading
from tests.benchmarks.measures.sizes import QUICK, Sizes
from tests.benchmarks.places import BROKERS, Broker
from tests.benchmarks.report import Scene
from tests.benchmarks.session import Failed
from tests.benchmarks.systems.contract import Unsupported


@dataclass(frozen=True)
class Plan:
    """What is to be measured: names of brokers, pools, measures and peers; how often, how much of it, and how."""

    brokers: Sequence[str]
    pools: Sequence[str]
    measures: Sequence[str]
    peers: Sequence[str]
    runs: int
    late: bool
    sizes: Sizes

    def described(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Campaign:
    """Carries out a plan.

    Within one run each measure is taken of tq, of the ceiling and of every peer directly one after the other, so that
    they meet the same machine. What fails is noted, and the others go on.

    Args:
        plan: what to measure.
        say: is told what is measured now.

    Attributes:
        scenes: what was found so far.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._hopeless: set[tuple[str, str, str, str]] = set()
        self.scenes = [
            Scene(broker, pool, judged=plan.sizes != QUICK) for broker in plan.brokers for pool in ("", *plan.pools)
        ]

    def run(self) -> None:
        """Measure."""
        for run in range(self._plan.runs):
            for scene in self.scenes:
                for name in self._plan.measures:
                    measure = MEASURES[name]
                    if measure.pools == bool(scene.pool):
                        for system, readings in self._systems(measure, scene):
                            self._take(run, measure, scene, system, readings)

    def _systems(self, measure: Measure, scene: Scene) -> Iterator[tuple[str, Iterator[Reading]]]:
        """Yield who is measured, and the measuring that begins when the readings are read."""
        plan, broker = self._plan, BROKERS[scene.broker]
        yield "tq", measure.run(self._bench("tq", broker, scene, plan.sizes))
        if measure.ceiling is not None and broker.ceiling is not None:
            for name, module in {"ceiling": broker.ceiling, **broker.clients}.items():
                yield name, measure.ceiling(self._bench(f"ceilings.{module}", broker, scene, plan.sizes))
        for peer in () if measure.alone else plan.peers:
            described = environments.known()[peer]
            divisor = described.brokers.get(broker.name)
            if divisor is None:
                scene.note(measure.name, f"{peer} does not run on {broker.name}.")
            elif measure.name in described.skips.get(broker.name, ()):
                scene.note(measure.name, f"{peer} was not asked: it would take many minutes on {broker.name}.")
            else:
                yield peer, measure.run(self._bench(peer, broker, scene, plan.sizes.divided(divisor)))

    def _bench(self, system: str, broker: Broker, scene: Scene, sizes: Sizes) -> Bench:
        return Bench(system, broker, scene.pool or "prefork", self._plan.late, sizes)

    def _take(self, run: int, measure: Measure, scene: Scene, system: str, readings: Iterator[Reading]) -> None:
        key = (scene.broker, scene.pool, measure.name, system)
        if key in self._hopeless:
            return
        self._say(f"run {run + 1}: {measure.name}, {scene.broker}{' ' + scene.pool if scene.pool else ''}: {system}")
        try:
            for reading in readings:
                scene.add(run, system, reading)
        except Unsupported as reason:
            self._hopeless.add(key)
            scene.note(measure.name, f"{system} {reason}.")
        except Unavailable as reason:
            self._hopeless.add(key)
            scene.note(measure.name, f"{system} was not measured: {reason}.")
        except Failed as error:
            self._say(str(error))
            scene.note(measure.name, f"{system} failed: {_last_line(str(error))}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"
