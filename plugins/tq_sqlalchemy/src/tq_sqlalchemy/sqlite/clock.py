"""A clock that all processes of a machine share and no one can set.

It counts from the boot of the machine, so what was written before a reboot is moved onto the new count, once,
by whoever opens the database first. Only there the wall clock is asked how long the machine was away.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from tq_sqlalchemy.models import bucket, chord, clock, counter, lock, members, value

#: Every column that holds a reading of this clock.
READINGS = (
    lock.c.expires,
    counter.c.expires,
    members.c.expires,
    bucket.c.expires,
    bucket.c.filled_at,
    value.c.expires,
    chord.c.claimed_until,
    chord.c.touched,
)


def machine_time() -> float:
    """Return seconds since the machine's boot, sleep included where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        # Where boots have no name, the moment of the boot tells them apart, to the hour: clocks drift.
        return f"about {round((time.time() - machine_time()) / 3600)}"


def reconcile(connection: sa.Connection) -> None:
    """Move readings of an earlier boot onto this one. Needs a transaction."""
    boot, now, wall = _boot(), machine_time(), time.time()
    row = connection.execute(sa.select(clock.c.boot, clock.c.elapsed, clock.c.wall)).first()
    if row is not None and row.boot == boot:
        return
    if row is not None:
        away = max(0.0, wall - row.wall)
        shift = now - (row.elapsed + away)
        for column in READINGS:
            connection.execute(sa.update(column.table).values({column: column + shift}))
        connection.execute(sa.delete(clock))
    connection.execute(sa.insert(clock).values(boot=boot, elapsed=now, wall=wall))
