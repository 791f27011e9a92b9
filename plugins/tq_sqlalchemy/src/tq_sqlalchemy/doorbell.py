"""Wakes waiting processes through sockets, because a database cannot.

Everybody who waits owns a *bell*: a Unix datagram socket in a private directory that is named after the
database. While it waits, its socket stands in the directory of its kind (``consumers``, ``watchers``,
``listeners``), where those who have committed something look for it; otherwise in ``quiet``. So a writer
rings only who is idle, and when nobody is, the whole affair costs it one ``stat``.

A ring is a hint and may get lost: who waits also looks at the database by itself now and then.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import stat
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from hashlib import blake2b
from typing import ClassVar
from zlib import crc32

from tq_sqlalchemy.waking import RING, WAKE, Bell, Doorbell

KINDS = ("quiet", "consumers", "watchers", "listeners")

#: A directory that changed less than this many nanoseconds ago may change again without a new time stamp.
_UNSETTLED = 50_000_000

#: Seconds a bell that cannot hear lets pass instead.
DEAF_PAUSE = 0.05

_MOST_TOPICS = 5
_numbers = itertools.count()


def topic_of(name: str) -> str:
    """Shorten a queue or channel name to what fits a file name."""
    return f"{crc32(name.encode('utf-8', 'surrogatepass')):08x}"


class SocketDoorbell(Doorbell):
    """The bells around one database, for the processes of this machine.

    Args:
        database: what all who use it call it, such as the path of its file.
        enabled: False looks for no directory: nobody is rung, and waiting is bounded looks.
    """

    # A longer payload would not fit a socket's buffer next to others.
    largest: ClassVar[int] = 32_768

    def __init__(self, database: str, enabled: bool = True) -> None:
        self.root = (
            _directory_for(database) if enabled and hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid") else None
        )
        self._sender: socket.socket | None = None
        self._seen: dict[str, tuple[int, list[tuple[str, str]]]] = {}
        if self.root is not None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)

    def bell(self, kind: str, names: Collection[str] = ()) -> Bell:
        if self.root is not None and self._sender is not None:
            try:
                return SocketBell(self.root, kind, names, self._sender)
            except OSError:  # no room, no right or too long a path: bounded looks do as well
                pass
        return Bell()

    def ring(self, kind: str, name: str, count: int, payload: bytes = RING) -> None:
        if self._sender is None:
            return
        topic = topic_of(name) if name else ""
        for file, topics in self._waiting(kind):
            if topic and topics and topic not in topics:
                continue
            try:
                self._sender.sendto(payload, file)
            except ConnectionRefusedError:
                _remove(file)  # its owner was killed
                continue
            except BlockingIOError:
                pass  # its buffer is full of rings already
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    self._seen.pop(kind, None)
                    continue
            count -= 1
            if count <= 0:
                return

    def anyone(self, kind: str) -> bool:
        return self._sender is not None and bool(self._waiting(kind))

    def _waiting(self, kind: str) -> list[tuple[str, str]]:
        folder = f"{self.root}/{kind}"
        try:
            changed = os.stat(folder).st_mtime_ns
            known = self._seen.get(kind)
            if known is not None and known[0] == changed:
                return known[1]
            names = os.listdir(folder)
        except OSError:
            return []
        found = [(f"{folder}/{name}", name.partition("_")[2]) for name in names]
        if time.time_ns() - changed > _UNSETTLED:
            self._seen[kind] = (changed, found)
        else:
            self._seen.pop(kind, None)
        return found

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()


class SocketBell(Bell):
    """A bell others can ring.

    Args:
        root: the directory of all bells around the database.
        kind: in whose directory it stands while its owner waits.
        names: of the queues or channels it is rung for; none for all.
        sender: the doorbell's socket, through which its owner is woken.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, root: str, kind: str, names: Collection[str], sender: socket.socket) -> None:
        topics = "-".join(map(topic_of, names)) if len(names) <= _MOST_TOPICS else ""
        name = f"{os.getpid()}.{next(_numbers)}_{topics}"
        self._quiet, self._open = f"{root}/quiet/{name}", f"{root}/{kind}/{name}"
        self._pid = os.getpid()
        self._announced = False
        self._closed = False
        self._root = root
        self._sender = sender
        self._sock = self._bind()

    def _bind(self) -> socket.socket:
        _make(self._root)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _remove(self._quiet)
            sock.bind(self._quiet)
        except OSError:
            sock.close()
            raise
        return sock

    def announce(self) -> None:
        if not self._announced:
            self._announced = self._move(self._quiet, self._open)

    def retract(self) -> None:
        if self._announced:
            self._move(self._open, self._quiet)
            self._announced = False

    def _move(self, old: str, new: str) -> bool:
        try:
            os.rename(old, new)
        except FileNotFoundError:
            # Somebody tidied up the directory for temporary files: hang up the bell again.
            try:
                fresh = self._bind()
                self._sock, former = fresh, self._sock
                former.close()
                if new != self._quiet:
                    os.rename(self._quiet, new)
            except OSError:
                return False
        except OSError:
            return False
        return True

    def wait(self, timeout: float) -> list[bytes]:
        sock, heard = self._sock, []
        try:
            sock.settimeout(timeout if timeout > 0 else 0.0)
            heard.append(sock.recv(SocketDoorbell.largest))
            sock.setblocking(False)
            while True:
                heard.append(sock.recv(SocketDoorbell.largest))
        except (TimeoutError, BlockingIOError):  # 3.10 may still tell the first two apart
            pass
        except OSError:
            if self._closed:  # under a waiting thread: the same as being woken
                heard.append(WAKE)
            else:  # a task closed descriptors that are not its own: without a bell, looking now and then must do
                time.sleep(min(max(timeout, 0.0), DEAF_PAUSE))
        return heard

    def wake(self) -> None:
        for _ in range(3):  # the owner may be moving the socket from one place to the other
            for place in (self._open, self._quiet):
                if self._knock(place):
                    return

    def _knock(self, place: str) -> bool:
        """Send the waking word to one place; False when it did not get there."""
        try:
            return _send_wake(self._sender, place)
        except OSError:  # closed with its doorbell, or by a task that closes descriptors that are not its own
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as fresh:
                fresh.setblocking(False)
                return _send_wake(fresh, place)
        return False

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._sock.close()
        if self._pid == os.getpid():  # a forked child must not take down its parent's bell
            _remove(self._open)
            _remove(self._quiet)


def _send_wake(sender: socket.socket, place: str) -> bool:
    """Send the waking word; False when no socket is there. Raises OSError when the sender is of no use."""
    try:
        sender.sendto(WAKE, place)
    except BlockingIOError:
        pass  # it is full of words to hear already
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def _remove(file: str) -> None:
    with suppress(OSError):  # gone already, or not ours to remove
        os.unlink(file)


def _make(root: str) -> None:
    for kind in KINDS:
        os.makedirs(f"{root}/{kind}", mode=0o700, exist_ok=True)


def _directory_for(database: str) -> str | None:
    user = os.geteuid()
    name = f"tq-{user}-{blake2b(os.fsencode(database), digest_size=8).hexdigest()}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{user}", tempfile.gettempdir()):
        if not parent or not os.path.isdir(parent):
            continue
        root = os.path.join(parent, name)
        try:
            os.makedirs(root, mode=0o700, exist_ok=True)
            found = os.lstat(root)
            # In a directory all may write to, somebody else may have been there first.
            private = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077
            if private and len(root) < 50:
                _make(root)
                return root
        except OSError:
            continue
    return None
