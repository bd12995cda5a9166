"""An asciicast (version 3) as a player holds it: compressed, found by time, added to while it is still being made.

https://docs.asciinema.org/manual/asciicast/v3/. An hour of work is a few MB of lines, and a thirtieth of that here.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import zstandard

from bastion.api.screen_frames import clamped
from bastion.api.screens import PICTURE_BEGINS

BLOCK = 256 * 1024
"""Characters of events that are compressed together."""

CACHED = 4
"""Blocks that are kept as they are, decompressed."""

MOST = 128 * 1024 * 1024
"""Compressed bytes that are kept; what comes behind them is not."""

LONGEST_INTERVAL = 366 * 24 * 3600.0


class Event(NamedTuple):
    """Seconds from the beginning, the kind (`o` output, `r` a size, `m` a mark, `x` the end) and its data."""

    at: float
    kind: str
    data: str


class Place(NamedTuple):
    """An event: which block, which in it."""

    block: int
    event: int


@dataclass(frozen=True, slots=True)
class WholePicture:
    """An event that draws the whole screen, and the size that it is drawn for."""

    at: float
    place: Place
    columns: int
    lines: int


class CastBroken(Exception):
    """A piece that is no asciicast."""


_decode_line: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_encode_block = msgspec.msgpack.Encoder().encode
_decode_block = msgspec.msgpack.Decoder(list[tuple[float, str, str]]).decode


class Cast:
    """Events in the order of their time. Added to by one thread, read by any.

    columns, lines  the size at the beginning
    first, last     seconds from the beginning of the screen up to the first and the last event
    gaps            times behind which something is missing
    """

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns, self.lines = columns, lines
        self.first = 0.0
        self.last = 0.0
        self.pictures: list[WholePicture] = []
        self.marks: list[Event] = []
        self.gaps: list[float] = []
        self.full = False
        self.ended = False
        self.characters = 0
        """Of all output."""
        self._begun = False
        self._size = (columns, lines)
        self._torn = b""
        self._blocks: list[bytes] = []
        self._starts: list[float] = []
        """The time of each block's first event."""
        self._open: list[tuple[float, str, str]] = []
        self._open_characters = 0
        self._kept = 0
        self._cache: OrderedDict[int, list[tuple[float, str, str]]] = OrderedDict()
        self._guard = threading.Lock()
        self._compressor = zstandard.ZstdCompressor(level=3)

    # -- filling

    def begin_at(self, at: float, columns: int, lines: int) -> None:
        """It begins in the middle of a screen, `at` seconds after its beginning."""
        self.first = self.last = at
        self.columns, self.lines = clamped(columns, lines)
        self._size = (self.columns, self.lines)
        self._begun = True

    def add_lines(self, data: bytes) -> None:
        """Takes lines; the last one may be torn, its rest comes with the next. What is no event is left out."""
        lines = (self._torn + data).split(b"\n")
        self._torn = lines.pop()
        for line in lines:
            if line:
                self._add(line)

    def go_on_at(self, at: float, columns: int, lines: int) -> None:
        """What comes next is from a later moment: a whole picture at this size, `at` seconds from the beginning."""
        self.gap()
        self.append(max(at, self.last), "r", f"{columns}x{lines}")

    def gap(self) -> None:
        """Something is missing between what there is and what comes next."""
        self._torn = b""
        self.gaps.append(self.last)

    def _add(self, line: bytes) -> None:
        try:
            found = _decode_line.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if isinstance(found, dict):
            if not self._begun:
                self._header(found)
            return
        if not (isinstance(found, list) and len(found) >= 3 and isinstance(found[0], int | float)):
            return
        interval, kind, text = float(found[0]), found[1], found[2]
        if isinstance(kind, str) and isinstance(text, str) and 0 <= interval < LONGEST_INTERVAL:
            self.append(self.last + interval, kind, text)

    def _header(self, header: dict[str, Any]) -> None:
        self._begun = True
        term = header.get("term")
        if isinstance(term, dict):
            columns, lines = term.get("cols"), term.get("rows")
            if isinstance(columns, int) and isinstance(lines, int):
                self.columns, self.lines = self._size = clamped(columns, lines)

    def append(self, at: float, kind: str, text: str) -> None:
        """One event."""
        if self.full:
            return
        with self._guard:
            if not self._open:
                self._starts.append(at)
            place = Place(len(self._blocks), len(self._open))
            self._open.append((at, kind, text))
            self.last = at
            if kind == "o":
                self.characters += len(text)
                if text.startswith(PICTURE_BEGINS):
                    self.pictures.append(WholePicture(at, place, *self._size))
            elif kind == "r":
                self._size = size_of(text) or self._size
            elif kind == "m":
                self.marks.append(Event(at, kind, text[:500]))
            elif kind == "x":
                self.ended = True
            self._open_characters += len(text) + 16
            if self._open_characters >= BLOCK:
                packed = self._compressor.compress(_encode_block(self._open))
                self._blocks.append(packed)
                self._kept += len(packed)
                self._open, self._open_characters = [], 0
                self.full = self._kept >= MOST

    def continued(self) -> Cast:
        """A cast that goes on where this one ends, without what is in this one."""
        other = Cast()
        other.begin_at(self.last, *self._size)
        other._torn, other.ended = self._torn, self.ended
        return other

    def absorb(self, other: Cast) -> None:
        """Takes the events of a cast that goes on where this one ends."""
        for event in other.events(Place(0, 0)):
            self.append(event.at, event.kind, event.data)

    # -- reading

    def events(self, place: Place) -> Iterator[Event]:
        """The events from a place on, up to the last that there is now."""
        for _place, event in self.placed(place):
            yield event

    def placed(self, place: Place) -> Iterator[tuple[Place, Event]]:
        """The same, each with its place."""
        number, index = place
        while True:
            block = self._block(number)
            if block is None:
                return
            while index < len(block):
                yield Place(number, index), Event(*block[index])
                index += 1
            if number >= len(self._blocks):
                return
            number, index = number + 1, 0

    def place_behind(self, at: float) -> Place:
        """The first event after a time; where there is none yet, the place that it will have."""
        with self._guard:
            number = max(bisect_right(self._starts, at) - 1, 0)
        block = self._block(number) or []
        index = bisect_right(block, at, key=lambda event: event[0])
        if index >= len(block) and number < len(self._blocks):
            return Place(number + 1, 0)
        return Place(number, index)

    def picture_before(self, at: float) -> WholePicture | None:
        """The last whole picture up to a time."""
        index = bisect_right(self.pictures, at, key=lambda picture: picture.at) - 1
        return self.pictures[index] if index >= 0 else None

    def _block(self, number: int) -> list[tuple[float, str, str]] | None:
        with self._guard:
            if number == len(self._blocks):
                return self._open
            if number > len(self._blocks):
                return None
            found = self._cache.get(number)
            if found is not None:
                self._cache.move_to_end(number)
                return found
            packed = self._blocks[number]
        block = _decode_block(zstandard.ZstdDecompressor().decompress(packed))
        with self._guard:
            self._cache[number] = block
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return block


def size_of(text: str) -> tuple[int, int] | None:
    """The size of an `r` event; None where it is none."""
    columns, x, lines = text.partition("x")
    if not x or not (columns.isascii() and columns.isdigit() and lines.isascii() and lines.isdigit()):
        return None
    if len(columns) > 6 or len(lines) > 6:
        return None
    return clamped(int(columns), int(lines))
