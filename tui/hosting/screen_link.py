"""The UI process's end of the socket on which its screen is: frames in, frames out, bounded both ways."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import Protocol, cast

import msgspec

from bastion.api.screen_frames import (
    ATTACH,
    CONCEALED,
    DETACH,
    EXIT,
    INPUT,
    LEAVE_NOW,
    MOST,
    PICTURE,
    PICTURE_WANTED,
    ROUND_TRIP,
    SECRET,
    SIZE,
    Exit,
    FrameBroken,
    Frames,
    Terminal,
    frame,
    round_trip_of,
    size_of,
)

from .private_marks import parts
from .stream_driver import QUEUE_SECONDS, StreamDriver

WRITE_AHEAD = 256 * 1024
"""Bytes that wait for the gateway before the application draws nothing more."""
MOST_WAITING = 4 * 1024 * 1024
"""Bytes after which what is written all the same (a clipboard, a bell) is left out."""

AT_ONCE = 512
"""Bytes of input after which it is looked whether the application keeps up."""

log = logging.getLogger(__name__)


class Served(Protocol):
    """The application, as its screen's link needs it."""

    @property
    def driver(self) -> StreamDriver | None:
        """There once the application runs."""

    def attached(self, terminal: Terminal) -> None:
        """Another terminal is at the other end."""

    def terminal_takes(self, seconds: float) -> None:
        """A round trip to the terminal."""

    def told_to_leave(self) -> None:
        """Ends without questions."""

    def picture(self) -> str:
        """What the terminal shows, as one output."""


class ScreenLink(asyncio.Protocol):
    """Made by the process; `lost` is set when the gateway is gone."""

    def __init__(self, app: Served) -> None:
        self._app = app
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._later: asyncio.TimerHandle | None = None
        self._paused = False
        self._detached = False
        self.lost = asyncio.Event()

    @classmethod
    async def on(cls, sock: socket.socket, app: Served) -> ScreenLink:
        """Speaks on a connected socket."""
        link = cls(app)
        sock.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=sock)
        return link

    # -- out

    def send(self, text: str) -> None:
        """What the application has written."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._detached:
            return
        if transport.get_write_buffer_size() > MOST_WAITING:
            log.warning("the terminal does not follow: output was left out")
            return
        for kind, part in parts(text):
            data = part.encode("utf-8", "replace")
            for start in range(0, len(data), MOST):
                transport.write(frame(kind, data[start : start + MOST]))

    def send_picture(self, text: str) -> None:
        """The whole screen, for the record and for those who watch; the terminal has it already."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > MOST_WAITING:
            return
        data = "".join(part for kind, part in parts(text) if kind != SECRET).encode("utf-8", "replace")
        transport.write(frame(PICTURE, data[:MOST]))
        for start in range(MOST, len(data), MOST):
            transport.write(frame(CONCEALED, data[start : start + MOST]))

    def exit(self, code: int, message: str) -> None:
        """The last frame."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(EXIT, msgspec.json.encode(Exit(code, message))))

    async def close(self, seconds: float) -> None:
        """Closes once everything was taken, or after a while."""
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(seconds):
                    await self.lost.wait()
            except TimeoutError:
                self._transport.abort()

    # -- in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are asyncio's by what they do, not by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_AHEAD, low=WRITE_AHEAD // 8)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._frames.feed(data):
                if kind == LEAVE_NOW:
                    self._app.told_to_leave()
                elif kind == INPUT:
                    self._waiting.extend(
                        (kind, payload[start : start + AT_ONCE]) for start in range(0, len(payload), AT_ONCE)
                    )
                else:
                    self._waiting.append((kind, payload))
        except FrameBroken:
            self._hang_up()
        else:
            self.ready()

    def ready(self) -> None:
        """Takes what has come, as far as the application can be given it; also once its driver stands."""
        driver, transport = self._app.driver, self._transport
        if driver is None or transport is None or transport.is_closing() or self._later is not None:
            return
        try:
            while self._waiting and not driver.busy():
                self._take(driver, *self._waiting.popleft())
        except (FrameBroken, msgspec.MsgspecError):
            self._hang_up()
            return
        if self._waiting:
            transport.pause_reading()
            self._later = asyncio.get_running_loop().call_later(QUEUE_SECONDS, self._again)
        else:
            transport.resume_reading()

    def _again(self) -> None:
        self._later = None
        self.ready()

    def _hang_up(self) -> None:
        log.warning("the gateway sent what is no frame")
        if self._transport is not None:
            self._transport.abort()

    def _take(self, driver: StreamDriver, kind: bytes, payload: bytes) -> None:
        if kind == INPUT:
            driver.received(payload)
        elif kind == SIZE:
            driver.resized(*size_of(payload))
        elif kind == ROUND_TRIP:
            self._app.terminal_takes(round_trip_of(payload))
        elif kind == PICTURE_WANTED:
            # Behind everything that the picture has in it.
            driver.send_now()
            self.send_picture(self._app.picture())
        elif kind == DETACH and not self._detached:
            self._detached = True
            driver.hold()
        elif kind == ATTACH:
            terminal = msgspec.json.decode(payload, type=Terminal)
            self._detached = False
            self._app.attached(terminal)
            driver.attach()
            driver.resized(terminal.columns, terminal.lines)
            driver.go_on()

    def pause_writing(self) -> None:
        if self._app.driver is not None:
            self._paused = True
            self._app.driver.hold()

    def resume_writing(self) -> None:
        if self._paused and self._app.driver is not None:
            self._paused = False
            self._app.driver.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._app.told_to_leave()
