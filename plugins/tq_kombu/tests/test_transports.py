"""The table of transports: complete, in the documentation, and honest about what is installed."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from kombu.transport import TRANSPORT_ALIASES
from tq_kombu.reference import written_into
from tq_kombu.transports import TRANSPORTS, alias_of

from tq_core.errors import ImproperlyConfigured
from tq_core.plugin.manager import PluginManager
from tq_core.testing.conformance.broker import BrokerConformance
from tq_core.testing.conformance.promises import promise_of

PAGE = Path(__file__).parents[3] / "docs" / "brokers-kombu.md"


def test_every_transport_of_kombu_has_a_row_and_a_name_of_its_own() -> None:
    assert set(TRANSPORTS) == set(TRANSPORT_ALIASES)
    names = {point.name for point in entry_points(group="tq.brokers") if point.value == "tq_kombu.plugin"}
    assert {f"kombu+{alias}" for alias in TRANSPORT_ALIASES} <= names


def test_a_plain_scheme_is_claimed_exactly_where_nobody_else_does() -> None:
    plugins: dict[str, set[str]] = {}
    for point in entry_points(group="tq.brokers"):
        plugins.setdefault(point.name, set()).add(point.value)
    assert [name for name, values in plugins.items() if len(values) > 1 and "tq_kombu.plugin" in values] == []


def test_the_page_shows_the_table() -> None:
    text = PAGE.read_text("utf-8")
    assert text == written_into(text), "run make docs"


def test_what_is_admitted_names_promises_of_the_contract() -> None:
    known = {kept.id for name in dir(BrokerConformance) if (kept := promise_of(getattr(BrokerConformance, name)))}
    admitted = {promise.partition("[")[0] for traits in TRANSPORTS.values() for promise in traits.breaks}
    assert admitted <= known


@pytest.mark.parametrize(
    ("url", "alias"),
    [
        ("sqs://", "sqs"),
        ("kombu+SQS://key:secret@", "SQS"),
        ("kombu+sqla+postgresql+psycopg://u:p@h/db", "sqla"),
        ("kombu+amqp://one//;amqp://two//", "amqp"),
        ("mongodb+srv://h", "mongodb"),
    ],
)
def test_a_url_names_its_transport(url: str, alias: str) -> None:
    assert alias_of(url) == alias


def test_a_transport_without_its_driver_says_what_to_install() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'kombu\[slmq\]'"):
        PluginManager().open_broker("slmq://key:secret@host", {}, "test@here")


def test_the_plugin_is_listed_without_importing_kombu() -> None:
    import subprocess
    import sys

    code = "import sys, tq_kombu.plugin; print('kombu' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
