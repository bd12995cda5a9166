"""Rows as text in other programs' formats, piece by piece. Values are exact; NULL is told from '' where a format can.

CSV (RFC 4180) and TSV: NULL is nothing at all, '' is `""`, as PostgreSQL's COPY has it. JSON: numbers and booleans
bare where JSON has them, JSON values as they are, anything else a string; columns of the same name get a number.
INSERT: names and values as the engine reads them, several rows a statement. Markdown: for people; `|` and line ends
escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from .dialect import Dialect, dialect_for
from .interface import Column, Kind
from .visible_text import visible_line

FORMATS = ("csv", "tsv", "json", "jsonl", "insert", "markdown")
ENDINGS = {"csv": ".csv", "tsv": ".tsv", "json": ".json", "jsonl": ".jsonl", "insert": ".sql", "parquet": ".parquet"}
INSERT_ROWS = 200
INSERT_BYTES = 512 * 1024
"""Rows and characters of one INSERT statement; MySQL's smallest default of max_allowed_packet is 4 MB."""

Row = Sequence[str | None]

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TRUTH = {"t": "true", "true": "true", "f": "false", "false": "false"}


class RepeatedColumn(ValueError):
    """An INSERT cannot name a column twice."""


def dialect_of(engine: str) -> Dialect:
    """How the engine writes names and values."""
    return dialect_for(engine)


def write(
    format: str, columns: Sequence[Column], rows: Iterable[Row], *, engine: str = "", table: Sequence[str] = ()
) -> Iterator[str]:
    """The rows in one of FORMATS. `table` and `engine` are for INSERT. Raises RepeatedColumn."""
    if format == "insert":
        return _inserts(columns, rows, dialect_of(engine), table or ("result",))
    return {"csv": _csv, "tsv": _tsv, "json": _json, "jsonl": _json_lines, "markdown": _markdown}[format](columns, rows)


# -- CSV, TSV


def _separated(separator: str) -> Callable[[Sequence[Column], Iterable[Row]], Iterator[str]]:
    special = re.compile(f'["\r\n{separator}]|^\\s|\\s$')

    def cell(value: str | None) -> str:
        if value is None:
            return ""
        if value and not special.search(value):
            return value
        return '"' + value.replace('"', '""') + '"'

    def lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
        yield separator.join(cell(column.name) for column in columns) + "\r\n"
        for row in rows:
            yield separator.join(map(cell, row)) + "\r\n"

    return lines


_csv = _separated(",")
_tsv = _separated("\t")


# -- JSON


def column_keys(columns: Sequence[Column]) -> list[str]:
    """The columns' names; a repeated one gets `_2` and so on."""
    keys: list[str] = []
    for column in columns:
        key, number = column.name, 1
        while key in keys:
            number += 1
            key = f"{column.name}_{number}"
        keys.append(key)
    return keys


def json_value(value: str | None, kind: Kind) -> str:
    """A value as JSON text, without losing a digit."""
    if value is None:
        return "null"
    if kind is Kind.NUMBER and _JSON_NUMBER.fullmatch(value):
        return value
    if kind is Kind.BOOLEAN and value in _TRUTH:
        return _TRUTH[value]
    if kind is Kind.JSON:
        try:
            json.loads(value)
            return " ".join(value.splitlines())
        except (ValueError, RecursionError):
            pass
    return json.dumps(value, ensure_ascii=False)


def _objects(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    keys = [json.dumps(key, ensure_ascii=False) for key in column_keys(columns)]
    kinds = [column.kind for column in columns]
    for row in rows:
        cells = zip(keys, row, kinds, strict=True)
        yield "{" + ", ".join(f"{key}: {json_value(value, kind)}" for key, value, kind in cells) + "}"


def _json_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    for text in _objects(columns, rows):
        yield text + "\n"


def _json(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    before = "[\n  "
    for text in _objects(columns, rows):
        yield before + text
        before = ",\n  "
    yield "[]\n" if before == "[\n  " else "\n]\n"


# -- INSERT


def _inserts(columns: Sequence[Column], rows: Iterable[Row], dialect: Dialect, table: Sequence[str]) -> Iterator[str]:
    names = [column.name for column in columns]
    if len({name.lower() for name in names}) < len(names):
        raise RepeatedColumn(next(name for name in names if [n.lower() for n in names].count(name.lower()) > 1))
    head = f"insert into {dialect.qualified(table)} ({', '.join(map(dialect.quote, names))}) values\n"
    kinds = [column.kind for column in columns]
    waiting: list[str] = []
    size = 0
    for row in rows:
        values = (_literal(value, kind, dialect) for value, kind in zip(row, kinds, strict=True))
        waiting.append(f"({', '.join(values)})")
        size += len(waiting[-1])
        if len(waiting) >= INSERT_ROWS or size >= INSERT_BYTES:
            yield head + ",\n".join(waiting) + ";\n"
            waiting, size = [], 0
    if waiting:
        yield head + ",\n".join(waiting) + ";\n"


def _literal(value: str | None, kind: Kind, dialect: Dialect) -> str:
    if value is None:
        return "null"
    if kind is Kind.BOOLEAN and value in _TRUTH:
        return _TRUTH[value]
    return dialect.literal(value, kind)


# -- Markdown


def _markdown(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    yield _piped(column.name for column in columns)
    yield _piped("---:" if column.kind is Kind.NUMBER else "---" for column in columns)
    for row in rows:
        yield _piped("NULL" if value is None else value for value in row)


def _piped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_markdown_cell, cells)) + " |\n"


def _markdown_cell(text: str) -> str:
    lines = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").splitlines() or [""]
    return visible_line("\0".join(lines)).replace("\u2400", "<br>") if len(lines) > 1 else visible_line(lines[0])
