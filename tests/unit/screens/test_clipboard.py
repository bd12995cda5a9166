"""What is sent for the clipboard, by what is between the workstation and the person's terminal."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tui import clipboard

from .conftest import settled
from .world import world

TEXT = "cmt_abcdefghijklmnop"
PLAIN = f"\x1b]52;c;{base64.b64encode(TEXT.encode()).decode()}\a"


def test_without_anything_between_the_plain_form() -> None:
    assert clipboard.sequence(TEXT, {"TERM": "xterm-256color"}) == PLAIN


def test_screen_gets_its_wrapping_and_a_tmux_that_says_screen_the_plain_form_too() -> None:
    wrapped = f"\x1bP{PLAIN}\x1b\\"
    assert clipboard.sequence(TEXT, {"TERM": "screen", "STY": "1.host"}) == wrapped
    assert clipboard.sequence(TEXT, {"TERM": "screen-256color"}) == PLAIN + wrapped
    assert "\x1bPtmux;" in clipboard.sequence(TEXT, {"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0"})


def test_what_screen_would_print_is_not_sent_to_it() -> None:
    long = "x" * 2000
    assert not clipboard.sequence(long, {"TERM": "screen"}).startswith("\x1b]")
    assert not clipboard.reaches_tmux(long, {"TERM": "screen"})
    assert clipboard.reaches_tmux(TEXT, {"TERM": "screen"})
    assert clipboard.reaches_tmux(long, {"TERM": "tmux-256color"})
    assert clipboard.reaches_tmux(long, {"TERM": "screen", "STY": "1.host"})


async def test_it_is_said_when_a_tmux_would_not_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TERM", "screen")
    monkeypatch.delenv("STY", raising=False)
    async with world(tmp_path).app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        monkeypatch.setattr(pilot.app._driver, "write", lambda data: None)
        told: list[str] = []
        monkeypatch.setattr(pilot.app, "told", lambda message, bad=False: told.append(message))
        pilot.app.copy_to_clipboard(TEXT)
        assert len(told) == 1
        assert "`set -g set-clipboard on` in tmux" in told[0]
        pilot.app.copy_to_clipboard("x" * 2000)
        assert "TERM says `screen`" in told[2]
