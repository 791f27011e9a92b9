"""Where a message lies, and what its file is called.

The state of a message is the path of its file, and every change of state is one rename, which the operating system
does whole or not at all. That is all this broker knows about being safe::

    new/<token>                             being written; no message yet
    queues/<queue>/<name>                   ready, or parked until it is due
    held/<holder>/<queue>/<name>            in the hands of a consumer
    held/<holder>/lease                     touched for as long as that consumer lives
    buried/<token>, reasons/<token>         a dead letter, and why it is one

A ``<name>`` has four parts: ``<order>~<deliveries>~<mark>~<token>``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

#: Marks of a message: untouched, begun by its holder, begun by a holder that died.
FRESH, BEGUN, ORPHAN = "fresh", "begun", "orphan"

_serials = itertools.count()


def token() -> str:
    """Return a word that no other call, in any process of this machine, returns while both processes live."""
    return f"{os.getpid():010d}.{next(_serials):012d}"


def order_of(when: float) -> str:
    """Return what puts a message into the line: names sort as times do, and the token keeps equal times apart.

    Args:
        when: Unix time, seconds, from which the message may be received.
    """
    return f"{max(int(when * 1e9), 0):020d}.{token()}"


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a message's file.

    Attributes:
        order: see :func:`order_of`.
        deliveries: how often the message was handed to a consumer.
        mark: one of :data:`FRESH`, :data:`BEGUN` and :data:`ORPHAN`.
        token: new with every hand-over. It is the fencing token: whoever knows an old one names a file that is not
            there any more.
    """

    order: str
    deliveries: int = 0
    mark: str = FRESH
    token: str = "0"

    @classmethod
    def of(cls, path: Path) -> Name:
        """Read a file's name."""
        order, deliveries, mark, held_by = path.name.split("~")
        return cls(order, int(deliveries), mark, held_by)

    def __str__(self) -> str:
        return f"{self.order}~{self.deliveries}~{self.mark}~{self.token}"

    @property
    def due(self) -> float:
        """Unix time, seconds, from which the message may be received."""
        return int(self.order.partition(".")[0]) / 1e9


def directory_name(text: str) -> str:
    """Return a queue's or consumer's name as that of a directory; the sign keeps ``..`` and ``""`` harmless."""
    return "=" + quote(text, safe="")


def text_of(directory: Path) -> str:
    """Return the queue or consumer that a directory is named after."""
    return unquote(directory.name[1:])


def entries_of(directory: Path) -> Iterator[Path]:
    """Yield what a directory holds; nothing when there is no such directory."""
    try:
        yield from directory.iterdir()
    except FileNotFoundError:
        return


def messages_in(directory: Path) -> Iterator[Path]:
    """Yield the messages of a queue's directory, and no file that somebody else left there."""
    return (file for file in entries_of(directory) if file.name.count("~") == 3)


def move(file: Path, directory: Path, name: str) -> Path | None:
    """Move a file, making the directory if need be.

    Returns:
        where it is now, or None when somebody else has moved it before.

    Raises:
        OSError: the directory cannot be used.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return file.rename(directory / name)
    except FileNotFoundError:
        return None
