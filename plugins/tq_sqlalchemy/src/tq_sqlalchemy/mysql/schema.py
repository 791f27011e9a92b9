"""The form of the tables on MariaDB and MySQL, whatever the defaults of the server and the database are.

Texts, bytes and moments under their usual names end at 64 kB and at the whole second here. Names must differ where a
letter's case or a space at the end does. And no index covers only some of the rows, so that those of the messages
start with the state.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler

#: Indexes that cover the rows of one state elsewhere.
OF_ONE_STATE = {"tq_message_ready", "tq_message_parked"}


class ServerTypes(MySQLTypeCompiler):
    """Writes the types of columns."""

    def visit_text(self, type_: Any, **_options: Any) -> str:
        return "LONGTEXT"

    def visit_large_binary(self, type_: Any, **_options: Any) -> str:
        return "LONGBLOB"

    def visit_datetime(self, type_: Any, **_options: Any) -> str:
        return "DATETIME(6)"


class ServerTables(MySQLDDLCompiler):
    """Writes the statements that make tables and indexes."""

    def post_create_table(self, table: sa.Table) -> str:
        # Two servers, two names for the same order of things.
        is_mariadb = getattr(self.dialect, "is_mariadb", False)
        collation = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
        return f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE={collation}"

    def visit_create_index(self, create: Any, *options: Any, **named: Any) -> str:
        statement = super().visit_create_index(create, *options, **named)
        if create.element.name in OF_ONE_STATE:
            head, _, columns = statement.partition("(")
            statement = f"{head}(state, {columns}"
        return statement


def install(engine: sa.Engine) -> None:
    """Let ``engine`` make tables of this form."""
    dialect: Any = engine.dialect
    dialect.ddl_compiler = ServerTables
    dialect.type_compiler_instance = ServerTypes(dialect)
