"""Every form of address leads to a server: sockets, TLS, users, sentinels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.private_servers import private_redis
from tests.private_servers.redis_sentinel import PrivateSentinel
from tests.private_servers.redis_tls import PrivateTLSRedis
from tests.private_servers.server import running
from tq_core.contracts.broker import Broker
from tq_core.errors import BrokerUnavailable, ImproperlyConfigured
from tq_core.message import Message

PATIENCE = 20.0


def works(broker: Broker) -> bool:
    """Tell whether a message passes."""
    broker.connect(5.0)
    broker.publish([Message("x", {"id": "x"}, b"[]", queue="q", routing_key="q")])
    consumer = broker.consumer(["q"], consumer_id="me")
    (delivery,) = consumer.receive(1, PATIENCE)
    consumer.close()
    broker.purge("q")
    return delivery.message is not None and delivery.message.id == "x"


@pytest.fixture(scope="module")
def encrypted() -> Iterator[PrivateTLSRedis]:
    with running(PrivateTLSRedis()) as server:
        yield server


def test_a_server_is_reached_by_tls_and_its_certificate_is_checked(
    open_broker: Callable[..., Broker], encrypted: PrivateTLSRedis
) -> None:
    url = f"rediss://127.0.0.1:{encrypted.tls_port}/0"
    assert works(open_broker(f"{url}?ssl_ca_certs={encrypted.certificate}"))
    assert works(open_broker(url, broker_use_ssl={"ssl_ca_certs": str(encrypted.certificate)}))
    with pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
        open_broker(url).connect(5.0)


def test_a_server_is_reached_by_a_unix_socket(open_broker: Callable[..., Broker], encrypted: PrivateTLSRedis) -> None:
    assert works(open_broker(f"redis+socket://{encrypted.socket}?virtual_host=2"))


def test_a_user_and_password_are_sent(open_broker: Callable[..., Broker], encrypted: PrivateTLSRedis) -> None:
    with Redis(port=encrypted.port) as client:
        client.execute_command("ACL", "SETUSER", "shop", "on", ">p@ss", "allkeys", "allchannels", "allcommands")
    assert works(open_broker(f"redis://shop:p%40ss@127.0.0.1:{encrypted.port}/0"))
    with pytest.raises(BrokerUnavailable, match="refused the user or password"):
        open_broker(f"redis://shop:wrong@127.0.0.1:{encrypted.port}/0").connect(5.0)


def test_sentinels_lead_to_the_master(open_broker: Callable[..., Broker]) -> None:
    with private_redis() as master, running(PrivateSentinel(master)) as sentinel:
        # The first sentinel is not there; the second one knows.
        url = f"sentinel://127.0.0.1:1;sentinel://127.0.0.1:{sentinel.port}"
        assert works(open_broker(url, broker_transport_options={"master_name": "shop"}))
        with pytest.raises(BrokerUnavailable, match="other"):
            open_broker(url, broker_transport_options={"master_name": "other"}).connect(5.0)
        with pytest.raises(ImproperlyConfigured, match="master_name"):
            open_broker(url)


def test_a_socket_that_is_not_there_is_named(open_broker: Callable[..., Broker], tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="cannot be used"):
        open_broker(f"redis+socket://{tmp_path}/nothing").connect(5.0)
