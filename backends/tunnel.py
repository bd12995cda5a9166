"""A way to a database for one connection, over the SSH connection that the control channel is on.

No TCP port is opened here that other users of the machine could use. PyMySQL is given one end of a connected
socketpair, psycopg a Unix socket in a folder that only its owner may enter, which takes one connection and is gone. A
driver that only dials TCP gets a port of the loopback that takes one connection, from this process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

import asyncssh

from bastion.api import messages as m
from bastion.api import methods

from .link import Link, Unreachable
from .loopback import OneConnection

OPEN_SECONDS = 30.0
READ_BYTES = 128 * 1024
BEGINNING_BYTES = 16 * 1024
"""Of what came from the database first: kept, for a driver that does not pass on why a login failed."""


class Way(Protocol):
    """How a driver gets its one connection to the database."""

    def connected_socket(self) -> socket.socket:
        """A connected stream socket, for a driver that takes one. Once only."""
        ...

    def unix_socket_folder(self, port: int) -> Path:
        """A folder with `.s.PGSQL.<port>` in it that takes one connection. Once only."""
        ...

    def loopback_port(self) -> int:
        """A port of 127.0.0.1 that takes one connection, from this process. Once only."""
        ...

    def beginning(self) -> bytes:
        """The first bytes that came from the database, `BEGINNING_BYTES` at most."""
        ...

    def close(self) -> None:
        """Ends the connection and removes what is left of it."""
        ...


class Tunnel:
    """A `Way` through the bastion, for the session `facts.session`."""

    def __init__(self, link: Link, facts: m.Tunnel) -> None:
        self.facts = facts
        self.failure: str | None = None
        """Why the channel did not open, once it has not."""
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._loopback: OneConnection | None = None
        self._beginning = bytearray()

    @classmethod
    def open(cls, link: Link, token_id: str, purpose: str) -> Tunnel:
        """Asks the bastion for a session. Blocks. Raises Refused, Unreachable, CallTimeout."""
        request = methods.TunnelRequest(token=token_id, purpose=purpose)
        return cls(link, link.call_now(methods.TUNNEL_OPEN, request))

    def connected_socket(self) -> socket.socket:
        ours, drivers = socket.socketpair()
        try:
            self._link.run_on_loop(self._carry_socket(ours), OPEN_SECONDS)
        except BaseException:
            ours.close()
            drivers.close()
            raise
        return drivers

    def unix_socket_folder(self, port: int) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="casemate-"))
        self._link.run_on_loop(self._listen(self._folder / f".s.PGSQL.{port}"), OPEN_SECONDS)
        return self._folder

    def loopback_port(self) -> int:
        self._loopback = OneConnection(lambda reader, writer: self._start(self._carry(reader, writer)))
        return self._link.run_on_loop(self._loopback.listen(), OPEN_SECONDS)

    def beginning(self) -> bytes:
        return bytes(self._beginning)

    def close(self) -> None:
        try:
            self._link.run_on_loop(self._shut(), 5)
        except (Unreachable, TimeoutError):
            pass
        finally:
            self._remove_folder()

    # -- on the link's loop

    async def _listen(self, path: Path) -> None:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._server is None:
                writer.close()
                return
            self._server.close()
            self._server = None
            self._remove_folder()
            self._start(self._carry(reader, writer))

        self._server = await asyncio.start_unix_server(accepted, path, backlog=1)
        os.chmod(path, 0o600)

    async def _carry_socket(self, ours: socket.socket) -> None:
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        self._start(self._carry(reader, writer))

    def _start(self, carrying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(carrying)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                up_reader, up_writer = await self._link.open_channel(self.facts.host, self.facts.port)
        except asyncssh.ChannelOpenError as error:
            self.failure = f"The bastion did not open the tunnel: {error.reason}."
            writer.close()
            return
        except (TimeoutError, Unreachable, OSError, asyncssh.Error) as error:
            self.failure = f"The tunnel did not open: {error or type(error).__name__}."
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer, self._beginning))
        finally:
            up_writer.close()
            writer.close()

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._loopback is not None:
            self._loopback.close()
        for task in list(self._tasks):
            task.cancel()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


async def _copy(
    reader: asyncio.StreamReader | asyncssh.SSHReader[bytes],
    writer: asyncio.StreamWriter | asyncssh.SSHWriter[bytes],
    beginning: bytearray | None = None,
) -> None:
    """Copies until the end, at the pace of the slower side; then closes the writing side.

    The first `BEGINNING_BYTES` are put into `beginning` too, before they go on.
    """
    try:
        while data := await reader.read(READ_BYTES):
            if beginning is not None and len(beginning) < BEGINNING_BYTES:
                beginning += data[: BEGINNING_BYTES - len(beginning)]
            writer.write(data)
            await writer.drain()
    except (OSError, asyncssh.Error):
        pass
    finally:
        writer.close()
