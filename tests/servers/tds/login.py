"""PRELOGIN and LOGIN7 as a server reads them. [MS-TDS] 2.2.6.5 and 2.2.6.4."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from .packets import ProtocolError
from .versions import Version, asked

PRODUCT_VERSION = (16, 0, 1000, 6)


class Encryption(IntEnum):
    """Of PRELOGIN. OFF: only the login is encrypted."""

    OFF = 0
    ON = 1
    NOT_SUPPORTED = 2
    REQUIRED = 3


class Option(IntEnum):
    VERSION = 0
    ENCRYPTION = 1
    INSTANCE = 2
    THREAD = 3
    MARS = 4
    TRACE = 5
    FEDERATED = 6


_END = 0xFF


def read_prelogin(payload: bytes) -> dict[int, bytes]:
    """The options. Raises ProtocolError."""
    options: dict[int, bytes] = {}
    at = 0
    while True:
        if at >= len(payload):
            raise ProtocolError("PRELOGIN without an end")
        if payload[at] == _END:
            return options
        if at + 5 > len(payload):
            raise ProtocolError("PRELOGIN is cut off")
        token, offset, length = struct.unpack_from(">BHH", payload, at)
        if offset + length > len(payload):
            raise ProtocolError("an option of PRELOGIN lies outside it")
        options[token] = payload[offset : offset + length]
        at += 5


def prelogin_answer(asked: dict[int, bytes], encryption: Encryption, *, mars: bool) -> bytes:
    """What the server says before the login; nothing of federation to a client that did not ask (Microsoft's ODBC
    driver
    hangs up)."""
    major, minor, build, sub_build = PRODUCT_VERSION
    options = [
        (Option.VERSION, struct.pack(">BBHH", major, minor, build, sub_build)),
        (Option.ENCRYPTION, bytes([encryption])),
        (Option.INSTANCE, b"\0"),
        (Option.THREAD, b""),
        (Option.MARS, bytes([mars])),
    ]
    if Option.FEDERATED in asked:
        options.append((Option.FEDERATED, b"\0"))
    offset = 5 * len(options) + 1
    head, body = b"", b""
    for token, data in options:
        head += struct.pack(">BHH", token, offset + len(body), len(data))
        body += data
    return head + bytes([_END]) + body


def negotiated(client: int, server: Encryption) -> Encryption:
    """The server's answer to what a client wants. [MS-TDS] 2.2.6.5, the table of ENCRYPTION."""
    client &= 0x3F
    if server is Encryption.NOT_SUPPORTED:
        return Encryption.NOT_SUPPORTED
    if client == Encryption.NOT_SUPPORTED:
        return Encryption.REQUIRED if server in (Encryption.ON, Encryption.REQUIRED) else Encryption.NOT_SUPPORTED
    if client == Encryption.OFF:
        return Encryption.REQUIRED if server in (Encryption.ON, Encryption.REQUIRED) else Encryption.OFF
    return Encryption.ON


@dataclass(frozen=True)
class Login:
    """What a LOGIN7 says. `integrated` and `federated` logins have no password."""

    version: Version
    packet_size: int
    host: str
    user: str
    password: str = field(repr=False)
    application: str
    server: str
    library: str
    language: str
    database: str
    integrated: bool
    federated: bool
    read_only: bool
    features: tuple[int, ...]
    new_password: str = field(default="", repr=False)
    attached_file: str = ""


_MOST_CHARACTERS = 128
_FIXED = 36


def _clear_text(data: bytes) -> str:
    return bytes(((byte ^ 0xA5) << 4 & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in data).decode("utf-16-le", "replace")


def read_login(payload: bytes) -> Login:
    """Raises ProtocolError where an offset or a length lies outside."""
    if len(payload) < 86:
        raise ProtocolError(f"LOGIN7 of {len(payload)} bytes")
    length, version_number, packet_size = struct.unpack_from("<III", payload)
    version = asked(version_number)
    if version is None:
        raise ProtocolError(f"a login for TDS {version_number:#x}")
    if not 86 <= length <= len(payload):
        raise ProtocolError(f"LOGIN7 says that it has {length} of {len(payload)} bytes")
    flags2, type_flags, flags3 = payload[25], payload[26], payload[27]
    data_from = struct.unpack_from("<H", payload, _FIXED)[0]

    def raw(at: int, width: int = 2, most: int = _MOST_CHARACTERS) -> bytes:
        if at + 4 > data_from:
            return b""
        offset, count = struct.unpack_from("<HH", payload, at)
        if not count:
            return b""
        if count > most or offset + width * count > length:
            raise ProtocolError(f"the field of LOGIN7 at {at} lies outside it")
        return payload[offset : offset + width * count]

    def text(at: int, most: int = _MOST_CHARACTERS) -> str:
        return raw(at, most=most).decode("utf-16-le", "replace")

    features: list[int] = []
    if flags3 & 0x10 and version >= Version.V7_4:
        place = raw(56, 1)
        if len(place) >= 4:
            features = _features(payload[:length], struct.unpack("<I", place[:4])[0])
    return Login(
        version=version, packet_size=packet_size, host=text(36), user=text(40), password=_clear_text(raw(44)),
        application=text(48), server=text(52), library=text(60), language=text(64), database=text(68),
        integrated=bool(flags2 & 0x80), federated=0x02 in features, read_only=bool(type_flags & 0x20),
        features=tuple(features), new_password=_clear_text(raw(86)) if version.wide else "",
        attached_file=text(82, 260),
    )  # fmt: skip


def _features(payload: bytes, at: int) -> list[int]:
    found: list[int] = []
    while True:
        if at >= len(payload):
            raise ProtocolError("the features of LOGIN7 have no end")
        if payload[at] == 0xFF:
            return found
        if at + 5 > len(payload):
            raise ProtocolError("the features of LOGIN7 are cut off")
        found.append(payload[at])
        at += 5 + struct.unpack_from("<I", payload, at + 1)[0]
