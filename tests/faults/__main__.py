"""Run the fault suite: ``python -m tests.faults [--runs N] [--only a,b] [--short] [--json]``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from tests.faults import growing, killing, leasing, misbehaving, stopping, storage, waiting
from tests.faults.verdict import Scenario, Verdict

SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    ("a", killing.runners_killed_early),
    ("a", killing.runners_killed_late),
    ("b", killing.nodes_killed_late),
    ("b", killing.node_killed_early),
    ("f", stopping.warm_shutdown),
    ("f", stopping.cold_shutdown),
    ("f", stopping.second_signal),
    ("g", leasing.long_task),
    ("g", leasing.frozen_runner),
    ("i", misbehaving.in_processes),
    ("i", misbehaving.in_threads),
    ("j", waiting.due_later),
    ("k", waiting.chord),
    ("k", waiting.poisoned_chord),
    ("o", storage.database_removed),
    ("o", storage.database_unwritable),
    ("o", storage.disk_full),
    ("q", growing.memory),
)

_ROW = "{:<2} {:<38} {:>5} {:>5} {:>5} {:>8} {:>9}  {:<7} {}"


def main() -> int:
    """Run what the command line asks for, print the table, and return 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="run every scenario N times")
    parser.add_argument("--only", default="", metavar="a,b", help="letters of the faults to inject")
    parser.add_argument("--short", action="store_true", help="the short forms that `make test` runs")
    parser.add_argument("--json", action="store_true", help="print JSON, one object for each run")
    asked = parser.parse_args()
    letters = {letter for letter in asked.only.split(",") if letter} or {letter for letter, _ in SCENARIOS}
    if not asked.json:
        print(_ROW.format("", "fault", "sent", "run", "lost", "repeated", "recovery", "verdict", "target"))
    failures = 0
    for letter, scenario in SCENARIOS:
        if letter in letters:
            for _ in range(asked.runs):
                verdict = scenario(asked.short)
                failures += not (verdict.kept and verdict.in_time)
                print(json.dumps(asdict(verdict)) if asked.json else _row(verdict), flush=True)
    return 1 if failures else 0


def _row(verdict: Verdict) -> str:
    recovery = "" if verdict.recovery is None else f"{verdict.recovery:.2f} s"
    row = _ROW.format(
        verdict.fault,
        verdict.name,
        verdict.sent,
        verdict.run,
        verdict.lost,
        verdict.repeated,
        recovery,
        "BROKEN" if not verdict.kept else "kept" if verdict.in_time else "SLOW",
        verdict.target,
    )
    return "\n".join(
        [row, *(f"     {note}" for note in verdict.notes), *(f"   ! {line}" for line in verdict.broken + verdict.slow)]
    )


if __name__ == "__main__":
    sys.exit(main())
