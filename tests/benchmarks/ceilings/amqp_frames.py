"""The work of a task queue with frames of AMQP that are packed by hand; py-amqp makes the connections."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

from tests.benchmarks.ceilings import amqp
from tests.benchmarks.ceilings.bare import MESSAGE, RESULT

_HEAD = Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
_ACK, _DELIVER, _GET_EMPTY = (60 << 16 | method for method in (80, 60, 72))


class Driven(amqp.Driven):
    """The same connections; only what is sent and received per message goes past py-amqp."""

    def __init__(self) -> None:
        super().__init__()
        self._out, self._in = _Socket(self._client), _Socket(self._worker)
        self._task = _message(self._sending.channel_id, "celery", MESSAGE, b"\x10\x00\x02")
        self._result = _message(self._receiving.channel_id, "replies", RESULT, b"\x00\x00")
        self._tags: list[int] = []

    def publish(self, count: int) -> None:
        self._out.send(self._task * count)
        self._sent += count
        while self._confirmed < self._sent:
            for kind, payload in self._out.frames():
                if kind == _METHOD and int.from_bytes(payload[:4], "big") == _ACK:
                    self._confirmed = int.from_bytes(payload[4:12], "big")

    def claim(self, limit: int) -> Sequence[Any]:
        if not self._consuming:
            self._receiving.basic_consume("celery", consumer_tag="bare", callback=print, nowait=True)
            self._consuming = True
        complete = 0
        while not complete:
            for kind, payload in self._in.frames():
                if kind == _METHOD and int.from_bytes(payload[:4], "big") == _DELIVER:
                    at = 5 + payload[4]
                    self._tags.append(int.from_bytes(payload[at : at + 8], "big"))
                elif kind == _BODY:
                    complete += 1
        claimed, self._tags = self._tags[:complete], self._tags[complete:]
        return claimed

    def finish(self, claimed: Sequence[Any]) -> None:
        ack = _ACK.to_bytes(4, "big") + claimed[-1].to_bytes(8, "big") + b"\x01"
        self._in.send(self._result * len(claimed) + _frame(_METHOD, self._receiving.channel_id, ack))

    def fetch(self, claimed: Any) -> None:
        get = _frame(_METHOD, self._sending.channel_id, b"\x00\x3c\x00\x46\x00\x00" + _short("replies") + b"\x01")
        found = False
        while not found:
            self._out.send(get)
            answered = False
            while not answered:
                for kind, payload in self._out.frames():
                    found = found or kind == _BODY
                    answered = found or (kind == _METHOD and int.from_bytes(payload[:4], "big") == _GET_EMPTY)


class _Socket:
    """A connection's socket, which py-amqp has set up."""

    def __init__(self, connection: Any) -> None:
        self._socket = connection.transport.sock
        self._rest = b""
        self.send = self._socket.sendall

    def frames(self) -> list[tuple[int, bytes]]:
        """Wait for something and return the whole frames of it, as type and payload."""
        data = self._rest + self._socket.recv(1 << 18)
        at, found = 0, []
        while len(data) - at >= 8:
            kind, _, size = _HEAD.unpack_from(data, at)
            end = at + 7 + size
            if end >= len(data):
                break
            found.append((kind, data[at + 7 : end]))
            at = end + 1
        self._rest = data[at:]
        return found


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _HEAD.pack(kind, channel, len(payload)) + payload + b"\xce"


def _short(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def _message(channel: int, queue: str, text: str, properties: bytes) -> bytes:
    """Return the three frames that publish a text to a queue."""
    body = text.encode()
    return (
        _frame(_METHOD, channel, b"\x00\x3c\x00\x28\x00\x00" + _short("") + _short(queue) + b"\x00")
        + _frame(_HEADER, channel, b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + properties)
        + _frame(_BODY, channel, body)
    )
