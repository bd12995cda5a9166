"""Messages of both sides in the universal form, made without the engine's code."""

from __future__ import annotations

from tests.servers.oracle.columns import Column, Declared, columns_of, description, encode
from tests.servers.oracle.wire import counted, number, string

FIELDS = 24


def packet(kind: int, body: bytes) -> bytes:
    """With a length of four bytes."""
    return (8 + len(body)).to_bytes(4, "big") + bytes((kind, 0, 0, 0)) + body


def data(content: bytes, flags: int = 0) -> bytes:
    return packet(6, flags.to_bytes(2, "big") + content)


def cut(content: bytes, size: int) -> bytes:
    """The same in packets of so many bytes of content."""
    return b"".join(data(content[at : at + size]) for at in range(0, len(content), size))


def marker(kind: int) -> bytes:
    return packet(12, bytes((1, 0, kind)))


def call(function: int, sequence: int = 1, body: bytes = b"") -> bytes:
    return bytes((3, function, sequence, 0)) + body


def piggyback(function: int, body: bytes) -> bytes:
    return bytes((17, function, 1, 0)) + body


def bind(kind: int, size: int = 100) -> bytes:
    """A bind's description."""
    return bytes((kind, 1, 0, 0)) + number(size) + number(0) * 5 + b"\1" + number(0) * 2


def execute(
    text: str | None, *, cursor: int = 0, binds: tuple[int | tuple[int, int], ...] = (),
    rows: tuple[tuple[bytes | None, ...], ...] = (),
    query: bool = False, options: int = 0x8021,
) -> bytes:  # fmt: skip
    """An execution with rows of binds, each value as its bytes. `binds`: kinds, or kinds and sizes."""
    body = number(options) + number(cursor) + bytes((text is not None,)) + number(len((text or "").encode()))
    body += b"\1" + number(13) + b"\1\1" + number(0) + number(2) + number(0)
    body += bytes((bool(binds),)) + number(len(binds)) + bytes(5) + b"\0" + number(0)
    body += number(0) + bytes(3) + number(0) + b"\0" + number(0) + number(0)
    body += b"\0" + number(0) + b"\0" + b"\0" + number(0) + b"\0" + number(0) + b"\0" + b"\0" + number(0)
    body += string((text or "").encode()) if text is not None else b""
    words = [1, len(rows) or 1, 0, 0, 0, 0, 0, int(query), 0, 0, 0, 0, 0]
    body += b"".join(number(word) for word in words) + b"".join(
        bind(*each) if isinstance(each, tuple) else bind(each) for each in binds
    )
    body += b"".join(b"\7" + b"".join(string(value) for value in row) for row in rows)
    return call(0x5E, body=body)


def again(cursor: int, count: int = 1, rows: tuple[tuple[bytes | None, ...], ...] = ()) -> bytes:
    """A cursor that is executed again."""
    body = number(cursor) + number(count) + number(0x20) + number(0)
    return call(4, body=body + b"".join(b"\7" + b"".join(string(value) for value in row) for row in rows))


def fetch(cursor: int, count: int = 100) -> bytes:
    return call(5, body=number(cursor) + number(count))


def end(error: int = 0, text: str = "", *, rows: int = 0, cursor: int = 0, status: int = 1) -> bytes:
    """The end of a call, without the two new fields."""
    return b"".join((
        b"\4", number(status), number(0), number(rows), number(error), number(0), number(0), number(cursor), number(0),
        bytes(6), number(0), number(0), b"\0", number(0), number(0), number(0), b"\0\1", number(0), number(0),
        number(0), number(0), number(0), number(0), number(error), number(rows),
        string((text + "\n").encode()) if error else b"",
    ))  # fmt: skip


NO_MORE = (1403, "ORA-01403: no data found")


def parameters(schema: str = "") -> bytes:
    changed = counted(schema.encode()) + number(0) + number(168) if schema else b""
    return b"\x08" + number(0) + number(0) + number(1 if schema else 0) + changed + number(0)


def status(value: int = 1) -> bytes:
    return b"\x09" + number(value) + number(0)


def described(names: tuple[str, ...], rows: list[tuple[int | str | None, ...]]) -> tuple[bytes, list[Column]]:
    columns = columns_of(list(names), [Declared("")] * len(names), rows)
    return b"\x10" + description(columns, FIELDS, scale_is_number=True), columns


def rows_of(columns: list[Column], rows: list[tuple[int | str | None, ...]]) -> bytes:
    head = b"\6\2" + number(len(columns)) + number(0) + number(len(rows)) + number(0) * 3
    return head + b"".join(
        b"\7" + b"".join(encode(column, value) for column, value in zip(columns, row, strict=True)) for row in rows
    )
