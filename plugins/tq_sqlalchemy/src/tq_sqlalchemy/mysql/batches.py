"""Many rows in few statements."""

from __future__ import annotations

from collections.abc import Sequence

#: Bytes of one statement, unless a single row needs more.
USUAL_STATEMENT = 500_000


def insertions(head: bytes, rows: Sequence[bytes], tail: bytes = b"") -> list[bytes]:
    """Put rows together to INSERT statements of a usual size.

    Args:
        head: everything before the rows.
        rows: each in parentheses.
        tail: everything behind them.
    """
    found, start, size = [], 0, 0
    for end, row in enumerate(rows):
        if size and size + len(row) > USUAL_STATEMENT:
            found.append(head + b",".join(rows[start:end]) + tail)
            start, size = end, 0
        size += len(row) + 1
    found.append(head + b",".join(rows[start:]) + tail)
    return found
