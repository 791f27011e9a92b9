"""What a run found: collected, and shown as a table or as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks import environments, targets
from tests.benchmarks.measures.measure import Reading


@dataclass
class Scene:
    """What was measured with one broker and one pool.

    Attributes:
        broker, pool: their names; the pool is empty for what does not depend on it.
        judged: figures are held against what is aimed at.
        values: by figure, by system, one value for each run that came so far; None for a run that did not.
        units: by figure.
        notes: by what prevented it, the names of measures that could not be taken.
    """

    broker: str
    pool: str
    judged: bool = True
    values: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    notes: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, run: int, system: str, reading: Reading) -> None:
        """Keep a figure of a run, counted from 0."""
        self.units[reading.figure] = reading.unit
        values = self.values.setdefault(reading.figure, {}).setdefault(system, [])
        values += [None] * (run + 1 - len(values))
        values[run] = reading.value

    def note(self, measure: str, reason: str) -> None:
        """Keep that a measure could not be taken, and why."""
        self.notes.setdefault(reason, {})[measure] = None

    def remarks(self) -> list[str]:
        """Return a sentence for everything that could not be measured."""
        return [f"{', '.join(measures)}: {reason}" for reason, measures in self.notes.items()]

    def systems(self) -> list[str]:
        """Return who was measured."""
        return list(dict.fromkeys(system for values in self.values.values() for system in values))

    def median(self, figure: str, system: str) -> float | None:
        """Return the median of the runs."""
        known = self._known(figure, system)
        return statistics.median(known) if known else None

    def spread(self, figure: str, system: str) -> tuple[float, float] | None:
        """Return the least and the greatest value of several runs."""
        known = self._known(figure, system)
        return (min(known), max(known)) if len(known) > 1 else None

    def ratio(self, figure: str, peer: str) -> float | None:
        """Return how many times better tq was than a peer: the median of the ratios within each run."""
        values = self.values.get(figure, {})
        pairs = zip(values.get("tq", []), values.get(peer, []), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs if ours and theirs]
        if not ratios:
            return None
        middle = statistics.median(ratios)
        return middle if targets.more_is_better(self.units[figure]) else 1 / middle

    def aim(self, figure: str) -> float | None:
        """Return what a figure is to reach here; aims are for the pool prefork and for what no other pool can do."""
        if not self.judged:
            return None
        if self.pool in ("", "prefork") or (self.pool == "aio" and "asyncio" in figure):
            return targets.value(self.broker, figure)
        return None

    def _known(self, figure: str, system: str) -> list[float]:
        return [value for value in self.values.get(figure, {}).get(system, []) if value is not None]


def machine() -> str:
    """Return what the figures were measured on."""

    return (
        f"{os.cpu_count()} cores, {platform.system()}, {platform.python_implementation()} {platform.python_version()}"
    )


def markdown(scenes: Sequence[Scene], runs: int, late: bool = False) -> str:
    """Return a table for each scene, with what could not be measured below it."""
    plural = "one run" if runs == 1 else f"medians of {runs} runs, least and greatest in brackets"
    ending = "; acknowledged late" if late else ""
    lines = [f"Measured by `make bench` on {machine()}: {plural}{ending}."]
    for scene in scenes:
        if scene.values or scene.notes:
            lines += ["", *_section(scene)]
    peers = environments.known()
    differences = [f"* {name}: {peers[name].differs}." for name in _peers(scenes) if name in peers]
    if differences:
        lines += ["", "Not equal, and so to be read with care:", "", *differences]
    return "\n".join(lines) + "\n"


def _peers(scenes: Iterable[Scene]) -> list[str]:
    """Return who was measured beside tq."""
    found = dict.fromkeys(system for scene in scenes for system in scene.systems())
    return [system for system in found if system not in ("tq", "ceiling")]


def _section(scene: Scene) -> Iterator[str]:
    peers = _peers([scene])
    yield f"### {scene.broker}{f', {scene.pool}' if scene.pool else ''}"
    yield ""
    if scene.values:
        yield "| " + " | ".join(["figure", "tq", "aim", "", "ceiling", *peers]) + " |"
        yield "|---|---:|---:|---|---:|" + "---:|" * len(peers)
        yield from (_row(scene, figure, peers) for figure in scene.values)
    rows = [row for peer in peers for row in _against(scene, peer)]
    if rows:
        yield from ("", "| better than | figure | times | aim | |", "|---|---|---:|---:|---|", *rows)
    if scene.notes:
        yield from ("", *(f"* {remark}" for remark in scene.remarks()))


def _row(scene: Scene, figure: str, peers: list[str]) -> str:
    unit, ours, aim = scene.units[figure], scene.median(figure, "tq"), scene.aim(figure)
    cells = [figure, _with_spread(scene, figure, "tq"), "", "", _shown(scene.median(figure, "ceiling"), unit)]
    if aim is not None:
        cells[2] = f"{'≥' if targets.more_is_better(unit) else '≤'} {_number(aim)}"
        if ours is not None:
            cells[3] = _verdict(targets.reached(unit, ours, aim))
    for peer in peers:
        ratio = scene.ratio(figure, peer)
        shown = _shown(scene.median(figure, peer), unit)
        cells.append(f"{shown} (×{_number(ratio)})" if ratio else shown)
    return "| " + " | ".join(cells) + " |"


def _against(scene: Scene, peer: str) -> Iterator[str]:
    if not scene.judged or scene.pool not in ("", "prefork"):
        return
    for figure, aim in targets.times(scene.broker, peer).items():
        ratio = scene.ratio(figure, peer) if figure in scene.units else None
        if ratio is not None:
            yield f"| {peer} | {figure} | {_number(ratio)} | ≥ {_number(aim)} | {_verdict(ratio >= aim)} |"


def _verdict(good: bool) -> str:
    return "reached" if good else "**missed**"


def _with_spread(scene: Scene, figure: str, system: str) -> str:
    shown = _shown(scene.median(figure, system), scene.units[figure])
    spread = scene.spread(figure, system)
    return f"{shown} ({_number(spread[0])} to {_number(spread[1])})" if spread else shown


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{_number(value)}{unit}" if unit == "/s" else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """Return a number with no more digits than it deserves."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def as_json(scenes: Iterable[Scene], options: dict[str, Any]) -> dict[str, Any]:
    """Return everything, for programs."""
    return {
        "machine": machine(),
        "options": options,
        "scenes": [
            {
                "broker": scene.broker,
                "pool": scene.pool or None,
                "figures": [
                    {
                        "figure": figure,
                        "unit": scene.units[figure],
                        "aim": scene.aim(figure),
                        "runs": scene.values[figure],
                        "medians": {system: scene.median(figure, system) for system in scene.values[figure]},
                        "ratios": {
                            system: scene.ratio(figure, system)
                            for system in scene.values[figure]
                            if system not in ("tq", "ceiling")
                        },
                    }
                    for figure in scene.values
                ],
                "notes": scene.remarks(),
            }
            for scene in scenes
        ],
    }
