"""A loopback port that takes one connection, from this process, and is gone.

Every user of the machine can dial a port of the loopback. The connection that is taken is therefore held against the
sockets that this process has open: the two ends of a TCP connection name each other, so one of ours is at the other end
of it or none is. What others open is closed unread, and the wait goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

HOST = "127.0.0.1"
STRANGERS = 100
"""Connections of others that are closed before the port is given up."""


class OneConnection:
    """Used on an event loop. `taken` gets the streams of the one connection; `port` is known after `listen`."""

    def __init__(self, taken: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> None:
        self._taken = taken
        self._server: asyncio.Server | None = None
        self._strangers = 0
        self.port = 0

    async def listen(self) -> int:
        """Raises OSError."""
        self._server = await asyncio.start_server(self._accepted, HOST, 0, backlog=8)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    def close(self) -> None:
        """Takes no connection any more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("peername")
        here = writer.get_extra_info("sockname")
        if self._server is None or not is_ours(there, here):
            writer.transport.abort()
            self._strangers += 1
            if self._strangers >= STRANGERS:
                self.close()
            return
        self.close()
        self._taken(reader, writer)


def is_ours(there: tuple[str, int] | None, here: tuple[str, int] | None) -> bool:
    """Whether a socket of this process is bound to `there` and connected to `here`."""
    return any(ends == (there, here) for ends in map(_ends, _descriptors())) if there and here else False


def _descriptors() -> list[int]:
    """Open file descriptors; of Linux and of macOS."""
    folder = next(path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.exists())
    return [int(name) for name in os.listdir(folder) if name.isdigit()]


def _ends(descriptor: int) -> tuple[object, object] | None:
    """The addresses of a connected socket: its own and that of its other end."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            return copy.getsockname(), copy.getpeername()
    except OSError:
        return None  # closed meanwhile, or not connected
