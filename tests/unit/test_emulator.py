"""The emulator: what our own screens send, Chinese, colours, and output that is meant to do harm."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.emulator import Emulator, Look, Picture
from bastion.api.screen_frames import ENTER, KITTY_KEYS, LEAVE
from bastion.api.screens import PICTURE_BEGINS

HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(*output: str, columns: int = 40, lines: int = 6) -> list[str]:
    """The lines of a screen, without the spaces at their ends."""
    emulator = Emulator(columns, lines)
    for each in output:
        emulator.feed(each)
    picture = emulator.picture()
    return [picture.text(y).rstrip() for y in range(picture.lines)]


def looks(picture: Picture, y: int) -> list[tuple[str, Look]]:
    return [(text, look) for text, look in picture.rows[y] if text.strip()]


def test_what_a_served_workstation_sends_besides_its_screen_is_not_on_it() -> None:
    text = "".join([ENTER, KITTY_KEYS, "\x1b[?2026$p", "\x1b[22;2t\x1b]2;casemate: Console\x07", "\x1b[?2026h"])
    assert shown(text + "\x1b[1;1Hhello\x1b[?2026l")[0] == "hello"
    assert shown("kept", LEAVE)[0] == "kept"


def test_colours_of_every_depth() -> None:
    emulator = Emulator(60, 5)
    emulator.feed(
        "\x1b[1;31mred\x1b[0m \x1b[94;41mblue\x1b[m \x1b[38;5;208mmany\x1b[39m \x1b[48;2;1;2;3mtrue\x1b[0m "
        "\x1b[38:2:9:8:7mcolons\x1b[0m \x1b[3;4;7;9mall\x1b[0m"
    )
    found = dict(looks(emulator.picture(), 0))
    assert found["red"] == Look("1", bold=True)
    assert found["blue"] == Look("12", "1")
    assert found["many"] == Look("#ff8700")
    assert found["true"] == Look("", "#010203")
    assert found["colons"] == Look("#090807")
    assert found["all"] == Look(italic=True, underline=True, strike=True, reverse=True)


def test_wide_characters_have_two_cells_and_lose_both() -> None:
    assert shown("上海贸易", "\x1b[1;3H中", "\x1b[2;1H上海", "\x1b[2;2Hx")[:2] == ["上中贸易", " x海"]
    assert shown("上海", "\x1b[1;1Hx")[0] == "x 海"
    emulator = Emulator(20, 5)
    emulator.feed("\x1b[?7l\x1b[1;20H海\x1b[2;19H海")
    assert [len(emulator.picture().text(y)) for y in range(2)] == [19, 19]
    assert emulator.picture().text(1).endswith(" 海")


def test_marks_that_combine_are_kept_within_limits() -> None:
    assert shown("e\u0301!")[0] == "e\u0301!"
    flooded = shown("a" + "\u0301" * 100_000 + "b")[0]
    assert flooded.endswith("b")
    assert len(flooded) < 10


def test_the_alternate_screen_gives_the_main_one_back() -> None:
    emulator = Emulator(20, 5)
    emulator.feed("$ ssh bastion\r\n\x1b[?1049h")
    assert emulator.picture().text(0).strip() == ""
    emulator.feed("\x1b[1;1Hworkstation")
    assert emulator.picture().text(0).strip() == "workstation"
    emulator.feed("\x1b[?1049l")
    assert emulator.picture().text(0).strip() == "$ ssh bastion"


def test_erasing_scrolling_and_moving() -> None:
    assert shown("one\r\ntwo\r\nthree\x1b[2;2H\x1b[K")[:3] == ["one", "t", "three"]
    assert shown("one\x1b[2J\x1b[1;1Htwo")[0] == "two"
    assert shown("\x1b[5;1Hlast", "\r\nnew", lines=5) == ["", "", "", "last", "new"]
    assert shown("abcdef\x1b[1;3H\x1b[2P")[0] == "abef"
    assert shown("abc\x1b[3D\x1b[1@x")[0] == "xabc"
    assert shown("\x1b[2;4rA\x1b[4;1H\n", lines=5)[0] == "A"


def test_a_sequence_may_come_in_pieces() -> None:
    whole = "\x1b[38;2;1;2;3mcolour\x1b[0m \x1b]52;c;c2VjcmV0\x1b\\after \x1bPq#0;2\x1b\\end"
    for cut in range(len(whole)):
        assert shown(whole[:cut], whole[cut:])[0] == "colour after end", cut


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b]52;c;cm0gLXJmIC8=\x07",  # the clipboard
        "\x1b]0;owned\x07\x1b]2;owned\x1b\\",  # the title
        "\x1b]8;;http://evil/\x07link\x1b]8;;\x07",
        "\x1bP$qm\x1b\\\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[?2026$p\x1b[14t",  # questions, whose answers would be typed
        "\x1b[?1003h\x1b[?1006h\x1b[>25u\x1b[?2004h\x1b[?1004h",  # mouse, keys, paste, focus
        "\x1b[3J\x1bc\x1b[!p\x1b#8\x1b(0\x1b%@\x1b=\x1b>",
        "\x9b31m\x9d0;owned\x07\x90q\x9c\x84\x85\x8d",  # C1
        "\u202eevil\u2066\u200f",
        "\x1b[?3h",  # 132 columns
        "[bold red]markup[/] [@click=app.quit]x[/]",
        "\x1b[999999999999999999;1H\x1b[0;0r\x1b[99999@\x1b[99999L\x1b[;;;;;;m\x1b[38;5m\x1b[38;2;999;999;999mx",
        "\x1b[4m\x1b[?4m\x1b[38;5;300mx\x1b[1;2;3;4;5;6;7;8;9H",
    ],
)
def test_no_output_leaves_anything_but_text_and_looks(attack: str) -> None:
    emulator = Emulator(80, 24)
    emulator.feed("before " + attack + " after")
    picture = emulator.picture()
    assert (picture.columns, picture.lines) == (80, 24)
    everything = "".join(text for row in picture.rows for text, _look in row)
    assert not HARMFUL.search(everything)
    assert "after" in everything
    for row in picture.rows:
        for _text, look in row:
            for colour in (look.foreground, look.background):
                assert re.fullmatch(r"|\d{1,2}|#[0-9a-f]{6}", colour)


@given(st.text(alphabet="\x1b[]P;?0123456789mHJKhlABCDrLM@^_\\\x07\x18\x9b\x9c ax海\u0301\r\n\t\b"), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_anything_can_be_fed(output: str, cuts: int) -> None:
    emulator = Emulator(20, 5)
    places = sorted(random.Random(len(output)).choices(range(len(output) + 1), k=cuts))
    for start, end in zip([0, *places], [*places, len(output)], strict=True):
        emulator.feed(output[start:end])
    picture = emulator.picture()
    assert len(picture.rows) == 5
    for row in picture.rows:
        text = "".join(piece for piece, _look in row)
        assert not HARMFUL.search(text)
        cells = sum(2 if unicodedata.east_asian_width(c) == "W" else not unicodedata.combining(c) for c in text)
        assert cells == 20
    again = Emulator.restored(emulator.snapshot()).picture()
    assert [again.text(y) for y in range(5)] == [picture.text(y) for y in range(5)]


def test_a_string_without_an_end_hides_nothing_for_long_and_costs_no_memory() -> None:
    emulator = Emulator(40, 5)
    emulator.feed("\x1b]0;")
    for _ in range(200):
        emulator.feed("x" * 10_000)
    emulator.feed("\x1b[1;1Hstill here")
    assert emulator.picture().text(0).startswith("still here")


def test_a_whole_picture_needs_nothing_of_what_was_before() -> None:
    emulator = Emulator(40, 5)
    emulator.feed("rubbish\x1b[31;1m\x1b]0;never ends" + "\x1b[5;5H")
    emulator.feed(PICTURE_BEGINS + "\x1b[2;3H\x1b[32mwhole\x1b[0m")
    fresh = Emulator(40, 5)
    fresh.feed(PICTURE_BEGINS + "\x1b[2;3H\x1b[32mwhole\x1b[0m")
    assert emulator.picture() == fresh.picture()


def test_a_snapshot_goes_on_as_the_screen_itself() -> None:
    emulator = Emulator(30, 5)
    emulator.feed("\x1b[?7l\x1b[1;1H\x1b[38;5;99m上海\x1b[48;2;3;4;5mx e\u0301 \x1b[7m")
    other = Emulator.restored(emulator.snapshot())
    for each in (emulator, other):
        each.feed("more\x1b[0m\x1b[5;29Hedge-of-it\x1b[2;1H\x1b[K")
    assert emulator.picture() == other.picture()


def test_rows_that_did_not_change_are_the_same_objects() -> None:
    emulator = Emulator(30, 5)
    emulator.feed("\x1b[1;1Hone\x1b[2;1Htwo")
    before = emulator.picture()
    emulator.feed("\x1b[2;1HTWO\x1b[1;1Hone")
    after = emulator.picture()
    assert after.rows[0] is before.rows[0]
    assert after.rows[1] is not before.rows[1]


def test_sizes_are_bounded_and_may_change() -> None:
    emulator = Emulator(99_999, 99_999)
    assert emulator.size == (500, 200)
    emulator.feed("\x1b[1;1Htop\x1b[200;1Hbottom")
    emulator.resize(20, 5)
    assert emulator.picture().text(0).strip() == "top"
    assert len(emulator.picture().rows) == 5
    emulator.feed("\x1b[6;1Hx")
    emulator.resize(40, 10)
    assert len(emulator.picture().text(9)) == 40
