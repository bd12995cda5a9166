"""What is left out of an update is on the terminal already: the same picture as if everything had been sent."""

from __future__ import annotations

import random

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from tests.unit.screens.terminal import Terminal
from tui.changed_cells import ShownCells
from tui.safe_output import colours_of, render_segments

WIDTH, HEIGHT = 24, 4
PIECES = ("ab", "  ", "上", "e\u0301x", "한", "z.", "－", "--")
"""Two cells each."""
STYLES = (
    None,
    Style(bold=True),
    Style(color="#ff0000"),
    Style(color="#ff0000", bgcolor="#0000ff"),
    Style(reverse=True),
)


def console() -> Console:
    return Console(color_system="truecolor", force_terminal=True, _environ={})


@pytest.mark.parametrize("seed", range(8))
def test_random_updates_come_out_the_same(seed: int) -> None:
    chance = random.Random(seed)
    to, shown = console(), ShownCells()
    everything, changed = Terminal(WIDTH, HEIGHT), Terminal(WIDTH, HEIGHT)
    shown.resize(WIDTH, HEIGHT)
    for turn in range(120):
        if turn == 60:
            shown.forget()
            shown.resize(WIDTH, HEIGHT)
            changed.write("\x1b[2J")
            everything.write("\x1b[2J")
        start = chance.randrange(0, WIDTH, 2)
        count = chance.randint(1, (WIDTH - start) // 2)
        y = chance.randrange(HEIGHT)
        segments = [Segment(chance.choice(PIECES), chance.choice(STYLES)) for _piece in range(count)]
        everything.write(f"\x1b[{y + 1};{start + 1}H" + render_segments(segments, colours_of(to)))
        changed.write("".join(shown.put(start, y, segments, to)))
        assert changed.lines == everything.lines
        assert changed.attributes() == everything.attributes()
    assert changed.taken() < everything.taken()


def test_nothing_is_sent_for_what_is_there() -> None:
    to, shown = console(), ShownCells()
    shown.resize(WIDTH, HEIGHT)
    line = [Segment("select 上海 ", Style(bold=True)), Segment("1")]
    assert "".join(shown.put(0, 1, line, to)) == "\x1b[2;1H\x1b[1mselect 上海 \x1b[0m1"
    assert "".join(shown.put(0, 1, line, to)) == ""
    assert "".join(shown.put(7, 1, [Segment("北海", Style(bold=True))], to)) == "\x1b[2;8H\x1b[1m北\x1b[0m"


def test_half_of_a_wide_character_is_not_taken_for_what_is_there() -> None:
    to, shown = console(), ShownCells()
    shown.resize(WIDTH, HEIGHT)
    "".join(shown.put(0, 0, [Segment("上海")], to))
    "".join(shown.put(1, 0, [Segment("x")], to))
    # The terminal has blanked the first cell with the second.
    assert "上" in "".join(shown.put(0, 0, [Segment("上海")], to))


def test_nothing_of_a_text_is_obeyed() -> None:
    to, shown = console(), ShownCells()
    shown.resize(WIDTH, HEIGHT)
    sent = "".join(shown.put(0, 0, [Segment("\x1b]52;c;AA\a\x9b31m")], to))
    assert sent.count("\x1b") == 1
    assert "\a" not in sent
    assert "\x9b" not in sent
