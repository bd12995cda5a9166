"""Packets of TDS, and the bytes below them: clear, in TLS that is wrapped in packets at first, or in TLS from the
start.

One thread reads and one writes. Facts: [MS-TDS] 2.2.3.1 (packet header), 3.3.5.1 (TLS inside PRELOGIN packets).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct(">BBHHBB")
SMALLEST_PACKET = 512
LARGEST_PACKET = 32767
FIRST_PACKET_SIZE = 4096
"""Until the login is answered."""


class PacketType(IntEnum):
    BATCH = 0x01
    OLD_LOGIN = 0x02
    RPC = 0x03
    RESPONSE = 0x04
    ATTENTION = 0x06
    BULK = 0x07
    FEDERATED_TOKEN = 0x08
    TRANSACTION = 0x0E
    LOGIN = 0x10
    SSPI = 0x11
    PRELOGIN = 0x12


END_OF_MESSAGE = 0x01
IGNORE_MESSAGE = 0x02
RESET_CONNECTION = 0x08
RESET_KEEPING_TRANSACTION = 0x10


class ProtocolError(Exception):
    """The client sent what no TDS client may send; the connection is closed."""


class Closed(Exception):
    """The client is gone."""


@dataclass(frozen=True)
class Packet:
    """`data` is without the header."""

    type: int
    status: int
    data: bytes

    @property
    def last(self) -> bool:
        """Whether its message ends with it."""
        return bool(self.status & END_OF_MESSAGE)


def framed(kind: int, data: bytes | memoryview, size: int, spid: int = 0) -> bytes:
    """A message cut into packets of at most `size` bytes."""
    room = size - HEADER.size
    parts: list[bytes | memoryview] = []
    number = 1
    for start in range(0, max(len(data), 1), room):
        piece = data[start : start + room]
        status = END_OF_MESSAGE if start + room >= len(data) else 0
        parts.append(HEADER.pack(kind, status, len(piece) + HEADER.size, spid, number & 0xFF, 0))
        parts.append(piece)
        number += 1
    return b"".join(parts)


class Transport:
    """The bytes of one connection. Raises Closed when the client is gone."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._clear = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._received, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._lock, self._sending = threading.Lock(), threading.Lock()

    def peek(self) -> int:
        """The first byte that the client sends."""
        first = self._receive(1, socket.MSG_PEEK)
        return first[0]

    def _receive(self, size: int, flags: int = 0) -> bytes:
        try:
            data = self.socket.recv(size, flags)
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        return data

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._clear) < size:
            if self._tls is None:
                self._clear += self._receive(65536)
            else:
                self._decrypt(self._tls)
        data = bytes(self._clear[:size])
        del self._clear[:size]
        return data

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        with self._lock:
            try:
                data = tls.read(65536)
            except ssl.SSLWantReadError:
                data = None
            except ssl.SSLError as error:
                raise Closed from error
        if data is None:
            chunk = self._receive(65536)
            with self._lock:
                self._received.write(chunk)
        elif data:
            self._clear += data
        else:
            raise Closed

    def read_packet(self) -> Packet:
        """Raises ProtocolError where the header is not one."""
        kind, status, length, _spid, _number, _window = HEADER.unpack(self.read(HEADER.size))
        if not HEADER.size <= length <= LARGEST_PACKET + 1:
            raise ProtocolError(f"a packet of {length} bytes")
        return Packet(kind, status, self.read(length - HEADER.size))

    def write(self, data: bytes) -> None:
        """Sends, in one piece as far as other writers are concerned."""
        with self._sending:
            if self._tls is not None:
                with self._lock:
                    self._tls.write(data)
                    data = self._outgoing.read()
            try:
                self.socket.sendall(data)
            except OSError as error:
                raise Closed from error

    def start_tls(self, context: ssl.SSLContext, *, wrapped: bool) -> str | None:
        """The server's part of a handshake; `wrapped` in PRELOGIN packets. Returns the protocol that ALPN chose."""
        self._received, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._received, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                raise Closed from error
            flight = self._outgoing.read()
            if flight:
                self.write(framed(PacketType.PRELOGIN, flight, FIRST_PACKET_SIZE) if wrapped else flight)
            if done:
                self._tls = tls
                return tls.selected_alpn_protocol()
            if wrapped:
                packet = self.read_packet()
                if packet.type != PacketType.PRELOGIN:
                    raise ProtocolError(f"a packet of type {packet.type} instead of a TLS handshake")
                self._received.write(packet.data)
            else:
                self._received.write(self._receive(65536))

    def stop_tls(self) -> None:
        """From here on all is clear again, as after the first packet of an encrypted login."""
        self._tls = None
        self._clear += self._received.read()

    def close(self) -> None:
        """Ends it, also under a thread that reads or writes."""
        with contextlib.suppress(OSError):  # the client was faster
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
