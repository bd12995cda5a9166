"""The catalog of MySQL and MariaDB, level by level: databases, then tables and views, then columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .interface import CatalogNode

LIMIT = 20_000
"""Things listed on one level; a note says so where there are more."""

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


OWN = ("information_schema", "mysql", "performance_schema", "sys")

DATABASES = """select schema_name from information_schema.schemata
order by schema_name in ('information_schema', 'mysql', 'performance_schema', 'sys'), schema_name"""

TABLES = """select table_name, table_type from information_schema.tables
where table_schema = :database order by table_name limit :limit"""

COLUMNS = """select column_name, column_type, is_nullable, column_key from information_schema.columns
where table_schema = :database and table_name = :table order by ordinal_position"""


def quote(name: str) -> str:
    """An identifier, in backticks unless it is plain."""
    return name if _PLAIN.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    # Hexadecimal, so that no SQL mode changes what a backslash means.
    return f"convert(0x{text.encode().hex()} using utf8mb4)" if text else "''"


def _bound(query: str, **values: str) -> str:
    """`query` with each `:name` replaced by its value, in one pass, so that no value is looked into."""
    return re.sub(r":([a-z]+)", lambda match: values[match.group(1)], query)


def databases(rows: Callable[[str], list[tuple[Any, ...]]]) -> list[str]:
    """The databases that may be used, the server's own left out."""
    return [str(name) for (name,) in rows(DATABASES) if name not in OWN]


def children(rows: Callable[[str], list[tuple[Any, ...]]], node: CatalogNode | None) -> list[CatalogNode]:
    """What is below `node`. `rows` runs a query and gives its rows as text."""
    if node is None:
        return [CatalogNode("database", name, (name,)) for (name,) in rows(DATABASES)]
    if node.kind == "database":
        found = rows(_bound(TABLES, database=_literal(node.path[0]), limit=str(LIMIT + 1)))
        nodes = [
            CatalogNode("view" if "VIEW" in str(kind) else "table", name, (*node.path, name)) for name, kind in found
        ]
        if len(nodes) > LIMIT:
            return [*nodes[:LIMIT], CatalogNode("more", f"more than {LIMIT}", (*node.path, ""), leaf=True)]
        return nodes
    database, table = node.path[:2]
    found = rows(_bound(COLUMNS, database=_literal(database), table=_literal(table)))
    return [
        CatalogNode(
            "key" if key == "PRI" else "column",
            name,
            (*node.path, name),
            f"{kind}{' not null' if nullable == 'NO' else ''}",
            leaf=True,
        )
        for name, kind, nullable, key in found
    ]
