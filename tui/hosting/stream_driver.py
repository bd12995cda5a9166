"""Textual's driver for a terminal at the other end of a socket: no terminal device, no signals, no threads.

What the application writes in one turn of the loop leaves in one piece. While the person's terminal, or the network on
the way to it, does not keep up, the application draws nothing; then it draws once, as things are by then.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from textual import constants, events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message

from bastion.api.screen_frames import ENTER, KITTY_KEYS, LEAVE

from .private_marks import concealed
from .terminal_input import TerminalInput

QUEUE = 1000
"""Messages that may wait for the application before no more input is read."""
QUEUE_SECONDS = 0.02
QUIET_TURNS = 4
SETTLE_SECONDS = 0.25
"""What is typed behind a key waits until nothing has waited for so many turns of the loop, or for so long."""

ASK_FOR_SYNCHRONIZED_OUTPUT = "\x1b[?2026$p"


class StreamDriver(Driver):
    """Made by the application, whose `to_terminal` takes what goes there; a ScreenLink feeds it."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=False, mouse=mouse, size=size)
        self._send: Callable[[str], None] = app.to_terminal  # type: ignore[attr-defined]
        self._context: contextvars.Context | None = None
        self._input: TerminalInput | None = TerminalInput()
        self._pending: list[str] = []
        self._flushing = False
        self._ticking: asyncio.TimerHandle | None = None
        self._events: deque[Message] = deque()
        self._quiet_turns_left = 0
        self._settled_by = 0.0
        self._delivering = False
        self._held = 0
        self._entered = False
        self.concealing = False
        """What is written now is for the terminal only, not for the record."""

    # -- what Textual asks for

    def write(self, data: str) -> None:
        self._pending.append(concealed(data) if self.concealing else data)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._send_pending)

    def flush(self) -> None:
        """Nothing: what is written leaves at the end of this turn of the loop."""

    def start_application_mode(self) -> None:
        self._context = contextvars.copy_context()
        self._enter()
        self._tell_size()

    def disable_input(self) -> None:
        if self._input is not None:
            self._input.end()
            self._input = None
        if self._ticking is not None:
            self._ticking.cancel()

    def stop_application_mode(self) -> None:
        self.disable_input()
        self.leave()

    def close(self) -> None:
        self._send_pending()

    def send_now(self) -> None:
        """What was written leaves at once."""
        self._send_pending()

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Nothing: it would start a browser on the bastion."""

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """Nothing: it would write on the bastion's disk."""
        binary.close()

    def send_message(self, message: Message) -> None:
        # Everything is on the application's own loop: no detour over threads, which would cost the order.
        self._app.post_message(message)

    # -- what the other end says

    def received(self, data: bytes) -> None:
        """Bytes of the terminal."""
        if self._input is not None:
            self._run(self._post_all, self._input.feed(data))
            self._wait_for_the_rest()

    def busy(self) -> bool:
        """Whether the application has more to do than it should be given."""
        return bool(len(self._events) + self._app._message_queue.qsize() > QUEUE)

    def resized(self, columns: int, lines: int) -> None:
        """The terminal has another size."""
        self._size = (columns, lines)
        self._run(self._tell_size)

    def hold(self) -> None:
        """Draws nothing from now on: nobody reads, or nobody is there."""
        self._held += 1
        if self._held == 1:
            self._run(self._app._begin_batch)

    def go_on(self) -> None:
        """Draws again, everything once. What was held twice goes on when both have said so."""
        self._held -= 1
        if self._held == 0:
            self._run(self._app._end_batch)
            self._run(self.repaint)

    def repaint(self) -> None:
        """Draws everything."""
        for screen in self._app.screen_stack:
            screen.refresh(layout=True)
        self._app.refresh(layout=True)

    def attach(self) -> None:
        """Another terminal is at the other end."""
        self._input = TerminalInput()
        self._down_buttons.clear()
        self._enter()

    def leave(self) -> None:
        """Gives the terminal back to whoever had it before."""
        if self._entered:
            self._entered = False
            self.write(LEAVE)

    # -- inside

    def _enter(self) -> None:
        self._entered = True
        self._app._sync_available = False
        self.write(ENTER)
        if not constants.DISABLE_KITTY_KEY:
            self.write(KITTY_KEYS)
        self.write(ASK_FOR_SYNCHRONIZED_OUTPUT)

    def _tell_size(self) -> None:
        size = Size(*(self._size or (80, 24)))
        self._app.post_message(events.Resize(size, size))

    def _send_pending(self) -> None:
        self._flushing = False
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._send(text)

    def _run(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Messages need the application's context, which what comes from the socket does not have."""
        if self._context is not None:
            self._context.run(call, *arguments)

    def _post_all(self, found: Iterable[Message]) -> None:
        columns, lines = self._size or (80, 24)
        for event in found:
            # A click beside the screen would take the focus from where it is.
            if not isinstance(event, events.MouseEvent) or (event.screen_x < columns and event.screen_y < lines):
                self._events.append(event)
        if not self._delivering:
            self._deliver()

    def _deliver(self) -> None:
        """Gives the application its events in order. What a key means is found on a way through the widget, its screen
        and the application; characters that come right behind it, as over a slow link, would overtake it."""
        self._delivering = False
        while self._events:
            if not self._settled():
                self._delivering = True
                self._loop.call_soon(self._run, self._deliver)
                return
            event = self._events.popleft()
            self.process_message(event)
            if isinstance(event, events.Key) and not self._is_typed(event):
                self._quiet_turns_left = QUIET_TURNS
                self._settled_by = self._loop.time() + SETTLE_SECONDS

    def _is_typed(self, key: events.Key) -> bool:
        """Whether it is a character for a text field. Elsewhere characters are keys like others: what comes behind a
        `/` is typed into the field that it opens."""
        focused = self._app.focused
        return key.is_printable and focused is not None and focused.check_consume_key(key.key, key.character)

    def _settled(self) -> bool:
        """Whether the last key has had its effect: nothing waits anywhere for some turns of the loop."""
        if not self._quiet_turns_left:
            return True
        waiting = [self._app, *self._app.screen_stack[-1:], self._app.focused]
        if any(each is not None and each._message_queue.qsize() for each in waiting):
            self._quiet_turns_left = QUIET_TURNS
        else:
            self._quiet_turns_left -= 1
        if self._loop.time() > self._settled_by:
            self._quiet_turns_left = 0
        return not self._quiet_turns_left

    def _wait_for_the_rest(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if self._input is not None and self._input.waiting:
            self._ticking = self._loop.call_later(constants.ESCAPE_DELAY + 0.005, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        if self._input is not None:
            self._run(self._post_all, self._input.tick())
