"""The catalog of PostgreSQL, level by level: schemas, then tables and views, then columns.

From pg_catalog and not information_schema, which is slow on large catalogs and hides what one has no right to.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .interface import CatalogNode, Cell, Row

LIMIT = 20_000
"""Things listed on one level; a note says so where there are more."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_RELATION_KINDS = {"r": "table", "p": "table", "v": "view", "m": "view", "f": "table"}

SCHEMAS = """select nspname from pg_catalog.pg_namespace
where nspname !~ '^pg_(toast|temp_|toast_temp_)' and pg_catalog.has_schema_privilege(oid, 'USAGE')
order by nspname in ('pg_catalog', 'information_schema'), nspname = 'public' desc, nspname"""

DATABASES = """select datname from pg_catalog.pg_database
where datallowconn and not datistemplate and pg_catalog.has_database_privilege(oid, 'CONNECT')
order by datname = 'postgres', datname"""

RELATIONS = """select c.relname, c.relkind
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
order by c.relname limit :limit"""

COLUMNS = """select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
  exists (select from pg_catalog.pg_index i
          where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey))
from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :relation and a.attnum > 0 and not a.attisdropped
order by a.attnum"""


def quote(name: str) -> str:
    """An identifier, quoted unless it is plain lower case. Keywords are left to the server's error."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    # Always an escape string, so that standard_conforming_strings does not matter.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _bound(query: str, **values: str) -> str:
    """`query` with each `:name` replaced by its value, in one pass, so that no value is looked into."""
    return re.sub(r"(?<!:):([a-z]+)", lambda match: values[match.group(1)], query)


def databases(rows: Callable[[str], list[Row]]) -> list[str]:
    """The databases of the server that may be connected to; `postgres`, which exists for maintenance, last."""
    return [_text(name) for (name,) in rows(DATABASES)]


def children(rows: Callable[[str], list[Row]], node: CatalogNode | None) -> list[CatalogNode]:
    """What is below `node`. `rows` runs a query and gives its rows as text."""
    if node is None:
        return [CatalogNode("schema", _text(name), (_text(name),)) for (name,) in rows(SCHEMAS)]
    if node.kind == "schema":
        found = rows(_bound(RELATIONS, schema=_literal(node.path[0]), limit=str(LIMIT + 1)))
        nodes = [
            CatalogNode(_RELATION_KINDS[_text(kind)], _text(name), (*node.path, _text(name))) for name, kind in found
        ]
        if len(nodes) > LIMIT:
            return [*nodes[:LIMIT], CatalogNode("more", f"more than {LIMIT}", (*node.path, ""), leaf=True)]
        return nodes
    schema, relation = node.path[:2]
    found = rows(_bound(COLUMNS, schema=_literal(schema), relation=_literal(relation)))
    return [
        CatalogNode(
            "key" if key == "t" else "column",
            _text(name),
            (*node.path, _text(name)),
            f"{_text(kind)}{' not null' if not_null == 't' else ''}",
            leaf=True,
        )
        for name, kind, not_null, key in found
    ]


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else ""
