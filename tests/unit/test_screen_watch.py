"""The gateway's side of a watched screen: pictures for whoever joins, nothing kept for anyone, all of it bounded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import zstandard

from bastion.api.screens import PICTURE_BEGINS, ScreenPiece
from bastion.audit.screen_recording import ScreenRecording
from bastion.gateway import screen_watch
from bastion.gateway.screen_watch import ScreenWatch
from tui.changed_cells import ShownCells

SECONDS = 30.0


def events(piece: ScreenPiece) -> list[list[Any]]:
    data = zstandard.ZstdDecompressor().decompress(piece.data, max_output_size=1 << 24) if piece.data else b""
    return [json.loads(line) for line in data.splitlines()]


class Workstation:
    """A screen that draws a picture when it is asked, at the loop's next turn."""

    def __init__(self) -> None:
        self.recording = ScreenRecording(None, "screen-1", "alice", "10.1.2.3", 80, 24, "xterm")
        self.asked = 0
        self.hung = False
        self.watch = ScreenWatch(self.recording, self._want)

    def _want(self) -> None:
        self.asked += 1
        if not self.hung:
            asyncio.get_running_loop().call_soon(self.draw)

    def draw(self) -> None:
        self.recording.picture(f"{PICTURE_BEGINS}picture {self.asked}".encode())

    def output(self, text: str) -> None:
        self.recording.output(text.encode())


async def within(work: Any) -> Any:
    async with asyncio.timeout(SECONDS):
        return await work


async def test_whoever_joins_gets_a_whole_picture_and_then_what_follows() -> None:
    at = Workstation()
    at.output("before anybody watched")
    piece = await within(at.watch.piece(None, 0))
    assert (piece.joined, piece.columns, piece.lines, piece.live) == (True, 80, 24, True)
    assert [each[1:] for each in events(piece)] == [["o", f"{PICTURE_BEGINS}picture 1"]]
    waiting = asyncio.create_task(at.watch.piece(piece.next, 20))
    await asyncio.sleep(0)
    at.output("typed")
    at.recording.resized(90, 30)
    following = await within(waiting)
    assert not following.joined
    assert [each[1:] for each in events(following)] == [["o", "typed"], ["r", "90x30"]]
    assert following.offset == piece.next
    # The next one to come gets the same picture and what followed: nobody draws twice for two.
    other = await within(at.watch.piece(None, 0))
    assert [each[1] for each in events(other)] == ["o", "o", "r"]
    assert (at.asked, other.next) == (1, following.next)


async def test_nobody_waits_longer_than_they_said() -> None:
    at = Workstation()
    piece = await within(at.watch.piece(None, 0))
    empty = await within(at.watch.piece(piece.next, 0.01))
    assert (empty.data, empty.next, empty.live) == (b"", piece.next, True)


async def test_a_slow_watcher_goes_on_with_a_new_picture_and_nothing_piles_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_watch, "KEPT", 50_000)
    monkeypatch.setattr(screen_watch, "FRESH", 10_000)
    at = Workstation()
    piece = await within(at.watch.piece(None, 0))
    for _ in range(300):
        at.output("x" * 1000)
    assert at.watch._bytes <= 50_000
    asked = at.recording.elapsed
    late = await within(at.watch.piece(piece.next, 0))
    assert late.joined
    assert at.asked == 2
    assert events(late)[0][2] == f"{PICTURE_BEGINS}picture 2"
    assert asked <= late.at <= at.recording.elapsed


async def test_a_process_that_is_hung_draws_nothing_and_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_watch, "PICTURE_SECONDS", 0.05)
    at = Workstation()
    at.hung = True
    piece = await within(at.watch.piece(None, 0))
    assert (piece.joined, piece.data) == (False, b"")
    at.hung = False
    assert (await within(at.watch.piece(None, 0))).joined


async def test_its_end_is_told_to_who_waits_with_what_came_last() -> None:
    at = Workstation()
    piece = await within(at.watch.piece(None, 0))
    waiting = asyncio.create_task(at.watch.piece(piece.next, 20))
    await asyncio.sleep(0)
    at.recording.close(0)
    at.watch.over()
    last = await within(waiting)
    assert [each[1:] for each in events(last)] == [["x", "0"]]
    assert (last.live, (await within(at.watch.piece(last.next, 20))).live) == (False, False)


async def test_a_long_answer_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_watch, "PIECE", 5000)
    at = Workstation()
    piece = await within(at.watch.piece(None, 0))
    for number in range(20):
        at.output(f"{number} " + "x" * 1000)
    found, after, more = [], piece.next, True
    while more:
        piece = await within(at.watch.piece(after, 0))
        assert len(zstandard.ZstdDecompressor().decompress(piece.data, max_output_size=1 << 24)) <= 5000
        found += [each[2].split()[0] for each in events(piece)]
        after, more = piece.next, piece.more
    assert found == [str(number) for number in range(20)]


async def test_a_watch_that_nobody_asks_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Workstation()
    assert not at.watch.unwatched
    monkeypatch.setattr(screen_watch, "UNWATCHED_SECONDS", -1.0)
    assert at.watch.unwatched


def test_a_picture_of_the_screen_is_what_the_terminal_shows() -> None:
    from rich.console import Console
    from rich.segment import Segment
    from rich.style import Style

    from backends.emulator import Emulator

    console = Console(force_terminal=True, color_system="truecolor", width=40)
    shown = ShownCells()
    shown.resize(40, 5)
    terminal = Emulator(40, 5)
    terminal.feed("\x1b[?7l")
    lines = [
        [Segment("plain "), Segment("上海贸易", Style(bold=True, color="#ff8700")), Segment(" end")],
        [Segment("x" * 40, Style(bgcolor="#203040"))],
        [Segment("two\u0301 "), Segment("red", Style(color="red", reverse=True))],
    ]
    for y, segments in enumerate(lines):
        terminal.feed("".join(shown.put(0, y, segments, console)))
    terminal.feed("".join(shown.put(6, 0, [Segment("a海")], console)))
    fresh = Emulator(40, 5)
    fresh.feed(shown.picture())
    assert [fresh.picture().text(y) for y in range(5)] == [terminal.picture().text(y) for y in range(5)]
    assert fresh.picture().rows[1:3] == terminal.picture().rows[1:3]
    shown.forget()
    assert shown.picture() == PICTURE_BEGINS
