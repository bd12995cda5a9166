"""Rows of the record as CSV, JSON Lines or Parquet, piece by piece.

The columns are the fields of a statement or a session by their names in the control API; scripts rely on them, so they
are only added, at the end. CSV is RFC 4180 in UTF-8: NULL is nothing, '' is `""`. What a spreadsheet would take for a
formula (it begins with `=`, `+`, `-`, `@`, a tab, a carriage return, or one of the wide forms of the signs), and what
begins with `'`, has a `'` put in front, so that one taken away always gives the text back; numbers are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from bastion.api import messages as m

FORMATS = ("csv", "jsonl", "parquet")

SESSION_FACTS = ("source", "client", "token", "login", "engine", "node")
"""What an exported statement says of its session, behind its own fields."""

STATEMENT_COLUMNS = (*m.Statement.__struct_fields__, *SESSION_FACTS)
SESSION_COLUMNS = tuple(name for name in m.Session.__struct_fields__ if name != "running")

GROUP_ROWS = 50_000
GROUP_BYTES = 32 * 1024 * 1024
"""Rows, and bytes of text about, of one row group of Parquet: as many are held at a time."""

_FORMULA = re.compile("^[=+\\-@\t\r'＝＋－＠]")
_SPECIAL = re.compile('[",\r\n]|^\\s|\\s$')
_TIMES = frozenset({"at", "started_at", "ended_at"})
_WHOLE = frozenset({"seq", "rows", "bytes_down", "bytes_up", "statements", "unattributed_bytes"})  # 64 bits in Parquet

Row = Sequence[Any]


class Writer(Protocol):
    """`add` gives the bytes that are ready; `end` the rest."""

    def add(self, rows: Iterable[Row]) -> bytes: ...

    def end(self) -> bytes: ...


def writer(format: str, columns: Sequence[str]) -> Writer:
    """A writer of one of FORMATS."""
    writers: dict[str, Callable[[Sequence[str]], Writer]] = {
        "csv": _Csv, "jsonl": _JsonLines, "parquet": _Parquet,
    }  # fmt: skip
    return writers[format](columns)


class _Csv:
    def __init__(self, columns: Sequence[str]) -> None:
        self._head = ",".join(columns) + "\r\n"

    def add(self, rows: Iterable[Row]) -> bytes:
        head, self._head = self._head, ""
        return (head + "".join(",".join(map(cell, row)) + "\r\n" for row in rows)).encode("utf-8", "replace")

    def end(self) -> bytes:
        return self.add(())


def cell(value: Any) -> str:
    """A value of a CSV line."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if _FORMULA.match(text):
        text = "'" + text
    if text and not _SPECIAL.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


class _JsonLines:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._encoder = msgspec.json.Encoder()

    def add(self, rows: Iterable[Row]) -> bytes:
        return self._encoder.encode_lines([dict(zip(self._columns, row, strict=True)) for row in rows])

    def end(self) -> bytes:
        return b""


class _Parquet:
    """Times are UTC with microseconds, `binds` a list of texts, `messages` JSON, all else text or numbers."""

    def __init__(self, columns: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        self._columns = columns
        self._schema = pa.schema([(name, self._type(name)) for name in columns])
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._rows: list[Row] = []
        self._bytes = 0

    def _type(self, name: str) -> Any:
        pa = self._pa
        if name in _TIMES:
            return pa.timestamp("us", "UTC")
        if name in _WHOLE:
            return pa.int64()
        return {"duration_ms": pa.float64(), "binds": pa.list_(pa.string())}.get(name, pa.string())

    def add(self, rows: Iterable[Row]) -> bytes:
        for row in rows:
            self._rows.append(row)
            self._bytes += sum(len(value) for value in row if isinstance(value, str)) + 100
            if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()
        return self._sink.take()

    def end(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._sink.take()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [
            self._pa.array([_parquet(name, value) for value in values], self._schema.field(name).type)
            for name, values in zip(self._columns, columns, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._bytes = [], 0


def _parquet(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return datetime.fromisoformat(value)
    if name == "messages":
        return msgspec.json.encode(value).decode()
    if name == "binds":
        return [None if bind is None else _text(bind) for bind in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 has not."""
    return value.encode("utf-8", "replace").decode()


class _Sink:
    """As much of a file as Parquet's writer asks for."""

    closed = False

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._at = 0

    def take(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def write(self, data: Any) -> int:
        self._waiting += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
