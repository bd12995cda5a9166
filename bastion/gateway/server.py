"""The SSH front door: it listens, limits who may wait at the door, and keeps every connection's tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncssh

from bastion.access.door import Person
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.journal import JournalFailed
from bastion.audit.records import AnyRecord
from bastion.configuration import Endpoint

from .authentication import Identity
from .calls import Calls
from .connection import Connection
from .control import LocalSocket
from .parts import Parts
from .subscriptions import Subscriptions
from .tunnel import PACKET, Tunnel
from .ui_session import UiSessions

KEEPALIVE_SECONDS = 30
KEEPALIVES = 4
BACKLOG = 512
LAST_WORDS_SECONDS = 3.0

logger = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address cannot be listened on. The message says why and what to do."""


class HostKeyUnusable(Exception):
    """A host key file cannot be read. The message says what to do."""


class Gateway:
    """All SSH connections of this node. Make it on the running event loop; `start`, later `stop`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.calls = Calls(parts)
        self.subscriptions = Subscriptions(parts.sessions, parts.access, parts.journal)
        self.calls.tell_person = self.subscriptions.notice
        self.commands_running = 0
        self.workstations = UiSessions(
            parts.configuration.workstation,
            parts.advertise,
            parts.screens,
            self._record_soon,
            lambda ours, person, source, name: self.start_task(self.serve_socket(ours, person, source, name)),
        )
        parts.workstations = self.workstations
        self._local = LocalSocket(self.calls)
        self._listener: asyncssh.SSHAcceptor | None = None
        self._people_listener: asyncssh.SSHAcceptor | None = None
        self._connections: set[Connection] = set()
        self._waiting: dict[str, list[Connection]] = {}
        self._waiting_count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._tunnels: set[Tunnel] = set()
        self._no_tunnels = asyncio.Event()
        self._options: dict[str, Any] = {}

    async def start(self, listen: Endpoint) -> Endpoint:
        """Listens; answers with the address, its port a real one. Raises CannotListen, HostKeyUnusable."""
        self._options = self._server_options()
        try:
            self._listener = await asyncssh.listen(
                listen.host or None, listen.port, server_factory=lambda: Connection(self), backlog=BACKLOG,
                reuse_address=True, **self._options,
            )  # fmt: skip
        except OSError as error:
            raise CannotListen(_why_not(listen, error)) from error
        people = self.parts.configuration.people
        if people is not None:
            await self._listen_for_people(people)
        port = self._listener.get_port()
        self.parts.advertise.port = self.parts.configuration.advertised(port).port
        path = self.parts.configuration.control_socket
        try:
            await self._local.start(path)
        except OSError as error:
            raise CannotListen(f"{path} cannot be listened on: {error.strerror or error}.") from error
        self.workstations.start()
        return Endpoint(listen.host, port)

    async def _listen_for_people(self, people: Endpoint) -> None:
        """Offers nothing but compression: clients that would do without by themselves compress the screen then."""
        try:
            self._people_listener = await asyncssh.listen(
                people.host or None, people.port, server_factory=lambda: Connection(self), backlog=BACKLOG,
                reuse_address=True, **{**self._options, "compression_algs": ["zlib@openssh.com"]},
            )  # fmt: skip
        except OSError as error:
            raise CannotListen(_why_not(people, error)) from error

    def _server_options(self) -> dict[str, Any]:
        limits = self.parts.configuration.limits
        return {
            "server_host_keys": [_host_key(path) for path in self.parts.configuration.host_keys],
            "server_version": "Casemate",
            "login_timeout": limits.login_timeout,
            "keepalive_interval": KEEPALIVE_SECONDS,
            "keepalive_count_max": KEEPALIVES,
            # The client chooses; without a wish of its own a tunnel does not pay for compression.
            "compression_algs": ["none", "zlib@openssh.com"],
            "line_editor": False,
            "encoding": None,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "allow_scp": False,
            "gss_host": None,
            "host_based_auth": False,
            "max_pktsize": PACKET,
        }

    def _record_soon(self, record: AnyRecord) -> None:
        # A journal that has failed lets no statement pass; that is said where it is tried.
        with contextlib.suppress(JournalFailed):
            self.parts.journal.append_soon(record)

    async def stop_listening(self) -> None:
        """Accepts no more connections; the open ones go on."""
        for listener in (self._listener, self._people_listener):
            if listener is not None:
                # Not waited for: from Python 3.12 on that would last until the last connection has gone.
                listener.close()
        self._listener = self._people_listener = None
        await self._local.stop(self.parts.configuration.control_socket)

    async def stop(self, seconds: float = 5.0) -> None:
        """Closes all connections and waits for their tasks.

        Tunnels get a moment to be closed by their clients: OpenSSH drops what it has not passed on when it is
        disconnected, and that would be the last words of the sessions.
        """
        await self.stop_listening()
        if self._tunnels:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._no_tunnels.wait()
        stopping = str(Refused("bastion-stopping"))
        await self.workstations.stop(stopping)
        for connection in list(self._connections):
            connection.ssh.disconnect(asyncssh.DISC_BY_APPLICATION, stopping)
        if self._tasks:
            _done, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def reload(self) -> None:
        """Takes up changed host keys for connections to come. Raises HostKeyUnusable and changes nothing then."""
        keys = [_host_key(path) for path in self.parts.configuration.host_keys]
        self._options["server_host_keys"] = keys
        for listener in (self._listener, self._people_listener):
            if listener is not None:
                listener.update(server_host_keys=keys)

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """A tunnel stands."""
        self._tunnels.add(tunnel)
        self._no_tunnels.clear()

    def tunnel_closed(self, tunnel: Tunnel) -> None:
        """It is gone on both sides."""
        self._tunnels.discard(tunnel)
        if not self._tunnels:
            self._no_tunnels.set()

    def start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` beside everything else; `stop` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of a connection failed", exc_info=error)

    async def serve_socket(self, ours: socket.socket, person: Person, source: str, workstation: str = "") -> None:
        """Serves SSH on a socket whose other end works for `person`, until it closes.

        workstation: the name of the served one that it is, where it is one.
        """
        identity = Identity(person.name, "served", person=person)
        connection = await asyncssh.run_server(
            ours, server_factory=lambda: Connection(self, identity, source, workstation), **self._options
        )
        try:
            await connection.wait_closed()
        finally:
            connection.abort()

    # -------------------------------------------------------------------------------------- told by connections

    def connected(self, connection: Connection) -> None:
        """A connection has come. Too many that have not logged in: the one that has waited longest must go.

        Those that have not even begun to log in go first, so that idle connections do not keep people out.
        """
        self._connections.add(connection)
        limits = self.parts.configuration.limits
        waiting = self._waiting.setdefault(connection.source, [])
        waiting.append(connection)
        self._waiting_count += 1
        if len(waiting) > limits.unauthenticated_per_source:
            self._turn_away(waiting)
        elif self._waiting_count > limits.unauthenticated:
            self._turn_away(max(self._waiting.values(), key=len))

    def _turn_away(self, waiting: list[Connection]) -> None:
        idle = next((connection for connection in waiting if not connection.authenticating), waiting[0])
        logger.warning("too many connections from %s that have not logged in: the oldest is closed", idle.source)
        self._no_longer_waiting(idle)
        idle.ssh.abort()

    def authenticated(self, connection: Connection) -> None:
        """A connection has logged in."""
        self._no_longer_waiting(connection)

    def disconnected(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._no_longer_waiting(connection)

    def _no_longer_waiting(self, connection: Connection) -> None:
        waiting = self._waiting.get(connection.source)
        if waiting is not None and connection in waiting:
            waiting.remove(connection)
            self._waiting_count -= 1
            if not waiting:
                del self._waiting[connection.source]

    @property
    def connections(self) -> int:
        """SSH connections that are open."""
        return len(self._connections)


def _host_key(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(str(path))
    except OSError as error:
        raise HostKeyUnusable(f"The host key {path} cannot be read: {error.strerror}.") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise HostKeyUnusable(f"The host key {path} is no private key without passphrase: {error}.") from error


def _why_not(listen: Endpoint, error: OSError) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return (
            f"{listen} is in use: by another program, or for the moment by an outgoing connection, where the port lies "
            f"in the kernel's own range. Reserve it: sysctl net.ipv4.ip_local_reserved_ports={listen.port}"
        )
    return f"{listen} cannot be listened on: {error.strerror or error}"


def advertised(configuration_address: Endpoint) -> m.Address:
    """An address as messages have it."""
    return m.Address(host=configuration_address.host, port=configuration_address.port)
