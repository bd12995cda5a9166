"""Packets and messages: framing both ways, and the reader of the login phase ([MS-TDS] 2.2.3)."""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import NamedTuple

from bastion.protocols.contract import MAX_LOGIN_MESSAGE, Answer, Leg, ProtocolError, Read, Received, Send, Step

from .constants import FIRST_PACKET_SIZE, HEADER, LAST, PACKET_KINDS, PacketKind

unpack_u16 = struct.Struct("<H").unpack_from
unpack_u32 = struct.Struct("<I").unpack_from
unpack_u64 = struct.Struct("<Q").unpack_from
unpack_i32 = struct.Struct("<i").unpack_from
_head = struct.Struct(">BBHHBB")


class Short(Exception):
    """The bytes end before the value does."""


class Malformed(Exception):
    """The bytes cannot be what they should be; the message says what."""


class Message(NamedTuple):
    """A whole message: its kind, its data, and the server's process id of its first packet."""

    kind: int
    data: bytes
    spid: int
    raw: bytes


def encode_message(
    kind: int, data: bytes, *, size: int = FIRST_PACKET_SIZE, spid: int = 0, first: int = 1, last: int = LAST
) -> bytes:
    """A message as packets of at most `size` bytes, counted from `first`; `last` is the status of the last one."""
    room = size - HEADER
    parts = []
    for number, start in enumerate(range(0, max(len(data), 1), room), first):
        part = data[start : start + room]
        status = last if start + room >= len(data) else 0
        parts.append(_head.pack(kind, status, HEADER + len(part), spid, number & 0xFF, 0) + part)
    return b"".join(parts)


def text(data: bytes) -> str:
    """UTF-16 as the protocol has it; half a surrogate is shown as an escape."""
    return data.decode("utf-16-le", "backslashreplace")


def b_varchar(data: bytes, position: int) -> tuple[str, int]:
    """A string behind one byte that counts its UTF-16 units, and the position behind it. Raises Short."""
    if position >= len(data):
        raise Short
    if not data[position]:
        return "", position + 1
    end = position + 1 + 2 * data[position]
    if end > len(data):
        raise Short
    return text(data[position + 1 : end]), end


def us_varchar(data: bytes, position: int) -> tuple[str, int]:
    """The same behind two bytes. Raises Short."""
    if position + 2 > len(data):
        raise Short
    end = position + 2 + 2 * unpack_u16(data, position)[0]
    if end > len(data):
        raise Short
    return text(data[position + 2 : end]), end


def encode_b_varchar(value: str) -> bytes:
    encoded = value.encode("utf-16-le", "replace")[: 2 * 255]
    return bytes((len(encoded) // 2,)) + encoded


def encode_us_varchar(value: str) -> bytes:
    encoded = value.encode("utf-16-le", "replace")[: 2 * 0x7FFF]
    return (len(encoded) // 2).to_bytes(2, "little") + encoded


class LegClosed(Exception):
    """The peer of this leg has closed the connection during login."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg.value)
        self.leg = leg


class LoginLeg:
    """One leg during login: what was read and not used yet."""

    __slots__ = ("buffer", "leg")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.buffer = b""

    def peek(self) -> Generator[Step, Answer, int]:
        """The next byte, which stays. Raises LegClosed."""
        while not self.buffer:
            yield from self._more()
        return self.buffer[0]

    def _more(self) -> Generator[Step, Answer, None]:
        answer = yield Read(self.leg)
        assert isinstance(answer, Received)
        if not answer.data:
            raise LegClosed(self.leg)
        self.buffer += answer.data

    def read_message(self) -> Generator[Step, Answer, Message]:
        """The next message, whole. Raises LegClosed and ProtocolError (length, kind)."""
        kind = spid = -1
        parts: list[bytes] = []
        position = 0
        total = 0
        while True:
            while len(self.buffer) < position + HEADER:
                yield from self._more()
            found, status, length, process, _, _ = _head.unpack_from(self.buffer, position)
            if kind < 0:
                kind, spid = found, process
            if found != kind or length < HEADER or kind not in PACKET_KINDS:
                raise ProtocolError(self.leg, "a packet that no login has", self.buffer[position : position + HEADER])
            total += length
            if total > MAX_LOGIN_MESSAGE:
                raise ProtocolError(self.leg, "a message that is too long before login is complete")
            while len(self.buffer) < position + length:
                yield from self._more()
            parts.append(self.buffer[position + HEADER : position + length])
            position += length
            if status & LAST:
                raw, self.buffer = self.buffer[:position], self.buffer[position:]
                return Message(kind, b"".join(parts), spid, raw)

    def send(self, kind: int, data: bytes, *, spid: int = 0) -> Generator[Step, Answer, None]:
        """Sends a message."""
        yield Send(self.leg, encode_message(kind, data, spid=spid))


class LoginEnvelope:
    """Carries the handshake of TLS in PRELOGIN packets ([MS-TDS] 2.2.6.5, 3.2.5.1).

    `login_only`: TLS ends with the first packet under it, which is the first one of LOGIN7.
    """

    def __init__(self, leg: Leg, *, login_only: bool = False) -> None:
        self._leg = leg
        self.ends = login_only

    def wrapped(self, records: bytes) -> bytes:
        return encode_message(PacketKind.PRELOGIN, records)

    def unwrapped(self, data: bytes) -> tuple[bytes, int]:
        if not data:
            return b"", 0
        if 0x14 <= data[0] <= 0x17:
            # A record as it is: there are peers that leave the packets out before their handshake is done.
            size = 5 + int.from_bytes(data[3:5], "big")
            return (data[:size], size) if len(data) >= max(size, 5) else (b"", 0)
        if len(data) < HEADER:
            return b"", 0
        length = int.from_bytes(data[2:4], "big")
        if data[0] not in (PacketKind.PRELOGIN, PacketKind.ANSWER) or length < HEADER:
            raise ProtocolError(self._leg, "a packet that is no part of a TLS handshake", data[:HEADER])
        return (data[HEADER:length], length) if len(data) >= length else (b"", 0)

    def is_over(self, clear: bytes) -> bool:
        return len(clear) >= HEADER and len(clear) >= int.from_bytes(clear[2:4], "big")
