"""A shorter way out for the packets of a connection.

asyncssh sends every packet in a write of its own, and an empty SSH_MSG_IGNORE in front of each, which protects ciphers
in CBC mode from chosen plain text (RFC 4251, section 9.3.1). The gateway offers no such cipher, so the empty packets
go, and what one turn of the event loop sends for all channels of a connection leaves in one write. On a tunnel with
short statements this halves what a round trip costs (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE

MOST = 256 * 1024
"""Bytes that are collected in one turn at most."""


def shorten(connection: asyncssh.SSHServerConnection) -> None:
    """Installs the shorter way on a new connection. Leaves it as it is where asyncssh is built otherwise."""
    inner: Any = connection
    if not all(hasattr(inner, name) for name in ("send_packet", "_send", "_send_encryption")):
        return
    _Outbox(inner)


class _Outbox:
    def __init__(self, connection: Any) -> None:
        self._send_packet = connection.send_packet
        self._send = connection._send
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0
        connection.send_packet = self.send_packet
        connection._send = self.send

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
            self._send(data)
