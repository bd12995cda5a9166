"""A shell with a terminal: the person's workstation on this channel, a new one or one that waits for them."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import socket
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncssh

from bastion.api import screen_frames as frames
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.commands.words import DONE, NOT_SO

from .caller import Caller
from .packets import Outbox
from .ui_session import Attached, UiSession

if TYPE_CHECKING:
    from .server import Gateway

VARIABLES = ("COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TERMINAL", "TZ", "NO_COLOR")
"""What of a client's environment reaches the workstation, beside TERM. Nothing else of it is even kept."""

MOST_VALUE = 64
_VALUE = re.compile(r"[A-Za-z0-9_.,@+\-]*")
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*")
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,63}")
NO_TERMINALS = ("", "dumb", "unknown")

LEAVING = ("q", "\x03", "\x04")
"""Ctrl-C and Ctrl-D too."""

MOST_OFFERED = 9
MEASURED_EVERY = 5.0
ANSWER_SECONDS = 1.5
MOST_ANSWER_SECONDS = 20.0
"""How long a terminal that may have been lost is waited for: on a quick link, and on any."""
ROUND_TRIPS_WAITED = 8
"""A slow link drops a packet or two and sends them again, each time later (RFC 6298)."""

_ROUND_TRIP_AT = 68
"""Where tcpi_rtt is in the kernel's struct tcp_info."""

logger = logging.getLogger(__name__)


def environment_of(term: str, given: Mapping[str, str]) -> dict[str, str]:
    """What the workstation is told of the person's terminal. Values that could name a file are left out."""
    taken = {"TERM": term}
    for name in VARIABLES:
        value = given.get(name)
        if value is None or len(value) > MOST_VALUE:
            continue
        if (_TIME_ZONE if name == "TZ" else _VALUE).fullmatch(value):
            taken[name] = value
    return taken


def round_trip(sock: Any) -> float | None:
    """What the kernel has measured on a TCP connection, in seconds; None for anything else. tcp(7), TCP_INFO."""
    try:
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP_AT + 4)
        return float(struct.unpack_from("=I", found, _ROUND_TRIP_AT)[0]) / 1e6
    except (AttributeError, OSError, struct.error):
        return None


def answer_seconds(measured: float | None) -> float:
    """How long a terminal is waited for whose link takes `measured` seconds there and back, where that is known."""
    return min(max(ANSWER_SECONDS, ROUND_TRIPS_WAITED * (measured or 0.0)), MOST_ANSWER_SECONDS)


def refusal_of(term: str | None) -> Refused | None:
    """Why there can be no workstation on such a terminal; None where there can."""
    if term is None:
        return Refused("workstation-needs-terminal")
    if term in NO_TERMINALS or not _TERM.fullmatch(term):
        return Refused("terminal-too-plain", term=term[:MOST_VALUE])
    return None


class UiChannel:
    """Joins a channel and a UiSession. Begin with `start`."""

    def __init__(
        self,
        gateway: Gateway,
        channel: asyncssh.SSHServerChannel[bytes],
        caller: Caller,
        terminal: frames.Terminal,
        connection: asyncssh.SSHServerConnection,
        outbox: Outbox | None,
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._sessions = gateway.workstations
        self._channel = channel
        self._caller = caller
        self._terminal = terminal
        self._outbox = outbox
        self._session: UiSession | None = None
        self._offered: list[UiSession] = []
        self._choosing = False
        self._full = {"channel": False, "connection": False}
        self._over = False
        if outbox is not None:
            outbox.listeners.add(self._connection_is_full)

    def start(self) -> None:
        """A workstation that waits for this person is offered; else a new one is begun."""
        # Keys wait at the client until there is somebody to read them.
        self._channel.pause_reading()
        self._gateway.start_task(self._look_for_what_waits())

    async def _look_for_what_waits(self) -> None:
        self._offered = (await self._sessions.resumable(self._caller.person))[:MOST_OFFERED]
        if self._over:
            return
        if self._offered:
            self._offer()
            self._channel.resume_reading()
        else:
            await self._open()

    # -- what waits

    def _offer(self) -> None:
        self._choosing = True
        now = datetime.now(UTC)
        lines = [_("You have work open here whose connection was lost:"), ""]
        for number, session in enumerate(self._offered, 1):
            assert session.left is not None
            left = max(0, self._sessions.settings.resume_for - int((now - session.left).total_seconds()))
            lines.append(
                "  "
                + _("{number}  begun {began} UTC from {source}; kept for {minutes}:{seconds} more").format(
                    number=number,
                    began=f"{session.began.at:%H:%M}",
                    source=session.where.source,
                    minutes=left // 60,
                    seconds=f"{left % 60:02}",
                )
            )
        lines += ["", _("Enter or its number: go on with it. n: a new workstation. q: leave.")]
        self.write("\r\n".join([*lines, ""]).encode())

    def _chosen(self, data: bytes) -> None:
        """The first key that means something decides; others are left alone, and so is what is typed after it."""
        for key in data.decode("latin-1").lower():
            if key == "n":
                self._choosing = False
                self._begin()
                return
            if key in LEAVING:
                self.end(DONE, "")
                return
            if key in "\r\n" or (key.isdecimal() and 1 <= int(key) <= len(self._offered)):
                self._choosing = False
                self._resume(self._offered[int(key) - 1 if key.isdecimal() else 0])
                return

    def _resume(self, session: UiSession) -> None:
        if not session.waits:
            self.write((_("It has ended meanwhile. Here is a new one.") + "\r\n").encode())
            self._begin()
            return
        self._session = session
        session.reattach(self, self._where())
        self._measure()

    def _where(self) -> Attached:
        return Attached(datetime.now(UTC), self._caller.source, self._terminal)

    # -- a new one

    def _begin(self) -> None:
        self._channel.pause_reading()
        self._gateway.start_task(self._open())

    async def _open(self) -> None:
        try:
            session = await self._sessions.open(self._caller.person, self._where())
        except Refused as refused:
            self.end(NOT_SO, str(refused))
            return
        except Exception:
            reference = secrets.token_hex(4)
            logger.exception("a workstation could not be begun; reference %s", reference)
            self.end(NOT_SO, str(Refused("internal", reference=reference)))
            return
        self._session = session
        session.attach(self)
        if self._over:
            session.detach(self)
            session.leave()
            return
        session.resized(self._terminal.columns, self._terminal.lines)
        self._channel.resume_reading()
        self._measure()

    def _measure(self) -> None:
        """Tells the workstation how far away its terminal is: on a slow link it draws less."""
        if self._over or self._session is None or self._session.over.is_set():
            return
        seconds = round_trip(self._channel.get_extra_info("socket"))
        if seconds is not None:
            self._session.round_trip(seconds)
        asyncio.get_running_loop().call_later(MEASURED_EVERY, self._measure)

    # -- told by the channel

    def data_received(self, data: bytes) -> None:
        """Keys."""
        if self._choosing:
            self._chosen(data)
        elif self._session is not None:
            self._session.typed(data)

    def resized(self, columns: int, lines: int) -> None:
        """The window has another size."""
        columns, lines = frames.clamped(columns, lines)
        self._terminal = frames.Terminal(columns, lines, self._terminal.environment)
        if self._session is not None:
            self._session.resized(columns, lines)

    def eof_received(self) -> None:
        """Nothing more will be typed: that is no way to use a workstation."""
        if self._choosing:
            self.end(DONE, "")

    def pause_writing(self) -> None:
        self._is_full("channel", full=True)

    def resume_writing(self) -> None:
        self._is_full("channel", full=False)

    def _connection_is_full(self, full: bool) -> None:
        self._is_full("connection", full=full)

    def _is_full(self, what: str, *, full: bool) -> None:
        self._full[what] = full
        if self._session is not None:
            self._session.terminal_is_full(full=any(self._full.values()))

    def close(self) -> None:
        """The channel is gone."""
        self._over = True
        if self._outbox is not None:
            self._outbox.listeners.discard(self._connection_is_full)
        if self._session is not None:
            self._session.detach(self)

    # -- told by the session

    def write(self, data: bytes) -> None:
        if not self._over and not self._channel.is_closing():
            self._channel.write(data)

    def pause_reading(self) -> None:
        if not self._over:
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        if not self._over:
            self._channel.resume_reading()

    async def answers(self) -> bool:
        connection: Any = self._connection
        try:
            async with asyncio.timeout(answer_seconds(round_trip(self._channel.get_extra_info("socket")))):
                # Every client answers a request that it does not know, if only with a no (RFC 4254, section 4).
                await connection._make_global_request(b"keepalive@openssh.com")
        except (TimeoutError, asyncssh.Error, OSError):
            return False
        return True

    def hang_up(self) -> None:
        self._connection.abort()

    def end(self, code: int, message: str) -> None:
        self._choosing = False
        if not self._over and not self._channel.is_closing():
            if message:
                self._channel.write((message.replace("\n", "\r\n") + "\r\n").encode("utf-8", "replace"))
            self._channel.exit(code)
