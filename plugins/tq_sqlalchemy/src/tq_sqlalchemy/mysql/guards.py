"""Locks that last as long as a transaction, by a word.

The servers' own named locks belong to a connection and outlive its transaction, and no cluster shares them. So a
word stands for one of a few rows, which are there for nothing but to be locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

#: More rows would let fewer strangers wait for one another.
SLOTS = 64

#: What makes the rows.
GUARDS = (
    "CREATE TABLE IF NOT EXISTS tq_guard (slot SMALLINT NOT NULL PRIMARY KEY) ENGINE=InnoDB",
    f"INSERT IGNORE INTO tq_guard (slot) VALUES {', '.join(f'({slot})' for slot in range(SLOTS))}",
)


def lock_of(words: Sequence[str]) -> bytes:
    """Return the statement that locks the rows of ``words``."""
    slots = sorted({crc32(word.encode("utf-8", "surrogatepass")) % SLOTS for word in words})
    # In the order of the rows for everybody, so that no two wait for each other.
    listed = ",".join(map(str, slots))
    return f"SELECT slot FROM tq_guard WHERE slot IN ({listed}) ORDER BY slot FOR UPDATE".encode()
