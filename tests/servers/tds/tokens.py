"""Tokens of a response, in the layout of the connection's version. [MS-TDS] 2.2.7."""

from __future__ import annotations

import struct

from .login import PRODUCT_VERSION
from .versions import ANSWERED, Version

SERVER_NAME = "TDSTEST"
COLLATION = bytes.fromhex("0904d00034")
UTF8_FEATURE = 0x0A

DONE, DONEPROC, DONEINPROC = 0xFD, 0xFE, 0xFF
MORE, ERROR, IN_TRANSACTION, COUNT, ATTENTION, SEVERE = 0x01, 0x02, 0x04, 0x10, 0x20, 0x100

ENV_DATABASE, ENV_LANGUAGE, ENV_PACKET_SIZE, ENV_COLLATION = 1, 2, 4, 7
ENV_BEGIN, ENV_COMMIT, ENV_ROLLBACK, ENV_RESET, ENV_ROUTING = 8, 9, 10, 18, 20


def short_text(text: str) -> bytes:
    """B_VARCHAR."""
    text = text[:255]
    return bytes([len(text.encode("utf-16-le")) // 2]) + text.encode("utf-16-le")


def long_text(text: str) -> bytes:
    """US_VARCHAR."""
    data = text.encode("utf-16-le", "surrogatepass")
    return struct.pack("<H", len(data) // 2) + data


def message(number: int, state: int, severity: int, text: str, version: Version, *, procedure: str = "",
            line: int = 1) -> bytes:  # fmt: skip
    """ERROR, or INFO where the severity is 10 or less."""
    token = 0xAA if severity > 10 else 0xAB
    body = struct.pack("<iBB", number, state, severity) + long_text(text[:4000])
    body += short_text(SERVER_NAME) + short_text(procedure)
    body += struct.pack("<I" if version.wide else "<H", line)
    return struct.pack("<BH", token, len(body)) + body


def done(token: int, status: int, count: int, version: Version, command: int = 0) -> bytes:
    """DONE, DONEPROC or DONEINPROC."""
    return struct.pack("<BHHQ" if version.wide else "<BHHI", token, status, command, count)


def changed(kind: int, new: str, old: str) -> bytes:
    """ENVCHANGE with texts."""
    body = bytes([kind]) + short_text(new) + short_text(old)
    return struct.pack("<BH", 0xE3, len(body)) + body


def changed_bytes(kind: int, new: bytes, old: bytes) -> bytes:
    """ENVCHANGE with bytes, each with a length of one byte."""
    body = bytes([kind, len(new)]) + new + bytes([len(old)]) + old
    return struct.pack("<BH", 0xE3, len(body)) + body


def routing(host: str, port: int) -> bytes:
    """ENVCHANGE that sends the client to another server."""
    new = struct.pack("<BH", 0, port) + long_text(host)
    body = bytes([ENV_ROUTING]) + struct.pack("<H", len(new)) + new + b"\0\0"
    return struct.pack("<BH", 0xE3, len(body)) + body


def login_acknowledged(version: Version) -> bytes:
    """LOGINACK."""
    major, minor, build, _ = PRODUCT_VERSION
    body = b"\x01" + ANSWERED[version] + short_text("Microsoft SQL Server") + struct.pack(">BBH", major, minor, build)
    return struct.pack("<BH", 0xAD, len(body)) + body


def features_acknowledged(asked: tuple[int, ...]) -> bytes:
    """FEATUREEXTACK of what is known among what was asked; nothing where nothing is."""
    if UTF8_FEATURE not in asked:
        return b""
    return struct.pack("<BBIB", 0xAE, UTF8_FEATURE, 1, 1) + b"\xff"


def return_status(value: int) -> bytes:
    """RETURNSTATUS of a procedure."""
    return struct.pack("<Bi", 0x79, value)


def return_value(ordinal: int, name: str, type_info: bytes, value: bytes, version: Version) -> bytes:
    """RETURNVALUE of an output parameter."""
    user_type = b"\0\0\0\0" if version.wide else b"\0\0"
    return struct.pack("<BH", 0xAC, ordinal) + short_text(name) + b"\x01" + user_type + b"\x01\x00" + type_info + value
