"""MariaDB's client library (libmariadb, which the command-line client brings) as a client for tests.

What the drivers of Python do not speak is here: COM_CHANGE_USER, MariaDB's direct and bulk execution, cursors, long
data. Numbers and the layout of MYSQL_BIND are those of MariaDB Connector/C 3.3's public headers.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from typing import Any

from . import excuses

OPT_CONNECT_TIMEOUT, OPT_LOCAL_INFILE, OPT_MAX_ALLOWED_PACKET = 0, 8, 40
OPT_SSL_VERIFY, OPT_SSL_CA, OPT_SSL_ENFORCE = 21, 27, 38
ATTRIBUTE_CURSOR, ATTRIBUTE_PREFETCH, ATTRIBUTE_PARAMETERS, ATTRIBUTE_ARRAY = 1, 2, 200, 201
CURSOR_READ_ONLY = 1
NULL, DEFAULT, UNCHANGED = 1, 2, 3
"""Indicators of a bulk execution, in the place of a value."""
LONG, LONGLONG, DOUBLE, STRING, BLOB, TIME, DATE, DATETIME, TYPE_NULL = 3, 8, 5, 254, 252, 11, 10, 12, 6
NO_DATA = 100


class _Bind(ctypes.Structure):
    _fields_ = [
        ("length", ctypes.c_void_p), ("is_null", ctypes.c_void_p), ("buffer", ctypes.c_void_p),
        ("error", ctypes.c_void_p), ("indicator", ctypes.c_void_p), ("store_param_func", ctypes.c_void_p),
        ("fetch_result", ctypes.c_void_p), ("skip_result", ctypes.c_void_p), ("buffer_length", ctypes.c_ulong),
        ("offset", ctypes.c_ulong), ("length_value", ctypes.c_ulong), ("flags", ctypes.c_uint),
        ("pack_length", ctypes.c_uint), ("buffer_type", ctypes.c_int), ("error_value", ctypes.c_char),
        ("is_unsigned", ctypes.c_char), ("long_data_used", ctypes.c_char), ("is_null_value", ctypes.c_char),
        ("extension", ctypes.c_void_p),
    ]  # fmt: skip


class Moment(ctypes.Structure):
    """MYSQL_TIME; `type` 0 is a date, 1 a date and time, 2 a time."""

    _fields_ = [
        ("year", ctypes.c_uint), ("month", ctypes.c_uint), ("day", ctypes.c_uint), ("hour", ctypes.c_uint),
        ("minute", ctypes.c_uint), ("second", ctypes.c_uint), ("microseconds", ctypes.c_ulong),
        ("negative", ctypes.c_char), ("type", ctypes.c_int),
    ]  # fmt: skip


_POINTERS = (
    "mysql_init", "mysql_real_connect", "mysql_use_result", "mysql_store_result", "mysql_fetch_row",
    "mysql_fetch_lengths", "mysql_stmt_init", "mysql_stmt_result_metadata",
)  # fmt: skip


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libmariadb.so.3")
    except OSError:
        excuses.skip("no-mariadb")
    for name in _POINTERS:
        getattr(library, name).restype = ctypes.c_void_p
    for name in ("mysql_error", "mysql_stmt_error"):
        getattr(library, name).restype = ctypes.c_char_p
    library.mysql_affected_rows.restype = library.mysql_stmt_affected_rows.restype = ctypes.c_longlong
    library.mysql_thread_id.restype = ctypes.c_ulong
    return library


class Failed(Exception):
    """The server (or the library) said no: number and words."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"{number}: {words}")
        self.number = number
        self.words = words


class Connection:
    """One connection; `flags` are client capabilities."""

    def __init__(
        self, host: str, port: int, user: str, password: str = "", database: str | None = None, *, flags: int = 0,
        ca: str | None = None,
    ) -> None:  # fmt: skip
        self.driver = _library()
        self.handle = ctypes.c_void_p(self.driver.mysql_init(None))
        self.option(OPT_CONNECT_TIMEOUT, ctypes.c_uint(15))
        self.option(OPT_LOCAL_INFILE, ctypes.c_uint(1))
        self.option(OPT_MAX_ALLOWED_PACKET, ctypes.c_ulong(1 << 27))
        self.option(OPT_SSL_VERIFY, ctypes.c_char(b"\1" if ca else b"\0"))
        if ca:
            self.option(OPT_SSL_CA, ctypes.c_char_p(ca.encode()), by_value=True)
            self.option(OPT_SSL_ENFORCE, ctypes.c_char(b"\1"))
        done = self.driver.mysql_real_connect(
            self.handle, host.encode(), user.encode(), password.encode(), database.encode() if database else None,
            ctypes.c_uint(port), None, ctypes.c_ulong(flags),
        )  # fmt: skip
        if not done:
            raise self.failure()

    def option(self, number: int, value: Any, *, by_value: bool = False) -> None:
        self.driver.mysql_options(self.handle, number, value if by_value else ctypes.byref(value))

    def failure(self) -> Failed:
        return Failed(self.driver.mysql_errno(self.handle), self.driver.mysql_error(self.handle).decode())

    def close(self) -> None:
        if self.handle:
            self.driver.mysql_close(self.handle)
            self.handle = ctypes.c_void_p(None)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def thread_id(self) -> int:
        return int(self.driver.mysql_thread_id(self.handle))

    def change_user(self, user: str, password: str, database: str | None) -> None:
        name = database.encode() if database else None
        if self.driver.mysql_change_user(self.handle, user.encode(), password.encode(), name):
            raise self.failure()

    def call(self, name: str, *arguments: Any) -> int:
        """A function of the library that takes the connection and answers 0 for success."""
        result = getattr(self.driver, name)(self.handle, *arguments)
        if result:
            raise self.failure()
        return int(result)

    def query(self, text: str) -> list[list[tuple[bytes | None, ...]] | int]:
        """Every result of the text: rows, or the number of rows that were affected."""
        data = text.encode()
        if self.driver.mysql_real_query(self.handle, data, ctypes.c_ulong(len(data))):
            raise self.failure()
        results: list[list[tuple[bytes | None, ...]] | int] = []
        while True:
            results.append(self._result())
            following = self.driver.mysql_next_result(self.handle)
            if following > 0:
                raise self.failure()
            if following < 0:
                return results

    def _result(self) -> list[tuple[bytes | None, ...]] | int:
        found = self.driver.mysql_store_result(self.handle)
        if not found:
            if self.driver.mysql_errno(self.handle):
                raise self.failure()
            return int(self.driver.mysql_affected_rows(self.handle))
        result = ctypes.c_void_p(found)
        columns = self.driver.mysql_num_fields(result)
        rows = []
        while row := self.driver.mysql_fetch_row(result):
            values = ctypes.cast(row, ctypes.POINTER(ctypes.c_void_p))
            sizes = ctypes.cast(self.driver.mysql_fetch_lengths(result), ctypes.POINTER(ctypes.c_ulong))
            rows.append(
                tuple(ctypes.string_at(values[n], sizes[n]) if values[n] else None for n in range(columns))
            )  # fmt: skip
        self.driver.mysql_free_result(result)
        return rows

    def statement(self, text: str | None = None) -> Statement:
        """A prepared statement, or an empty one for `execute_direct`."""
        statement = Statement(self)
        if text is not None:
            statement.prepare(text)
        return statement


class Statement:
    """A server-side prepared statement. Values: None, int, float, str, bytes, Moment, or (type, ctypes value)."""

    def __init__(self, connection: Connection) -> None:
        self.driver = connection.driver
        self.handle = ctypes.c_void_p(self.driver.mysql_stmt_init(connection.handle))
        self._kept: list[Any] = []

    def _check(self, result: int) -> None:
        if result:
            raise Failed(self.driver.mysql_stmt_errno(self.handle), self.driver.mysql_stmt_error(self.handle).decode())

    def prepare(self, text: str) -> None:
        self._check(self.driver.mysql_stmt_prepare(self.handle, text.encode(), ctypes.c_ulong(len(text.encode()))))

    def attribute(self, number: int, value: int) -> None:
        kind = ctypes.c_ulong if number in (ATTRIBUTE_CURSOR, ATTRIBUTE_PREFETCH) else ctypes.c_uint
        self._check(self.driver.mysql_stmt_attr_set(self.handle, number, ctypes.byref(kind(value))))

    def bind(self, *values: Any, unsigned: bool = False) -> None:
        binds = (_Bind * max(len(values), 1))()
        self._kept = [binds]
        for bind, value in zip(binds, values, strict=False):
            kind, held = _held(value)
            self._kept.append(held)
            bind.buffer_type = kind
            bind.is_unsigned = b"\1" if unsigned and isinstance(value, int) else b"\0"
            if held is not None:
                bind.buffer = ctypes.cast(ctypes.pointer(held), ctypes.c_void_p)
                bind.buffer_length = bind.length_value = len(value) if isinstance(value, (str, bytes)) else 0
                if isinstance(value, str):
                    bind.buffer_length = bind.length_value = len(value.encode())
                length = ctypes.c_ulong(bind.length_value)
                self._kept.append(length)
                bind.length = ctypes.cast(ctypes.pointer(length), ctypes.c_void_p)
        self._check(self.driver.mysql_stmt_bind_param(self.handle, binds))

    def long_data(self, index: int, data: bytes) -> None:
        self._check(self.driver.mysql_stmt_send_long_data(self.handle, index, data, ctypes.c_ulong(len(data))))

    def execute(self) -> int:
        """Runs it; the number of rows that it answers with, or that it affected."""
        self._check(self.driver.mysql_stmt_execute(self.handle))
        return self._rows()

    def execute_direct(self, text: str) -> int:
        """MariaDB's: prepared and run in one go, without an answer in between."""
        data = text.encode()
        self._check(self.driver.mariadb_stmt_execute_direct(self.handle, data, ctypes.c_ulong(len(data))))
        return self._rows()

    def bind_columns(self, *columns: Sequence[int | str | None] | list[Any], indicators: Any = None) -> None:
        """Values for a bulk execution, column by column; `indicators` has a list a column where it is given."""
        rows = len(columns[0])
        binds = (_Bind * len(columns))()
        self._kept = [binds]
        for number, (bind, column) in enumerate(zip(binds, columns, strict=True)):
            if all(isinstance(value, int) for value in column):
                bind.buffer_type = LONG
                array: Any = (ctypes.c_int * rows)(*column)
            else:
                bind.buffer_type = STRING
                texts = [ctypes.create_string_buffer(str(value).encode()) for value in column]
                self._kept.append(texts)
                array = (ctypes.c_void_p * rows)(*(ctypes.addressof(text) for text in texts))
                lengths = (ctypes.c_ulong * rows)(*(len(str(value).encode()) for value in column))
                self._kept.append(lengths)
                bind.length = ctypes.cast(lengths, ctypes.c_void_p)
            self._kept.append(array)
            bind.buffer = ctypes.cast(array, ctypes.c_void_p)
            if indicators is not None:
                marks = (ctypes.c_char * rows)(*(bytes((mark,)) for mark in indicators[number]))
                self._kept.append(marks)
                bind.indicator = ctypes.cast(marks, ctypes.c_void_p)
        self.attribute(ATTRIBUTE_ARRAY, rows)
        self._check(self.driver.mysql_stmt_bind_param(self.handle, binds))

    def _rows(self) -> int:
        if not self.driver.mysql_stmt_field_count(self.handle):
            return int(self.driver.mysql_stmt_affected_rows(self.handle))
        rows = 0
        while (result := self.driver.mysql_stmt_fetch(self.handle)) != NO_DATA:
            self._check(result if result == 1 else 0)
            rows += 1
        return rows

    def more_results(self) -> bool:
        """Whether there is another result, which is then read."""
        following = self.driver.mysql_stmt_next_result(self.handle)
        self._check(max(following, 0))
        if following == 0:
            self._rows()
        return bool(following == 0)

    def reset(self) -> None:
        self._check(self.driver.mysql_stmt_reset(self.handle))

    def close(self) -> None:
        self.driver.mysql_stmt_close(self.handle)


def _held(value: Any) -> tuple[int, Any]:
    """The type that a value is bound as, and the memory that holds it."""
    if value is None:
        return TYPE_NULL, None
    if isinstance(value, tuple):
        return value[0], value[1]
    if isinstance(value, Moment):
        return (DATE, DATETIME, TIME)[value.type], value
    if isinstance(value, int):
        return LONGLONG, ctypes.c_longlong(value) if value < 1 << 63 else ctypes.c_ulonglong(value)
    if isinstance(value, float):
        return DOUBLE, ctypes.c_double(value)
    data = value.encode() if isinstance(value, str) else value
    return STRING if isinstance(value, str) else BLOB, ctypes.create_string_buffer(data, max(len(data), 1))
