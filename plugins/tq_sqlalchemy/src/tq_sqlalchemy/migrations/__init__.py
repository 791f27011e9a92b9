"""Versions of the tables: made new in their newest form, or brought there step by step.

A *component* (``queues``, ``coordination``, ``publishers``) has a version of its own, because a database may hold
only some of them. To change tables, change ``models.py``, raise the version here and add the step that turns the old
form into the new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from tq_core.errors import ImproperlyConfigured

#: Newest version of each component.
VERSIONS: Mapping[str, int] = {"queues": 1, "coordination": 1, "publishers": 1}

#: What leads from the version before to the version named.
STEPS: Mapping[tuple[str, int], Callable[[sa.Connection], None]] = {}

_metadata = sa.MetaData()
schema_version = sa.Table(
    "tq_schema_version",
    _metadata,
    sa.Column("component", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


def migrate(connection: sa.Connection, component: str, tables: sa.MetaData, place: str) -> None:
    """Create or upgrade the tables of ``component``.

    Must run inside a transaction that keeps other writers out: then of several processes that start at once
    the first does the work and the others find it done.

    Args:
        connection: inside the transaction.
        component: a key of :data:`VERSIONS`.
        tables: its tables in their newest form.
        place: what to call the database in an error.

    Raises:
        ImproperlyConfigured: a newer tq has been here.
    """
    newest = VERSIONS[component]
    _metadata.create_all(connection, checkfirst=True)
    found = connection.execute(
        sa.select(schema_version.c.version).where(schema_version.c.component == component)
    ).scalar()
    if found is None:
        tables.create_all(connection, checkfirst=True)
        # Where DDL is not transactional, somebody may have been cut off between a table and its indexes.
        for index in [index for table in tables.tables.values() for index in table.indexes]:
            index.create(connection, checkfirst=True)
        connection.execute(sa.insert(schema_version).values(component=component, version=newest))
        return
    if found > newest:
        raise ImproperlyConfigured(
            f"{place} was written by a newer tq-sqlalchemy (schema {component} {found}, known here up to "
            f"{newest}); upgrade tq-sqlalchemy in this environment"
        )
    for version in range(found + 1, newest + 1):
        STEPS[component, version](connection)
    if found < newest:
        connection.execute(
            sa.update(schema_version).where(schema_version.c.component == component).values(version=newest)
        )
