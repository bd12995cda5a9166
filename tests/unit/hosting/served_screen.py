"""A small application on the served workstation's driver, with a terminal at the other end of a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pyte
from rich.text import Text
from textual.app import App, ComposeResult
from textual.driver import Driver
from textual.widgets import Button, Input, Static

from bastion.api import screen_frames as frames
from bastion.api.screen_frames import Terminal
from tui import safe_output
from tui.hosting.screen_link import ScreenLink
from tui.hosting.stream_driver import StreamDriver

LIMIT = 60.0


class SmallApp(App[int]):
    """An input that repeats what is typed, a text, a button."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: #203040; } Static { color: #a0b0c0; }"

    def __init__(self, content: str = "hello") -> None:
        safe_output.install()
        super().__init__()
        self.content = content
        self.pressed = 0
        self.round_trips: list[float] = []
        self.to_terminal: Callable[[str], None]
        self.link: ScreenLink

    def get_driver_class(self) -> type[Driver]:
        return StreamDriver

    @property
    def driver(self) -> StreamDriver | None:
        return self._driver if isinstance(self._driver, StreamDriver) else None

    def compose(self) -> ComposeResult:
        yield Input(id="typed")
        yield Static(Text("-"), id="repeated")
        yield Static(Text(self.content), id="content")
        yield Button("press")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#repeated", Static).update(Text(f"got {event.value}"))

    def on_button_pressed(self) -> None:
        self.pressed += 1
        self.query_one("#content", Static).update(Text(f"pressed {self.pressed}"))

    def attached(self, terminal: Terminal) -> None:
        """Nothing of its own."""

    def terminal_takes(self, seconds: float) -> None:
        self.round_trips.append(seconds)

    def told_to_leave(self) -> None:
        if self.is_running:
            self.exit(0)


class Other:
    """The gateway's and the terminal's end."""

    def __init__(self, sock: socket.socket, columns: int, lines: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._frames = frames.Frames()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.recorded = b""
        self.exit: frames.Exit | None = None
        self._reading: asyncio.Future[bool] | None = None

    async def read(self) -> bool:
        """Takes once what has come; False at the end."""
        reading, self._reading = self._reading, None
        return await (self._read() if reading is None else reading)

    async def _read(self) -> bool:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
        except ConnectionError:
            return False
        for kind, payload in self._frames.feed(data):
            if kind in (frames.OUTPUT, frames.SECRET):
                self.written += payload
                self._stream.feed(payload.replace(b"\x1b[<u", b"").replace(b"\x1b[>25u", b""))
            if kind in (frames.OUTPUT, frames.CONCEALED):
                self.recorded += payload
            if kind == frames.EXIT:
                self.exit = msgspec.json.decode(payload, type=frames.Exit)
        return bool(data)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    async def wait(self, what: str) -> str:
        """Until the screen shows it. Raises AssertionError with the screen."""
        try:
            async with asyncio.timeout(LIMIT):
                while what not in self.text:
                    if not await self.read():
                        break
        except TimeoutError:
            pass
        if what not in self.text:
            raise AssertionError(f"{what!r} was not shown:\n{self.text}")
        return self.text

    async def until(self, true: Callable[[], bool]) -> None:
        """Reads until it is so. Raises AssertionError with the screen."""
        end = asyncio.get_running_loop().time() + LIMIT
        while not true() and asyncio.get_running_loop().time() < end:
            if await self._comes_within(0.05) and not await self.read():
                break
        assert true(), self.text

    async def _comes_within(self, seconds: float) -> bool:
        """Whether there is something to read. One that is given up could lose what it has taken: the next goes on."""
        self._reading = self._reading or asyncio.ensure_future(self._read())
        done, _ = await asyncio.wait({self._reading}, timeout=seconds)
        return bool(done)

    async def until_quiet(self, seconds: float = 0.15) -> None:
        """Until nothing comes for a while."""
        while await self._comes_within(seconds):
            if not await self.read():
                return

    async def send(self, kind: bytes, payload: bytes = b"") -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, frames.frame(kind, payload))

    async def type(self, data: bytes) -> None:
        await self.send(frames.INPUT, data)

    async def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        await asyncio.get_running_loop().sock_sendall(self._sock, frames.size_frame(columns, lines))

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._sock.close()


@asynccontextmanager
async def served(app: SmallApp, columns: int = 80, lines: int = 24) -> AsyncIterator[Other]:
    """The application runs; the other end is given. Both are ended."""
    ours, theirs = socket.socketpair()
    other = Other(theirs, columns, lines)
    link = await ScreenLink.on(ours, app)
    app.to_terminal = link.send
    app.link = link

    async def run() -> None:
        # What `run_async` does, but for the task factory, which is the whole loop's.
        with app._context():
            await app._process_messages(ready_callback=link.ready, terminal_size=(columns, lines))
            await app._shutdown()
        link.exit(app.return_value or 0, "")
        await link.close(LIMIT)

    running = asyncio.create_task(run())
    try:
        yield other
    finally:
        other.close()
        async with asyncio.timeout(LIMIT):
            await running
