"""Messages of both sides as byte vectors, put together from the layouts of [MS-TDS]; nothing of the engine's."""

from __future__ import annotations

import struct


def packets(kind: int, data: bytes, *, size: int = 4096, status: int = 1, first: int = 0, spid: int = 0) -> bytes:
    """A message; `first` are bits of its first packet beside the last one's `status`."""
    out = b""
    room = size - 8
    starts = list(range(0, max(len(data), 1), room))
    for number, start in enumerate(starts, 1):
        part = data[start : start + room]
        bits = (status if start == starts[-1] else 0) | (first if start == 0 else 0)
        out += struct.pack(">BBHHBB", kind, bits, len(part) + 8, spid, number & 255, 0) + part
    return out


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def b_text(text: str) -> bytes:
    return bytes((len(text),)) + wide(text)


def us_text(text: str) -> bytes:
    return struct.pack("<H", len(text)) + wide(text)


HEADERS = struct.pack("<IIHQI", 22, 18, 2, 0, 1)


# --------------------------------------------------------------------------------------------------------- the client


def batch(text: str, *, size: int = 4096, headers: bytes = HEADERS, first: int = 0, status: int = 1) -> bytes:
    return packets(1, headers + wide(text), size=size, first=first, status=status)


def attention() -> bytes:
    return packets(6, b"")


NVARCHAR = b"\xe7\x40\x1f\x09\x04\xd0\x00\x34"
NVARCHAR_MAX = b"\xe7\xff\xff\x09\x04\xd0\x00\x34"
INT = b"\x26\x04"


def parameter(info: bytes, value: bytes, name: str = "", *, output: bool = False) -> bytes:
    return b_text(name) + bytes((1 if output else 0,)) + info + value


def nvarchar(text: str | None, name: str = "") -> bytes:
    if text is None:
        return parameter(NVARCHAR, b"\xff\xff", name)
    return parameter(NVARCHAR, struct.pack("<H", 2 * len(text)) + wide(text), name)


def long_nvarchar(text: str, name: str = "", *, chunk: int = 1000) -> bytes:
    data = wide(text)
    value = b"\xfe" + b"\xff" * 7
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        value += struct.pack("<I", len(part)) + part
    return parameter(NVARCHAR_MAX, value + bytes(4), name)


def integer(number: int | None, name: str = "", *, output: bool = False) -> bytes:
    value = b"\0" if number is None else b"\4" + struct.pack("<i", number)
    return parameter(INT, value, name, output=output)


def call(procedure: int | str, *parameters: bytes, flags: int = 0) -> bytes:
    """One RPC of a message."""
    name = us_text(procedure) if isinstance(procedure, str) else b"\xff\xff" + struct.pack("<H", procedure)
    return name + struct.pack("<H", flags) + b"".join(parameters)


def rpc(*calls: bytes, size: int = 4096, separator: bytes = b"\xff", first: int = 0, headers: bytes = HEADERS) -> bytes:
    return packets(3, headers + separator.join(calls), size=size, first=first)


def executesql(text: str, definition: str, *values: bytes) -> bytes:
    return call(10, nvarchar(text), *((nvarchar(definition), *values) if definition else ()))


def transaction(kind: int, rest: bytes) -> bytes:
    return packets(14, HEADERS + struct.pack("<H", kind) + rest)


# --------------------------------------------------------------------------------------------------------- the server

MORE, ERROR, COUNT, ATTENTION = 1, 2, 16, 32


def answer(*tokens: bytes, size: int = 4096, status: int = 1) -> bytes:
    return packets(4, b"".join(tokens), size=size, status=status, spid=51)


def done(status: int = 0, rows: int = 0, *, kind: int = 0xFD, old: bool = False) -> bytes:
    return bytes((kind,)) + struct.pack("<HHI" if old else "<HHQ", status, 0xC1, rows)


def done_procedure(status: int = 0, rows: int = 0) -> bytes:
    return done(status, rows, kind=0xFE)


def done_within(status: int = 0, rows: int = 0) -> bytes:
    return done(status, rows, kind=0xFF)


def error(number: int, text: str, level: int = 16, *, kind: int = 0xAA, old: bool = False) -> bytes:
    body = struct.pack("<iBB", number, 1, level) + us_text(text) + b_text("SRV") + b_text("")
    body += struct.pack("<H" if old else "<I", 1)
    return bytes((kind,)) + struct.pack("<H", len(body)) + body


def info(number: int, text: str) -> bytes:
    return error(number, text, 0, kind=0xAB)


def change(kind: int, new: bytes, old: bytes = b"\0") -> bytes:
    body = bytes((kind,)) + new + old
    return b"\xe3" + struct.pack("<H", len(body)) + body


def database(name: str) -> bytes:
    return change(1, b_text(name), b_text("before"))


def begun() -> bytes:
    return change(8, b"\x08" + bytes(8))


def committed() -> bytes:
    return change(9, b"\0", b"\x08" + bytes(8))


def columns(*described: tuple[bytes, str], old: bool = False) -> bytes:
    out = b"\x81" + struct.pack("<H", len(described))
    for type_info, name in described:
        out += struct.pack("<HH" if old else "<IH", 0, 9) + type_info + b_text(name)
    return out


NO_COLUMNS = b"\x81\xff\xff"


def row(*values: bytes) -> bytes:
    return b"\xd1" + b"".join(values)


def row_with_nulls(values: list[bytes | None]) -> bytes:
    bits = bytearray((len(values) + 7) // 8)
    for index, value in enumerate(values):
        if value is None:
            bits[index >> 3] |= 1 << (index & 7)
    return b"\xd2" + bytes(bits) + b"".join(value for value in values if value is not None)


def int_value(number: int) -> bytes:
    return b"\4" + struct.pack("<i", number)


def text_value(text: str) -> bytes:
    return struct.pack("<H", 2 * len(text)) + wide(text)


def chunks(*parts: bytes) -> bytes:
    return b"\xfe" + b"\xff" * 7 + b"".join(struct.pack("<I", len(part)) + part for part in parts) + bytes(4)


def return_value(number: int, ordinal: int = 0, name: str = "") -> bytes:
    head = b"\xac" + struct.pack("<H", ordinal) + b_text(name) + b"\1" + struct.pack("<IH", 0, 0)
    return head + INT + int_value(number)


def return_status(number: int = 0) -> bytes:
    return b"\x79" + struct.pack("<i", number)
