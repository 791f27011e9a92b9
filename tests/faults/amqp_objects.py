"""What a run leaves in a RabbitMQ, held against the table of objects in ``plugins/tq_amqp/README.md``."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.faults.site import wait_until
from tests.private_servers import rabbitmqctl
from tests.services import SERVICES

README = Path(__file__).parents[2] / "plugins" / "tq_amqp" / "README.md"

#: Seconds within which RabbitMQ has noticed that its clients are gone.
_NOTICED = 10.0


@contextmanager
def own_vhost() -> Iterator[str]:
    """Make a virtual host for the time of a ``with`` block, and yield its URL."""
    service = SERVICES["rabbitmq"]
    user, password = urlsplit(service.url).username or "guest", urlsplit(service.url).password or "guest"
    name = f"tq-faults-{secrets.token_hex(6)}"
    rabbitmqctl("add_vhost", name)
    try:
        rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        host, port = service.address
        yield f"amqp://{user}:{password}@{host}:{port}/{name}"
    finally:
        rabbitmqctl("delete_vhost", name)


def patterns() -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    """Read the table of objects: the names of those that stay, and of those that must go by themselves."""
    stays: list[re.Pattern[str]] = []
    goes: list[re.Pattern[str]] = []
    inside = False
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == "object":
            inside = True
        elif not cells:
            inside = False
        elif inside:
            found = [
                re.compile(re.sub(r"<[^>]+>", ".+", re.escape(name).replace(r"\<", "<").replace(r"\>", ">")))
                for name in re.findall(r"`([^`]+)`", cells[0])
            ]
            (stays if cells[-1].startswith("stay") else goes).extend(found)
    assert stays, f"{README} has no table of objects that says which stay"
    assert goes, f"{README} has no table of objects that says which go"
    return stays, goes


def connections(url: str) -> set[str]:
    """Return the names of the connections to a virtual host."""
    # Not list_connections: it asks every connection of the server, and waits for those that do not answer.
    tracked = f'[element(3, One) || One <- rabbit_connection_tracking:list(<<"{_vhost_of(url)}">>)].'
    return set(re.findall(r'<<"([^"]*)">>', rabbitmqctl("eval", tracked)))


def unowned(url: str) -> list[str]:
    """Say of every queue and exchange in a virtual host what nobody will ever remove; empty when all is well."""
    vhost = _vhost_of(url)
    stays, goes = patterns()
    listed: list[tuple[str, dict[str, Any]]] = []
    for kind in ("queue", "exchange"):
        words = (f"list_{kind}s", "-p", vhost, "name", "arguments", "auto_delete", "--formatter", "json")
        listed += [(kind, one) for one in json.loads(rabbitmqctl(*words))]
    faults = []
    for kind, one in listed:
        name = one["name"]
        if not name or name.startswith("amq.") or not name.startswith("tq."):
            continue  # the site's, Celery's and RabbitMQ's own
        mortal = one["auto_delete"] or any(argument[0] == "x-expires" for argument in one["arguments"])
        if any(pattern.fullmatch(name) for pattern in goes):
            if not mortal:
                faults.append(f"the {kind} {name!r} stays for ever")
        elif not any(pattern.fullmatch(name) for pattern in stays):
            faults.append(f"the {kind} {name!r} stands in no table")
    return faults


def remains(url: str) -> list[str]:
    """Say what a run whose processes have all ended, or were killed, has left: its connections, and :func:`unowned`."""
    wait_until(lambda: not connections(url), _NOTICED, every=0.2)
    return [f"the connection {name!r} is still open" for name in sorted(connections(url))] + unowned(url)


def _vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path[1:]) or "/"
