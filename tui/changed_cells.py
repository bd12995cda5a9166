"""Only what differs from what the terminal shows already is sent to it.

Textual draws whole widgets again: a letter typed into an editor of 12 lines costs 13 KB. What was sent last is
kept here, cell by cell, and an update leaves out the cells that are there already: that letter costs some 30 bytes.
Links without compression gain most; with it, what is left out need not be compressed, recorded and parsed either.

The terminal is taken to be blank or unknown after `forget`: when its size changes, when another one is attached, when
the person asks for the screen to be drawn again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from backends.visible_text import visible_line
from bastion.api.screens import PICTURE_BEGINS

from .safe_output import NOTHING, Look, change, colours_of, look_of

Cell = tuple[str, Look]
"""A character with what combines with it, and what it looks like. The second cell of a wide character has no text."""

_BLANK: Cell = (" ", NOTHING)
GAP = 5
"""Cells that are rather sent again than jumped over: moving the cursor costs as much."""


@lru_cache(maxsize=4096)
def cells_of(text: str, look: Look) -> tuple[Cell, ...]:
    """The cells of a piece of text of one look."""
    text = visible_line(text)
    if text.isascii():
        return tuple((character, look) for character in text)
    cells: list[Cell] = []
    for character in text:
        width = cell_len(character)
        if width == 0 and cells:
            last = len(cells) - 1 - (cells[-1][0] == "" and len(cells) > 1)
            cells[last] = (cells[last][0] + character, look)
        else:
            cells.append((character, look))
            cells.extend([("", look)] * (width - 1))
    return tuple(cells)


class ShownCells:
    """What the terminal shows, as far as it is known."""

    def __init__(self) -> None:
        self._lines: list[list[Cell | None]] = []
        self._width = 0
        self.instead: dict[int, str] = {}
        """What is written for characters that are not to be shown, of the same width."""

    def forget(self) -> None:
        """Nothing is known: the next update sends every cell that it draws."""
        self._lines = []
        self._width = 0

    def resize(self, width: int, height: int) -> None:
        """The size that updates are for; another one than before makes everything unknown."""
        if (width, height) != (self._width, len(self._lines)):
            self._width = width
            self._lines = [[None] * width for _line in range(height)]

    def picture(self) -> str:
        """All of it, for a terminal that knows nothing of what was before."""
        pieces = [PICTURE_BEGINS]
        for y, line in enumerate(self._lines, 1):
            start = 0
            while start < len(line):
                if line[start] is None:
                    start += 1
                    continue
                stop = line.index(None, start) if None in line[start:] else len(line)
                cells = [cell for cell in line[start:stop] if cell is not None]
                while cells and cells[-1] == _BLANK:
                    cells.pop()
                if cells:
                    pieces.append(f"\x1b[{y};{start + 1}H{_sequence(cells)}")
                start = stop
        return "".join(pieces)

    def put(self, x: int, y: int, segments: Iterable[Segment], console: Console) -> Iterator[str]:
        """What has to be sent so that `segments` stand at column `x` of line `y`."""
        if not 0 <= y < len(self._lines):
            return
        cells: list[Cell] = []
        system = colours_of(console)
        for text, style, _control in segments:
            if text:
                shown = text.translate(self.instead) if self.instead and not text.isascii() else text
                cells.extend(cells_of(shown, look_of(style, system)))
        line = self._lines[y]
        cells = cells[: max(self._width - x, 0)]
        end = x + len(cells)
        known = line[x:end]
        if known == cells:
            return
        # A wide character that loses one of its cells loses both on the terminal.
        if known[0] is not None and known[0][0] == "" and cells[0] != known[0] and x > 0:
            line[x - 1] = None
        if end < self._width:
            after = line[end]
            if after is not None and after[0] == "" and known[-1] != cells[-1]:
                line[end] = None
        line[x:end] = cells
        for start, stop in _runs(known, cells):
            yield f"\x1b[{y + 1};{x + start + 1}H"
            yield _sequence(cells[start:stop])


def _runs(known: list[Cell | None], cells: list[Cell]) -> Iterator[tuple[int, int]]:
    """The stretches that differ, with wide characters whole and small gaps between them closed."""
    start = stop = -1
    for index, (before, now) in enumerate(zip(known, cells, strict=True)):
        if before == now:
            continue
        if start >= 0 and index - stop > GAP:
            yield _whole(cells, start, stop)
            start = -1
        if start < 0:
            start = index
        stop = index + 1
    if start >= 0:
        yield _whole(cells, start, stop)


def _whole(cells: list[Cell], start: int, stop: int) -> tuple[int, int]:
    while start > 0 and cells[start][0] == "":
        start -= 1
    while stop < len(cells) and cells[stop][0] == "":
        stop += 1
    return start, stop


def _sequence(cells: list[Cell]) -> str:
    pieces: list[str] = []
    before = NOTHING
    for text, look in cells:
        if look is not before:
            pieces.append(change(before, look))
            before = look
        pieces.append(text)
    pieces.append(change(before, NOTHING))
    return "".join(pieces)


class OnlyWhatChanged(CompositorUpdate):
    """An update of Textual's, less what the terminal shows already. Read when it is drawn, and drawn once."""

    def __init__(self, update: LayoutUpdate | ChopsUpdate, shown: ShownCells, size: tuple[int, int]) -> None:
        self._update, self._shown, self._size = update, shown, size

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return self._update.__rich_console__(console, options)

    def render_segments(self, console: Console) -> str:
        """The sequences to write."""
        self._shown.resize(*self._size)
        return "".join(
            piece for x, y, strip in self._strips() for piece in self._shown.put(x, y, strip._segments, console)
        )

    def _strips(self) -> Iterator[tuple[int, int, Strip]]:
        update = self._update
        if isinstance(update, LayoutUpdate):
            for y, line in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in line:
                    yield x, y, strip
                    x += strip.cell_length
            return
        for y, left, right in update.spans:
            for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if chop is None or x > right or end <= left:
                    continue
                whole = right > x >= left and end <= right
                yield x, y, chop if whole else chop.crop(0, min(end, right) - x)
