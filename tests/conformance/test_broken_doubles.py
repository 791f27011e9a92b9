"""What breaks a promise fails exactly the checks of that promise, whatever the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.doubles import backends, brokers, pools, remote, schedule_stores, serializers
from tq_core.testing.conformance.report import Report, Verdict
from tq_core.testing.conformance.run import run

#: Contract → doubles; ``BREAKS`` of each names what must be found.
DOUBLES: dict[str, list[Any]] = {
    "broker": [brokers.Faultless, brokers.Modest, *brokers.ALL, *remote.ALL],
    "backend": backends.ALL,
    "serializer": serializers.ALL,
    "pool": pools.ALL,
    "schedule_store": schedule_stores.ALL,
}
EVERY = [(contract, double) for contract, doubles in DOUBLES.items() for double in doubles]

Tried = Callable[[type], Report]


def attempt(contract: str, double: Any, directory: Path, port: int) -> Report:
    path = f"{double.__module__}:{double.__qualname__}"
    if double in remote.ALL:
        return run(contract, path, f"{path}://127.0.0.1:{port}", only=double.ONLY, patience=4)
    url = f"{path}://{directory / double.__name__}.json" if contract == "schedule_store" else None
    return run(contract, path, url, limit=getattr(double, "LIMIT", 60.0), patience=2 if contract == "pool" else 4)


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """The reports on doubles: a run mostly waits, so several go on at a time, those of all selected tests at once."""
    directory = tmp_path_factory.mktemp("stores")
    futures: dict[type, Future[Report]] = {}
    with remote.serving() as port, ThreadPoolExecutor(10) as workers:

        def report(contract: str, double: type) -> Future[Report]:
            if double not in futures:
                futures[double] = workers.submit(attempt, contract, double, directory, port)
            return futures[double]

        selected = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
        for parameters in selected:
            if "double" in parameters:
                report(parameters["contract"], parameters["double"])
        yield lambda double: report("broker", double).result()
        for future in futures.values():
            future.cancel()


def broken(report: Report) -> dict[str, str]:
    return {row.promise: row.reason for row in report.rows if row.verdict is Verdict.BROKEN}


@pytest.mark.parametrize(("contract", "double"), EVERY, ids=[f"{c}-{double.__name__}" for c, double in EVERY])
def test_a_double_fails_exactly_the_right_checks(tried: Tried, contract: str, double: Any) -> None:
    report = tried(double)
    expected = getattr(double, "BREAKS", frozenset())
    assert report.problem == ""
    assert set(broken(report)) == expected, broken(report)
    assert report.exit_code == (1 if expected else 0)


def test_what_is_not_declared_is_announced_with_the_capability(tried: Tried) -> None:
    undeclared = {r.promise: r.reason for r in tried(brokers.Modest).rows if r.verdict is Verdict.UNDECLARED}
    assert undeclared["priority.order"] == "priority"
    assert undeclared["leases.fencing"] == "lease"
    assert undeclared["dead-letters.kept"] == "dead_letters"
    assert undeclared["crash.received"] == "shared"


def test_a_check_that_ends_its_process_is_named_and_the_others_run(tried: Tried) -> None:
    report = tried(brokers.EndsItsProcess)
    assert broken(report) == {"payload.bodies": "it ended its process with exit code 7"}
    assert [row.promise for row in report.rows] == [row.promise for row in tried(brokers.Faultless).rows]


def test_a_check_that_hangs_is_named_with_where_it_hangs(tried: Tried) -> None:
    (row,) = [row for row in tried(brokers.Hangs).rows if row.verdict is Verdict.BROKEN]
    assert row.reason == "it did not end within 20 s"
    assert "in queues" in row.details
