"""Writing to a socket at once, where nothing waits in front.

An event loop's transport keeps what is written until the end of the loop's turn, and takes more time for it than the
kernel does. Here the socket is written to directly; the transport gets what it does not take, and everything while
something waits. So order, limits and the end of the connection stay the transport's.
"""

from __future__ import annotations

import os
import ssl
from asyncio import Transport
from collections.abc import Callable
from typing import Any

Write = Callable[[bytes | memoryview], None]


def write_at_once(transport: Transport) -> Write:
    """`transport.write` by the short way; by its own where it is not the socket's (TLS, a pipe)."""
    socket: Any = transport.get_extra_info("socket")
    encrypted: ssl.SSLContext | None = transport.get_extra_info("sslcontext")
    if socket is None or encrypted is not None:
        return transport.write
    number: int = socket.fileno()
    waiting, is_closing, later = transport.get_write_buffer_size, transport.is_closing, transport.write

    def write(data: bytes | memoryview) -> None:
        # A closing transport's number may soon be another socket's.
        if waiting() or is_closing():
            later(data)
            return
        try:
            sent = os.write(number, data)
        except OSError:
            # Full, or broken: the transport meets the same, and tells whom it must.
            sent = 0
        if sent < len(data):
            later(memoryview(data)[sent:] if sent else data)

    return write
