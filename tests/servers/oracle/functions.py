"""Functions of Oracle's SQL that SQLite has not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import datetime

from .columns import Value

_PICTURES = (
    ("YYYY", "%Y"), ("MM", "%m"), ("DD", "%d"), ("HH24", "%H"), ("MI", "%M"), ("SS", "%S"), ("RR", "%y"), ("MON", "%b"),
    ("FF", "%f"), ("HH", "%I"), ("AM", "%p"),
)  # fmt: skip


def _picture(text: str) -> str:
    for theirs, ours in _PICTURES:
        text = re.sub(rf"(?<!%){theirs}\d?", ours, text, flags=re.I)
    return text


def _to_date(value: Value, picture: str = "YYYY-MM-DD HH24:MI:SS") -> str | None:
    return None if value is None else datetime.strptime(str(value), _picture(picture)).isoformat(" ")


def _to_char(value: Value, picture: str | None = None) -> str | None:
    if value is None:
        return None
    if picture is not None and isinstance(value, str):
        return datetime.fromisoformat(value).strftime(_picture(picture))
    if isinstance(value, float):
        return f"{value:.38g}".rstrip("0").rstrip(".") if "." in repr(value) else repr(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _to_number(value: Value) -> Value:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value).strip()
    return int(text) if re.fullmatch(r"[-+]?\d{1,18}", text) else float(text)


def _nvl(value: Value, other: Value) -> Value:
    return other if value is None else value


def _decode(value: Value, *pairs: Value) -> Value:
    for index in range(0, len(pairs) - 1, 2):
        if pairs[index] == value:
            return pairs[index + 1]
    return pairs[-1] if len(pairs) % 2 else None


def _pad(value: Value, size: int, filling: str, *, left: bool) -> str | None:
    if value is None:
        return None
    text = str(value)
    more = (filling * size)[: max(0, size - len(text))]
    return (more + text if left else text + more)[:size]


def _rpad(value: Value, size: int, filling: str = " ") -> str | None:
    return _pad(value, size, filling, left=False)


def _lpad(value: Value, size: int, filling: str = " ") -> str | None:
    return _pad(value, size, filling, left=True)


def _as_text(value: Value) -> Value:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _as_bytes(value: Value) -> Value:
    return value.encode() if isinstance(value, str) else value


def _raw(value: Value) -> Value:
    return None if value is None else bytes.fromhex(str(value))


def _same(value: Value) -> Value:
    return value


def _unistr(value: Value) -> Value:
    return re.sub(r"\\([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), str(value))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "TO_DATE": _to_date, "TO_TIMESTAMP": _to_date, "TO_CHAR": _to_char, "TO_NUMBER": _to_number, "NVL": _nvl,
    "DECODE": _decode, "RPAD": _rpad, "LPAD": _lpad, "TO_CLOB": _as_text, "TO_NCLOB": _as_text, "TO_BLOB": _as_bytes,
    "HEXTORAW": _raw, "UNISTR": _unistr, "TO_NCHAR": _as_text, "EMPTY_CLOB": lambda: "", "EMPTY_BLOB": lambda: b"",
    "LENGTHB": lambda value: None if value is None else len(str(value).encode()),
    "SYSTIMESTAMP_": lambda: datetime.now().isoformat(" "), "TO_BINARY_DOUBLE": _same, "TO_BINARY_FLOAT": _same,
    "MOD": lambda one, two: one % two if two else one, "CHR": lambda code: chr(code),
    "CAST_TO_RAW": _as_bytes, "CAST_TO_VARCHAR2": _as_text,
}  # fmt: skip


def add_functions(connection: sqlite3.Connection, contexts: Callable[[str, str], Value]) -> None:
    """`contexts` answers SYS_CONTEXT."""
    for name, function in _FUNCTIONS.items():
        connection.create_function(name, -1, function)
    connection.create_function("SYS_CONTEXT", -1, lambda space, name, *_: contexts(str(space), str(name)))


_SAID = (
    (r"cast\s*\(.*\bas\s+(.+)\)$", ""), (r"(?:to_clob|empty_clob)\s*\(", "CLOB"), (r"to_nclob\s*\(", "NCLOB"),
    (r"(?:to_blob|empty_blob)\s*\(", "BLOB"), (r"to_date\s*\(|sysdate", "DATE"),
    (r"to_timestamp\s*\(|systimestamp", "TIMESTAMP"), (r"to_binary_double\s*\(", "BINARY_DOUBLE"),
    (r"to_binary_float\s*\(", "BINARY_FLOAT"), (r"rowid$", "VARCHAR2(18)"),
)  # fmt: skip


def type_of_expression(text: str) -> str:
    """The type that an expression says of itself, or ''."""
    for pattern, kind in _SAID:
        if found := re.match(pattern, text.strip(), re.I | re.S):
            return kind or found[1]
    return ""
