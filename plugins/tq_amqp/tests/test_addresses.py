"""URLs and options."""

from __future__ import annotations

from typing import Any

import pytest
from tq_amqp.address import parse_addresses
from tq_amqp.options import ConnectionOptions

from tq_core.errors import ImproperlyConfigured


@pytest.mark.parametrize(
    ("url", "shown", "user"),
    [
        ("amqp://", "amqp://localhost:5672/", "guest"),
        ("pyamqp://guest@h//", "amqp://h:5672/", "guest"),
        ("librabbitmq://u:p@h:1/v", "amqp://h:1/v", "u"),
        ("amqps://u:p%40%2F@h/a%2Fb", "amqps://h:5671/a/b", "u"),
        ("amqp://[::1]:7/v", "amqp://[::1]:7/v", "guest"),
    ],
)
def test_a_url_means_a_place(url: str, shown: str, user: str) -> None:
    (address,) = parse_addresses(url)
    assert (str(address), address.username) == (shown, user)


def test_escaped_passwords_are_read_and_never_shown() -> None:
    (address,) = parse_addresses("amqp://u:s%40cr%2Ft@h/v")
    assert address.password == "s@cr/t"
    assert "s@cr" not in str(address) + repr(address)


def test_several_urls_are_several_nodes() -> None:
    found = parse_addresses("amqp://a:1/v;amqps://b/v; c:3/v")
    assert [str(address) for address in found] == ["amqp://a:1/v", "amqps://b:5671/v", "amqp://c:3/v"]


@pytest.mark.parametrize("url", ["", "redis://secret@h", "amqp://u:secret@h:port/v"])
def test_a_url_that_cannot_be_read_is_an_error_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as wrong:
        parse_addresses(url)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hartbeat": 3}, "did you mean 'heartbeat'"),
        ({"answer_timeout": "soon"}, "a number"),
        ({"passive": 3}, "true or false"),
        ({"frame_max": 10}, "at least 4096"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        ConnectionOptions.from_settings({"broker_transport_options": options}, {})


def test_options_of_kombus_are_accepted_and_the_query_counts() -> None:
    settings = {
        "broker_transport_options": {"confirm_publish": True, "visibility_timeout": 3},
        "broker_heartbeat": None,
    }
    options = ConnectionOptions.from_settings(settings, {"answer_timeout": "2"})
    assert (options.answer_timeout, options.heartbeat) == (2.0, 0.0)
