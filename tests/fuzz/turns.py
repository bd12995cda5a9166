"""How bytes of a fuzzer become a conversation, and back: settings, then who says what, framed or as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Frame = Callable[[int, bytes], bytes]
"""Makes a message of a sequence number (0-31) and of what is said."""


@dataclass(frozen=True)
class Turn:
    """`framed`: a header that fits is put in front of `data`; `sequence` is for protocols that number packets."""

    client: bool
    data: bytes
    framed: bool = False
    sequence: int = 0


def encode(settings: int, turns: Iterable[Turn]) -> bytes:
    """A fuzzer's input that stands for this conversation."""
    out = bytearray((settings,))
    for turn in turns:
        out.append(turn.client | turn.framed << 1 | (turn.sequence & 31) << 3)
        out += len(turn.data).to_bytes(2, "big") + turn.data
    return bytes(out)


def decode(data: bytes) -> tuple[int, list[Turn]]:
    """The settings and the turns of any bytes; a turn that says more than there is says what there is."""
    turns = []
    position = 1
    while position + 3 <= len(data):
        head, size = data[position], int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        turns.append(Turn(bool(head & 1), data[position : position + size], bool(head & 2), head >> 3))
        position += size
    return (data[0] if data else 0), turns


def spoken(turn: Turn, frame: Frame) -> bytes:
    """The bytes of a turn on the wire."""
    return frame(turn.sequence, turn.data) if turn.framed else turn.data
