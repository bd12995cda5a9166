"""Oracle's native network encryption (ANO): what a client asks for, and how it is told that there is none.

The layout is node-oracledb's (`lib/thin/sqlnet/ANO.js`); the declining answer was compared with one of a server.
"""

from __future__ import annotations

from .codec import Malformed

MAGIC = b"\xde\xad\xbe\xef"
_VERSION = 0x13000000
_SUPERVISOR, _AUTHENTICATION, _ENCRYPTION, _INTEGRITY = 4, 1, 2, 3
_KIND_BYTES, _KIND_UB1, _KIND_VERSION, _KIND_STATUS = 1, 2, 5, 6


def asks(content: bytes) -> bool:
    """Whether it is a request for encryption."""
    return content[:4] == MAGIC[: len(content[:4])] and len(content) > 0


def is_whole(content: bytes) -> bool:
    """Whether all of the request is there. Raises Malformed."""
    if len(content) < 6:
        return False
    length = int.from_bytes(content[4:6], "big")
    if not 13 <= length <= 8192:
        raise Malformed(f"a request for encryption of {length} bytes")
    return len(content) >= length


def declined() -> bytes:
    """The answer of a server that has neither encryption nor integrity."""
    services = (
        _service(_SUPERVISOR, (_KIND_VERSION, _VERSION.to_bytes(4, "big")), (_KIND_STATUS, b"\x00\x1f"),
                 (_KIND_BYTES, _active())),
        _service(_AUTHENTICATION, (_KIND_VERSION, _VERSION.to_bytes(4, "big")), (_KIND_STATUS, b"\xfb\xff")),
        _service(_ENCRYPTION, (_KIND_VERSION, _VERSION.to_bytes(4, "big")), (_KIND_UB1, b"\x00")),
        _service(_INTEGRITY, (_KIND_VERSION, _VERSION.to_bytes(4, "big")), (_KIND_UB1, b"\x00")),
    )  # fmt: skip
    body = b"".join(services)
    length = 4 + 2 + 4 + 2 + 1 + len(body)
    return MAGIC + length.to_bytes(2, "big") + bytes(4) + len(services).to_bytes(2, "big") + b"\0" + body


def _active() -> bytes:
    """The list of services that are there."""
    numbers = (_SUPERVISOR, _AUTHENTICATION)
    return MAGIC + b"\0\3" + len(numbers).to_bytes(4, "big") + b"".join(each.to_bytes(2, "big") for each in numbers)


def _service(number: int, *fields: tuple[int, bytes]) -> bytes:
    head = number.to_bytes(2, "big") + len(fields).to_bytes(2, "big") + bytes(4)
    return head + b"".join(len(data).to_bytes(2, "big") + kind.to_bytes(2, "big") + data for kind, data in fields)
