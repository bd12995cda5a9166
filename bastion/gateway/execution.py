"""`exec`: the words of the command line over plain SSH, run inside the bastion for the person who is logged in."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
from typing import TYPE_CHECKING, Any

import asyncssh

from bastion.api.methods import Method
from bastion.api.refusals import Refused
from bastion.commands.table import parser_for
from bastion.commands.words import (
    DONE,
    NOT_SO,
    WRONG_USAGE,
    CommandFailed,
    Context,
    Place,
    UsageShown,
)

from .caller import Caller
from .calls import Calls
from .served import run_sql

if TYPE_CHECKING:
    from .server import Gateway

MAX_INPUT = 16 * 1024 * 1024
"""Bytes of standard input that a command takes."""

logger = logging.getLogger(__name__)


class InputTooLong(Exception):
    """More came on standard input than a command takes."""


class CallsApi:
    """The control API without a wire in between."""

    def __init__(self, calls: Calls, caller: Caller) -> None:
        self._calls = calls
        self._caller = caller

    async def call(self, method: Method, params: Any) -> Any:
        return await self._calls.call(self._caller, method, params)


class ChannelOutput:
    """Standard output and error of a channel. With a terminal at the other end, lines end as terminals want it."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], terminal: bool) -> None:
        self._channel = channel
        self.terminal = terminal
        self._writable = asyncio.Event()
        self._writable.set()

    def out(self, text: str) -> None:
        self.write(text.encode("utf-8", "surrogateescape"), None)

    def data(self, data: bytes) -> None:
        self.write(data, None)

    def err(self, text: str) -> None:
        self.write(text.encode("utf-8", "surrogateescape"), asyncssh.EXTENDED_DATA_STDERR)

    def write(self, data: bytes, datatype: int | None) -> None:
        """Bytes of one of the two."""
        if not self._channel.is_closing():
            self._channel.write(data.replace(b"\n", b"\r\n") if self.terminal else data, datatype)

    def paused(self, yes: bool) -> None:
        """The reader is slow, or has caught up."""
        if yes:
            self._writable.clear()
        else:
            self._writable.set()

    async def drain(self) -> None:
        await self._writable.wait()


class Execution:
    """One command on one channel."""

    def __init__(
        self, gateway: Gateway, channel: asyncssh.SSHServerChannel[bytes], caller: Caller, terminal: bool
    ) -> None:
        self._gateway = gateway
        self._channel = channel
        self._caller = caller
        self._output = ChannelOutput(channel, terminal)
        self._input: asyncio.Queue[bytes] = asyncio.Queue()
        self._buffered = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, command: str) -> None:
        """Runs the command; its exit status is sent at the end."""
        self._task = self._gateway.start_task(self._run(command))

    # ---------------------------------------------------------------------------- called by the channel's owner

    def data_received(self, data: bytes) -> None:
        """Standard input."""
        self._buffered += len(data)
        if self._buffered <= MAX_INPUT:
            self._input.put_nowait(data)
        elif self._buffered - len(data) <= MAX_INPUT:
            self._output.err(f"Standard input is longer than {MAX_INPUT} bytes.\n")
            self._exit(WRONG_USAGE)
            self.cancel()

    def eof_received(self) -> None:
        """Standard input has ended."""
        self._input.put_nowait(b"")

    def pause_writing(self) -> None:
        self._output.paused(True)

    def resume_writing(self) -> None:
        self._output.paused(False)

    def cancel(self) -> None:
        """The person gave it up."""
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """The channel is gone."""
        self._output.paused(False)
        self.cancel()

    # --------------------------------------------------------------------------------------------------- inside

    async def _run(self, command: str) -> None:
        # Standard input waits at the client until a command wants it: what is not wanted is not kept here.
        self._channel.pause_reading()
        try:
            await self._run_told(command)
        finally:
            self._channel.resume_reading()

    async def _run_told(self, command: str) -> None:
        try:
            self._exit(await self._command(command))
        except UsageShown as shown:
            if shown.exit_code == DONE:
                self._output.out(shown.text)
            else:
                self._output.err(shown.text)
            self._exit(shown.exit_code)
        except Refused as refused:
            self._output.err(f"{refused}\n")
            self._exit(NOT_SO)
        except CommandFailed as failed:
            self._output.err(f"{failed}\n")
            self._exit(failed.exit_code)
        except Exception:
            reference = secrets.token_hex(4)
            logger.exception("a command over SSH failed; reference %s", reference)
            self._output.err(f"{Refused('internal', reference=reference)}\n")
            self._exit(NOT_SO)

    async def _command(self, command: str) -> int:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageShown(f"casemate: the command cannot be read: {error}\n", WRONG_USAGE) from error
        arguments = parser_for(Place.EXEC).parse_args(words[1:] if words[:1] == ["casemate"] else words)
        chosen = getattr(arguments, "chosen", None)
        if chosen is None:
            raise UsageShown(parser_for(Place.EXEC).format_help(), WRONG_USAGE)
        if chosen.name == "sql":
            return await run_sql(self._gateway, self._caller, arguments, self._output, self._read_input)
        context = Context(
            api=CallsApi(self._gateway.calls, self._caller),
            output=self._output,
            place=Place.EXEC,
            person=self._caller.person.name,
            read_file=None,
            read_input=self._read_input,
        )
        assert chosen.run is not None
        return int(await chosen.run(context, arguments))

    async def _read_input(self) -> bytes:
        """All of standard input, to its end."""
        self._channel.resume_reading()
        parts: list[bytes] = []
        while part := await self._input.get():
            parts.append(part)
        return b"".join(parts)

    def _exit(self, code: int) -> None:
        if not self._channel.is_closing():
            self._channel.exit(code)
