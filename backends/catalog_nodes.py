"""Nodes of the catalog tree that look the same in every engine."""

from __future__ import annotations

from .catalog import CatalogNode, Constraint, ForeignKey, Index, TableName, Trigger


def about(count: int) -> str:
    """An estimated number of rows, short: `~840`, `~12k`, `~3.4M`."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            value = count / size
            return f"~{value:.0f}{unit}" if value >= 10 else f"~{value:.1f}{unit}"
    return f"~{count}"


def top_node(kind: str, name: str, *, current: bool, system: bool) -> CatalogNode:
    """A schema or database. `current`: where names without a schema are looked for first."""
    return CatalogNode(kind, name, (name,), marks=("current",) if current else (), system=system)


def index_node(table: TableName, index: Index) -> CatalogNode:
    """An index below its table."""
    words = ["primary" if index.primary else "unique" if index.unique else "", f"({', '.join(index.columns)})"]
    words.append(index.method if index.method.lower() != "btree" else "")
    words.append(f"where {index.condition}" if index.condition else "")
    return CatalogNode(
        "index", index.name, (*table.path, index.name), " ".join(word for word in words if word), leaf=True
    )


def constraint_node(table: TableName, constraint: Constraint) -> CatalogNode:
    """A key or check below its table."""
    kind = "check" if constraint.kind in ("check", "exclude") else "key"
    return CatalogNode(kind, constraint.name, (*table.path, constraint.name), constraint.text, leaf=True)


def trigger_node(table: TableName, trigger: Trigger) -> CatalogNode:
    """A trigger below its table."""
    detail = trigger.when + ("" if trigger.enabled else " (disabled)")
    return CatalogNode("trigger", trigger.name, (*table.path, trigger.name), detail, leaf=True)


def foreign_key_node(key: ForeignKey) -> CatalogNode:
    """A foreign key below the table that has it."""
    detail = f"→ {_other(key.referenced, key.table)} ({', '.join(key.referenced_columns)})"
    path = (*key.table.path, key.name)
    return CatalogNode("foreign key", ", ".join(key.columns), path, detail, leaf=True, target=key.referenced)


def reference_node(key: ForeignKey, table: TableName) -> CatalogNode:
    """A foreign key of another table below the table that it references."""
    path = (*table.path, *key.table.path, key.name)
    name = _other(key.table, table)
    return CatalogNode("reference", name, path, f"({', '.join(key.columns)})", leaf=True, target=key.table)


def _other(table: TableName, seen_from: TableName) -> str:
    return table.name if table.schema == seen_from.schema else f"{table.schema}.{table.name}"
