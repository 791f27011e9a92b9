"""Measure tq, beside other task queues and beside bare clients: ``make bench``.

No-op tasks, results stored, one client process and one worker node on this machine. Rates of a shared machine move:
compare the ratios of one run, never the bare numbers of two. docs/benchmarks.md tells how to read them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from tests.benchmarks import environments, report
from tests.benchmarks.campaign import Campaign, Plan
from tests.benchmarks.measures.catalogue import MEASURES
from tests.benchmarks.measures.sizes import QUICK, Sizes
from tests.benchmarks.places import BROKERS

POOLS = ("prefork", "threads", "solo", "aio")


def main(words: list[str] | None = None) -> int:
    """Measure what the command line asks for; return 1 when nothing of tq could be measured."""
    options = _parser().parse_args(words)
    if options.list:
        print(listing())
        return 0
    sizes = QUICK if options.quick else Sizes()
    if options.tasks:
        sizes = replace(sizes, calls=options.tasks // 2, bulk=options.tasks, drain=options.tasks)
    plan = Plan(
        brokers=options.broker,
        pools=options.pool,
        measures=options.measure or list(MEASURES),
        peers=options.against or [],
        runs=options.runs,
        late=options.late,
        sizes=sizes,
    )
    # Whatever ends the run, what it made on servers is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    campaign = Campaign(plan, say=lambda text: print(text, file=sys.stderr, flush=True))
    try:
        campaign.run()
    except KeyboardInterrupt:
        print("interrupted: what was measured so far", file=sys.stderr)
    table = report.markdown(campaign.scenes, options.runs, options.late)
    print(table)
    if options.output:
        options.output.write_text(table, "utf-8")
    if options.json:
        found = report.as_json(campaign.scenes, plan.described())
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0 if any("tq" in scene.systems() for scene in campaign.scenes) else 1


def listing() -> str:
    """Return the words of the command line and what they mean."""
    lines = ["measures:", *(f"  {name:<11} {measure.summary}" for name, measure in MEASURES.items())]
    lines += ["brokers:", *(f"  {name}" for name in BROKERS)]
    lines += ["pools:", *(f"  {name}" for name in POOLS), "against:"]
    for name in environments.peers():
        peer = environments.known()[name]
        lines.append(f"  {name:<11} {peer.requires[0]}, on {', '.join(peer.brokers)}; {peer.differs}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench --", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--broker", type=_names("broker", BROKERS), default=["sqlite"], metavar="NAME,…", help="where [sqlite]")
    add("--pool", type=_names("pool", POOLS), default=["prefork"], metavar="NAME,…", help="of workers [prefork]")
    add("--measure", type=_names("measure", MEASURES), metavar="NAME,…", help="what [everything]")
    add("--against", type=_names("peer", environments.peers()), metavar="NAME,…", help="peers to measure in turns")
    add("--runs", type=_positive, default=1, metavar="N", help="measure N times; medians are shown [1]")
    add("--tasks", type=_positive, metavar="N", help="tasks of each drain [10000]")
    add("--quick", action="store_true", help="with so few tasks that only this shows: does it all work?")
    add("--late", action="store_true", help="acknowledge late")
    add("--json", type=Path, metavar="FILE", help="write all runs there")
    add("--output", type=Path, metavar="FILE", help="write the table there, in Markdown")
    add("--list", action="store_true", help="say which names there are")
    return parser


def _names(kind: str, known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what reads a list of names, parted by commas."""
    known = list(known)

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f", did you mean {near[0]!r}?" if near else ""
                raise argparse.ArgumentTypeError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")
        if not names:
            raise argparse.ArgumentTypeError(f"no {kind} was named. Known: {', '.join(known)}")
        return names

    return read


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
