"""The last publication of every connection, by which one that is sent again is known."""

from __future__ import annotations

import sqlalchemy as sa

#: Seconds after which a publisher that has said nothing is forgotten; far longer than any publication is tried again.
PUBLISHER_EXPIRES = 86_400.0

publishers = sa.MetaData()

#: The last publication of every living connection that publishes: what is sent again under a number no larger than
#: that is known to be there. See :meth:`tq_sqlalchemy.dialect.MessageVerbs.insert`.
publisher = sa.Table(
    "tq_publisher",
    publishers,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("touched", sa.Double, nullable=False),
)
