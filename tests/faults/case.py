"""One run of a scenario: on one broker, in its short or its long form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.faults.brokers import BrokerUnderTest
from tests.faults.site import Site
from tests.private_servers import PrivateServer
from tq_core.testing.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Case:
    """What a scenario is asked to do.

    Attributes:
        broker: where its messages are.
        short: True for the form that ``make test`` runs.
        remains: what was left of its sites that nobody will ever remove.
    """

    broker: BrokerUnderTest
    short: bool
    remains: list[str] = field(default_factory=list)

    @property
    def quick(self) -> dict[str, float]:
        """Settings of a site that has to wait for a dead node's lease: in the short form it is a short one."""
        return {"lease": 3.0} if self.short else {}

    @contextmanager
    def site(self, **settings: object) -> Iterator[Site]:
        """Open a site with an empty place for messages; see :class:`Site` for the settings."""
        with self.broker.place() as url:
            with self._opened(url, **settings) as site:
                yield site
            self.remains.extend(self.broker.remains(url))

    @contextmanager
    def site_and_server(self, **settings: object) -> Iterator[tuple[Site, PrivateServer]]:
        """Open a site on a server of its own, which may be killed."""
        assert self.broker.server is not None, f"{self.broker.name} has no server"
        with self.broker.server() as server, self._opened(server.url, **settings) as site:
            yield site, server

    @contextmanager
    def site_and_proxy(self, *, client: bool = False, **settings: object) -> Iterator[tuple[Site, Proxy, str]]:
        """Open a site on a server and a proxy before that server.

        Args:
            client: let the site's client publish through the proxy.
            settings: of the site.

        Yields:
            site, proxy, and the URL that leads through the proxy.
        """
        with self.broker.place() as url:
            address = urlsplit(url)
            assert address.hostname is not None
            assert address.port is not None
            with Proxy(address.hostname, address.port) as proxy:
                user = address.netloc.rpartition("@")[0]
                netloc = f"{user}@{proxy.host}:{proxy.port}" if user else f"{proxy.host}:{proxy.port}"
                proxied = address._replace(netloc=netloc).geturl()
                with self._opened(url, proxied if client else None, **settings) as site:
                    yield site, proxy, proxied
            self.remains.extend(self.broker.remains(url))

    @contextmanager
    def _opened(self, url: str, client_url: str | None = None, **settings: object) -> Iterator[Site]:
        with self.broker.results() as results, Site(url, client_url, results, **settings) as site:
            yield site
