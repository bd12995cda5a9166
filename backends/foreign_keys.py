"""Jumps along foreign keys: from a row to the row that it references, and to the rows that reference it.

Pure: given the keys, the table and the values of a row, the statements are built; nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .catalog import Catalog, ForeignKey, TableName
from .dialect import Dialect
from .interface import Column, DatabaseError, Kind


@dataclass(frozen=True)
class Value:
    """A value of a result row; `text` is None for NULL."""

    text: str | None
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class Jump:
    """Where one can go from a row.

    outward     True: to the row that is referenced; False: to the rows that reference this one
    statement   reads what is there; '' where it cannot be built
    missing     columns of the key that the result does not hold
    null        the key is NULL, so there is nothing at its other end
    """

    key: ForeignKey
    outward: bool
    table: TableName
    statement: str
    missing: tuple[str, ...] = ()
    null: bool = False


def jumps(
    keys: Iterable[ForeignKey],
    table: TableName,
    values: Mapping[str, Value],
    dialect: Dialect,
    column: str | None = None,
) -> list[Jump]:
    """The jumps from a row of `table` whose columns have `values`; with `column` only along keys that it is part of.

    Outward ones come first. A key of a table to itself gives both.
    """
    outward, inward = [], []
    for key in keys:
        if key.table == table and (column is None or column in key.columns):
            outward.append(_jump(key, True, values, dialect))
        if key.referenced == table and (column is None or column in key.referenced_columns):
            inward.append(_jump(key, False, values, dialect))
    return outward + inward


def _jump(key: ForeignKey, outward: bool, values: Mapping[str, Value], dialect: Dialect) -> Jump:
    here, there = (key.columns, key.referenced_columns) if outward else (key.referenced_columns, key.columns)
    table = key.referenced if outward else key.table
    missing = tuple(name for name in here if name not in values)
    if missing:
        return Jump(key, outward, table, "", missing)
    conditions = []
    for mine, theirs in zip(here, there, strict=True):
        value = values[mine]
        if value.text is None:
            return Jump(key, outward, table, "", null=True)
        conditions.append(f"{dialect.quote(theirs)} = {dialect.literal(value.text, value.kind)}")
    return Jump(key, outward, table, dialect.rows_of(table.path, " and ".join(conditions)))


NO_TABLE = "The database does not say which table this value is from: it is computed, or the driver does not tell."


def jumps_from_result(
    catalog: Catalog, dialect: Dialect, columns: Sequence[Column], row: Sequence[str | None], index: int
) -> list[Jump]:
    """The jumps from the value at `index` of a result row. Asks the catalog. Raises DatabaseError.

    A column that stands in the result twice with different values (a table joined to itself) counts as missing, unless
    it is the one at `index`.
    """
    origins = catalog.origins([column.origin for column in columns if column.origin is not None])
    origin = columns[index].origin
    if origin is None or origin not in origins:
        raise DatabaseError(NO_TABLE)
    table, name = origins[origin]
    values: dict[str, Value] = {}
    unsure = set()
    for column, text in zip(columns, row, strict=True):
        if column.origin is None or column.origin not in origins or origins[column.origin][0] != table:
            continue
        called = origins[column.origin][1]
        if called in values and values[called].text != text:
            unsure.add(called)
        values[called] = Value(text, column.kind)
    for called in unsure:
        del values[called]
    values[name] = Value(row[index], columns[index].kind)
    own, others = catalog.foreign_keys(table)
    keys = own + [key for key in others if key not in own]
    return jumps(keys, table, values, dialect, name)
