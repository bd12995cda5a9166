"""A listener for a database client of the operator's choice: every connection becomes a session through the bastion.

A loopback port can be dialled by every user of the machine; the database login inside must then show the token where
the policy says so. A Unix socket in a folder of one's own is only one's own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from bastion.api import methods
from bastion.api.refusals import Refused

from .link import Link, LinkError

MAX_CONNECTIONS = 64
READ_BYTES = 128 * 1024
OPEN_SECONDS = 30.0


class CannotListen(Exception):
    """The port or the path cannot be listened on. The message says why."""


@dataclass(frozen=True)
class Listen:
    """Where to listen: a port of the loopback (0: a free one), or a path."""

    port: int | None = None
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Listen:
        """`PORT` or `/PATH`. Raises ValueError with a sentence."""
        if text.startswith(("/", "./")):
            return cls(path=Path(text).absolute())
        if not (text.isascii() and text.isdigit()) or int(text) > 65535:
            raise ValueError("Listen on a port number, or on a path that begins with / or ./.")
        return cls(port=int(text))


class Forward:
    """Listens and carries. `say` is told what goes wrong with single connections."""

    def __init__(self, link: Link, token_id: str, say: Callable[[str], None]) -> None:
        self._link = link
        self._token = token_id
        self._say = say
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._path: Path | None = None

    def start(self, listen: Listen) -> int | None:
        """Listens; answers with the port, None for a path. Blocks. Raises CannotListen."""
        return self._link.run_on_loop(self._start(listen), OPEN_SECONDS)

    def stop(self) -> None:
        """Closes the listener and all connections."""
        try:
            self._link.run_on_loop(self._stop(), OPEN_SECONDS)
        except (LinkError, TimeoutError):
            pass
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    async def _start(self, listen: Listen) -> int | None:
        try:
            if listen.path is not None:
                mask = os.umask(0o177)
                try:
                    self._server = await asyncio.start_unix_server(self._accepted, listen.path)
                finally:
                    os.umask(mask)
                self._path = listen.path
                return None
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", listen.port)
        except OSError as error:
            place = listen.path if listen.path is not None else f"127.0.0.1:{listen.port}"
            raise CannotListen(f"{place} cannot be listened on: {error.strerror or error}.") from error
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CONNECTIONS:
            self._say(f"More than {MAX_CONNECTIONS} connections at a time are not carried.")
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = methods.TunnelRequest(token=self._token, purpose="client")
            way = await self._link.call(methods.TUNNEL_OPEN, request)
            async with asyncio.timeout(OPEN_SECONDS):
                up_reader, up_writer = await self._link.open_channel(way.host, way.port)
        except (Refused, LinkError) as error:
            self._say(str(error))
            return
        except asyncssh.ChannelOpenError as error:
            self._say(error.reason)
            return
        except (TimeoutError, OSError, asyncssh.Error) as error:
            self._say(f"The tunnel did not open: {error or type(error).__name__}.")
            return
        copies = [asyncio.create_task(_copy(reader, up_writer)), asyncio.create_task(_copy(up_reader, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            if not copies[1].done():
                await asyncio.wait(copies, timeout=OPEN_SECONDS)
        finally:
            for copy in copies:
                copy.cancel()
            up_writer.close()


async def _copy(
    reader: asyncio.StreamReader | asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter | asyncssh.SSHWriter[bytes]
) -> None:
    """Copies until the end, at the pace of the slower side, and passes the end on."""
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (OSError, asyncssh.Error):
        return
