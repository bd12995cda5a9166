"""What a client has sent to a channel that is not read at the moment.

asyncssh keeps a list of packets and takes each from its front. A client may send a packet for each byte that its window
allows; a million of them take a hundred times their bytes in memory, and a minute of everybody's time to be taken out.
"""

from __future__ import annotations

from typing import Any

from asyncssh.channel import SSHChannel

PART = 64 * 1024
"""Bytes that are taken out at once."""


class Backlog:
    """In the place of asyncssh's list, for channels without extended data: bytes, however they came."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def append(self, packet: tuple[bytes, None]) -> None:
        """Keeps a packet's data."""
        self._bytes += packet[0]

    def pop(self, _first: int) -> tuple[bytes, None]:
        """Takes out what came first."""
        part = bytes(self._bytes[:PART])
        del self._bytes[:PART]
        return part, None


def keep_together(channel: SSHChannel[bytes]) -> None:
    """Gives a new channel a Backlog."""
    inner: Any = channel
    if getattr(inner, "_recv_buf", None) == [] and not inner.get_read_datatypes():
        inner._recv_buf = Backlog()
