"""A terminal that is only looked at: output goes in, pictures come out, and nothing of it reaches any real terminal.

What is fed may be hostile. Only sequences of a short list have an effect, and only on cells: no title, no clipboard, no
mode of a terminal, no answer, no link. A picture is text and looks. pyte keeps the cells; it is fed here piece by
piece instead of by its own parser, which draws parameters of sequences that it does not know, and takes a character
at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import pyte
from pyte import modes
from pyte.screens import Char, Cursor, Margins
from rich.cells import get_character_cell_size

from bastion.api.screen_frames import clamped
from bastion.api.screens import PICTURE_BEGINS

from .visible_text import visible_line

MOST_PENDING = 4096
"""Characters of an unfinished sequence that are kept; a longer one is swallowed up to its end."""
MOST_COMBINED = 6
"""Characters in one cell."""
MOST_LOOKS = 5000

_TOKEN = re.compile(
    r"([^\x00-\x1f\x7f-\x9f]+)"  # 1: text
    r"|\x1b\[([0-9;:]*)([A-Za-z@`])"  # 2, 3: a control sequence
    r"|\x1b\[\?([0-9;]*)([hl])"  # 4, 5: a private mode
    r"|\x1b([78DEMc])"  # 6
    r"|([\r\n\b\t\x0b\x0c])"  # 7
    r"|(\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?)\Z)"  # 8: the rest is still to come
    # From here on nothing has an effect. A string (OSC and the like) also ends where another sequence begins.
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b))"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[^\[\]PX^_ -/]"
    r"|[\x00-\x1f\x7f-\x9f]",
)
_END_OF_STRING = re.compile(r"[\x07\x1b\x9c]")
_STRINGS = tuple("]PX^_")


class Look(NamedTuple):
    """How text looks. Colours: '' is the terminal's own, `0` to `15` one of its sixteen, else `#rrggbb`."""

    foreground: str = ""
    background: str = ""
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    reverse: bool = False


Row = tuple[tuple[str, Look], ...]
"""Pieces of one look each; together they have as many cells as the screen is wide."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a screen shows. Rows that did not change are the same objects in one picture and the next."""

    columns: int
    lines: int
    rows: tuple[Row, ...]

    def text(self, y: int) -> str:
        """A line without its looks."""
        return "".join(piece for piece, _look in self.rows[y])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A screen as it can be gone on from."""

    picture: Picture
    x: int
    y: int
    attributes: Char
    wraps: bool
    margins: Margins | None


_NAMES = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
_COLOURS = {"default": ""} | {name: str(number) for number, name in enumerate(_NAMES)}
_COLOURS |= {f"bright{name}": str(number + 8) for number, name in enumerate(_NAMES)} | {"bfightmagenta": "13"}
_HEX = re.compile(r"[0-9a-f]{6}")


def _colour(name: str) -> str:
    found = _COLOURS.get(name)
    if found is None:
        found = f"#{name}" if _HEX.fullmatch(name) else ""
    return found


class _Cells(pyte.Screen):
    """pyte's screen with a drawing of its own: by the widths that the workstation itself counts with, and quick."""

    def __init__(self, columns: int, lines: int) -> None:
        self.memo: dict[tuple[object, ...], dict[str, Char]] = {}
        super().__init__(columns, lines)

    def draw(self, data: str) -> None:
        cursor = self.cursor
        attributes = cursor.attrs[1:]
        known = self.memo.get(attributes)
        if known is None:
            if len(self.memo) > MOST_LOOKS:
                self.memo.clear()
            known = self.memo[attributes] = {}
        line = self.buffer[cursor.y]
        self.dirty.add(cursor.y)
        x = cursor.x
        if data.isascii() and x + len(data) <= self.columns:
            for character in data:
                cell = known.get(character)
                if cell is None:
                    cell = known[character] = Char(character, *attributes)
                line[x] = cell
                x += 1
            cursor.x = x
            return
        for character in data:
            width = get_character_cell_size(character)
            if width == 0:
                self._combine(character, line)
                continue
            if cursor.x + width > self.columns:
                if modes.DECAWM in self.mode:
                    self.carriage_return()
                    self.linefeed()
                    line = self.buffer[cursor.y]
                    self.dirty.add(cursor.y)
                else:
                    cursor.x = max(self.columns - width, 0)
            line[cursor.x] = Char(character, *attributes)
            if width == 2:
                line[cursor.x + 1] = Char("", *attributes)
            cursor.x += width

    def _combine(self, character: str, line: dict[int, Char]) -> None:
        place = self.cursor.x - 1
        if place > 0 and line[place].data == "":
            place -= 1
        if place >= 0 and len(line[place].data) < MOST_COMBINED:
            line[place] = line[place]._replace(data=line[place].data + character)

    def save_cursor(self) -> None:
        # A terminal keeps one.
        self.savepoints.clear()
        super().save_cursor()

    def write_process_input(self, data: str) -> None:
        """Nothing: nobody is asked here."""


class Emulator:
    """One screen."""

    def __init__(self, columns: int, lines: int) -> None:
        self._cells = _Cells(*clamped(columns, lines))
        self._pending = ""
        self._swallowing = False
        self._rows: list[Row] = []
        self._looks: dict[tuple[object, ...], Look] = {}
        self._main: dict[int, object] | None = None
        """The main screen's lines, while the alternate one is shown."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._cells.columns, self._cells.lines

    def resize(self, columns: int, lines: int) -> None:
        """Another size. What is shown stays at the top left, as far as there is room."""
        columns, lines = clamped(columns, lines)
        cells = self._cells
        for y in [y for y in cells.buffer if y >= lines]:
            del cells.buffer[y]
        for line in cells.buffer.values():
            for x in [x for x in line if x >= columns]:
                del line[x]
        cells.lines, cells.columns = lines, columns
        cells.margins = None
        cells.cursor.x, cells.cursor.y = min(cells.cursor.x, columns - 1), min(cells.cursor.y, lines - 1)
        cells.dirty = set(range(lines))
        self._rows = []

    def feed(self, text: str) -> None:
        """Output. Never raises, whatever it is."""
        if text.startswith(PICTURE_BEGINS):
            # What stands unfinished before a picture never ends.
            self._pending, self._swallowing = "", False
            self._clear()
            text = text[len(PICTURE_BEGINS) :]
        if self._swallowing:
            end = _END_OF_STRING.search(text)
            if end is None:
                return
            self._swallowing = False
            text = text[end.start() :]
        text, self._pending = self._pending + text, ""
        for found in _TOKEN.finditer(text):
            plain, parameters, final, private, on, simple, control, unfinished = found.groups()
            try:
                if plain:
                    self._cells.draw(plain)
                elif final:
                    self._control(parameters, final)
                elif on:
                    self._mode(private, on == "h")
                elif simple:
                    self._simple(simple)
                elif control:
                    self._move(control)
                elif unfinished and len(unfinished) <= MOST_PENDING:
                    self._pending = unfinished
                elif unfinished:
                    self._swallowing = unfinished[1] in _STRINGS
            except (TypeError, ValueError, IndexError, KeyError, AttributeError):
                # pyte was given parameters that it does not expect: the sequence has no effect.
                continue

    def _control(self, parameters: str, final: str) -> None:
        cells = self._cells
        numbers = [min(int(each), 9999) if each else 0 for each in parameters.replace(":", ";").split(";")[:32]]
        if final == "m":
            cells.select_graphic_rendition(*numbers)
        elif final in "Hf":
            cells.cursor_position(numbers[0], numbers[1] if len(numbers) > 1 else None)
        elif final == "r":
            cells.set_margins(numbers[0] or None, (numbers[1] or None) if len(numbers) > 1 else None)
        elif final == "J":
            self._erase(numbers[0])
        elif final == "K":
            cells.erase_in_line(numbers[0] if numbers[0] < 3 else 0)
        elif (action := _CELLS.get(final)) is not None:
            # More of anything than the screen has cells is all of it.
            getattr(cells, action)(min(numbers[0], 1000))

    def _erase(self, how: int) -> None:
        if how in (2, 3):
            self._cells.buffer.clear()
            self._cells.dirty.update(range(self._cells.lines))
        else:
            self._cells.erase_in_display(how)

    def _mode(self, parameters: str, on: bool) -> None:
        for mode in parameters.split(";")[:16]:
            if mode == "7":
                (self._cells.set_mode if on else self._cells.reset_mode)(7, private=True)
            elif mode in ("1049", "1047", "47"):
                self._alternate(on)

    def _alternate(self, on: bool) -> None:
        cells = self._cells
        if on == (self._main is not None):
            return
        if on:
            self._main = dict(cells.buffer)
            cells.buffer.clear()
        else:
            kept, self._main = self._main, None
            cells.buffer.clear()
            for y, line in (kept or {}).items():
                if y < cells.lines:
                    cells.buffer[y] = line  # type: ignore[assignment]
        cells.dirty.update(range(cells.lines))

    def _simple(self, character: str) -> None:
        cells = self._cells
        if character == "c":
            self._clear()
            cells.mode.add(modes.DECAWM)
        else:
            {
                "7": cells.save_cursor,
                "8": cells.restore_cursor,
                "D": cells.index,
                "E": cells.linefeed,
                "M": cells.reverse_index,
            }[character]()

    def _move(self, character: str) -> None:
        cells = self._cells
        if character == "\r":
            cells.carriage_return()
        elif character == "\b":
            cells.backspace()
        elif character == "\t":
            cells.tab()
        else:
            cells.linefeed()

    def _clear(self) -> None:
        cells = self._cells
        cells.buffer.clear()
        cells.cursor = Cursor(0, 0)
        cells.margins = None
        cells.savepoints.clear()
        cells.mode.discard(modes.DECAWM)
        cells.dirty.update(range(cells.lines))

    # -- what is shown

    def picture(self) -> Picture:
        """The screen as it is."""
        cells = self._cells
        if len(self._rows) != cells.lines:
            self._rows = [self._row(y) for y in range(cells.lines)]
        else:
            for y in cells.dirty:
                if y < cells.lines:
                    row = self._row(y)
                    if row != self._rows[y]:
                        self._rows[y] = row
        cells.dirty.clear()
        return Picture(cells.columns, cells.lines, tuple(self._rows))

    def _row(self, y: int) -> Row:
        columns = self._cells.columns
        line = self._cells.buffer.get(y)
        if not line:
            return ((" " * columns, _NO_LOOK),)
        pieces: list[tuple[str, Look]] = []
        texts: list[str] = []
        before: tuple[object, ...] | None = None
        blank = self._cells.default_char
        x = 0
        while x < columns:
            cell = line.get(x, blank)
            text = cell.data
            width = 1
            if text == "":
                text = " "  # the other half of a wide character was overwritten
            elif not text.isascii() and get_character_cell_size(text[0]) == 2:
                if x + 1 < columns and line.get(x + 1, blank).data == "":
                    width = 2
                else:
                    text = " "
            attributes = cell[1:]
            if attributes != before:
                if texts:
                    assert before is not None
                    pieces.append((visible_line("".join(texts)), self._look(before)))
                    texts = []
                before = attributes
            texts.append(text)
            x += width
        assert before is not None
        pieces.append((visible_line("".join(texts)), self._look(before)))
        return tuple(pieces)

    def _look(self, attributes: tuple[object, ...]) -> Look:
        found = self._looks.get(attributes)
        if found is None:
            if len(self._looks) > MOST_LOOKS:
                self._looks.clear()
            fg, bg, bold, italics, underscore, strikethrough, reverse, _blink = attributes
            found = self._looks[attributes] = Look(
                _colour(str(fg)), _colour(str(bg)), bool(bold), bool(italics), bool(underscore), bool(strikethrough),
                bool(reverse),
            )  # fmt: skip
        return found

    # -- going on from somewhere

    def snapshot(self) -> Snapshot:
        """The screen, to be gone on from. An unfinished sequence and the main screen behind the alternate one are not
        in it."""
        cells = self._cells
        return Snapshot(
            self.picture(), cells.cursor.x, cells.cursor.y, cells.cursor.attrs, modes.DECAWM in cells.mode,
            cells.margins,
        )  # fmt: skip

    @classmethod
    def restored(cls, snapshot: Snapshot) -> Emulator:
        """A screen that goes on from there."""
        picture = snapshot.picture
        made = cls(picture.columns, picture.lines)
        cells = made._cells
        for y, row in enumerate(picture.rows):
            line = cells.buffer[y]
            x = 0
            for text, look in row:
                attributes = _attributes(look)
                for character in text:
                    width = get_character_cell_size(character)
                    if width == 0:
                        cells.cursor.x = x
                        cells._combine(character, line)
                        continue
                    line[x] = Char(character, *attributes)
                    if width == 2:
                        line[x + 1] = Char("", *attributes)
                    x += width
        cells.cursor = Cursor(snapshot.x, snapshot.y, snapshot.attributes)
        cells.margins = snapshot.margins
        if not snapshot.wraps:
            cells.mode.discard(modes.DECAWM)
        made._rows = list(picture.rows)
        cells.dirty.clear()
        return made


_NO_LOOK = Look()
_CELLS = {
    "@": "insert_characters", "A": "cursor_up", "B": "cursor_down", "C": "cursor_forward", "D": "cursor_back",
    "E": "cursor_down1", "F": "cursor_up1", "G": "cursor_to_column", "`": "cursor_to_column", "L": "insert_lines",
    "M": "delete_lines", "P": "delete_characters", "X": "erase_characters", "a": "cursor_forward",
    "d": "cursor_to_line", "e": "cursor_down",
}  # fmt: skip
_PYTE_COLOURS = {number: name for name, number in _COLOURS.items() if name != "bfightmagenta"}


def _attributes(look: Look) -> tuple[str, str, bool, bool, bool, bool, bool, bool]:
    """A look as pyte's cells have it."""
    fg, bg = (
        colour[1:] if colour.startswith("#") else _PYTE_COLOURS[colour] for colour in (look.foreground, look.background)
    )
    return fg, bg, look.bold, look.italic, look.underline, look.strike, look.reverse, False
