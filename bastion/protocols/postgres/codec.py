"""Framing: one byte of kind, four of length (self included, big-endian), body. The first client message has no kind."""

from __future__ import annotations

import struct
from collections.abc import Generator

from bastion.protocols.contract import (
    MAX_LOGIN_MESSAGE,
    Answer,
    DatabaseError,
    Leg,
    ProtocolError,
    Read,
    Received,
    Step,
)

PROTOCOL_3 = 3
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

LONGEST_STARTUP = 10_000
"""Bytes of a message without kind: the limit of PostgreSQL itself (MAX_STARTUP_PACKET_LENGTH)."""

_length = struct.Struct(">I")
_pair = struct.Struct(">II")


class Left(Exception):
    """A leg closed during login."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(f"the {leg.value} closed the connection")
        self.leg = leg


class Inbox:
    """What has arrived on one leg during login. Its readers are parts of the login's steps."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.buffer = b""

    def more(self) -> Generator[Step, Answer, None]:
        """Waits for more bytes. Raises Left when there will be none."""
        answer = yield Read(self.leg)
        if not isinstance(answer, Received) or not answer.data:
            raise Left(self.leg)
        self.buffer += answer.data

    def peek(self, count: int) -> Generator[Step, Answer, bytes]:
        """The next `count` bytes, which stay."""
        while len(self.buffer) < count:
            yield from self.more()
        return self.buffer[:count]

    def startup(self) -> Generator[Step, Answer, tuple[int, bytes]]:
        """A message without kind: its code (protocol version or request) and its body.

        Raises ProtocolError for an impossible length as soon as that is there: four bytes of a stranger must not size
        a buffer.
        """
        size = _length.unpack((yield from self.peek(4)))[0]
        if not 8 <= size <= LONGEST_STARTUP:
            raise ProtocolError(self.leg, "the first message is no PostgreSQL startup message", self.buffer)
        whole = yield from self.peek(size)
        self.buffer = self.buffer[size:]
        return _length.unpack_from(whole, 4)[0], whole[8:]

    def message(self) -> Generator[Step, Answer, tuple[bytes, bytes, bytes]]:
        """A message: its kind, its body, and all of its bytes."""
        head = yield from self.peek(5)
        size = _length.unpack_from(head, 1)[0]
        if not 4 <= size <= MAX_LOGIN_MESSAGE:
            # Its header only: a password may be what follows.
            raise ProtocolError(self.leg, f"a message of {size} bytes during login", head)
        yield from self.peek(size + 1)
        whole, self.buffer = self.buffer[: size + 1], self.buffer[size + 1 :]
        return whole[:1], whole[5:], whole


def message(kind: bytes, body: bytes) -> bytes:
    """A message with its header."""
    return kind + _length.pack(len(body) + 4) + body


def startup(version: int, parameters: dict[str, str]) -> bytes:
    """A startup message. `version` holds major << 16 | minor."""
    body = b"".join(encoded(text) + b"\0" for pair in parameters.items() for text in pair) + b"\0"
    return _pair.pack(len(body) + 8, version) + body


def encoded(text: str) -> bytes:
    """The bytes of a text that came from the wire as `decoded` says, in whatever encoding they were."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """A text of the wire, from which `encoded` gets the same bytes again. Not fit to be shown or recorded."""
    return data.decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """A `decoded` text, fit to be shown and recorded."""
    return encoded(text).decode("utf-8", "backslashreplace")


def request(code: int, body: bytes = b"") -> bytes:
    """SSLRequest, CancelRequest."""
    return _pair.pack(len(body) + 8, code) + body


def startup_parameters(body: bytes) -> dict[str, str]:
    """The parameters of a startup message. Raises ProtocolError where they are not pairs of strings."""
    parts = body.split(b"\0")
    # name \0 value \0 … \0: splitting leaves two empty strings at the end.
    if len(parts) < 2 or parts[-1] or parts[-2] or len(parts) % 2:
        raise ProtocolError(Leg.CLIENT, "the startup parameters are not pairs of strings", body)
    texts = [decoded(part) for part in parts[:-2]]
    if not all(texts[::2]):
        raise ProtocolError(Leg.CLIENT, "a startup parameter without a name", body)
    return dict(zip(texts[::2], texts[1::2], strict=True))


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse, by their one-letter codes."""
    fields: dict[str, str] = {}
    for part in body.split(b"\0"):
        if part:
            fields.setdefault(chr(part[0]), part[1:].decode("utf-8", "backslashreplace"))
    return fields


def is_fatal(body: bytes) -> bool:
    """Whether the server ends the connection with this ErrorResponse (`V`: since 9.6, and not translated)."""
    fields = error_fields(body)
    return fields.get("V", fields.get("S", "")) in ("FATAL", "PANIC")


def database_error(body: bytes) -> DatabaseError:
    """An ErrorResponse for the record."""
    fields = error_fields(body)
    position = fields.get("P", "")
    return DatabaseError(fields.get("C", ""), fields.get("M", ""), int(position) if position.isdigit() else None)
