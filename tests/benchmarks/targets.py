"""What is aimed at, from ``targets.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

EVERY = "every broker"


@cache
def _all() -> Mapping[str, Mapping[str, Any]]:
    described: Mapping[str, Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_name("targets.yaml").read_text())
    return described


def value(broker: str, figure: str) -> float | None:
    """Return what a figure is to reach on a broker, or None."""
    for section in (broker, EVERY):
        found = _all().get(section, {}).get(figure)
        if found is not None:
            return float(found)
    return None


def times(broker: str, peer: str) -> Mapping[str, float]:
    """Return by figure how many times better than a peer tq is to be on a broker."""
    found: Mapping[str, float] = _all().get(broker, {}).get("times", {}).get(peer, {})
    return found


def reached(unit: str, measured: float, aim: float) -> bool:
    """Return whether a figure has reached its aim."""
    return measured >= aim if more_is_better(unit) else measured <= aim


def more_is_better(unit: str) -> bool:
    """Return whether a figure in this unit is better when it is greater."""
    return unit == "/s"
