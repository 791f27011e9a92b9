"""Waking by NOTIFY, and only when somebody waits: a notification takes a lock of the whole server at its commit.

Who waits shows it by advisory locks, which live in the server's memory and end with its connection. Each topic (a kind
of bell and the name of a queue or channel) has two:

- *waiting*: held in share mode by every listening connection with a bell for the topic. A writer that gets it for
  itself, and gives it back at once, knows that nobody waits; else it notifies the holders.
- *coming*: held in share mode by every transaction that rings, from before it looks for those who wait until its
  commit. Who begins to wait takes *waiting* first and then, for a moment, *coming* for itself. It gets that when all
  who may have overlooked it have committed, and looks for messages after that. A writer never waits for *coming*:
  where it cannot have it somebody is beginning to wait, and is seen to.

So no ring is lost between a look and a commit.
"""

from __future__ import annotations

#: First numbers of the two locks' keys ("tqwt", "tqcm"); the topic is the second.
WAITING, COMING = 0x74717774, 0x7471636D

#: What a listening connection listens to, followed by its backend's process id.
CHANNEL = "tq_bell_"

#: Longest payload; PostgreSQL allows 7999 bytes with the topic in front.
LARGEST = 7500


def topic(kind: str, name: str) -> str:
    """Return the expression of a topic's number.

    Args:
        kind: the expression of a kind of bell.
        name: the expression of a queue's or channel's name, ``''`` for all.
    """
    return f"(hashtext(coalesce(current_schema(), '') || '/' || {kind} || '/' || {name}) & 2147483647)"


def ringing(topic: str, most: str, payload: str) -> str:
    """Return the expression that rings, for use inside the transaction that others are to be told of.

    Args:
        topic: the expression of the topic's number; a plain column, as it is evaluated several times.
        most: the expression of the largest number of bells.
        payload: the expression of what they are told.
    """
    return f"""CASE
    WHEN pg_try_advisory_xact_lock_shared({COMING}, {topic}) IS NULL THEN NULL
    WHEN pg_try_advisory_lock({WAITING}, {topic}) THEN pg_advisory_unlock({WAITING}, {topic})::int
    ELSE (SELECT count(pg_notify('{CHANNEL}' || pid, {topic} || ' ' || {payload}))::int FROM (
        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
        AND classid = {WAITING} AND objid = {topic}::oid AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        LIMIT {most}) AS waiting)
    END"""


_GIVEN = topic("%(kind)s::text", "%(name)s::text")

#: Rings by itself: kind and name, how many, what to say.
RING = f"""
SELECT {ringing("number", "%(most)s", "%(payload)s::text")} FROM (SELECT {_GIVEN} AS number OFFSET 0) AS topic
"""

#: The number of a topic.
NUMBER = f"SELECT {_GIVEN}"

#: Begins and ends waiting for a topic.
WAIT = (
    f"SELECT pg_advisory_lock_shared({WAITING}, %(topic)s), "
    f"pg_advisory_lock({COMING}, %(topic)s), pg_advisory_unlock({COMING}, %(topic)s)"
)
WAIT_NO_MORE = f"SELECT pg_advisory_unlock_shared({WAITING}, %(topic)s)"
