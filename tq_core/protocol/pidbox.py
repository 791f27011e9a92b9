"""Remote control as it travels: requests to worker nodes and their answers, in the form of kombu's ``pidbox``.

A request is announced on a fanout exchange, so every node hears it and decides whether it is meant. An answer goes to
the address the request names.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_core.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """One request.

    Attributes:
        method: what is to be done, such as ``revoke``.
        arguments: of the method, by name.
        destination: names of the nodes that are meant; None for all.
        pattern: pattern of the names of the nodes that are meant, or None.
        matcher: how the pattern is read: ``glob`` or ``pcre``; None where there is no pattern.
        ticket: names the request in its answers; None where no answer is wanted.
        reply_to: exchange and routing key for answers; None where none is wanted.
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    destination: tuple[str, ...] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: tuple[str, str] | None = None

    def concerns(self, node: str) -> bool:
        """Return whether a node is meant: its name matches the pattern, or is listed, or nobody is listed.

        Args:
            node: the node's name.
        """
        if self.pattern and self.matcher:
            if self.matcher == "pcre":
                return re.match(self.pattern, node) is not None
            return fnmatch.fnmatchcase(node, self.pattern)
        return not self.destination or node in self.destination


def exchange_names(namespace: str) -> tuple[str, str]:
    """Return the names of the exchanges for requests and for answers.

    Args:
        namespace: the setting ``control_exchange``.
    """
    return f"{namespace}.pidbox", f"reply.{namespace}.pidbox"


def answer_queue(key: str, namespace: str) -> str:
    """Return the name of the queue in which the answers for one caller are collected.

    Args:
        key: the routing key the caller has chosen.
        namespace: the setting ``control_exchange``.
    """
    return f"{key}.{exchange_names(namespace)[1]}"


def write_request(request: ControlRequest) -> dict[str, Any]:
    """Return the body of a request."""
    body: dict[str, Any] = {
        "method": request.method,
        "arguments": dict(request.arguments),
        "destination": None if request.destination is None else list(request.destination),
        "pattern": request.pattern,
        "matcher": request.matcher,
    }
    if request.reply_to is not None:
        exchange, routing_key = request.reply_to
        body["ticket"] = request.ticket
        body["reply_to"] = {"exchange": exchange, "routing_key": routing_key}
    return body


def read_request(body: Any) -> ControlRequest:
    """Read the body of a request, whoever wrote it.

    Raises:
        InvalidMessage: it is not a request; the text says what is wrong, without what the arguments hold.
    """
    if not isinstance(body, Mapping):
        raise _malformed("the body", body, "a map")
    arguments = body.get("arguments")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise _malformed("arguments", arguments, "a map")
    destination = body.get("destination")
    if isinstance(destination, str):
        destination = [destination]
    if destination is not None and not isinstance(destination, (list, tuple, set, frozenset)):
        raise _malformed("destination", destination, "a list of node names, or null")
    matcher = _text(body, "matcher")
    if matcher not in (None, "glob", "pcre"):
        raise _malformed("matcher", matcher, "glob, pcre or null")
    pattern = _text(body, "pattern")
    if pattern and matcher == "pcre":
        try:
            re.compile(pattern)
        except re.error as error:
            raise InvalidMessage(f"malformed control request: pattern is no regular expression: {error}") from None
    method = _text(body, "method")
    if not method:
        raise _malformed("method", method, "the name of what is to be done")
    return ControlRequest(
        method,
        {str(name): value for name, value in (arguments or {}).items()},
        None if destination is None else tuple(map(str, destination)),
        pattern,
        matcher,
        _text(body, "ticket"),
        _address(body.get("reply_to")),
    )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise _malformed(name, value, "text, or null")
    return value


def _address(value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        exchange, routing_key = value.get("exchange"), value.get("routing_key")
        if isinstance(exchange, str) and isinstance(routing_key, str):
            return exchange, routing_key
    raise _malformed("reply_to", value, "a map of exchange and routing_key, or null")


def _malformed(name: str, value: Any, expected: str) -> InvalidMessage:
    return InvalidMessage(
        f"malformed control request: {name} is {type(value).__name__}, expected {expected}; "
        "its sender must be corrected"
    )
