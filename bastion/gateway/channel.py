"""A session channel becomes a control channel (`subsystem`), a command (`exec`) or the workstation (`shell`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncssh

from bastion.api import language
from bastion.api import screen_frames as frames
from bastion.api.refusals import Refused
from bastion.commands.words import NOT_SO

from .control import Conversation
from .execution import Execution
from .ui_channel import MOST_VALUE, VARIABLES, UiChannel, environment_of, refusal_of

if TYPE_CHECKING:
    from .connection import Connection
    from .server import Gateway

SUBSYSTEM = "casemate"
WRITE_AHEAD = 256 * 1024
MAX_COMMAND = 1024 * 1024
LANGUAGE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
WINDOW = 256 * 1024
"""Bytes that a client may send ahead on a session channel."""


def session_channel(ssh: asyncssh.SSHServerConnection) -> asyncssh.SSHServerChannel[bytes]:
    """A channel that keeps what is wanted of the environment that the client sends, and nothing else of it.

    asyncssh keeps every variable of an `env` request, however many and long; there is no hook before that.
    """
    channel: asyncssh.SSHServerChannel[bytes] = ssh.create_server_channel(encoding=None, window=WINDOW)
    keep = channel._process_env_request

    def keep_wanted(packet: Any) -> bool:
        ahead = type(packet)(packet.get_remaining_payload())
        name, value = ahead.get_string(), ahead.get_string()
        if name.decode("ascii", "replace") not in VARIABLES or len(value) > MOST_VALUE:
            return False
        return keep(packet)

    channel._process_env_request = keep_wanted  # type: ignore[method-assign]
    return channel


class SessionChannel(asyncssh.SSHServerSession[bytes]):
    """What a person or script asks of the channel decides what it is."""

    def __init__(self, gateway: Gateway, connection: Connection, closed: Callable[[], None]) -> None:
        self._gateway = gateway
        self._connection = connection
        self._closed = closed
        self._chan: asyncssh.SSHServerChannel[bytes]
        self._purpose: Conversation | Execution | UiChannel | None = None
        self._begin: Callable[[], None] | None = None
        self._terminal: str | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan
        chan.set_write_buffer_limits(high=WRITE_AHEAD, low=WRITE_AHEAD // 4)

    # ---------------------------------------------------------------------------------------- what is asked for

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        self._terminal = term_type
        return True

    def shell_requested(self) -> bool:
        self._begin = self._serve_workstation
        return True

    def exec_requested(self, command: str) -> bool:
        self._begin = lambda: self._execute(command)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        if subsystem != SUBSYSTEM:
            return False
        self._begin = self._converse
        return True

    def session_started(self) -> None:
        language.use(self._language())
        if self._begin is not None:
            self._begin()

    def _language(self) -> str:
        """The language that the client's environment asks for; nothing else of that environment is looked at."""
        given = self._chan.get_environment()
        return language.from_environment({name: given[name] for name in LANGUAGE_VARIABLES if name in given})

    # ----------------------------------------------------------------------------------------------- what it is

    def _refuse(self, refused: Refused) -> None:
        end = "\r\n" if self._terminal is not None else "\n"
        self._chan.write_stderr((str(refused) + end).encode())
        self._chan.exit(NOT_SO)

    def _converse(self) -> None:
        try:
            caller = self._connection.caller()
        except Refused as refused:
            self._refuse(refused)
            return
        self._purpose = Conversation(self._chan, caller, self._gateway.calls, self._gateway.subscriptions)

    def _execute(self, command: str) -> None:
        try:
            caller = self._connection.caller()
        except Refused as refused:
            self._refuse(refused)
            return
        execution = self._purpose = Execution(self._gateway, self._chan, caller, self._terminal is not None)
        execution.start(command[:MAX_COMMAND])

    def _serve_workstation(self) -> None:
        try:
            caller = self._connection.caller()
        except Refused as refused:
            self._refuse(refused)
            return
        served = self._gateway.workstations.settings.served
        unfit = refusal_of(self._terminal) if served else Refused("no-terminal-here")
        if unfit is not None:
            self._refuse(unfit)
            return
        assert self._terminal is not None
        columns, lines = frames.clamped(*self._chan.get_terminal_size()[:2])
        terminal = frames.Terminal(columns, lines, environment_of(self._terminal, self._chan.get_environment()))
        connection = self._connection
        shown = self._purpose = UiChannel(
            self._gateway, self._chan, caller, terminal, connection.ssh, connection.outbox
        )
        shown.start()

    # ------------------------------------------------------------------------------------------------- the rest

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if isinstance(self._purpose, UiChannel):
            self._purpose.resized(width, height)

    def data_received(self, data: bytes, datatype: Any) -> None:
        if self._purpose is not None:
            self._purpose.data_received(data)

    def eof_received(self) -> bool:
        if self._purpose is not None:
            self._purpose.eof_received()
        return True

    def pause_writing(self) -> None:
        if self._purpose is not None:
            self._purpose.pause_writing()

    def resume_writing(self) -> None:
        if self._purpose is not None:
            self._purpose.resume_writing()

    def break_received(self, msec: int) -> bool:
        return False

    def signal_received(self, signal: str) -> None:
        if isinstance(self._purpose, Execution) and signal in ("INT", "TERM", "HUP"):
            self._purpose.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._purpose is not None:
            self._purpose.close()
        self._closed()
