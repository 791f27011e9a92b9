"""The broker itself: messages in, and what can be seen from outside."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from errno import ENOENT
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from tq_core.contracts.broker import Broker, BrokerRequest, Bury, DeadLetter, QueueDepth
from tq_core.errors import BrokerUnavailable, ImproperlyConfigured, PublishError
from tq_core.message import Delivery, Message

from tq_broker_directory.consumer import DirectoryConsumer, DirectorySuccession, first_due
from tq_broker_directory.envelope import delivery, written
from tq_broker_directory.layout import Name, directory_name, entries_of, messages_in, move, order_of, text_of, token
from tq_broker_directory.letters import Letters
from tq_broker_directory.plugin import CAPABILITIES


class DirectoryBroker(Broker):
    """The broker of ``directory:///path`` URLs. It keeps no file open, so that a fork needs no care.

    Args:
        request: ``lease_duration`` and ``directory_poll_interval`` (both in seconds) are read from its settings.

    Raises:
        ImproperlyConfigured: the URL names no directory.
    """

    capabilities = CAPABILITIES

    def __init__(self, request: BrokerRequest) -> None:
        parts = urlsplit(request.url)
        if parts.netloc or not parts.path.strip("/"):
            raise ImproperlyConfigured(
                "a broker URL of the directory plugin has three slashes and a path, like directory:///var/lib/shop"
            )
        self.root = Path(unquote(parts.path))
        self.lease_duration = float(request.settings.get("lease_duration") or 8.0)
        self.poll_interval = float(request.settings.get("directory_poll_interval") or 0.05)
        self.letters = Letters(self.root)
        self._opened: WeakSet[DirectoryConsumer] = WeakSet()
        self._pid = os.getpid()

    # --- errors

    @contextlib.contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what the file system raises into the one error that the contract allows."""
        try:
            yield
        except OSError as error:
            raise BrokerUnavailable(self._complaint(error)) from error

    def _complaint(self, error: OSError) -> str:
        return (
            f"the broker's directory {str(self.root)!r} cannot be used: {error.strerror or error}."
            " Check that it exists, belongs to this user and has free space."
        )

    @staticmethod
    def quietly(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Call something on the way out, where errors help nobody: whoever lives will see to the rest."""
        with contextlib.suppress(OSError):
            function(*arguments, **options)

    # --- in and out

    def connect(self, timeout: float) -> None:
        """Make sure that the directory is there and can be written to."""
        with self.reachable():
            probe = self.root / "new" / token()
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()

    def publish(self, messages: Sequence[Message]) -> None:
        """Write messages, one after the other."""
        left = [message.id for message in messages]
        try:
            for message in messages:
                self.add([message])
                left.pop(0)
        except (OSError, TypeError, ValueError) as error:
            text = self._complaint(error) if isinstance(error, OSError) else f"a message cannot be written: {error}"
            raise PublishError(text, unsent=left) from error

    def add(self, messages: Sequence[Message]) -> None:
        """Write messages. Each is there in one step: a reader never sees half of one.

        Raises:
            OSError: the directory cannot be used, or somebody removed it just now.
        """
        for message in messages:
            file = self.root / "new" / token()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(written(message))
            due = time.time() if message.due is None else message.due
            if move(file, self._queue(message.queue), str(Name(order_of(due)))) is None:
                raise FileNotFoundError(ENOENT, "the directory of the queue disappeared")

    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> DirectoryConsumer:
        """Open a consumer."""
        consumer = DirectoryConsumer(self, queues, consumer_id)
        self._opened.add(consumer)
        return consumer

    def succeed(self, consumer_id: str) -> DirectorySuccession:
        """Take over what a dead consumer holds."""
        with self.reachable():
            return DirectorySuccession(self, consumer_id)

    def close(self) -> None:
        """Close the consumers opened here, unless a fork made this object a copy of the parent's."""
        if self._pid == os.getpid():
            for consumer in list(self._opened):
                consumer.close()

    # --- looking and counting

    def _queue(self, name: str) -> Path:
        return self.root / "queues" / directory_name(name)

    def first_due(self, queue: str, limit: int) -> list[Path]:
        """Return the files of the first messages that may be received now."""
        return first_due(self._queue(queue), limit)

    def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        with self.reachable():
            return sorted(text_of(directory) for directory in entries_of(self.root / "queues"))

    def depth(self, queue: str) -> QueueDepth:
        """Count a queue's files."""
        now = time.time()
        with self.reachable():
            due = [Name.of(file).due for file in messages_in(self._queue(queue))]
            held = sum(1 for _ in (self.root / "held").glob(f"*/{directory_name(queue)}/*"))
        ready = [when for when in due if when <= now]
        return QueueDepth(len(ready), len(due) - len(ready), held, now - min(ready) if ready else None)

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        """Read the first files without moving them."""
        seen = []
        with self.reachable():
            for file in sorted(messages_in(self._queue(queue)))[:limit]:
                with contextlib.suppress(FileNotFoundError):  # received meanwhile
                    seen.append(delivery(file))
        return seen

    def purge(self, queue: str) -> int:
        """Delete a queue's files."""
        dropped = 0
        with self.reachable():
            for file in messages_in(self._queue(queue)):
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
                    dropped += 1
        return dropped

    # --- dead letters

    def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> Iterator[DeadLetter]:
        """Iterate over dead letters, newest first."""
        with self.reachable():
            return iter(list(self.letters.newest_first(queue, limit)))

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter, or None."""
        with self.reachable():
            return self.letters.get(letter_id)

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None = None) -> str:
        """Bury a message that nobody holds."""
        with self.reachable():
            return self.letters.add(queue, message, Bury(None, reason, traceback))

    def exhume(self, letter_ids: Sequence[str]) -> int:
        """Put dead letters back into their queues."""
        with self.reachable():
            return sum(self.letters.exhume(letter_id) for letter_id in dict.fromkeys(letter_ids))

    def drop_dead(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters."""
        with self.reachable():
            return sum(self.letters.drop(letter_id) for letter_id in dict.fromkeys(letter_ids))
