"""The short forms of the fault suite; `make faults` runs the long ones."""

from __future__ import annotations

import sys

import pytest

from tests.faults.brokers import BROKERS
from tests.faults.case import Case
from tests.faults.catalogue import Entry, entries

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the suite looks at processes through /proc")

#: Which faults are injected into which broker with every `make test`. What does not depend on the broker is tested on
#: one; the rest is for `make faults`.
_TESTED = {"sqlite": "abcefghijkoq", "postgresql": "ceh", "redis": "bcehjk", "amqp": "bcdehjk"}


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        pytest.param(name, entry, id=f"{name}-{entry.promise.replace(' ', '_')}")
        for name, faults in _TESTED.items()
        for entry in entries(BROKERS[name], frozenset(faults))
        if entry.in_short
    ],
)
def test_the_promise_is_kept(name: str, entry: Entry) -> None:
    verdict = entry.judge(Case(BROKERS[name], short=True))
    assert verdict.kept, f"{verdict.target}: {verdict.broken}"
