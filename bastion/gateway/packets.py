"""A shorter way out for what a connection sends, most of all for the data of its tunnels.

asyncssh sends every packet in a write of its own, with an empty SSH_MSG_IGNORE in front, which protects ciphers in CBC
mode from chosen plain text (RFC 4251, section 9.3.1), and prepares a line for its log whether or not it is wanted. The
gateway offers no CBC cipher, so the empty packets go; what one turn of the event loop sends for all channels leaves in
one write; and tunnel data becomes a packet (RFC 4253, section 6) without the detours. Where something out of the
ordinary is under way (compression, a key exchange, a full window) asyncssh's own way is taken, so the rules of the
protocol stay in one place. docs/performance.md has what it brings.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE

from bastion.sessions.at_once import write_at_once

from .ciphers import TAG, Gcm, take_over

MOST = 256 * 1024
"""Bytes that are collected in one turn at most."""

UNREAD = 4 * 1024 * 1024
"""Bytes that wait for a client which does not read its connection, or does not come to the end of a key exchange,
before its tunnels are paused. A channel's window does not bound them: the client may make that as large as it likes."""

UNREAD_LOW = 1024 * 1024
MOST_UNREAD = 64 * 1024 * 1024
"""Bytes after which such a connection ends: what comes then is not its tunnels' but what else it asks for."""

LEAST_PACKET = 1024
"""Bytes that a client must take in one packet of a channel. One that wants fewer (others take 16 KiB and more) would
have the bastion make a packet of each byte of a result, and everybody else wait for that."""

_NEEDED = ("send_packet", "_send", "_transport", "_send_encryption", "_send_seq", "_send_enchdrlen",
           "_send_blocksize", "_compressor", "_kex_complete", "_rekey_bytes", "_rekey_bytes_sent",
           "_rekey_seconds")  # fmt: skip
"""What is relied on inside asyncssh. Where one of them is missing, everything stays asyncssh's own."""

logger = logging.getLogger(__name__)

_head = struct.Struct(">BBII")
_count = struct.Struct(">I")


def shorten(connection: asyncssh.SSHServerConnection) -> Outbox | None:
    """Installs the shorter way on a new connection; None where asyncssh is built otherwise."""
    inner: Any = connection
    if not all(hasattr(inner, name) for name in _NEEDED):
        return None
    _hush(inner)
    return Outbox(inner)


def refuse_tiny_packets(channel: SSHChannel[bytes], refused: Callable[[], None]) -> None:
    """Refuses to open a channel whose client takes less than LEAST_PACKET at once; `refused` is called then."""
    inner: Any = channel
    process_open = inner.process_open

    def look_first(number: int, window: int, size: int, session: Any) -> None:
        if size < LEAST_PACKET:
            refused()
            asyncio.get_running_loop().call_soon(inner._cleanup)
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"packets of less than {LEAST_PACKET} bytes are not made here"
            )
        process_open(number, window, size, session)

    inner.process_open = look_first


def _hush(sender: Any) -> None:
    """asyncssh words a log line for every packet, to be thrown away where its log is not at that level."""
    sender.log_sent_packet = sender.log_received_packet = _nothing


def _nothing(*_: Any, **__: Any) -> None:
    pass


class Outbox:
    """What a connection sends in this turn of the event loop.

    listeners  are told when too much waits for the client (True), and when there is room again
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._send_packet = connection.send_packet
        self._send = write_at_once(connection._transport)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0
        self._padding = os.urandom(64)
        self._known: Any = None
        self._cipher: Gcm | None = None
        self.full = False
        self.listeners: set[Callable[[bool], None]] = set()
        self._jammed = False
        self._deferred = 0
        connection.send_packet = self.send_packet
        connection._send = self.send
        connection._transport.set_write_buffer_limits(high=UNREAD, low=UNREAD_LOW)
        connection.pause_writing = lambda: self._jam(jammed=True)
        connection.resume_writing = lambda: self._jam(jammed=False)

    def send_packet(self, kind: int, *parts: bytes, **options: Any) -> None:
        """Instead of SSHConnection.send_packet."""
        if kind == MSG_IGNORE:
            return
        self._send_packet(kind, *parts, **options)
        if kind != MSG_CHANNEL_DATA:
            # Whatever ends or changes something may be followed by a close of the socket.
            self.flush()

    def send(self, data: bytes) -> None:
        """Instead of SSHConnection._send."""
        self._waiting.append(data)
        self._size += len(data)
        if len(self._waiting) == 1:
            self._loop.call_soon(self.flush)
        elif self._size > MOST:
            self.flush()

    def flush(self) -> None:
        """Sends what is waiting."""
        if self._waiting:
            data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
            self._waiting = []
            self._size = 0
            if self._connection._transport is not None:
                self._send(data)
                if self.full:
                    self._look_at_unread()

    def _jam(self, *, jammed: bool) -> None:
        """The socket takes no more for now, or again."""
        self._jammed = jammed
        self._pace()

    def _pace(self) -> None:
        full = self._jammed or self._deferred > UNREAD
        if full != self.full:
            self.full = full
            for listener in tuple(self.listeners):
                listener(full)

    def _look_at_unread(self) -> None:
        connection = self._connection
        if connection._kex_complete:
            self._deferred = 0
            self._pace()
        if connection._transport.get_write_buffer_size() > MOST_UNREAD:
            logger.warning("a connection does not read what it has asked for, so it is ended")
            connection.abort()

    def writer(self, channel: asyncssh.SSHTCPChannel[bytes]) -> Callable[[bytes], None]:
        """`channel.write` for a tunnel's data."""
        inner: Any = channel
        if not all(hasattr(inner, name) for name in ("_send_buf", "_send_state", "_send_window", "_send_pktsize")):
            return channel.write
        _hush(inner)

        def write(data: bytes) -> None:
            size = len(data)
            if inner._send_buf or inner._send_state != "open" or size > inner._send_window or not self._ordinary():
                channel.write(data)
                if not self._connection._kex_complete:
                    # asyncssh keeps it until the new keys are there, however long that takes.
                    self._deferred += size
                    self._pace()
                return
            inner._send_window -= size
            most = inner._send_pktsize
            if size <= most:
                self._send_data(inner._send_chan, data)
            else:
                view = memoryview(data)
                for start in range(0, size, most):
                    self._send_data(inner._send_chan, view[start : start + most])

        return write

    def _ordinary(self) -> bool:
        """No compression, no key exchange under way or due."""
        connection = self._connection
        return (
            connection._kex_complete
            and connection._compressor is None
            and connection._send_encryption is not None
            and connection._rekey_bytes_sent < connection._rekey_bytes
            and (not connection._rekey_seconds or monotonic() < connection._rekey_time)
        )

    def _send_data(self, channel: int, data: bytes | memoryview) -> None:
        connection = self._connection
        size = len(data)
        block = connection._send_blocksize
        padding = -(connection._send_enchdrlen + 9 + size) % block
        if padding < 4:
            padding += block
        length = 10 + size + padding
        body = b"".join((_head.pack(padding, MSG_CHANNEL_DATA, channel, size), data, self._padding[:padding]))
        sequence = connection._send_seq
        connection._send_seq = (sequence + 1) & 0xFFFFFFFF
        connection._rekey_bytes_sent += length
        header = _count.pack(length)
        if connection._send_encryption is not self._known:
            self._known = connection._send_encryption
            self._cipher = take_over(self._known)
        if self._cipher is None:
            packet, mac = connection._send_encryption.encrypt_packet(sequence, header, body)
            self.send(packet + mac)
            return
        waiting = self._waiting
        if not waiting:
            self._loop.call_soon(self.flush)
        waiting.append(header)
        waiting.append(self._cipher.seal(header, body))
        self._size += length + 4 + TAG
        if self._size > MOST:
            self.flush()
