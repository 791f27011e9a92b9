"""Who is alive: registrations of consumers, and the return of what the dead ones held.

A consumer raises a counter, its *beats*, while it lives. Whoever receives looks at all counters about once a
second, and a counter that stood still for the lease by the observer's own monotonic clock belongs to a dead
consumer: no clock is compared between processes, and no setting of the wall clock matters. On the same
machine a process that no longer exists is judged at the second look.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tq_sqlalchemy.models import BEGUN, HELD, READY, consumer, message

if TYPE_CHECKING:
    from tq_sqlalchemy.database import Database, Session

#: Most seconds between two looks that count as observed; more means that the observer itself stood still.
LONGEST_GAP = 2.0

_REGISTER = sa.insert(consumer).values(
    consumer_id=sa.bindparam("consumer_id"),
    beats=0,
    machine=sa.bindparam("machine"),
    pid=sa.bindparam("pid"),
    started=sa.bindparam("started"),
)
_BEAT = sa.update(consumer).where(consumer.c.id == sa.bindparam("fence")).values(beats=consumer.c.beats + 1)
# Where rows can be locked, nobody can strike a registration between the look and the end of the transaction.
_ALIVE = (
    sa.select(consumer.c.id).where(consumer.c.id == sa.bindparam("fence")).with_for_update(read=True, key_share=True)
)
_ALL = sa.select(consumer.c.id, consumer.c.beats, consumer.c.machine, consumer.c.pid, consumer.c.started)
_STRIKE = sa.delete(consumer).where(consumer.c.id == sa.bindparam("fence"))
_STRIKE_SILENT = _STRIKE.where(consumer.c.beats == sa.bindparam("beats"))
_NAMED = sa.select(consumer.c.id).where(consumer.c.consumer_id == sa.bindparam("consumer_id"))
_HOLDS = (
    sa.select(message.c.queue, sa.func.count())
    .where(message.c.owner == sa.bindparam("fence"))
    .group_by(message.c.queue)
)
_RETURN_HELD = (
    sa.update(message)
    .where(message.c.owner == sa.bindparam("fence"), message.c.state == HELD)
    .values(state=READY, owner=None, turn=None, delivery_count=message.c.delivery_count - sa.bindparam("uncount"))
)
_RETURN_BEGUN = (
    sa.update(message)
    .where(message.c.owner == sa.bindparam("fence"), message.c.state == BEGUN)
    .values(state=READY, owner=None, turn=None, orphaned=1)
)
_HAND_ON = sa.update(message).where(message.c.owner == sa.bindparam("fence")).values(owner=sa.bindparam("heir"), turn=0)


@lru_cache(maxsize=1)
def _machine() -> str:
    """Name this boot of this machine and this process namespace, or nothing where that cannot be known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return the tick at which process ``pid`` started, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A zombie runs nothing any more; its parent may take its time to notice.
    return None if fields[0] in {b"Z", b"X"} else fields[19].decode()


def register(session: Session, consumer_id: str) -> int:
    """Register a consumer of this process and return its fencing token."""
    machine, pid = _machine(), os.getpid()
    started = (_started(pid) or "") if machine else ""
    return session.insert(_REGISTER, consumer_id=consumer_id, machine=machine, pid=pid, started=started)


def beat(session: Session, fence: int) -> bool:
    """Show that the consumer lives; False when it was fenced."""
    return session.run(_BEAT, fence=fence).rowcount == 1


def is_registered(session: Session, fence: int) -> bool:
    """True unless the consumer was fenced."""
    return session.run(_ALIVE, fence=fence).fetchone() is not None


def strike(session: Session, fence: int, *, counted: bool) -> dict[str, int]:
    """End a registration and return its messages; begun ones become orphans. Needs a transaction.

    Args:
        session: in a transaction.
        fence: whose.
        counted: False takes this delivery off the counter of messages that were only held.

    Returns:
        how many messages went back, by queue.
    """
    # First of all, because a claim under way keeps its registration locked: what it took is then seen below.
    session.run(_STRIKE, fence=fence)
    return _return_all(session, fence, counted=counted)


def _return_all(session: Session, fence: int, *, counted: bool) -> dict[str, int]:
    returned = dict(session.run(_HOLDS, fence=fence).fetchall())
    if returned:
        session.run(_RETURN_HELD, fence=fence, uncount=0 if counted else 1)
        session.run(_RETURN_BEGUN, fence=fence)
    return returned


def inherit(session: Session, consumer_id: str) -> int:
    """Move what ``consumer_id`` holds to a new registration, fence the old one, return the new fence.

    Needs a transaction.
    """
    old = [row[0] for row in session.run(_NAMED, consumer_id=consumer_id).fetchall()]
    heir = register(session, f"heir of {consumer_id}")
    for fence in old:
        session.run(_STRIKE, fence=fence)
        session.run(_HAND_ON, fence=fence, heir=heir)
    return heir


class Observer:
    """Sees consumers die. Belongs to one thread.

    Args:
        database: where they are registered.
        lease: seconds of silence that mean death.
    """

    def __init__(self, database: Database, lease: float) -> None:
        self._database = database
        self._lease = lease
        self._seen: dict[int, tuple[int, float]] = {}
        self._gone: set[int] = set()
        self._looked_at = time.monotonic()

    def look(self) -> dict[str, int]:
        """Look at every consumer once; fence those found dead and return what that brought back, by queue.

        Raises:
            BrokerUnavailable: the database cannot be used.
        """
        now = time.monotonic()
        gap = min(now - self._looked_at, LONGEST_GAP)
        self._looked_at = now
        rows = self._database.read(lambda session: session.run(_ALL).fetchall())
        seen, dead, gone = {}, [], set()
        for fence, beats, machine, pid, started in rows:
            before = self._seen.get(fence)
            silent = before[1] + gap if before is not None and before[0] == beats else 0.0
            seen[fence] = (beats, silent)
            if machine and machine == _machine() and _started(pid) != started:
                gone.add(fence)
            # A process that is gone is judged at the second look: until then its supervisor, who knows more about its
            # end, may settle what it held.
            if silent >= self._lease or (fence in gone and fence in self._gone):
                dead.append((fence, beats))
        self._seen, self._gone = seen, gone
        returned: dict[str, int] = {}
        for fence, beats in dead:
            for queue, count in self._fence(fence, beats).items():
                returned[queue] = returned.get(queue, 0) + count
        return returned

    def _fence(self, fence: int, beats: int) -> dict[str, int]:
        def work(session: Session) -> dict[str, int]:
            # It may have shown itself at the last moment.
            if not session.run(_STRIKE_SILENT, fence=fence, beats=beats).rowcount:
                return {}
            return _return_all(session, fence, counted=True)

        return self._database.write(work)
