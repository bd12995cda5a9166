"""What reaches the terminal: nothing that it would obey, whatever a database says; and the clipboard sequence."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator

import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widgets import DataTable, Input, Label, OptionList, RichLog, Static, TextArea, Tree

from backends.visible_text import visible, visible_line
from tui import clipboard, safe_output

ATTACK = "a\x1b]52;c;cm0gLXJmIC8=\x07b\x9b31mc\x1b[2Jd\x90e\x7f"
BAD = {"\x1b]", "\x1b[2J", "\x07", "\x9b", "\x90", "\x7f"}


@pytest.fixture
def installed() -> Iterator[None]:
    render, render_style = Strip.render, Strip.__dict__["render_style"]
    safe_output.install()
    yield
    Strip.render = render  # type: ignore[method-assign]
    Strip.render_style = render_style  # type: ignore[method-assign]


def test_visible_replaces_one_character_by_one() -> None:
    assert visible(ATTACK) == "a␛]52;c;cm0gLXJmIC8=␇b�31mc␛[2Jd�e␡"
    assert len(visible(ATTACK)) == len(ATTACK)
    assert visible("tab\tand\nline") == "tab\tand\nline"
    assert visible_line("tab\tand\nline") == "tab␉and␊line"
    assert visible("user\u202etxt.exe") == "user�txt.exe"


@pytest.mark.usefixtures("installed")
def test_a_strip_never_writes_a_control_character_of_its_content() -> None:
    strip = Strip([Segment(ATTACK, Style(color="red", link="http://x/\x1b]0;t\x07")), Segment(ATTACK)])
    written = strip.render(Console(color_system="truecolor", force_terminal=True))
    assert not any(bad in written for bad in BAD)
    assert written.startswith("\x1b[")


@pytest.mark.usefixtures("installed")
def test_colours_are_worked_out_for_each_terminal() -> None:
    style = Style(color="#5b8dd6", bold=True)
    assert "38;2;91;141;214" in Strip.render_style(style, "x", ColorSystem.TRUECOLOR)
    assert "38;2" not in Strip.render_style(style, "x", ColorSystem.STANDARD)


Put = Callable[[App[None]], None]


class Everything(App[None]):
    """One of each widget that shows what others wrote, with the attack in it, unescaped by anybody."""

    def compose(self) -> ComposeResult:
        yield Static(Text(ATTACK))
        yield Label(Text(ATTACK))
        yield Input(ATTACK)
        yield TextArea(ATTACK)
        yield OptionList(Text(ATTACK).plain, markup=False)
        yield DataTable(id="table")
        yield Tree(Text(ATTACK))
        yield RichLog(id="log")

    def on_mount(self) -> None:
        table = self.query_one("#table", DataTable)
        table.add_column(Text(ATTACK))
        table.add_row(Text(ATTACK))
        self.query_one("#log", RichLog).write(Text(ATTACK))


@pytest.mark.usefixtures("installed")
async def test_no_widget_lets_an_escape_sequence_out() -> None:
    app = Everything()
    async with app.run_test(size=(80, 60)) as pilot:
        written = ""
        async with asyncio.timeout(60):  # some are drawn when their size is known
            while written.count("52;c;") < 7:
                await pilot.pause()
                lines = app.screen._compositor.render_strips()
                written = "".join(strip.render(app.console) for strip in lines)
        assert not any(bad in written for bad in BAD)


def test_the_clipboard_sequence_is_wrapped_for_what_is_in_between() -> None:
    encoded = base64.b64encode("select 1; -- 数据".encode()).decode()
    plain = f"\x1b]52;c;{encoded}\a"
    assert clipboard.sequence("select 1; -- 数据", {}) == plain
    in_tmux = clipboard.sequence("select 1; -- 数据", {"TMUX": "/tmp/tmux", "TERM": "tmux-256color"})
    assert in_tmux == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"
    assert clipboard.sequence("select 1; -- 数据", {"TERM": "tmux-256color"}) == in_tmux, "a tmux beyond an ssh"
    in_screen = clipboard.sequence("x" * 300, {"TERM": "screen.xterm", "STY": "1234.pts-0.host"})
    pieces = in_screen.split("\x1b\\")[:-1]
    assert len(pieces) > 1
    assert all(piece.startswith("\x1bP") and len(piece) <= 2 + clipboard.SCREEN_CHUNK for piece in pieces)
    assert "".join(piece[2:] for piece in pieces).endswith("\a")


def test_too_much_for_the_clipboard_is_refused() -> None:
    assert clipboard.sequence("x" * 56_000, {})
    with pytest.raises(clipboard.TooLong):
        clipboard.sequence("x" * 57_000, {})
