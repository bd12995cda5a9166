"""What a client has sent to a channel that is not read at the moment.

asyncssh keeps a list of packets and takes each from its front. A client may send a packet for each byte that its window
allows; a million of them take a hundred times their bytes in memory, and a minute of everybody's time to be taken out.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from asyncssh.channel import SSHChannel

PART = 64 * 1024
"""Bytes of small packets that are kept, and taken out, as one."""
SMALL = 4 * 1024
"""Packets of fewer bytes are kept together; larger ones stay as they came."""


class Backlog:
    """In the place of asyncssh's list, for channels without extended data: bytes, however they came.

    Parts, and not one array: that would be copied whole (2 MiB, the window) for each packet after one taken out.
    """

    __slots__ = ("_kept", "_parts")

    def __init__(self) -> None:
        self._parts: deque[bytes | bytearray] = deque()
        self._kept = 0

    def __len__(self) -> int:
        """Bytes."""
        return self._kept

    def append(self, packet: tuple[bytes, None]) -> None:
        """Keeps a packet's data."""
        data = packet[0]
        self._kept += len(data)
        if len(data) >= SMALL:
            self._parts.append(data)
            return
        if self._parts and isinstance(last := self._parts[-1], bytearray) and len(last) + len(data) <= PART:
            last += data
        else:
            self._parts.append(bytearray(data))

    def pop(self, _first: int) -> tuple[bytes, None]:
        """Takes out what came first."""
        part = bytes(self._parts.popleft())
        self._kept -= len(part)
        return part, None


def keep_together(channel: SSHChannel[bytes]) -> None:
    """Gives a new channel a Backlog."""
    inner: Any = channel
    if getattr(inner, "_recv_buf", None) == [] and not inner.get_read_datatypes():
        inner._recv_buf = Backlog()
