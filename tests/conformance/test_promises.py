"""The kit itself: every check names its promise, and promises have ids that can be relied on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from typing import Any

import pytest

from tq_core.contracts.backend import BackendCapabilities
from tq_core.contracts.broker import BrokerCapabilities
from tq_core.contracts.pool import PoolCapabilities
from tq_core.testing.conformance.backend import BackendConformance
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.coordination import CoordinationConformance
from tq_core.testing.conformance.plugin import PluginConformance
from tq_core.testing.conformance.pool import PoolConformance
from tq_core.testing.conformance.promises import Promise, promise_of
from tq_core.testing.conformance.run import CONTRACTS
from tq_core.testing.conformance.schedule_store import ScheduleStoreConformance
from tq_core.testing.conformance.serializer import SerializerConformance

KITS: list[Any] = [
    BrokerConformance,
    BackendConformance,
    CoordinationConformance,
    SerializerConformance,
    PoolConformance,
    ScheduleStoreConformance,
    PluginConformance,
]


def promises(kit: type) -> list[Promise | None]:
    return [promise_of(getattr(kit, name)) for name in dir(kit) if name.startswith("test_")]


def test_there_is_a_kit_for_every_contract() -> None:
    assert [kit.contract for kit in KITS] == list(CONTRACTS)


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.contract)
def test_every_check_names_a_promise_of_its_own(kit: type) -> None:
    found = promises(kit)
    assert None not in found
    names = Counter(promise.id for promise in found if promise)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z-]+\.[a-z0-9-]+", name) for name in names)
    assert all(promise.sentence and not promise.sentence.endswith(".") for promise in found if promise)


@pytest.mark.parametrize(
    ("kit", "capabilities", "without"),
    [
        # What a broker does with exchanges is AMQP's, and what it orders is seen where priorities are.
        (BrokerConformance, BrokerCapabilities, {"exchanges", "priority_order", "orphans", "atomic_settle"}),
        # Every backend that is tried stores; whether a watch is told or looks cannot be seen from outside.
        (BackendConformance, BackendCapabilities, {"stores", "push", "coordination"}),
        (PoolConformance, PoolCapabilities, set()),
    ],
)
def test_every_capability_has_a_check(kit: type, capabilities: Any, without: set[str]) -> None:
    needed = {name for promise in promises(kit) if promise for name in promise.needs}
    missing = {field.name for field in fields(capabilities)} - needed
    assert missing <= without, missing - without


@pytest.mark.parametrize(
    ("missing", "use"),
    [
        ("pytest", "from tq_core.testing.conformance.run import run; run('serializer', 'json')"),
        ("hypothesis", "from tq_core.testing.conformance.run import run; run('serializer', 'json')"),
        ("hypothesis", "import pytest, tq_core.testing.conformance.broker"),
    ],
)
def test_what_is_missing_is_named_with_the_extra(missing: str, use: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; {use}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(f"needs {missing}, which is not installed: pip install 'tq-core[testing]'")
    )


def test_reports_are_read_and_runs_asked_for_without_importing_pytest() -> None:
    code = (
        "import sys\n"
        "import tq_core.testing.conformance.run, tq_core.testing.conformance.report\n"
        "print([name for name in ('pytest', 'hypothesis') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
