"""A watched screen on a terminal: what is written for a picture, and what a terminal makes of it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pyte
import zstandard
from rich.color import ColorSystem

from backends.emulator import Emulator, Look, Picture
from backends.screen_drawing import ENTER, LEAVE, Drawing, attributes
from backends.screen_printing import FollowedScreen
from bastion.api import messages as m
from bastion.api.methods import Method
from bastion.api.screens import PICTURE_BEGINS, ScreenFollowRequest, ScreenPiece

OURS = re.compile(r"\x1b\[\d+;\d+H|\x1b\[[\d;]*m|\x1b\[K|\x1b\[2J|\x1b\[\?2026[hl]")
"""Every sequence that may be written for a picture."""
TRUE = ColorSystem.TRUECOLOR


def pictured(*rows: str | tuple[tuple[str, Look], ...], columns: int) -> Picture:
    return Picture(
        columns, len(rows), tuple(((row.ljust(columns), Look()),) if isinstance(row, str) else row for row in rows)
    )


class Shown:
    """A terminal of a size, with a drawing on it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self._drawing = Drawing("alice · s-1", TRUE)
        self._stream.feed(ENTER)

    def draw(self, picture: Picture) -> str:
        text = self._drawing.draw(picture, self.screen.columns, self.screen.lines)
        self._stream.feed(text)
        return text

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]


def test_a_picture_smaller_than_the_terminal_is_shown_whole_with_a_line_of_our_own() -> None:
    shown = Shown(50, 5)
    shown.draw(pictured("hello", "parcel", columns=20))
    assert shown.lines[:4] == ["hello", "parcel", "", ""]
    assert shown.lines[4] == " 20×2 · alice · s-1                 Ctrl-C leaves"
    assert not shown.screen.mode & {pyte.modes.DECTCEM, pyte.modes.DECAWM}


def test_only_rows_that_changed_are_written_again() -> None:
    shown, emulator = Shown(50, 6), Emulator(30, 4)
    emulator.feed("first\r\nsecond\r\nthird")
    shown.draw(emulator.picture())
    emulator.feed("\x1b[2;1HSECOND")
    text = shown.draw(emulator.picture())
    assert "SECOND" in text
    assert "first" not in text
    assert "third" not in text
    assert "Ctrl-C" not in text
    assert shown.lines[:3] == ["first", "SECOND", "third"]
    assert shown.draw(emulator.picture()) == ""
    # The same text anew is no change either.
    emulator.feed("\x1b[2;1HSECOND")
    assert shown.draw(emulator.picture()) == ""


def test_a_row_that_became_shorter_leaves_nothing_behind() -> None:
    shown = Shown(50, 4)
    shown.draw(pictured("a long line that goes", columns=30))
    shown.draw(Picture(30, 1, ((("short", Look()),),)))
    assert shown.lines[0] == "short"


def test_hostile_text_stays_text() -> None:
    hostile = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\u202e\x9b31m\r\n\x00[bold]"
    look = Look(foreground="1")
    shown = Shown(80, 3)
    text = shown.draw(pictured(((hostile, look),), columns=60))
    left = OURS.sub("", text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", left)
    assert "␛]0;owned␇␛[31mred␛[2J�" in shown.lines[0]
    # Nor does a name on our own line do anything.
    line = OURS.sub("", Drawing(hostile, TRUE).draw(pictured("x", columns=5), 100, 3))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)


def test_what_is_larger_than_the_terminal_is_clipped_and_said_to_be() -> None:
    shown = Shown(40, 4)
    shown.draw(pictured(*(f"{number} " + "x" * 57 for number in range(6)), columns=60))
    assert shown.lines[:3] == [f"{number} " + "x" * 38 for number in range(3)]
    assert shown.lines[3].startswith(" CLIPPED: 40×3 of 60×6")
    assert shown.lines[3].endswith("Ctrl-C leaves")
    shown.resize(70, 8)
    shown.draw(pictured(*(f"{number} " + "x" * 57 for number in range(6)), columns=60))
    assert shown.lines[5] == "5 " + "x" * 57
    assert shown.lines[7].startswith(" 60×6 · alice · s-1")


def test_wide_characters_stay_in_their_columns_also_at_the_edge() -> None:
    bold = Look(bold=True)
    row = (("上海 ", Look()), ("物流", bold), (" end", Look()))
    shown = Shown(40, 3)
    shown.draw(pictured(row, columns=13))
    assert shown.lines[0] == "上海 物流 end"
    assert shown.screen.buffer[0][5].data == "物"
    assert shown.screen.buffer[0][5].bold
    assert not shown.screen.buffer[0][9].bold
    # The last one has half of a cell pair: none of it is shown, and nothing wraps.
    shown = Shown(8, 3)
    shown.draw(pictured(row, columns=13))
    assert shown.lines[0] == "上海 物"
    assert shown.lines[1] == ""


def test_characters_without_width_do_not_move_what_is_behind_them() -> None:
    shown = Shown(40, 3)
    text = shown.draw(pictured((("e\u0301 a\u200d\ufe0fb", Look()), ("|", Look())), columns=5))
    assert "\u200d" not in text
    assert "\ufe0f" not in text
    assert "e\u0301" in text
    assert shown.screen.buffer[0][4].data == "|"


def test_every_size_of_terminal_is_drawn_on() -> None:
    for columns in (1, 2, 5, 14, 24, 80):
        for lines in (1, 2, 3):
            shown = Shown(columns, lines)
            shown.draw(pictured("上海" * 20, "second", columns=80))
            assert len(shown.lines) == lines


def test_looks_become_attributes_of_as_many_colours_as_there_are() -> None:
    look = Look("#ff8000", "4", bold=True, italic=True, underline=True, strike=True, reverse=True)
    assert attributes(look, ColorSystem.TRUECOLOR) == "0;1;3;4;7;9;38;2;255;128;0;44"
    assert attributes(look, ColorSystem.EIGHT_BIT) == "0;1;3;4;7;9;38;5;208;44"
    assert attributes(look, None) == "0;1;3;4;7;9"
    assert attributes(Look(background="12"), ColorSystem.STANDARD) == "0;104"
    assert attributes(Look(), TRUE) == "0"


def test_the_terminal_is_left_as_it_was() -> None:
    terminal = pyte.Screen(20, 3)
    stream = pyte.Stream(terminal)
    before = set(terminal.mode)
    stream.feed(ENTER)
    stream.feed(Drawing("alice", TRUE).draw(pictured((("x", Look(reverse=True)),), columns=1), 20, 3))
    stream.feed(LEAVE)
    assert {each for each in terminal.mode if each != 1049 << 5} == before
    assert terminal.cursor.attrs == pyte.screens.Char(" ")
    assert not terminal.cursor.hidden


class Bastion:
    """Gives the pieces of a screen, one a call."""

    def __init__(self, *pieces: ScreenPiece) -> None:
        self._pieces = list(pieces)
        self.asked: list[int | None] = []

    async def call(self, method: Method, params: m.Message) -> Any:
        assert isinstance(params, ScreenFollowRequest)
        self.asked.append(params.after)
        return self._pieces.pop(0)


def piece(offset: int, text: str, *, joined: bool = False, size: tuple[int, int] = (20, 3)) -> ScreenPiece:
    data = json.dumps([0.1, "o", text]).encode() + b"\n"
    return ScreenPiece(
        data=zstandard.ZstdCompressor().compress(data), offset=offset, next=offset + len(data), live=True,
        joined=joined, at=1.0, columns=size[0], lines=size[1],
    )  # fmt: skip


def test_a_screen_is_followed_without_keeping_what_was_shown() -> None:
    pieces = [piece(0, PICTURE_BEGINS + "begun", joined=True)]
    for number in range(200):
        pieces.append(piece(pieces[-1].next, f"\x1b[2;1Hnumber {number}" + "\x1b[3;1H" + "x" * 5000))
    bastion = Bastion(
        ScreenPiece(data=b"", offset=0, next=0, live=True), *pieces,
        piece(9_000_000, PICTURE_BEGINS + "anew", joined=True, size=(30, 6)),
    )  # fmt: skip
    screen = FollowedScreen(bastion, "screen-1", "")

    async def follow() -> None:
        assert not await screen.join()
        assert screen.picture() is None
        assert await screen.join()
        for _ in range(200):
            await screen.follow()
            assert screen.kept.characters == 0

    asyncio.run(follow())
    picture = screen.picture()
    assert picture is not None
    assert picture.text(0).rstrip() == "begun"
    assert picture.text(1).rstrip() == "number 199"
    assert bastion.asked[:2] == [None, None]
    assert bastion.asked[2:] == [each.next for each in pieces[:200]]
    # Too slow: a whole picture takes its place.
    asyncio.run(screen.follow())
    picture = screen.picture()
    assert picture is not None
    assert (picture.columns, picture.lines, picture.text(0).rstrip()) == (30, 6, "anew")
