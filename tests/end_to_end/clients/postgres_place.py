"""Where PostgreSQL's clients are sent: a database behind the bastion, with and without TLS inside the tunnel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer

from ..stock_clients import SshTunnel, open_tunnel, record_of

ACCOUNT = "clients_app"
PASSWORD = "the account's own password"
DATABASE = "clientspg"
TYPED_LOGIN = "whoever"

Brief = tuple[str, Sequence[str | None] | None, str, int | None, str | None]
"""A statement's text, binds, state, rows and error, as `Place.record` shows it."""


@dataclass(frozen=True)
class Place:
    """A standing tunnel of alice's to the database, and how a client is to speak inside it.

    tls         whether the client asks for TLS and checks the bastion's certificate, host name included
    authority   the bastion's CA, as `casemate ca` hands it out
    """

    bastion: BastionProcess
    server: PostgresServer
    tunnel: SshTunnel
    tls: bool
    authority: Path

    @property
    def host(self) -> str:
        return self.tunnel.host

    @property
    def port(self) -> int:
        return self.tunnel.port

    def libpq(self, **more: str) -> dict[str, str]:
        """The environment that leads a libpq client there; nothing of it is a password."""
        ssl = {"PGSSLMODE": "disable"}
        if self.tls:
            ssl = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.authority)}
        where = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": TYPED_LOGIN, "PGDATABASE": DATABASE}
        return {**where, **ssl, "PGCONNECT_TIMEOUT": "20", "PGGSSENCMODE": "disable", **more}

    def url(self, scheme: str = "postgresql") -> str:
        """The same as a connection URL, without the TLS settings."""
        return f"{scheme}://{TYPED_LOGIN}@{self.host}:{self.port}/{DATABASE}"

    def sessions(self, count: int = 1, *, cancels: int = 0) -> list[dict[str, Any]]:
        """The sessions of this test, oldest first, once that many are over, and as many requests to cancel.

        Each was ended by its client, with no byte unattributed.
        """

        def over(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [each for each in sessions if self._of_this_test(each)]
            ended = [each for each in ours if each["state"] not in ("opening", "live")]
            return ours if len(ended) == len(ours) >= count + cancels else None

        what = f"{count} sessions and {cancels} requests to cancel to be over"
        found: list[dict[str, Any]] = self.bastion.wait_for_sessions(what, over)
        own = [each for each in found if each["end_reason"] != "cancel-request"]
        assert (len(own), len(found) - len(own)) == (count, cancels)
        for each in own:
            assert (each["state"], each["end_reason"], each["unattributed_bytes"]) == ("closed", "client", 0), each
            assert (each["user"], each["account"], each["login"]) == ("alice", ACCOUNT, TYPED_LOGIN)
        return own

    def _of_this_test(self, session: Mapping[str, Any]) -> bool:
        started = datetime.fromisoformat(session["started_at"])
        return session["database"] == self.tunnel.database and started >= self.tunnel.opened_at

    def session(self, *, cancels: int = 0) -> dict[str, Any]:
        """The one session of this test, once it is over."""
        [found] = self.sessions(cancels=cancels)
        return found

    def record(self, session: Mapping[str, Any]) -> list[Brief]:
        """The statements of a session, in order."""
        statements = record_of(self.bastion, session)
        for each in statements:
            assert (each["user"], each["database"], each["account"]) == ("alice", DATABASE, ACCOUNT)
            assert (each["verdict"], each["tool"]) == ("allowed", "")
        return [(each["text"], each["binds"], each["state"], each["rows"], each["error"]) for each in statements]


def done(text: str, rows: int | None = None, binds: Sequence[str | None] | None = None) -> Brief:
    """A statement that succeeded."""
    return (text, None if binds is None else list(binds), "done", rows, None)


def failed(text: str, error: str, binds: Sequence[str | None] | None = None) -> Brief:
    """A statement that the database refused, with its words."""
    return (text, None if binds is None else list(binds), "failed", None, error)


def cancelled(text: str, binds: Sequence[str | None] | None = None) -> Brief:
    """A statement that its own client has cancelled."""
    words = "57014: canceling statement due to user request"
    return (text, None if binds is None else list(binds), "cancelled", None, words)


@dataclass(frozen=True)
class Behind:
    """What all tests of a module share: the database, declared in the bastion and granted to alice, and a tunnel."""

    place: Place

    def fresh(self, *, tls: bool) -> Place:
        """The place for one test: its sessions are those that begin from now on."""
        return replace(self.place, tls=tls, tunnel=replace(self.place.tunnel, opened_at=datetime.now(UTC)))


@contextmanager
def postgres_behind(bastion: BastionProcess, server: PostgresServer) -> Iterator[Behind]:
    """An empty database with a table of five rows, owned by the hosted account, and alice's tunnel to it."""
    server.create_user(ACCOUNT, PASSWORD)
    server.create_database(DATABASE, ACCOUNT)
    with server.admin(DATABASE) as connection:
        connection.execute(f"SET ROLE {ACCOUNT}")
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(8,2), added timestamptz)")
        connection.execute(
            "INSERT INTO items SELECT n, 'item ' || n, n * 1.5, '2026-01-01T00:00:00Z' FROM generate_series(1, 5) AS n"
        )
    bastion.declare_database(DATABASE, server, account=ACCOUNT, password=PASSWORD, to="alice")
    authority = bastion.folder / "authority.pem"
    authority.write_text(
        bastion.run("ca", "--bastion", f"alice@{bastion.address[0]}:{bastion.address[1]}",
                    environment={"CASEMATE_PASSWORD": bastion.password_of("alice")})
    )  # fmt: skip
    with open_tunnel(bastion, "alice", DATABASE) as tunnel:
        yield Behind(Place(bastion, server, tunnel, tls=False, authority=authority))
