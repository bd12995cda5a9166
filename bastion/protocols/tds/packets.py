"""Packets of an answer beside their data: where in the one a place of the other is."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from .constants import HEADER, LAST


@dataclass(frozen=True, slots=True)
class Delayed:
    """Packets that were read and not passed on, and where the data of each end."""

    raw: bytes
    ends: tuple[int, ...]


NO_PACKETS = Delayed(b"", ())


class Packets:
    """Whole packets of one message: those that were delayed, and those behind them.

    Places are counted in what a reader has: `carried` bytes of before, then the data of the new packets.
    """

    __slots__ = ("_carried", "_ends", "_shift", "raw")

    def __init__(self, raw: bytes, ends: list[int], delayed: Delayed, carried: int) -> None:
        self._carried = carried
        self._shift = delayed.ends[-1] if delayed.ends else 0
        self.raw = delayed.raw + raw if delayed.raw else raw
        self._ends = [*delayed.ends, *(end + self._shift for end in ends)] if delayed.ends else ends

    def place(self, at: int) -> tuple[int, int]:
        """Where in `raw` the data before `at` end, and how much data their packet has behind them."""
        offset = max(at - self._carried + self._shift, 0)
        packet = bisect_left(self._ends, offset)
        return offset + HEADER * (packet + 1), self._ends[packet] - offset

    def all(self) -> Delayed:
        """All of them, to be looked at again with what follows."""
        return Delayed(self.raw, tuple(self._ends))


def without_end(raw: bytes, stop: int) -> bytes:
    """The packets up to `stop`, the last one cut there, and none of them the last of its message."""
    kept: list[bytes] = []
    position = 0
    while position < stop:
        length = raw[position + 2] << 8 | raw[position + 3]
        upto = min(position + length, stop)
        if upto - position > HEADER:
            packet = bytearray(raw[position:upto])
            packet[1] &= ~LAST & 0xFF
            packet[2:4] = len(packet).to_bytes(2, "big")
            kept.append(bytes(packet))
        position += length
    return b"".join(kept)
