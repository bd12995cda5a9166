"""The database that SQL Server's clients are shown, and how its record looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.servers.bastion_process import BastionProcess
from tests.servers.sqlserver import TdsServer

PASSWORD = "the account's own password"
CATALOG = "stock"
ACCOUNT = "stock_app"


@dataclass(frozen=True)
class Place:
    """One of the server's ports, for a bastion to be told of."""

    port: int
    host: str = "127.0.0.1"
    engine: str = "sqlserver"


@dataclass(frozen=True)
class Granted:
    """A database that alice may use through the bastion, and the server behind it."""

    name: str
    server: TdsServer


def prepared(
    bastion: BastionProcess, server: TdsServer, name: str, *, listener: str = "main", tls: str = "prefer"
) -> Granted:
    """Declares the database behind a port of the server; its table is made anew."""
    server.create_user(ACCOUNT, PASSWORD)
    server.create_database(CATALOG)
    server.execute(
        "CREATE TABLE items (id INT PRIMARY KEY, name NVARCHAR(40), price DECIMAL(8,2))",
        *(f"INSERT INTO items VALUES ({n}, N'item {n}', {n}.5)" for n in range(1, 6)),
        database=CATALOG,
    )
    place = Place(server.ports[listener])
    bastion.declare_database(name, place, account=ACCOUNT, password=PASSWORD, to="alice", tls=tls)
    return Granted(name, server)


def expected(granted: Granted, text: str, *, kind: str, rows: int | None, binds: list[str | None] | None = None,
             state: str = "done", error: str | None = None, schema: str = CATALOG) -> dict[str, Any]:  # fmt: skip
    """A statement's record, without what differs from run to run."""
    return {
        "user": "alice", "database": granted.name, "account": ACCOUNT, "schema": schema, "kind": kind, "text": text,
        "binds": binds, "verdict": "allowed", "tool": "", "state": state, "rows": rows, "error": error,
    }  # fmt: skip


def about(records: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Those whose text has `word`: without what a client says of itself at its start."""
    return [each for each in records if word in each["text"]]
