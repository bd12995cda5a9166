"""PostgreSQL messages written out by hand, apart from the package's own framing, which they check."""

from __future__ import annotations

import struct


def framed(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


# ------------------------------------------------------------------------------------------------------------- client


def startup(version: int = 0x0003_0000, **parameters: str) -> bytes:
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack(">II", len(body) + 8, version) + body


SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSSENC_REQUEST = bytes.fromhex("0000000804d21630")


def cancel_request(process: int, key: bytes) -> bytes:
    return struct.pack(">III", 12 + len(key), 80877102, process) + key


def password(text: str) -> bytes:
    return framed(b"p", text.encode() + b"\0")


def query(text: str | bytes) -> bytes:
    return framed(b"Q", (text.encode() if isinstance(text, str) else text) + b"\0")


def parse(text: str | bytes, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    sql = text.encode() if isinstance(text, str) else text
    return framed(b"P", name.encode() + b"\0" + sql + b"\0" + struct.pack(f">H{len(types)}I", len(types), *types))


def bind(
    values: tuple[bytes | None, ...] = (),
    portal: str = "",
    statement: str = "",
    formats: tuple[int, ...] = (),
    results: tuple[int, ...] = (),
) -> bytes:
    body = portal.encode() + b"\0" + statement.encode() + b"\0"
    body += struct.pack(f">H{len(formats)}H", len(formats), *formats)
    body += struct.pack(">H", len(values))
    body += b"".join(struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v for v in values)
    return framed(b"B", body + struct.pack(f">H{len(results)}H", len(results), *results))


def execute(portal: str = "", limit: int = 0) -> bytes:
    return framed(b"E", portal.encode() + b"\0" + struct.pack(">I", limit))


def describe(kind: str = "P", name: str = "") -> bytes:
    return framed(b"D", (kind + name).encode() + b"\0")


def close(kind: str, name: str) -> bytes:
    return framed(b"C", (kind + name).encode() + b"\0")


def function_call(oid: int, argument: bytes = b"") -> bytes:
    return framed(b"F", struct.pack(">IHHi", oid, 0, 1, len(argument)) + argument + b"\0\0")


def copy_data(data: bytes) -> bytes:
    return framed(b"d", data)


def copy_fail(reason: str) -> bytes:
    return framed(b"f", reason.encode() + b"\0")


SYNC = bytes.fromhex("5300000004")
FLUSH = bytes.fromhex("4800000004")
COPY_DONE = bytes.fromhex("6300000004")
TERMINATE = bytes.fromhex("5800000004")

# ------------------------------------------------------------------------------------------------------------- server

AUTHENTICATION_OK = bytes.fromhex("520000000800000000")
ASK_CLEARTEXT = bytes.fromhex("520000000800000003")
PARSE_COMPLETE = bytes.fromhex("3100000004")
BIND_COMPLETE = bytes.fromhex("3200000004")
CLOSE_COMPLETE = bytes.fromhex("3300000004")
NO_DATA = bytes.fromhex("6e00000004")
PORTAL_SUSPENDED = bytes.fromhex("7300000004")
EMPTY_QUERY = bytes.fromhex("4900000004")


def authentication(code: int, body: bytes = b"") -> bytes:
    return framed(b"R", struct.pack(">I", code) + body)


def ready(status: str = "I") -> bytes:
    return framed(b"Z", status.encode())


def complete(tag: str) -> bytes:
    return framed(b"C", tag.encode() + b"\0")


def row(*values: bytes | None) -> bytes:
    body = b"".join(struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v for v in values)
    return framed(b"D", struct.pack(">H", len(values)) + body)


def row_description(*names: str) -> bytes:
    body = b"".join(name.encode() + b"\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0) for name in names)
    return framed(b"T", struct.pack(">H", len(names)) + body)


def parameter_description(*types: int) -> bytes:
    return framed(b"t", struct.pack(f">H{len(types)}I", len(types), *types))


def error(code: str = "42P01", text: str = "relation does not exist", severity: str = "ERROR", **more: str) -> bytes:
    fields = {"S": severity, "V": severity, "C": code, "M": text, **more}
    return framed(b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0")


def notice(text: str) -> bytes:
    return framed(b"N", f"SNOTICE\0VNOTICE\0C00000\0M{text}\0\0".encode())


def parameter_status(name: str, value: str) -> bytes:
    return framed(b"S", f"{name}\0{value}\0".encode())


def notification(channel: str, payload: str) -> bytes:
    return framed(b"A", struct.pack(">I", 7) + f"{channel}\0{payload}\0".encode())


def backend_key(process: int, key: bytes) -> bytes:
    return framed(b"K", struct.pack(">I", process) + key)


def negotiate(minor: int, *options: str) -> bytes:
    names = b"".join(option.encode() + b"\0" for option in options)
    return framed(b"v", struct.pack(">II", minor, len(options)) + names)


def copy_in(columns: int = 1) -> bytes:
    return framed(b"G", struct.pack(f">BH{columns}H", 0, columns, *([0] * columns)))


def copy_out(columns: int = 1) -> bytes:
    return framed(b"H", struct.pack(f">BH{columns}H", 0, columns, *([0] * columns)))


def copy_both() -> bytes:
    return framed(b"W", b"\0\0\0")


def function_result(value: bytes) -> bytes:
    return framed(b"V", struct.pack(">i", len(value)) + value)
