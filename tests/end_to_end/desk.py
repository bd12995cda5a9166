"""People at work on a bastion over connections that stay: what a test asks takes no new process and no new login.

Tests of many small cases use this instead of `casemate` commands and one `ssh` a case.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncssh

from tests.servers.bastion_process import AUDITOR, BastionProcess
from tests.servers.processes import wait_for

T = TypeVar("T")

LIMIT = 60.0
"""Seconds that anything asked of the bastion may take."""


@dataclass(frozen=True)
class Way:
    """`host`:`port` leads to the database through an SSH tunnel with the person's token (`token` is its id)."""

    host: str
    port: int
    database: str
    token: str
    token_text: str
    opened_at: datetime


@dataclass
class _Channel:
    writer: Any
    reader: Any
    number: int = 0

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.writer.write(json.dumps(request) + "\n")
        while (answer := json.loads(await self.reader.readline())).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]


class Desk:
    """Its connections live on an event loop of their own; every method may be called from a test's thread."""

    def __init__(self, bastion: BastionProcess) -> None:
        self._bastion = bastion
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connections: list[asyncssh.SSHClientConnection] = []
        self._channels: dict[str, _Channel] = {}
        self._tunnels: dict[str, tuple[asyncssh.SSHClientConnection, int]] = {}

    def close(self) -> None:
        """Ends all connections."""

        async def work() -> None:
            for connection in self._connections:
                connection.abort()
            await asyncio.gather(*(connection.wait_closed() for connection in self._connections))

        self._now(work())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()

    def _now(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, LIMIT), self._loop).result()

    async def _connect(self, user: str, password: str) -> asyncssh.SSHClientConnection:
        connection = await asyncssh.connect(
            *self._bastion.address, username=user, password=password, known_hosts=str(self._bastion.known_hosts),
            client_keys=None, agent_path=None, config=None,
        )  # fmt: skip
        self._connections.append(connection)
        return connection

    def call(self, person: str, method: str, **params: Any) -> Any:
        """A call of the control API as that person."""

        async def work() -> Any:
            if person not in self._channels:
                connection = await self._connect(person, self._bastion.password_of(person))
                writer, reader, _ = await connection.open_session(subsystem="casemate")
                self._channels[person] = _Channel(writer, reader)
            return await self._channels[person].call(method, params)

        return self._now(work())

    def way(self, database: str, person: str = "alice", **request: Any) -> Way:
        """A tunnel to the database; its SSH connection is kept for the next one who asks.

        `request` is what else the token's request says (methods.TokenRequest).
        """
        token = self.call(person, "token.request", database=database, **request)

        async def work() -> int:
            if token["token"] not in self._tunnels:
                connection = await self._connect(person, token["token"])
                listener = await connection.forward_local_port("127.0.0.1", 0, token["host"], token["port"])
                self._tunnels[token["token"]] = connection, listener.get_port()
            return self._tunnels[token["token"]][1]

        port = self._now(work())
        return Way("127.0.0.1", port, database, token["id"], token["token"], datetime.now(UTC))

    def sessions(self, way: Way, count: int = 1) -> list[dict[str, Any]]:
        """All sessions since the way was asked for, oldest first, once all are over and there are `count` at least."""

        def over() -> list[dict[str, Any]] | None:
            found = [
                each
                for each in self.call(AUDITOR, "sessions.list", database=way.database)
                if datetime.fromisoformat(each["started_at"]) >= way.opened_at
            ]
            ended = [each for each in found if each["state"] not in ("opening", "live")]
            return found if len(found) == len(ended) >= count else None

        return wait_for(f"the end of {count} sessions on {way.database}", over, LIMIT) or []

    def session(self, way: Way) -> dict[str, Any]:
        """The only session since the way was asked for, once it is over."""
        [found] = self.sessions(way)
        return found

    def statements(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        """The session's statements in order."""
        found: list[dict[str, Any]] = self.call(AUDITOR, "audit.search", session=session["id"])["statements"]
        return found
