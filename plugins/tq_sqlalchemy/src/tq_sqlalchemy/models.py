"""The tables, as SQLAlchemy sees them. What each verb does with them stands beside the verb."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

#: The states of a row of ``tq_message``.
READY, PARKED, HELD, BEGUN = range(4)

#: The sequences that number the rows of Celery's tables, on databases that have sequences.
TASK_SEQUENCE, GROUP_SEQUENCE = "task_id_sequence", "taskset_id_sequence"

queues = sa.MetaData()
coordination = sa.MetaData()


def _id() -> sa.Column[int]:
    # SQLite numbers rows by itself only under exactly this type.
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


message = sa.Table(
    "tq_message",
    queues,
    _id(),
    sa.Column("task_id", sa.String(255), nullable=False),
    sa.Column("queue", sa.String(255), nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    # Unix time in seconds: an ETA is a wall-clock promise.
    sa.Column("due", sa.Double),
    sa.Column("state", sa.SmallInteger, nullable=False),
    # tq_consumer.id of the holder. It is new for every registration, so it is the fencing token as well.
    sa.Column("owner", sa.BigInteger),
    # Which receive() of the owner took the row.
    sa.Column("turn", sa.Integer),
    sa.Column("delivery_count", sa.Integer, nullable=False),
    sa.Column("orphaned", sa.SmallInteger, nullable=False),
    sa.Column("enqueued_at", sa.Double, nullable=False),
    sa.Column("content_type", sa.String(128), nullable=False),
    sa.Column("content_encoding", sa.String(64), nullable=False),
    # What differs from the defaults of a Message, as JSON; NULL for nearly every message.
    sa.Column("properties", sa.Text),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index(
    "tq_message_ready",
    message.c.queue,
    message.c.priority.desc(),
    message.c.id,
    sqlite_where=message.c.state == READY,
)
sa.Index(
    "tq_message_parked",
    message.c.due,
    message.c.queue,
    sqlite_where=message.c.state == PARKED,
)
sa.Index(
    "tq_message_held",
    message.c.owner,
    message.c.turn,
    sqlite_where=message.c.owner.is_not(None),
)

queue = sa.Table(
    "tq_queue",
    queues,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("paused", sa.SmallInteger, nullable=False, server_default="0"),
)

consumer = sa.Table(
    "tq_consumer",
    queues,
    _id(),
    sa.Column("consumer_id", sa.String(255), nullable=False, index=True),
    sa.Column("beats", sa.BigInteger, nullable=False),
    # Tells whether the process still exists, for observers on the same machine; see leases.py.
    sa.Column("machine", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.String(64), nullable=False),
    sqlite_autoincrement=True,
)

dead_letter = sa.Table(
    "tq_dead_letter",
    queues,
    _id(),
    sa.Column("task_id", sa.String(255), nullable=False),
    sa.Column("queue", sa.String(255), nullable=False, index=True),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("traceback", sa.Text),
    sa.Column("buried_at", sa.Double, nullable=False, index=True),
    sa.Column("delivery_count", sa.Integer, nullable=False),
    sa.Column("content_type", sa.String(128), nullable=False),
    sa.Column("content_encoding", sa.String(64), nullable=False),
    sa.Column("properties", sa.Text),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

broadcast = sa.Table(
    "tq_broadcast",
    queues,
    _id(),
    sa.Column("channel", sa.String(255), nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False, index=True),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("tq_broadcast_channel", broadcast.c.channel, broadcast.c.id)


# --- beside the results ----------------------------------------------------------------------------------

#: One row: ties the machine's clock to its boot, so that expiries survive a restart; see sqlite/clock.py.
clock = sa.Table(
    "tq_clock",
    coordination,
    sa.Column("boot", sa.String(64), nullable=False),
    sa.Column("elapsed", sa.Double, nullable=False),
    sa.Column("wall", sa.Double, nullable=False),
)

lock = sa.Table(
    "tq_lock",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
)

#: One row: the last fencing token given to anybody.
token = sa.Table("tq_token", coordination, sa.Column("value", sa.BigInteger, nullable=False))

counter = sa.Table(
    "tq_counter",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
)

members = sa.Table(
    "tq_set",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
)

member = sa.Table(
    "tq_set_member",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("member", sa.String(255), primary_key=True),
)

bucket = sa.Table(
    "tq_bucket",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("tokens", sa.Double, nullable=False),
    sa.Column("filled_at", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
)

value = sa.Table(
    "tq_value",
    coordination,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("expires", sa.Double, index=True),
)

chord = sa.Table(
    "tq_chord",
    coordination,
    sa.Column("group_id", sa.String(255), primary_key=True),
    sa.Column("size", sa.Integer),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("closed", sa.SmallInteger, nullable=False),
    sa.Column("claimant", sa.String(255)),
    sa.Column("claimed_until", sa.Double),
    sa.Column("touched", sa.Double, nullable=False, index=True),
)

chord_part = sa.Table(
    "tq_chord_part",
    coordination,
    sa.Column("group_id", sa.String(255), primary_key=True),
    sa.Column("task_id", sa.String(255), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", sa.String(50), nullable=False),
    sa.Column("result", sa.LargeBinary),
)


def result_tables(
    names: dict[str, str], schemas: dict[str, str], *, extended: bool, sequences: bool
) -> tuple[sa.Table, sa.Table]:
    """Describe Celery's own two tables, in the form of 5.7.

    Args:
        names: ``database_table_names`` (``task``, ``group``).
        schemas: ``database_table_schemas``.
        extended: with the columns of ``result_extended``.
        sequences: rows are numbered by the sequences that Celery asks, not by the table.
    """
    results = sa.MetaData()

    def numbered(sequence: str) -> sa.Column[int]:
        return sa.Column("id", sa.BigInteger, sa.Sequence(sequence), primary_key=True) if sequences else _id()

    extra: list[sa.Column[Any]] = [
        sa.Column("name", sa.String(155)),
        sa.Column("args", sa.LargeBinary),
        sa.Column("kwargs", sa.LargeBinary),
        sa.Column("worker", sa.String(155)),
        sa.Column("retries", sa.Integer),
        sa.Column("queue", sa.String(155)),
        sa.Column("stamps", sa.LargeBinary),
    ]
    task = sa.Table(
        names.get("task", "celery_taskmeta"),
        results,
        numbered(TASK_SEQUENCE),
        sa.Column("task_id", sa.String(155), unique=True),
        sa.Column("status", sa.String(50)),
        sa.Column("result", sa.LargeBinary),
        sa.Column("date_done", sa.DateTime, index=True),
        sa.Column("traceback", sa.Text),
        sa.Column("children", sa.LargeBinary),
        *(extra if extended else []),
        schema=schemas.get("task"),
    )
    group = sa.Table(
        names.get("group", "celery_tasksetmeta"),
        results,
        numbered(GROUP_SEQUENCE),
        sa.Column("taskset_id", sa.String(155), unique=True),
        sa.Column("result", sa.LargeBinary),
        sa.Column("date_done", sa.DateTime, index=True),
        schema=schemas.get("group"),
    )
    return task, group
