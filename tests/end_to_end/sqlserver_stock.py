"""The database that SQL Server's clients are shown, and how its record looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.bastion_process import BastionProcess
from tests.servers.sqlserver import TdsServer
from tests.servers.sqlserver_clients import Address

from .stock_clients import SshTunnel, open_tunnel, record_of

PASSWORD = "the account's own password"
CATALOG = "stock"
ACCOUNT = "stock_app"


@dataclass(frozen=True)
class Place:
    """One of the server's ports, for a bastion to be told of."""

    port: int
    host: str = "127.0.0.1"
    engine: str = "sqlserver"


def prepare(server: TdsServer) -> None:
    """The account, the database and its table, anew."""
    server.create_user(ACCOUNT, PASSWORD)
    server.create_database(CATALOG)
    server.execute(
        "CREATE TABLE items (id INT PRIMARY KEY, name NVARCHAR(40), price DECIMAL(8,2))",
        *(f"INSERT INTO items VALUES ({n}, N'item {n}', {n}.5)" for n in range(1, 6)),
        database=CATALOG,
    )


@dataclass
class Stock:
    """The server's ports as databases of a bastion, granted to alice; tunnels are opened when they are needed."""

    bastion: BastionProcess
    server: TdsServer
    folder: Path
    stack: ExitStack
    tunnels: dict[str, SshTunnel] = field(default_factory=dict)

    @property
    def authority(self) -> Path:
        """The bastion's own, which signs what its clients are shown."""
        file = self.folder / "authority.pem"
        if not file.exists():
            [token] = self.bastion.casemate("alice", "token", self.name("main"), "--json")
            file.write_text(token["ca"])
        return file

    def name(self, listener: str) -> str:
        return f"stock-sqlserver-{listener}"

    def declare(self, listener: str, *, tls: str = "prefer") -> None:
        place = Place(self.server.ports[listener])
        name = self.name(listener)
        self.bastion.declare_database(name, place, account=ACCOUNT, password=PASSWORD, to="alice", tls=tls)

    def tunnel(self, listener: str) -> SshTunnel:
        """The standing tunnel to that port of the server."""
        if listener not in self.tunnels:
            self.declare(listener)
            tunnel = self.stack.enter_context(open_tunnel(self.bastion, "alice", self.name(listener)))
            self.tunnels[listener] = tunnel
        return self.tunnels[listener]

    def address(self, login: str, listener: str = "main", *, host: str = "127.0.0.1") -> Address:
        """Where a client connects to; it finds its session by the name that it logs in with."""
        return Address(self.tunnel(listener).port, login, "anything", CATALOG, host)

    def session(self, login: str) -> dict[str, Any]:
        """The session of that login, once it is over."""

        def over(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
            ours = [each for each in sessions if each["login"] == login]
            return ours[-1] if ours and ours[-1]["state"] not in ("opening", "live") else None

        found: dict[str, Any] = self.bastion.wait_for_sessions(f"the end of {login}'s session", over, 60)
        return found

    def record(self, login: str) -> list[dict[str, Any]]:
        """The statements of the session of that login, which has left no byte unattributed."""
        session = self.session(login)
        assert session["unattributed_bytes"] == 0
        assert session["state"] == "closed", session
        return record_of(self.bastion, session)


@contextmanager
def stocked(bastion: BastionProcess, server: TdsServer, folder: Path) -> Iterator[Stock]:
    """The stock, with the main port declared; all tunnels are closed at the end."""
    prepare(server)
    with ExitStack() as stack:
        stock = Stock(bastion, server, folder, stack)
        stock.tunnel("main")
        yield stock


Said = tuple[str, str, list[str | None] | None, int | None, str, str | None]


def said(record: list[dict[str, Any]]) -> list[Said]:
    """Of each statement kind, text, binds, rows, state and error."""
    return [(e["kind"], e["text"], e["binds"], e["rows"], e["state"], e["error"]) for e in record]


def behind(record: list[dict[str, Any]], word: str) -> list[Said]:
    """Those from the first one with `word` in it on: without what a client says at its start."""
    places = [index for index, each in enumerate(record) if word in each["text"]]
    return said(record[places[0] :]) if places else []
