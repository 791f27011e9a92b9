"""What PostgreSQL adds to the tables: partial indexes, room for updates, vacuums that keep up, plain order of keys.

Imported by the dialect alone, so that users of other databases do not load SQLAlchemy's part for PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa

from tq_sqlalchemy.models import coordination, message, queues, value
from tq_sqlalchemy.server.publishers import publisher

#: A queue's rows live for a moment, so that what is dead soon outweighs what lives. Vacuum as soon as some thousand
#: rows are dead, at full speed, however many rows there are.
BUSY = {
    "autovacuum_vacuum_scale_factor": 0.0,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_analyze_scale_factor": 0.0,
    "autovacuum_analyze_threshold": 20000,
    "autovacuum_vacuum_cost_delay": 0,
}

#: Rows that are updated in place time and again find room on their page.
ROOMY = {"fillfactor": 50}


def _describe() -> None:
    message.dialect_options["postgresql"]["with"] = BUSY
    publisher.dialect_options["postgresql"]["with"] = ROOMY
    queues.tables["tq_consumer"].dialect_options["postgresql"]["with"] = ROOMY
    for table in (*queues.tables.values(), *coordination.tables.values()):
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    # Ranges of keys are ranges of code points, whatever the language of the database.
    value.c.key.type = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


_describe()
