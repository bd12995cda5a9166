"""Several sessions on one connection (MARS): frames of [MC-SMP] 2.2, with their windows of 3.1."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable

from .channels import Channel
from .packets import HEADER, Closed, Packet, ProtocolError, Transport

FRAME = struct.Struct("<BBHIII")
MARK = 0x53
SYN, ACK, FIN, DATA = 1, 2, 4, 8
WINDOW = 4
"""Frames that may be under way without word of their arrival."""
MOST_SESSIONS = 64


class _Stream:
    """One session's frames, both ways."""

    def __init__(self, transport: Transport, number: int, window: int) -> None:
        self.channel = Channel(self._write)
        self._transport, self._number = transport, number
        self._sent, self._may_send = 0, window
        self._received = 0
        self._partial = bytearray()
        self._window = threading.Condition()
        self._over = False

    def _frame(self, flags: int, data: bytes = b"") -> bytes:
        return FRAME.pack(MARK, flags, self._number, FRAME.size + len(data), self._sent, self._received + WINDOW) + data

    def _write(self, data: bytes) -> None:
        """Packets, each in a frame of its own."""
        at = 0
        while at < len(data):
            length = struct.unpack_from(">H", data, at + 2)[0]
            with self._window:
                while self._sent >= self._may_send and not self._over:
                    self._window.wait(1)
                if self._over:
                    raise Closed
                self._sent += 1
                # Under the lock: frames must leave in the order of their numbers.
                self._transport.write(self._frame(DATA, data[at : at + length]))
            at += length

    def acknowledged(self, window: int) -> None:
        with self._window:
            self._may_send = max(self._may_send, window)
            self._window.notify_all()

    def arrived(self, data: bytes) -> None:
        with self._window:
            self._received += 1
            if self._received % 2 == 0:
                self._transport.write(self._frame(ACK))
        self._partial += data
        while len(self._partial) >= HEADER.size:
            kind, status, length, *_ = HEADER.unpack_from(self._partial)
            if len(self._partial) < length:
                return
            packet = Packet(kind, status, bytes(self._partial[HEADER.size : length]))
            del self._partial[:length]
            self.channel.arrived(packet)

    def end(self, *, answer: bool) -> None:
        with self._window:
            self._over = True
            self._window.notify_all()
            if answer:
                with contextlib.suppress(Closed):
                    self._transport.write(self._frame(FIN))
        self.channel.end()


def pump(transport: Transport, begin: Callable[[Channel], None]) -> None:
    """Reads the frames of a connection until its end; `begin` is called with each new session's channel."""
    streams: dict[int, _Stream] = {}
    try:
        while True:
            mark, flags, number, length, _sequence, window = FRAME.unpack(transport.read(FRAME.size))
            if mark != MARK or not FRAME.size <= length <= FRAME.size + 0x8000:
                raise ProtocolError(f"a frame that begins with {mark:#x}, of {length} bytes")
            data = transport.read(length - FRAME.size)
            if flags == SYN:
                if number in streams or len(streams) >= MOST_SESSIONS:
                    raise ProtocolError(f"session {number} is begun twice, or is one too many")
                streams[number] = _Stream(transport, number, window)
                begin(streams[number].channel)
                continue
            stream = streams.get(number)
            if stream is None:
                raise ProtocolError(f"a frame of session {number}, which was not begun")
            stream.acknowledged(window)
            if flags == DATA:
                stream.arrived(data)
            elif flags == FIN:
                streams.pop(number).end(answer=True)
    except Closed:
        pass  # as every connection ends
    finally:
        for stream in streams.values():
            stream.end(answer=False)
