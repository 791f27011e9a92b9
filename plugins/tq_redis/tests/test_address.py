"""Which URLs and options are understood."""

from __future__ import annotations

from typing import Any

import pytest
from tq_redis.address import parse_address
from tq_redis.options import TransportOptions

from tq_core.errors import ImproperlyConfigured


@pytest.mark.parametrize(
    ("url", "hosts", "db"),
    [
        ("redis://", (("localhost", 6379),), 0),
        ("redis://h", (("h", 6379),), 0),
        ("redis://h:1/2", (("h", 1),), 2),
        ("valkey://h/3", (("h", 6379),), 3),
        ("redis://[::1]:7/", (("::1", 7),), 0),
        ("redis+socket:///tmp/s?virtual_host=4", (), 4),
        ("sentinel://a/1;sentinel://b:2/1;c:3", (("a", 26379), ("b", 2), ("c", 3)), 1),
        ("redis+cluster://a,b:7,[::1]:8/", (("a", 6379), ("b", 7), ("::1", 8)), 0),
        ("redis+cluster://a:1;redis+cluster://b:2,c;d", (("a", 1), ("b", 2), ("c", 6379), ("d", 6379)), 0),
        ("rediss+cluster://u:p%2Cq@a", (("a", 6379),), 0),
    ],
)
def test_a_url_names_hosts_and_a_database(url: str, hosts: Any, db: int) -> None:
    address = parse_address(url)
    assert (address.hosts, address.db) == (hosts, db)


def test_a_password_is_unescaped_and_never_shown() -> None:
    address = parse_address("rediss://me:p%40ss@h/0?ssl_cert_reqs=none")
    assert (address.username, address.password, address.tls) == ("me", "p@ss", True)
    assert "p@ss" not in f"{address} {address!r}"
    cluster = parse_address("rediss+cluster://me:p%2Css@h,g:1/")
    assert (cluster.username, cluster.password, cluster.tls, cluster.cluster) == ("me", "p,ss", True, True)
    assert str(cluster) == "rediss+cluster://h:6379,g:1"


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "",
        "redis://a;redis://b",
        "redis://:hunter2@h:x",
        "redis://h/x",
        "redis+cluster://h/1",
        "redis+cluster://:hunter2@h,g:x",
        "redis+cluster://:hunter2@a;rediss+cluster://:hunter2@b",
        "sentinel://:hunter2@a;redis://b",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        parse_address(url)
    assert "hunter2" not in str(error.value)


def test_kombus_options_keep_their_names() -> None:
    given = {
        "visibility_timeout": 60,
        "priority_steps": [0, 5],
        "sep": ":",
        "max_connections": 3,
        "socket_timeout": "7",
    }
    options = TransportOptions.from_settings({"broker_transport_options": given}, {})
    assert (options.visibility_timeout, options.priority_steps, options.sep) == (60.0, (0, 5), ":")
    assert options.connection.socket_timeout == 7.0


def test_servers_may_be_reached_elsewhere_than_others_say() -> None:
    given = {"address_remap": {"10.0.0.1:7000": "localhost:27000", "[::1]:7001": "localhost:27001"}}
    options = TransportOptions.from_settings({"broker_transport_options": given}, {}).connection
    assert options.remapped(("10.0.0.1", 7000)) == ("localhost", 27000)
    assert options.remapped(("::1", 7001)) == ("localhost", 27001)
    assert options.remapped(("10.0.0.1", 7001)) == ("10.0.0.1", 7001)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"address_remap": {"a:1": "b"}}, "address_remap must be"),
        ({"address_remap": "a:1=b:2"}, "address_remap must be"),
        ({"visibility_timout": 1}, "did you mean 'visibility_timeout'"),
        ({"visibility_timeout": -1}, "visibility_timeout must be above 0"),
        ({"priority_steps": [3]}, "priority_steps must be"),
        ({"body_encoding": "rot13"}, "body_encoding must be"),
    ],
)
def test_a_wrong_option_is_refused_with_a_hint(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=text):
        TransportOptions.from_settings({"broker_transport_options": given}, {})
