"""A program of the bastion's that works for one person: it inherits one end of a socketpair and speaks SSH on it, as
that person, to the same gateway as everybody else. It gets no secret and nothing that the person could not ask for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from bastion.api.refusals import Refused
from bastion.commands.words import NOT_SO, CommandFailed

from .caller import Caller

if TYPE_CHECKING:
    from .server import Gateway

KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_MESSAGES", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "SYSTEMROOT")
CHUNK = 64 * 1024
STOP_SECONDS = 5.0


class Output(Protocol):
    """Where a child's output goes."""

    def write(self, data: bytes, datatype: int | None) -> None: ...
    async def drain(self) -> None: ...


async def run_sql(
    gateway: Gateway,
    caller: Caller,
    arguments: argparse.Namespace,
    output: Output,
    read_input: Callable[[], Awaitable[bytes]],
) -> int:
    """`sql` for a person over plain SSH: the same program that they would run at home, on an inherited connection.

    The statements go to it on standard input: what stands in a process list is nobody else's to read.
    """
    if arguments.command is not None:
        text = arguments.command.encode()
    elif arguments.file == "-":
        text = await read_input()
    else:
        raise CommandFailed("Files cannot be named over plain SSH. Use -f - and give the script on standard input.", 2)
    words = ["sql", arguments.database, "-f", "-"]
    if arguments.account is not None:
        words += ["--account", arguments.account]
    if arguments.reason:
        words += ["--reason", arguments.reason]
    if arguments.json:
        words.append("--json")
    if arguments.csv:
        words.append("--csv")
    return await _run(gateway, caller, words, text, output)


async def _run(gateway: Gateway, caller: Caller, words: list[str], text: bytes, output: Output) -> int:
    if gateway.commands_running >= gateway.parts.configuration.limits.commands:
        raise Refused("too-many-sessions", limit=gateway.parts.configuration.limits.commands)
    gateway.commands_running += 1
    ours, theirs = socket.socketpair()
    process: asyncio.subprocess.Process | None = None
    try:
        with theirs:
            serving = asyncio.create_task(gateway.serve_socket(ours, caller.person, caller.source))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bastion.program",
                *words,
                "--inherited",
                f"{caller.person.name}:{theirs.fileno()}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
                start_new_session=True,
            )
        return await _attend(process, serving, text, output)
    finally:
        gateway.commands_running -= 1
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
        ours.close()


async def _attend(process: asyncio.subprocess.Process, serving: asyncio.Task[None], text: bytes, output: Output) -> int:
    import asyncssh

    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        await asyncio.gather(
            _feed(process.stdin, text),
            _pass_on(process.stdout, output, None),
            _pass_on(process.stderr, output, asyncssh.EXTENDED_DATA_STDERR),
        )
        code = await process.wait()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return code if code >= 0 else NOT_SO


async def _feed(writer: asyncio.StreamWriter, text: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(text)
        await writer.drain()
    writer.close()


async def _pass_on(reader: asyncio.StreamReader, output: Output, datatype: int | None) -> None:
    while data := await reader.read(CHUNK):
        output.write(data, datatype)
        await output.drain()
