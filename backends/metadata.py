"""The names of a whole database, for completion and search: schemas, tables with columns and types, functions, foreign
keys. Loaded once in the background, looked up on every key that is typed.

Packed: the columns of a table are two strings, since half a million objects would take a hundred megabytes. No engine
has a NUL in a name or type, so it stands between them. Look-ups do not regard case.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .catalog import ForeignKey, TableName

MOST_TABLES = 50_000
MOST_COLUMNS = 500_000
MOST_FUNCTIONS = 20_000
MOST_FOREIGN_KEYS = 50_000
LOAD_SECONDS = 60
"""What one of the few statements that load it may take on the server."""

_BETWEEN = "\0"


@dataclass(frozen=True, slots=True)
class ColumnMetadata:
    """A column's name and its type as the server writes it."""

    name: str
    type_name: str


@dataclass(frozen=True, slots=True)
class TableMetadata:
    """`kind` is table, view, materialized view or foreign table. `system`: belongs to the server itself."""

    schema: str
    name: str
    kind: str
    system: bool = False
    packed_names: str = field(default="", repr=False)
    packed_types: str = field(default="", repr=False)

    @property
    def table(self) -> TableName:
        """Its name."""
        return TableName(self.schema, self.name)

    @property
    def columns(self) -> tuple[ColumnMetadata, ...]:
        """In their order in the table; empty where the limit cut them off."""
        if not self.packed_names:
            return ()
        return tuple(map(ColumnMetadata, self.packed_names.split(_BETWEEN), self.packed_types.split(_BETWEEN)))

    @property
    def column_names(self) -> list[str]:
        """Cheaper than `columns`."""
        return self.packed_names.split(_BETWEEN) if self.packed_names else []


@dataclass(frozen=True, slots=True)
class FunctionMetadata:
    """`kind` is function, procedure, aggregate or window; `arguments` as the server writes them ('' where unknown)."""

    schema: str
    name: str
    kind: str
    arguments: str = ""
    result: str = ""
    system: bool = False


class SchemaMetadata:
    """Immutable once built; may be read from any thread.

    schemas       in the order to show; databases in MySQL
    search_path   the schemas in which a bare name is looked for, in order
    tables        sorted by schema and name, the server's own last
    truncated     what the limits cut off: tables, columns, functions, foreign keys
    """

    def __init__(
        self,
        schemas: Sequence[str] = (),
        search_path: Sequence[str] = (),
        tables: Iterable[TableMetadata] = (),
        functions: Iterable[FunctionMetadata] = (),
        foreign_keys: Iterable[ForeignKey] = (),
        truncated: Iterable[str] = (),
    ) -> None:
        self.schemas = tuple(schemas)
        self.search_path = tuple(search_path)
        self.tables = tuple(sorted(tables, key=lambda table: (table.system, table.schema, table.name)))
        self.functions = tuple(sorted(functions, key=lambda function: (function.name, function.schema)))
        self.foreign_keys = tuple(foreign_keys)
        self.truncated = tuple(truncated)
        self.own_tables = sum(not table.system for table in self.tables)
        """Tables and views that are not the server's own; they come first in `tables`."""
        self._qualified = [f"{table.schema}.{table.name}".casefold() for table in self.tables]
        self._tables = _Names(table.name for table in self.tables)
        self._functions = _Names(function.name for function in self.functions)
        self._schemas = _Names(self.schemas)
        self._columns = _distinct_columns(self.tables)
        self._exact = {(table.schema, table.name): table for table in self.tables}
        self._keys: dict[TableName, list[ForeignKey]] = {}
        for key in self.foreign_keys:
            for end in {key.table, key.referenced}:
                self._keys.setdefault(end, []).append(key)

    # -- by the beginning of a name

    def schemas_starting(self, prefix: str, limit: int = 100) -> list[str]:
        """Schemas whose name begins with `prefix`."""
        return [self.schemas[index] for index in self._schemas.starting(prefix, limit)]

    def tables_starting(self, prefix: str, schema: str | None = None, limit: int = 100) -> list[TableMetadata]:
        """Tables and views whose name begins with `prefix`, by name; of one schema where it is given.

        Those of the search path come first, the server's own last.
        """
        found = []
        for index in self._tables.starting(prefix):
            table = self.tables[index]
            if schema is None or table.schema == schema or table.schema.casefold() == schema.casefold():
                found.append(table)
                if len(found) >= 20 * limit:
                    break
        path = {name: rank for rank, name in enumerate(self.search_path)}
        found.sort(key=lambda table: (table.system, path.get(table.schema, len(path))))
        return found[:limit]

    def functions_starting(self, prefix: str, schema: str | None = None, limit: int = 100) -> list[FunctionMetadata]:
        """Functions and procedures whose name begins with `prefix`."""
        found: list[FunctionMetadata] = []
        for index in self._functions.starting(prefix):
            function = self.functions[index]
            if schema is None or function.schema.casefold() == schema.casefold():
                found.append(function)
                if len(found) >= limit:
                    break
        return found

    def column_names_starting(self, prefix: str, limit: int = 100) -> list[str]:
        """Names that columns of any table (not the server's own) have, each once."""
        return self._columns.names_starting(prefix, limit)

    # -- exactly

    def table(self, name: str, schema: str | None = None) -> TableMetadata | None:
        """A table or view by name; without a schema the first of the search path, else the only one of that name.

        The name as written is tried first, then without regard to case.
        """
        for place in self.search_path if schema is None else (schema,):
            if (found := self._exact.get((place, name))) is not None:
                return found
        folded = name.casefold()
        same = [table for table in self.tables_starting(name, schema, 1000) if table.name.casefold() == folded]
        same.sort(key=lambda table: table.name != name)
        if schema is None and len(same) > 1 and same[0].schema not in self.search_path:
            return None
        return same[0] if same else None

    def keys_of(self, table: TableName) -> list[ForeignKey]:
        """The foreign keys that `table` has and those that reference it."""
        return list(self._keys.get(table, ()))

    def keys_between(self, one: TableName, other: TableName) -> list[ForeignKey]:
        """Foreign keys by which two tables can be joined, either way."""
        ends = {one, other}
        return [key for key in self._keys.get(one, ()) if {key.table, key.referenced} == ends]

    # -- by a part of the name

    def tables_with(self, words: Sequence[str], limit: int = 1000) -> tuple[list[TableMetadata], int]:
        """Tables and views whose `schema.name` has every word somewhere, and how many there are in all.

        The server's own count only where a word names their schema. Reads every name: 5 ms for 50,000.
        """
        words = [word.casefold() for word in words if word]
        found: Iterable[int] = range(len(self._qualified))
        for word in words:
            qualified = self._qualified
            found = [index for index in found if word in qualified[index]]
        own = self.own_tables
        shown = [index for index in found if index < own or self._meant(index, words)]
        return [self.tables[index] for index in shown[:limit]], len(shown)

    def columns_with(self, words: Sequence[str], limit: int = 500) -> list[tuple[TableMetadata, list[str]]]:
        """Tables with columns whose `table.column` has every word, at least one of them in the column's own name."""
        words = [word.casefold() for word in words if word]
        found: list[tuple[TableMetadata, list[str]]] = []
        if not words:
            return found
        tails = [word.rpartition(".")[2] for word in words]
        pairs = list(zip(words, tails, strict=True))
        count = 0
        for index, table in enumerate(self.tables[: self.own_tables]):
            folded, qualified = table.packed_names.lower(), self._qualified[index]
            for word, tail in pairs:
                if tail not in folded and word not in qualified:
                    break
            else:
                if not any(tail in folded for tail in tails):
                    continue
                matching = []
                for name in table.column_names:
                    own = name.casefold()
                    whole = f"{qualified}.{own}"
                    if all(word in whole for word in words) and any(tail in own for tail in tails):
                        matching.append(name)
                if matching:
                    found.append((table, matching))
                    count += len(matching)
                    if count >= limit:
                        break
        return found

    def _meant(self, index: int, words: Sequence[str]) -> bool:
        schema = self.tables[index].schema.casefold()
        return any(word.split(".")[0] == schema for word in words)


class _Names:
    """Names sorted without regard to case, each with its place in the list that it came from."""

    def __init__(self, names: Iterable[str]) -> None:
        pairs = sorted((name.casefold(), index) for index, name in enumerate(names))
        self._folded = [name for name, _index in pairs]
        self._places = [index for _name, index in pairs]

    def starting(self, prefix: str, limit: int = 1_000_000) -> Iterable[int]:
        """The places of the names that begin with `prefix`, in order of the name."""
        prefix = prefix.casefold()
        at = bisect_left(self._folded, prefix)
        for index in range(at, min(at + limit, len(self._folded))):
            if not self._folded[index].startswith(prefix):
                return
            yield self._places[index]


class _Words:
    """Distinct names, sorted without regard to case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names, key=lambda name: (name.casefold(), name))
        self._folded = [name.casefold() for name in self._names]

    def names_starting(self, prefix: str, limit: int) -> list[str]:
        prefix = prefix.casefold()
        at = end = bisect_left(self._folded, prefix)
        while end < len(self._folded) and end - at < limit and self._folded[end].startswith(prefix):
            end += 1
        return self._names[at:end]


def _distinct_columns(tables: Iterable[TableMetadata]) -> _Words:
    seen: set[str] = set()
    for table in tables:
        if not table.system and table.packed_names:
            seen.update(table.packed_names.split(_BETWEEN))
    return _Words(seen)


class Gathering:
    """Takes what the queries of an engine give, in their order, and packs it within the limits."""

    def __init__(self) -> None:
        self._tables: dict[object, tuple[str, str, str, bool]] = {}
        self._columns: dict[object, tuple[list[str], list[str]]] = {}
        self._count = 0
        self._types: dict[str, str] = {}
        self.functions: list[FunctionMetadata] = []
        self.foreign_keys: list[ForeignKey] = []
        self.truncated: list[str] = []

    def table(self, key: object, schema: str, name: str, kind: str, *, system: bool = False) -> None:
        """A table; `key` is what its columns will name it by."""
        if len(self._tables) < MOST_TABLES:
            self._tables[key] = (schema, name, kind, system)
        else:
            self.cut("tables")

    def column(self, key: object, name: str, type_name: str) -> None:
        """The next column of a table."""
        if key not in self._tables:
            return
        if self._count >= MOST_COLUMNS:
            self.cut("columns")
            return
        self._count += 1
        names, types = self._columns.setdefault(key, ([], []))
        names.append(name)
        types.append(self._types.setdefault(type_name, type_name))

    def cut(self, what: str) -> None:
        """A limit was reached."""
        if what not in self.truncated:
            self.truncated.append(what)

    def metadata(self, schemas: Sequence[str], search_path: Sequence[str]) -> SchemaMetadata:
        """What was gathered."""
        empty: tuple[list[str], list[str]] = ([], [])
        tables = []
        for key, (schema, name, kind, system) in self._tables.items():
            names, types = self._columns.pop(key, empty)
            tables.append(TableMetadata(schema, name, kind, system, _BETWEEN.join(names), _BETWEEN.join(types)))
        return SchemaMetadata(schemas, search_path, tables, self.functions, self.foreign_keys, self.truncated)
