"""What a database of SQLite holds, in SQL Server's terms: objects with numbers, columns, indexes, keys, modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from .encoding import Value
from .sql_types import INT, TEXT, SqlType, parsed

FIRST_OBJECT = 1000
FIRST_MODULE = (1 << 20) + 1000
_OWN = ("tsql_modules", "tsql_schemas", "sqlite_sequence", "sqlite_stat1")


@dataclass(frozen=True)
class Object:
    """`kind` as sys.objects has it: U, V, P, FN, TR. `kept` is its name in SQLite."""

    number: int
    schema: str
    name: str
    kind: str
    kept: str
    sql: str = ""


@dataclass(frozen=True)
class ColumnFacts:
    """`generated`: computed. `default` as an expression; None where there is none."""

    number: int
    name: str
    type: SqlType
    nullable: bool
    default: str | None
    identity: bool
    generated: bool
    key: int


class Model:
    """Read anew for each statement that asks."""

    def __init__(self, connection: apsw.Connection, prefix: str = "main") -> None:
        self._connection, self._prefix = connection, prefix
        self.schemas = ["dbo", "guest", "INFORMATION_SCHEMA", "sys"]
        self.schemas += [str(row[0]) for row in self._rows(f"SELECT name FROM {prefix}.tsql_schemas ORDER BY rowid")]
        self.objects = list(self._objects())
        self._by_kept = {each.kept.lower(): each for each in self.objects}

    def _rows(self, sql: str, bindings: tuple[Value, ...] = ()) -> list[tuple[Value, ...]]:
        return list(self._connection.execute(sql, bindings))

    def schema_number(self, name: str) -> int:
        return [each.lower() for each in self.schemas].index(name.lower()) + 1

    def _split(self, kept: str) -> tuple[str, str]:
        schema, dot, name = kept.partition(".")
        if dot and schema.lower() in [each.lower() for each in self.schemas]:
            return schema, name
        return "dbo", kept

    def _objects(self) -> Iterator[Object]:
        kinds = {"table": "U", "view": "V", "procedure": "P", "function": "FN", "trigger": "TR"}
        texts = {
            str(row[0]).lower(): str(row[1])
            for row in self._rows(f"SELECT name, text FROM {self._prefix}.tsql_modules")
        }
        found = self._rows(
            f"SELECT rowid, name, type FROM {self._prefix}.sqlite_master WHERE type IN ('table', 'view')"
        )
        for rowid, name, kind in found:
            if name not in _OWN:
                schema, plain = self._split(str(name))
                number = int(rowid or 0) + FIRST_OBJECT
                yield Object(number, schema, plain, kinds[str(kind)], str(name), texts.get(str(name).lower(), ""))
        for rowid, name, kind in self._rows(
            f"SELECT rowid, name, kind FROM {self._prefix}.tsql_modules WHERE kind <> 'view'"
        ):
            schema, plain = self._split(str(name))
            yield Object(
                int(rowid or 0) + FIRST_MODULE, schema, plain, kinds[str(kind)], str(name), texts[str(name).lower()]
            )

    def of_kind(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each.kind in kinds]

    def named(self, kept: str) -> Object | None:
        return self._by_kept.get(kept.lower())

    def columns(self, of: Object) -> list[ColumnFacts]:
        found = []
        autoincrement = of.kind == "U" and "AUTOINCREMENT" in str(
            (self._rows(f"SELECT sql FROM {self._prefix}.sqlite_master WHERE name = ?", (of.kept,)) or [("",)])[0][0]
        )
        for row in self._rows(f'PRAGMA {self._prefix}.table_xinfo("{of.kept}")'):
            place, name, declared, required, default, key, hidden = row
            sql_type = parsed(str(declared)) or (INT if str(declared).upper() == "INT" else TEXT)
            found.append(ColumnFacts(int(place or 0) + 1, str(name), sql_type, not required and not key,
                                     None if default is None else str(default), bool(autoincrement and key),
                                     bool(hidden), int(key or 0)))  # fmt: skip
        return found

    def indexes(self, of: Object) -> list[tuple[int, str, bool, str, list[str]]]:
        """Number, name, unique, origin (pk, u, c), columns; the clustered one of a primary key first, as number 1."""
        keys = [each.name for each in sorted(self.columns(of), key=lambda each: each.key) if each.key]
        found: list[tuple[int, str, bool, str, list[str]]] = [(1, f"PK_{of.name}", True, "pk", keys)] if keys else []
        for row in self._rows(f'PRAGMA {self._prefix}.index_list("{of.kept}")'):
            name, unique, origin = str(row[1]), bool(row[2]), str(row[3])
            if origin == "pk":
                continue
            columns = [str(one[2]) for one in self._rows(f'PRAGMA {self._prefix}.index_info("{name}")')]
            shown = name if origin == "c" else f"UQ_{of.name}_{'_'.join(columns)}"
            found.append((len(found) + 2 - bool(keys), shown, unique, origin, columns))
        return found

    def foreign_keys(self, of: Object) -> list[tuple[int, str, Object, list[tuple[str, str]], str, str]]:
        """Number, name, the table referenced, pairs of columns, on delete, on update."""
        found: dict[int, tuple[int, str, Object, list[tuple[str, str]], str, str]] = {}
        for row in self._rows(f'PRAGMA {self._prefix}.foreign_key_list("{of.kept}")'):
            key, target = int(row[0] or 0), self.named(str(row[2]))
            if target is None:
                continue
            other = str(row[4]) if row[4] is not None else next((c.name for c in self.columns(target) if c.key), "")
            number = of.number * 1000 + key + (1 << 28)
            name = f"FK_{of.name}_{target.name}" + (f"_{key}" if key else "")
            entry = found.setdefault(key, (number, name, target, [], str(row[6]), str(row[5])))
            entry[3].append((str(row[3]), other))
        return list(found.values())

    def row_count(self, of: Object) -> int:
        return int(self._rows(f'SELECT count(*) FROM {self._prefix}."{of.kept}"')[0][0] or 0)
