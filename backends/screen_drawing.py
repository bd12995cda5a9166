"""A picture of a screen, drawn on a real terminal: its own positions and attributes around text that is only text.

Nothing that the watched side sent is passed on. A cell's text has no control or direction characters (they are shown),
a look becomes attributes (SGR of ECMA-48; 256 and direct colours as xterm's ctlseqs has them), and rows stand where
this side puts them, without wrapping.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size, set_cell_size
from rich.color import Color, ColorSystem

from bastion.api.language import translate as _

from .emulator import Look, Picture, Row
from .visible_text import visible_line

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
"""The alternate screen, without a cursor and without wrapping."""
LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
"""As it was."""
AT_ONCE, SHOWN = "\x1b[?2026h", "\x1b[?2026l"
"""Synchronized output: terminals that know it show what is in between in one step, others take no notice."""


class Drawing:
    """What a terminal shows of a screen that changes. Each `draw` gives what has to be written for the next picture.

    who     whose screen it is, for the last line
    depth   how many colours the terminal has; None: it is to be drawn without
    """

    def __init__(self, who: str, depth: ColorSystem | None) -> None:
        self._who = visible_line(who)
        self._depth = depth
        self._size: tuple[int, ...] = ()
        self._rows: list[Row | None] = []

    def draw(self, picture: Picture, columns: int, lines: int) -> str:
        """What to write on a terminal of this size; '' where nothing has changed. The last line is this side's own."""
        columns, lines = max(columns, 1), max(lines, 1)
        written = []
        size = (columns, lines, picture.columns, picture.lines)
        if size != self._size:
            self._size = size
            self._rows = [None] * (lines - 1)
            written.append(f"\x1b[0m\x1b[2J\x1b[{lines};1H\x1b[0;7m{self.last_line(picture, columns, lines)}\x1b[0m")
        for y, row in enumerate(picture.rows[: lines - 1]):
            if row is not self._rows[y] and row != self._rows[y]:
                written.append(self._row(y, row, columns))
            self._rows[y] = row
        return f"{AT_ONCE}{''.join(written)}{SHOWN}" if written else ""

    def last_line(self, picture: Picture, columns: int, lines: int) -> str:
        """How much is shown, whose it is, and how to leave; as wide as the terminal."""
        seen_columns, seen_lines = min(picture.columns, columns), min(picture.lines, lines - 1)
        whole = f"{picture.columns}×{picture.lines}"
        if (seen_columns, seen_lines) != (picture.columns, picture.lines):
            whole = _("CLIPPED: {part} of {whole}").format(part=f"{seen_columns}×{seen_lines}", whole=whole)
        leaves = _("Ctrl-C leaves")
        left, room = f" {whole} · {self._who}", columns - cell_len(leaves) - 2
        if room < 10:
            return set_cell_size(f" {leaves}", columns)
        if cell_len(left) > room:
            left = set_cell_size(left, room - 1) + "…"
        return set_cell_size(f"{set_cell_size(left, room)} {leaves} ", columns)

    def _row(self, y: int, row: Row, columns: int) -> str:
        written = [f"\x1b[{y + 1};1H"]
        x, sure = 0, True
        for text, look in row:
            if x >= columns:
                break
            if not sure:
                # Terminals differ in the widths of some characters: what comes behind them stays in its place.
                written.append(f"\x1b[{y + 1};{x + 1}H")
            piece, width = _fitting(visible_line(text), columns - x)
            written.append(f"\x1b[{attributes(look, self._depth)}m{piece}")
            sure = piece.isascii()
            x += width
        written.append("\x1b[0m" if x >= columns else f"\x1b[{y + 1};{x + 1}H\x1b[0m\x1b[K")
        return "".join(written)


def _fitting(text: str, room: int) -> tuple[str, int]:
    """As much of a text as fits into so many cells, and its width. Of what takes no room, only marks that combine."""
    if text.isascii():
        return text[:room], min(len(text), room)
    fitting, width = [], 0
    for character in text:
        cells = get_character_cell_size(character)
        if width + cells > room:
            # Half of a wide character.
            fitting.append(" " * (room - width))
            return "".join(fitting), room
        if cells or _combines(character):
            fitting.append(character)
            width += cells
    return "".join(fitting), width


def _combines(character: str) -> bool:
    selects = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return unicodedata.category(character) in ("Mn", "Me") and not selects


@lru_cache(maxsize=4096)
def attributes(look: Look, depth: ColorSystem | None) -> str:
    """The parameters of SGR for a look; they begin with 0, so that nothing is left of the look before."""
    codes = ["0"]
    flags = (look.bold, "1"), (look.italic, "3"), (look.underline, "4"), (look.reverse, "7"), (look.strike, "9")
    codes += [code for on, code in flags if on]
    if depth is not None:
        for colour, foreground in ((look.foreground, True), (look.background, False)):
            if colour:
                codes += _colour(colour).downgrade(depth).get_ansi_codes(foreground)
    return ";".join(codes)


def _colour(name: str) -> Color:
    if name.startswith("#"):
        return Color.from_rgb(*bytes.fromhex(name[1:]))
    return Color.from_ansi(int(name))
