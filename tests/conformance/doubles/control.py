"""Remote control within one process, for the doubles: nobody else needs it there."""

from __future__ import annotations

import pickle
import socket
from contextlib import suppress
from dataclasses import replace

from tq_core.brokers.memory import CAPABILITIES, MemoryBroker, MemorySubscription
from tq_core.brokers.memory_queues import MemoryQueues
from tq_core.contracts.broker import Inbox
from tq_core.message import Message


class Controlled(MemoryBroker):
    """The memory broker with remote control."""

    capabilities = replace(CAPABILITIES, control=True)

    def announce(self, exchange: str, message: Message) -> None:
        self.broadcast(f"announced {exchange}", pickle.dumps(message))

    def inbox(self, exchange: str) -> Inbox:
        return MemoryInbox(self._open(), f"announced {exchange}")

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        self.broadcast(f"answered {exchange} {routing_key}", pickle.dumps(message))

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        return MemoryInbox(self._open(), f"answered {exchange} {routing_key}")


class MemoryInbox(Inbox):
    """Messages of one channel."""

    def __init__(self, queues: MemoryQueues, channel: str) -> None:
        self._ear, mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._subscription = _Ringing(queues, channel)
        self._subscription.mouth = mouth

    def fileno(self) -> int | None:
        return self._ear.fileno()

    def receive(self, timeout: float) -> list[Message]:
        payloads = self._subscription.receive(timeout)
        with suppress(BlockingIOError):
            self._ear.recv(4096)
        return [pickle.loads(payload) for payload in payloads]

    def close(self) -> None:
        self._subscription.close()
        self._ear.close()
        self._subscription.mouth.close()


class _Ringing(MemorySubscription):
    """Rings when something has come in."""

    mouth: socket.socket

    def hear(self, payload: bytes) -> None:
        super().hear(payload)
        self.mouth.send(b"!")
