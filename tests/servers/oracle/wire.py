"""Packets on a socket, and the values inside them, as thin drivers write them."""

from __future__ import annotations

import socket
import struct

CONNECT, ACCEPT, REFUSE, REDIRECT, DATA, RESEND, MARKER = 1, 2, 4, 5, 6, 11, 12
BREAK, RESET = 1, 2


class Gone(Exception):
    """The client has closed the connection."""


class Broken(Exception):
    """The client has sent a break."""


class Wire:
    """One client. `wide`: packets have lengths of four bytes; `unit`: the longest packet that is sent."""

    def __init__(self, connection: socket.socket, unit: int) -> None:
        self.connection = connection
        self.unit = unit
        self.wide = False
        self.end_of_response = False
        self.token = 0
        """Of the call that is answered, where it is one of a pipeline."""
        self._input = b""
        self._at = 0

    # --------------------------------------------------------------------------------------------------------- packets

    def packet(self) -> tuple[int, int, bytes]:
        """Type, flags and body of the next packet. Raises Gone."""
        head = self._exactly(8)
        length = struct.unpack(">I", head[:4])[0] if self.wide else struct.unpack(">H", head[:2])[0]
        return head[4], head[5], self._exactly(length - 8)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.connection.recv(min(size, 1 << 16))
            if not part:
                raise Gone
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def send_packet(self, kind: int, body: bytes, flags: int = 0) -> None:
        length = len(body) + 8
        head = struct.pack(">I", length) if self.wide else struct.pack(">HH", length, 0)
        self.connection.sendall(head + bytes((kind, flags, 0, 0)) + body)

    def send(self, message: bytes, *, whole: bool = True) -> None:
        """An answer, or the beginning of one, in as many packets as it takes."""
        if self.token:
            message = b"\x21" + number(self.token) + message
        if self.end_of_response and whole:
            message += b"\x1d"
        room = self.unit - 10
        for start in range(0, len(message), room):
            last = whole and start + room >= len(message)
            flags = 0x2000 if last and self.end_of_response else 0
            self.send_packet(DATA, struct.pack(">H", flags) + message[start : start + room])

    def send_marker(self, kind: int) -> None:
        self.send_packet(MARKER, bytes((1, 0, kind)))

    # ---------------------------------------------------------------------------------------------------------- values

    def more(self) -> None:
        """The contents of the next DATA packet are added. Raises Gone and Broken."""
        kind, _, body = self.packet()
        if kind == MARKER:
            if body[2] == RESET:
                return
            self._input, self._at = b"", 0
            raise Broken
        if kind != DATA:
            raise Gone
        if body[:2] == b"\0\x40" and len(body) == 2:
            raise Gone
        self._input = self._input[self._at :] + body[2:]
        self._at = 0

    def begin(self) -> None:
        """Forgets what was left of the last message."""
        self._input, self._at = b"", 0

    @property
    def left(self) -> int:
        """Bytes that have come and were not read."""
        return len(self._input) - self._at

    def take(self, size: int) -> bytes:
        while len(self._input) - self._at < size:
            self.more()
        self._at += size
        return self._input[self._at - size : self._at]

    def peek(self) -> int:
        value = self.take(1)[0]
        self._at -= 1
        return value

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        size = self.byte()
        value = int.from_bytes(self.take(size & 0x7F), "big")
        return -value if size & 0x80 else value

    def string(self, big_chunks: bool = True) -> bytes | None:
        size = self.byte()
        if size in (0, 255):
            return None
        if size == 253:
            self.take(1)
            return None
        if size != 254:
            return self.take(size)
        parts = []
        while part := (self.number() if big_chunks else self.byte()):
            parts.append(self.take(part))
        return b"".join(parts)

    def counted(self) -> bytes:
        return (self.string() or b"") if self.number() else b""


def number(value: int) -> bytes:
    """A number behind its length."""
    data = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "big")
    return bytes((len(data) | (0x80 if value < 0 else 0),)) + data


def string(data: bytes | None) -> bytes:
    """Bytes behind their length, in chunks where they are many."""
    if not data:
        return b"\0"
    if len(data) <= 252:
        return bytes((len(data),)) + data
    parts = [b"\xfe"]
    for start in range(0, len(data), 32767):
        part = data[start : start + 32767]
        parts.append(number(len(part)) + part)
    return b"".join(parts) + b"\0"


def counted(data: bytes) -> bytes:
    return number(len(data)) + (string(data) if data else b"")
