"""Packets of Oracle Net: what stands in front of every body, and where the bodies lie in the stream."""

from __future__ import annotations

from dataclasses import dataclass

from . import constants as c
from .codec import Malformed

LONGEST_PACKET = 2 * 1024 * 1024 + 64
"""Bytes of one packet at most: the largest session data unit that can be agreed on, and some."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it came. `data` is all of it, header included."""

    kind: int
    flags: int
    data: bytes

    @property
    def body(self) -> bytes:
        return self.data[c.HEADER :]

    @property
    def name(self) -> str:
        return c.PACKETS.get(self.kind, f"packet {self.kind}")

    @property
    def data_flags(self) -> int:
        """Of a DATA packet."""
        return int.from_bytes(self.data[c.HEADER : c.HEADER + 2], "big")

    @property
    def content(self) -> bytes:
        """What a DATA packet carries."""
        return self.data[c.HEADER + 2 :]


class Packets:
    """Cuts the stream of one direction into packets. `wide` is set once a connection is accepted in a new version."""

    def __init__(self, wide: bool = False) -> None:
        self.wide = wide
        self._held = bytearray()

    @property
    def rest(self) -> bytes:
        """What has come of a packet that is not whole."""
        return bytes(self._held)

    def feed(self, data: bytes) -> None:
        self._held += data

    def next(self) -> Packet | None:
        """The next whole packet. Raises Malformed."""
        held = self._held
        if len(held) < c.HEADER:
            return None
        length = int.from_bytes(held[0 : 4 if self.wide else 2], "big")
        if length < c.HEADER or length > LONGEST_PACKET:
            raise Malformed(f"a packet of {length} bytes")
        if len(held) < length:
            return None
        packet = Packet(held[4], held[5], bytes(held[:length]))
        del held[:length]
        if packet.kind == c.DATA and length < c.HEADER + 2:
            raise Malformed("a DATA packet without its flags")
        return packet


def packet(kind: int, body: bytes, *, wide: bool, flags: int = 0) -> bytes:
    """A packet of ours."""
    length = c.HEADER + len(body)
    head = length.to_bytes(4, "big") if wide else length.to_bytes(2, "big") + b"\0\0"
    return head + bytes((kind, flags)) + b"\0\0" + body


def data_packets(content: bytes, *, wide: bool, unit: int, last_flags: int = 0) -> bytes:
    """`content` in DATA packets of at most `unit` bytes each; the last one has these data flags."""
    room = unit - c.HEADER - 2
    parts = [content[start : start + room] for start in range(0, len(content), room)] or [b""]
    flags = [0] * (len(parts) - 1) + [last_flags]
    return b"".join(
        packet(c.DATA, flag.to_bytes(2, "big") + part, wide=wide) for flag, part in zip(flags, parts, strict=True)
    )
