"""The served workstation's driver, with a small application on it and a terminal at the other end of a socket."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import Any

import msgspec
import pytest
from rich.text import Text
from textual import constants
from textual.widgets import Static

from bastion.api import screen_frames as frames
from screens.secret_text import with_secrets
from tui import safe_output
from tui.hosting.private_marks import BEGIN, END, concealed
from tui.hosting.screen_link import MOST_WAITING, WRITE_AHEAD
from tui.hosting.stream_driver import QUEUE

from .served_screen import LIMIT, Other, SmallApp, served

NASTY = "\x1b]52;c;b3duZWQ=\x07\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b31m\x07bell \u202edne"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


async def test_it_takes_the_terminal_and_gives_it_back() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        assert other.written.startswith(frames.ENTER.encode())
        await other.send(frames.LEAVE_NOW)
        while await other.read():
            pass
        assert other.written.endswith(frames.LEAVE.encode())
        assert other.exit == frames.Exit(0)


async def test_keys_pastes_and_the_mouse_arrive() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.type("数据".encode()[:4])
        await other.type("数据".encode()[4:] + b"x")
        await other.until(lambda: app.query_one("#typed").value == "数据x")  # type: ignore[attr-defined]
        await other.type(b"\x1b[200~ pasted \x1b[201~")
        await other.until(lambda: app.query_one("#typed").value == "数据x pasted ")  # type: ignore[attr-defined]
        region = app.query_one("Button").region
        at = f"{region.x + 3};{region.y + 2}".encode()
        await other.type(b"\x1b[<0;" + at + b"M\x1b[<0;" + at + b"m")
        await other.wait("pressed 1")


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xfe\xc3", b"\x1b[99999999999;1u", b"\x1b[1114112;1u", b"\x1b[48;9000;9000;9000;9000t",
        b"\x1b[?62;22c", b"\x1bP1$r0m\x1b\\", b"\x1b]11;rgb:ffff/ffff/ffff\x07", b"\x1b[<0;99999;99999M",
        b"\x1b[<35;0;0M", b"\x1b[M\xff\xff\xff", b"\x1b[;;;;;u", b"\x1b[27;5;999999999999999~", b"\x00\x80\x9b",
        b"\x1b[999999999;999999999R", b"\x1b[200~no end", b"\x1b" * 500, b"\x1b[1;999999999999u",
    ],
)  # fmt: skip
async def test_whatever_comes_it_goes_on(hostile: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ESCAPE_DELAY", 0.02)
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.type(hostile)
        await other.until_quiet()
        assert app.size == (80, 24)
        await other.type(b"\x1b[201~")
        await other.until_quiet(0.05)
        # Behind whatever that may have typed.
        await other.type(b"still here")
        await other.until(lambda: app.query_one("#typed").value.endswith("still here"))  # type: ignore[attr-defined]


async def test_a_sequence_that_means_nothing_does_not_swallow_what_is_typed_next() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        for part in (b"\x1b[;;", b";;;ua", b"\x1b[1;2;3;4;5zb", b"\x1b[", b"Dc", b"\x1bO", b"Dd"):
            await other.type(part)
        await other.wait("got adcb")


async def test_what_is_typed_behind_a_key_does_not_overtake_it() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.type(b"wrong\x15ab\x1b[D\x1b[Dcd\x1b[Cx\x7fy")
        await other.wait("got cdayb")


async def test_nothing_in_the_content_reaches_the_terminal_as_a_sequence() -> None:
    async with served(SmallApp(NASTY)) as other:
        await other.wait("owned")
        await other.until_quiet()
    written = other.written.decode().replace("\x1b]22;default\x07", "")  # the shape of the mouse pointer, of Textual
    for sequence in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\u202e", "\x1b[31m"):
        assert sequence not in written


async def test_its_size_is_the_clients_within_limits() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.resize(100, 40)
        await other.until(lambda: app.size == (100, 40))
        await other.send(frames.SIZE, b"\xff\xff\xff\xff")
        await other.until(lambda: app.size == (frames.COLUMNS[1], frames.LINES[1]))
        await other.send(frames.SIZE, b"\0\1\0\1")
        await other.until(lambda: app.size == (frames.COLUMNS[0], frames.LINES[0]))


async def test_who_does_not_read_costs_no_memory_and_sees_the_last_state_once() -> None:
    app = SmallApp()
    async with served(app, 200, 50) as other:
        await other.wait("hello")
        most = number = 0
        async with asyncio.timeout(LIMIT):
            while number < 600 or not app._batch_count:  # until it draws nothing
                number += 1
                app.query_one("#content", Static).update(Text(f"state {number} " * 400))
                app.refresh(layout=True)
                await asyncio.sleep(0)
                await asyncio.sleep(0.001)
                most = max(most, app.link._transport.get_write_buffer_size())
        assert most < WRITE_AHEAD + 1024 * 1024
        before = len(other.written)
        await other.wait(f"state {number}")
        assert len(other.written) - before < WRITE_AHEAD + 2 * 1024 * 1024
        await other.type(b"x")
        await other.wait("got x")


async def test_a_program_that_writes_all_the_same_is_bounded() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        for _ in range(200):
            app.driver.write("\a" * 100_000)  # type: ignore[union-attr]
            await asyncio.sleep(0)
        assert app.link._transport.get_write_buffer_size() < MOST_WAITING + 200_000


async def test_more_keys_than_it_can_take_wait_in_the_socket() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, app._message_queue.qsize())
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        reading = asyncio.create_task(_read_on(other))
        for _ in range(5):
            await other.type(b"\x1b[D" * 1000)
        await other.type(b"end")
        async with asyncio.timeout(60):
            while "end" not in app.query_one("#typed").value:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        watching.cancel()
        reading.cancel()
        assert most < QUEUE + 1000


async def _read_on(other: Other) -> None:
    while await other.read():
        pass


async def test_a_terminal_that_goes_and_comes_again_gets_everything_anew() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.type(b"typed")
        await other.wait("got typed")
        await other.send(frames.DETACH)
        app.query_one("#content", Static).update(Text("while nobody was there"))
        await other.until_quiet()
        assert "while nobody" not in other.text
        other.written = b""
        other.screen.reset()
        other.screen.resize(12, 60)
        terminal = frames.Terminal(60, 12, {"TERM": "xterm-256color"})
        await other.send(frames.ATTACH, msgspec.json.encode(terminal))
        await other.wait("while nobody was there")
        assert "got typed" in other.text
        assert other.written.startswith(frames.ENTER.encode())
        await other.until(lambda: app.size == (60, 12))


async def test_colours_are_those_of_each_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(SmallApp()) as other:
        await other.wait("hello")
    assert b"38;2;" in other.written
    monkeypatch.delenv("COLORTERM")
    async with served(SmallApp()) as other:
        await other.wait("hello")
    assert b"38;5;" in other.written
    assert b"38;2;" not in other.written
    monkeypatch.setenv("TERM", "xterm")
    async with served(SmallApp()) as other:
        await other.wait("hello")
    assert b"38;5;" not in other.written
    assert b"38;2;" not in other.written


async def test_what_is_marked_goes_to_the_terminal_and_not_to_the_record() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        app.driver.write("a" + concealed("\x1b[1mcmt_令牌") + "b" + concealed("\x1b]52;c;again\a") + "c")  # type: ignore[union-attr]
        await other.until(lambda: ("•" * 8 + "bc").encode() in other.recorded)
    assert "a\x1b[1mcmt_令牌b\x1b]52;c;again\ac".encode() in other.written
    assert ("a\x1b[1m" + "•" * 8 + "bc").encode() in other.recorded
    assert b"cmt_" not in other.recorded
    assert b"casemate" not in other.written


async def test_a_token_on_the_screen_is_dots_in_the_record() -> None:
    token = "cmt_" + "abcd2345" * 4
    safe_output.mark_secrets(BEGIN, END)
    try:
        app = SmallApp()
        async with served(app, 30, 24) as other:
            await other.wait("hello")
            app.query_one("#content", Static).update(with_secrets(f"over two lines: {token} and on"))
            await other.wait("and on")
            app.screen.styles.padding = 2  # drawn again, cut otherwise
            await other.until_quiet(0.5)
    finally:
        safe_output.mark_secrets("", "")
    pieces = {token[start : start + 5] for start in range(len(token) - 5)}
    assert not [piece for piece in pieces if piece.encode() in other.recorded]
    assert [piece for piece in pieces if piece.encode() in other.written]
    assert "•".encode() in other.recorded
    assert b"casemate" not in other.written + other.recorded


async def test_how_far_the_terminal_is() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await other.send(frames.ROUND_TRIP, frames.round_trip_frame(0.25)[5:])
        await other.until(lambda: app.round_trips == [0.25])


async def test_an_application_that_is_over_is_let_go() -> None:
    async def run() -> weakref.ref[Any]:
        app = SmallApp()
        async with served(app) as other:
            await other.wait("hello")
            await other.type(b"\x1b[97;1u\x1b[98u")
            await other.until_quiet()
        return weakref.ref(app)

    kept = await run()
    # The loop's own turns: what was cancelled is taken out of it in the next ones.
    async with asyncio.timeout(LIMIT):
        while kept() is not None:
            await asyncio.sleep(0.01)
            gc.collect()


async def test_a_gateway_that_speaks_nonsense_is_hung_up_on() -> None:
    app = SmallApp()
    async with served(app) as other:
        await other.wait("hello")
        await asyncio.get_running_loop().sock_sendall(other._sock, b"I\xff\xff\xff\xff")
        async with asyncio.timeout(60):
            while await other.read():
                pass
    assert not app.is_running


def test_the_environment_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    from textual import _xterm_parser

    from bastion.api import language
    from tui.hosting.environment import take

    for name in ("LANG", "LC_ALL", "TZ", "LC_TERMINAL"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setattr(constants, "DISABLE_KITTY_KEY", False)
    monkeypatch.setattr(_xterm_parser, "IS_ITERM", False)
    take({"TERM": "tmux-256color", "LANG": "zh_CN.UTF-8", "TZ": "Asia/Shanghai", "LC_TERMINAL": "iTerm2"})
    try:
        assert os.environ["TERM"] == "tmux-256color"
        assert "LC_ALL" not in os.environ
        assert language.current() == "zh_CN"
        assert constants.DISABLE_KITTY_KEY
        take({"TERM": "xterm"})
        assert "TZ" not in os.environ
        assert not constants.DISABLE_KITTY_KEY
        assert language.current() == "en"
    finally:
        language.use("en")


def test_safe_output_is_the_local_workstations_too() -> None:
    from textual.strip import Strip

    from tui.app import CasemateApp
    from tui.hosting.served_app import ServedApp

    assert issubclass(ServedApp, CasemateApp)
    safe_output.install()
    assert Strip.render is safe_output._render
