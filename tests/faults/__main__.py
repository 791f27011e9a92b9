"""Run the fault suite: ``python -m tests.faults [--broker B,…] [--only a,b] [--runs N] [--short] [--json]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from tests.faults.brokers import BROKERS
from tests.faults.case import Case
from tests.faults.catalogue import CATALOGUE, entries
from tests.faults.verdict import Verdict

_ROW = "{:<10} {:<2} {:<38} {:>6} {:>6} {:>5} {:>8} {:>9}  {:<7} {}"


def main() -> int:
    """Run what the command line asks for, print the table, and return 1 when a promise was not kept."""
    asked = _asked()
    if not asked.json:
        print(_ROW.format("broker", "", "fault", "sent", "run", "lost", "repeated", "recovery", "verdict", "target"))
    verdicts = []
    for name in (name for name in BROKERS if name in asked.broker):
        case = Case(BROKERS[name], asked.short)
        for entry in entries(case.broker, asked.only):
            for _ in range(asked.runs):
                verdict = entry.judge(case)
                verdict.broker = name
                verdicts.append(verdict)
                print(json.dumps(asdict(verdict)) if asked.json else _row(verdict), flush=True)
    if asked.runs > 1 and not asked.json:
        _summarize(verdicts)
    return 0 if all(verdict.kept and verdict.in_time for verdict in verdicts) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--broker", type=_listed(BROKERS), default=frozenset({"sqlite"}), metavar="B,…", help=f"of {', '.join(BROKERS)}"
    )
    letters = sorted({entry.fault for entry in CATALOGUE})
    parser.add_argument(
        "--only", type=_listed(letters), default=frozenset(), metavar="a,b", help="letters of the faults"
    )
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="run every scenario N times")
    parser.add_argument("--short", action="store_true", help="the short forms that `make test` runs")
    parser.add_argument("--json", action="store_true", help="print JSON, one object for each run")
    return parser.parse_args()


def _listed(known: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """Return what converts a comma-separated list of known words."""

    def convert(text: str) -> frozenset[str]:
        words = frozenset(word for word in text.split(",") if word)
        if strange := words.difference(known):
            raise argparse.ArgumentTypeError(f"{sorted(strange)} are not among {', '.join(known)}")
        return words

    return convert


def _row(verdict: Verdict) -> str:
    recovery = "" if verdict.recovery is None else f"{verdict.recovery:.2f} s"
    row = _ROW.format(
        verdict.broker,
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


def _summarize(verdicts: Sequence[Verdict]) -> None:
    """Print how many runs of each scenario kept their promises, with the worst of each count."""
    print(f"\n{'broker':<10} {'':<2} {'fault':<38} {'kept':>7} {'sent':>7} {'lost':>5} {'repeated':>8} {'slowest':>9}")
    groups: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.broker, verdict.fault, verdict.name), []).append(verdict)
    for (broker, fault, name), group in groups.items():
        kept = sum(verdict.kept and verdict.in_time for verdict in group)
        slowest = max((verdict.recovery for verdict in group if verdict.recovery is not None), default=None)
        print(
            f"{broker:<10} {fault:<2} {name:<38} {f'{kept}/{len(group)}':>7} {sum(v.sent for v in group):>7} "
            f"{max(v.lost for v in group):>5} {max(v.repeated for v in group):>8} "
            f"{'' if slowest is None else f'{slowest:.2f} s':>9}"
        )


if __name__ == "__main__":
    sys.exit(main())
