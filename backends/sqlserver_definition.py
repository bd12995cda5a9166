"""CREATE TABLE of SQL Server, built from its catalog: the server itself gives none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .catalog import Constraint, ForeignKey, Index, TableName
from .dialect import SqlserverDialect

_DIALECT = SqlserverDialect()
_WIDE = {"nvarchar", "nchar"}
_SIZED = {"varchar", "char", "varbinary", "binary", *_WIDE}
_SCALED = {"datetime2", "datetimeoffset", "time"}


def type_name(name: str, length: int, precision: int, scale: int) -> str:
    """A type as a statement writes it. `length` in bytes, -1 without limit."""
    if name in _SIZED:
        shown = "max" if length < 0 else str(length // 2 if name in _WIDE else length)
        return f"{name}({shown})"
    if name in ("decimal", "numeric"):
        return f"{name}({precision},{scale})"
    return f"{name}({scale})" if name in _SCALED else name


@dataclass(frozen=True)
class Part:
    """A column. `computed` is its expression; '' where it holds values of its own."""

    name: str
    type_name: str
    nullable: bool
    default: str = ""
    identity: bool = False
    computed: str = ""

    @property
    def extra(self) -> str:
        """What stands behind its type."""
        return f"as {self.computed}" if self.computed else "identity" if self.identity else ""


def create_table(table: TableName, columns: Sequence[Part], indexes: Sequence[Index], constraints: Sequence[Constraint],
                 keys: Sequence[ForeignKey]) -> str:  # fmt: skip
    """The table, its keys, and its indexes behind it."""
    quote = _DIALECT.quote
    lines = [_column(part) for part in columns]
    for constraint in constraints:
        if constraint.kind == "check":
            lines.append(f"constraint {quote(constraint.name)} {constraint.text}")
    named = {constraint.name: constraint.kind for constraint in constraints}
    for index in indexes:
        if index.name in named:
            kind = named[index.name]
            lines.append(f"constraint {quote(index.name)} {kind} {index.method} ({_columns(index.columns)})")
    for key in keys:
        actions = "".join(f" on {event} {action}" for event, action in (("delete", key.on_delete), ("update",
            key.on_update))
                          if action)  # fmt: skip
        lines.append(
            f"constraint {quote(key.name)} foreign key ({_columns(key.columns)}) references "
            f"{_DIALECT.qualified(key.referenced.path)} ({_columns(key.referenced_columns)}){actions}"
        )
    name = _DIALECT.qualified(table.path)
    text = f"create table {name} (\n  " + ",\n  ".join(lines) + "\n);\n"
    for index in indexes:
        if index.name not in named:
            unique = "unique " if index.unique else ""
            where = f" where {index.condition}" if index.condition else ""
            text += f"create {unique}{index.method} index {quote(index.name)} on {name} "
            text += f"({_columns(index.columns)}){where};\n"
    return text


def _columns(names: Sequence[str]) -> str:
    return ", ".join(
        f"{_DIALECT.quote(name.removesuffix(' desc'))} desc" if name.endswith(" desc") else _DIALECT.quote(name)
        for name in names
    )


def _column(part: Part) -> str:
    if part.computed:
        return f"{_DIALECT.quote(part.name)} as {part.computed}"
    words = [_DIALECT.quote(part.name), part.type_name]
    words += ["identity"] if part.identity else []
    words += [f"default {part.default}"] if part.default else []
    words.append("null" if part.nullable else "not null")
    return " ".join(words)
