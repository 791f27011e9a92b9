"""The brokers that faults are injected into: where each keeps messages, and which faults can happen to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from tests.databases import own_database
from tests.faults.amqp_objects import connections, own_vhost, remains
from tests.faults.amqp_objects import unowned as unowned_objects
from tests.faults.raw_envelopes import RawEnvelopes, client_of
from tests.faults.raw_messages import RawMessages
from tests.faults.raw_queue import RawQueue
from tests.faults.raw_rows import RawRows
from tests.faults.redis_keys import unowned
from tests.private_servers import PrivateServer, private_mariadb, private_postgresql, private_rabbitmq, private_redis
from tests.services import SERVICES


@dataclass(frozen=True, slots=True)
class BrokerUnderTest:
    """One broker, with the result store beside it.

    Attributes:
        name: the word for ``--broker``.
        faults: letters of the faults that can happen to it.
        place: yields the URL of an empty place for messages, and for results unless they are elsewhere, and clears
            it away.
        raw: opens a way around tq into the queues of such a place.
        server: runs a server of the same kind that may be killed; None where there is no server.
        results: yields the URL of an empty place for results; None where they are kept beside the messages.
        left: says of what is left in a place where nobody is at work what nobody will ever remove.
        remains: the same of a place whose nodes were killed in the middle of their work.
        connections: names the connections to a place, where the server tells.
        hands_on: True where what was held over a connection goes to others the moment it is lost, also if the
            holder lives, so that a late task in flight may end twice.
    """

    name: str
    faults: str
    place: Callable[[], AbstractContextManager[str]]
    raw: Callable[[str], RawQueue]
    server: Callable[[], AbstractContextManager[PrivateServer]] | None = None
    results: Callable[[], AbstractContextManager[str | None]] = nullcontext
    left: Callable[[str], list[str]] = lambda url: []
    remains: Callable[[str], list[str]] = lambda url: []
    connections: Callable[[str], set[str]] = lambda url: set()
    hands_on: bool = False


@contextmanager
def _file() -> Iterator[str]:
    with TemporaryDirectory(prefix="tq-faults-", ignore_cleanup_errors=True) as folder:
        yield f"sqlite:///{(Path(folder) / 'queue.db').as_posix()}"


@contextmanager
def _prefix() -> Iterator[str]:
    """Keys with a prefix of their own, in the Redis that others use, too."""
    url = f"{SERVICES['redis'].url}?global_keyprefix=faults-{uuid4().hex[:12]}."
    try:
        yield url
    finally:
        client, prefix = client_of(url)
        with client:
            for key in client.scan_iter(match=f"{prefix}*", count=1000):
                client.unlink(key)


BROKERS = {
    broker.name: broker
    for broker in (
        BrokerUnderTest("sqlite", "abcefghijknoq", _file, RawRows),
        BrokerUnderTest("postgresql", "abcefghijknq", lambda: own_database("postgresql"), RawRows, private_postgresql),
        BrokerUnderTest("mariadb", "abcefghijknq", lambda: own_database("mariadb"), RawRows, private_mariadb),
        BrokerUnderTest("redis", "abcefghijknq", _prefix, RawEnvelopes, private_redis, left=unowned),
        BrokerUnderTest(
            "amqp",
            "abcdefhijknq",
            own_vhost,
            RawMessages,
            private_rabbitmq,
            _prefix,
            unowned_objects,
            remains,
            connections,
            hands_on=True,
        ),
    )
}
