"""SQL without a screen: one statement or a script, its rows streamed to a file as a table, JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import pyarrow as pa
from rich.cells import cell_len, set_cell_size

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .arrow import batch as batch_of
from .connection import (
    BudgetReached,
    DatabaseConnection,
    EngineNotSupported,
    ResultBegan,
    ResultEnded,
    RowsArrived,
    RunFailed,
    first_catalog,
    follow,
    only_catalog,
)
from .interface import Column, DatabaseError, Kind, Notice
from .link import Link
from .statements import Span, split
from .visible_text import visible_line

UNLIMITED = sys.maxsize
WIDEST_CELL = 60
"""Cells of a table column; JSON and CSV cut nothing."""
MEASURED_ROWS = 100

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


def run_sql(
    link: Link,
    database: str,
    text: str,
    format: str = "table",
    out: TextIO | None = None,
    *,
    account: str | None = None,
    reason: str = "",
    catalog: str | None = None,
    err: TextIO | None = None,
) -> int:
    """Runs `text` on `database` and prints what comes back; blocks. Returns the exit code: 0, or 1 after an error.

    format: `table`, `json` (one object a row) or `csv`. Rows go to `out`, everything else to `err`. A script stops at
    its first error. Raises Refused and LinkError for what the bastion says.
    """
    out, err = out or sys.stdout, err or sys.stderr
    token = link.call_now(
        methods.TOKEN_REQUEST, methods.TokenRequest(database=database, account=account, reason=reason)
    )
    known = link.call_now(methods.DATABASES, methods.DatabaseList(name=token.database))
    chosen = catalog or first_catalog(known[0].databases if known else [])
    try:
        connection = _connected(link, token, chosen)
    except DatabaseError as error:
        print(_("Error: {message}").format(message=visible_line(error.message)), file=err)
        return 1
    except EngineNotSupported:
        print(_("There is no SQL without a client for {engine} yet.").format(engine=token.engine), file=err)
        return 1
    try:
        for span in split(text, token.engine):
            if not connection.submit(_run_one, connection, text, span, format, out, err).result():
                return 1
        return 0
    finally:
        connection.close()


def _connected(link: Link, token: m.Token, catalog: str) -> DatabaseConnection:
    """Connects; where no database name is known and the server has just one, to that one."""
    connection = DatabaseConnection.open_now(link, token, catalog)
    if catalog:
        return connection
    try:
        only = only_catalog(connection.submit(connection.backend.catalogs).result())
    except DatabaseError:
        return connection
    if only is None:
        return connection
    connection.close()
    return DatabaseConnection.open_now(link, token, only)


def _run_one(connection: DatabaseConnection, script: str, span: Span, format: str, out: TextIO, err: TextIO) -> bool:
    printer: Callable[[pa.RecordBatch], None] = _no_rows
    columns: tuple[Column, ...] = ()
    for event in follow(connection.backend, script[span.start : span.end], connection.cancel_now, UNLIMITED):
        match event:
            case ResultBegan(columns=began):
                columns = began
                printer = _printer(format, columns, out)
            case RowsArrived(batch=batch):
                printer(batch)
            case ResultEnded(status=status, affected=affected, rows=None) if affected is not None and affected >= 0:
                print(visible_line(status) or _("{count} rows affected").format(count=affected), file=err)
            case ResultEnded(status=status, rows=None) if status:
                print(visible_line(status), file=err)
            case ResultEnded(rows=rows) if format == "table" and rows is not None:
                if rows == 0:
                    printer(batch_of(columns, []))
                print(_("{count} rows").format(count=rows), file=err)
            case Notice(severity=severity, message=message):
                print(f"{visible_line(severity)}: {visible_line(message)}", file=err)
            case RunFailed(error=error):
                print(_("Error: {message}").format(message=_told(error, script, span)), file=err)
                out.flush()
                return False
            case ResultEnded() | BudgetReached():
                pass
    out.flush()
    return True


def _told(error: DatabaseError, script: str, span: Span) -> str:
    parts = [visible_line(error.message)]
    if error.code:
        parts.append(f"[{visible_line(error.code)}]")
    at = span.start + (error.position or 0)
    parts.append(_("(line {line})").format(line=script.count("\n", 0, at) + 1))
    parts.extend(f"\n  {visible_line(more)}" for more in (error.detail, error.hint) if more)
    return " ".join(parts)


def _no_rows(batch: pa.RecordBatch) -> None:
    return None


def _printer(format: str, columns: Sequence[Column], out: TextIO) -> Callable[[pa.RecordBatch], None]:
    if format == "json":
        return _json_printer(columns, out)
    if format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        return lambda batch: writer.writerows(zip(*(c.to_pylist() for c in batch.columns), strict=True))
    return _table_printer(columns, out)


def _json_printer(columns: Sequence[Column], out: TextIO) -> Callable[[pa.RecordBatch], None]:
    names = _distinct([column.name for column in columns])

    def value(column: Column, text: str | None) -> object:
        if text is None:
            return None
        if column.kind is Kind.BOOLEAN and text in ("t", "f"):
            return text == "t"
        return text

    def print_batch(batch: pa.RecordBatch) -> None:
        for row in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            fields = []
            for name, column, text in zip(names, columns, row, strict=True):
                number = column.kind is Kind.NUMBER and text is not None and _JSON_NUMBER.fullmatch(text)
                shown = text if number else json.dumps(value(column, text), ensure_ascii=False)
                fields.append(f"{json.dumps(name, ensure_ascii=False)}: {shown}")
            out.write("{" + ", ".join(fields) + "}\n")
        out.flush()

    return print_batch


def _distinct(names: list[str]) -> list[str]:
    """Names made different from one another, since an object holds each key once: `a`, `a_2`."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def _table_printer(columns: Sequence[Column], out: TextIO) -> Callable[[pa.RecordBatch], None]:
    widths: list[int] = []

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cells).rstrip() + "\n"

    def fitted(text: str, width: int, right: bool) -> str:
        if cell_len(text) > width:
            text = set_cell_size(text, max(width - 1, 0)) + "…"
        pad = " " * (width - cell_len(text))
        return pad + text if right else text + pad

    def print_batch(batch: pa.RecordBatch) -> None:
        rows = list(zip(*(c.to_pylist() for c in batch.columns), strict=True))
        shown = [["NULL" if cell is None else visible_line(cell) for cell in row] for row in rows]
        if not widths:
            for index, column in enumerate(columns):
                longest = max((cell_len(row[index]) for row in shown[:MEASURED_ROWS]), default=0)
                widths.append(min(max(longest, cell_len(visible_line(column.name)), 1), WIDEST_CELL))
            out.write(line([fitted(visible_line(c.name), w, False) for c, w in zip(columns, widths, strict=True)]))
            out.write(line(["-" * width for width in widths]))
        for row in shown:
            cells = zip(row, columns, widths, strict=True)
            out.write(line([fitted(text, width, column.kind is Kind.NUMBER) for text, column, width in cells]))
        out.flush()

    return print_batch
