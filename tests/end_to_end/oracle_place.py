"""Test servers for Oracle as databases of a bastion, reached through `ssh -N -L`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import oracledb

from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.oracle.server import OracleServer

from .stock_clients import SshTunnel, open_tunnel, record_of, token_of

PASSWORD = "a Secret of 1"


@dataclass
class Oracles:
    """Servers of several manners as databases of a bastion, granted to alice."""

    bastion: BastionProcess
    stack: ExitStack
    manners: Mapping[str, Manners]
    servers: dict[str, OracleServer] = field(default_factory=dict)
    tunnels: dict[str, SshTunnel] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def tunnel(self, manners: str) -> SshTunnel:
        if manners not in self.tunnels:
            server = self.servers[manners] = OracleServer(self.manners[manners])
            self.stack.callback(server.stop)
            name = f"oracle-{manners}"
            self.bastion.apply(
                {
                    "databases": [{
                        "name": name, "engine": "oracle", "platform": "self-managed", "host": server.host,
                        "port": server.port, "service": "FREEPDB1",
                        "accounts": [{"name": "app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                    }],
                    "grants": [{"name": f"alice-{name}", "to": ["alice"], "on": [name], "accounts": ["*"]}],
                },
                {"ACCOUNT_PASSWORD": PASSWORD},
            )  # fmt: skip
            self.tokens[manners] = token_of(self.bastion, "alice", name)["token"]
            self.tunnels[manners] = self.stack.enter_context(open_tunnel(self.bastion, "alice", name))
        return self.tunnels[manners]

    def place(self, manners: str, user: str, service: str = "FREEPDB1") -> dict[str, Any]:
        """What the driver is given."""
        tunnel = self.tunnel(manners)
        return {
            "user": user, "password": self.tokens[manners], "dsn": f"{tunnel.host}:{tunnel.port}/{service}",
            "tcp_connect_timeout": 30,
        }  # fmt: skip

    @contextmanager
    def connected(self, manners: str, user: str) -> Iterator[oracledb.Connection]:
        with oracledb.connect(**self.place(manners, user)) as connection:
            yield connection

    def sessions(self, user: str, count: int) -> list[dict[str, Any]]:
        """The sessions of that login in the order in which they began, once so many are over."""

        def over(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [each for each in sessions if each["login"].lower() == user.lower()]
            ended = [each for each in ours if each["state"] not in ("opening", "live")]
            return sorted(ours, key=lambda each: each["started_at"]) if len(ended) == len(ours) == count else None

        found: list[dict[str, Any]] = self.bastion.wait_for_sessions(f"the end of {user}'s sessions", over, 60)
        return found

    def record_of(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        """The statements of a session that was closed, and has left no byte unattributed."""
        assert session["unattributed_bytes"] == 0
        assert session["state"] == "closed", session
        return record_of(self.bastion, session)

    def session(self, user: str) -> dict[str, Any]:
        """The session of that login, once it is over."""

        def over(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
            ours = [each for each in sessions if each["login"].lower() == user.lower()]
            return ours[-1] if ours and ours[-1]["state"] not in ("opening", "live") else None

        found: dict[str, Any] = self.bastion.wait_for_sessions(f"the end of {user}'s session", over, 60)
        return found

    def record(self, user: str) -> list[dict[str, Any]]:
        """The statements of the session of that login, which has left no byte unattributed."""
        return self.record_of(self.session(user))


def said(record: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Of each statement operation, text, binds, rows, state and error."""
    return [(e["kind"], e["text"], e["binds"], e["rows"], e["state"], e["error"]) for e in record]


def statements(record: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Without the operations on LOBs, and with the fetches of a query as one."""
    found: list[tuple[Any, ...]] = []
    for kind, text, binds, rows, state, error in said(record):
        if text.startswith("LOB "):
            continue
        text = re.sub(r"^cursor \d+ of", "cursor of", text)
        if found and found[-1][1] == text and text.startswith("select"):
            last = found.pop()
            found.append((*last[:3], (last[3] or 0) + (rows or 0), state, error))
        else:
            found.append((kind, text, binds, rows, state, error))
    return found
