"""A bastion's state for tests: store, vault and access rules, a clock that stands still, records that are kept."""

from __future__ import annotations

import copy
import itertools
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from bastion.access.declared import Plan
from bastion.access.door import Access, Person
from bastion.api import messages as m
from bastion.api.methods import TokenRequest
from bastion.audit.records import Act, AnyRecord
from bastion.store import schema
from bastion.store.store import Store, sqlite_url
from bastion.vault import Vault
from tests.servers.postgres import PostgresServer

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
OPERATOR_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB5WlOrOj0Xyk3zUnmzPgM+kQ4pl9JYgrcYbvmx7bVkE"

ALICE = Person("alice", frozenset({"operator"}))
BOB = Person("bob", frozenset({"operator"}))
ADMIN = Person("admin", frozenset({"administrator"}))
AUDITOR = Person("eve", frozenset({"auditor"}))
HERE = "192.0.2.7"

ENVIRONMENT = {
    "ALICE_PASSWORD": "Correct-Horse-7",
    "ADMIN_PASSWORD": "Battery-Staple-9",
    "ORDERS_PASSWORD": "hosted secret of app_rw",
}

DOCUMENT: dict[str, Any] = {
    "users": [
        {
            "name": "alice",
            "roles": ["operator"],
            "password": {"env": "ALICE_PASSWORD"},
            "keys": [OPERATOR_KEY + " alice"],
        },
        {"name": "bob", "roles": ["operator"]},
        {"name": "eve", "roles": ["auditor"]},
        {"name": "admin", "roles": ["administrator"], "password": {"env": "ADMIN_PASSWORD"}},
    ],
    "groups": [{"name": "dba", "members": ["alice"]}],
    "databases": [
        {
            "name": "orders",
            "engine": "mysql",
            "platform": "rds",
            "host": "rm-example.test",
            "port": 3306,
            "databases": ["orders", "orders_archive"],
            "accounts": [{"name": "app_rw", "password": {"env": "ORDERS_PASSWORD"}}, {"name": "report"}, {"any": True}],
        },
        {"name": "billing", "engine": "postgresql", "host": "2001:db8::5", "accounts": [{"name": "billing"}]},
    ],
    "grants": [{"name": "dba-orders", "to": ["group:dba"], "on": ["orders"], "accounts": ["app_rw"]}],
}


class Clock:
    """Says the same time until it is told to go on."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **period: float) -> None:
        self.time += timedelta(**period)


class BastionState:
    """The parts together."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.clock = Clock()
        self.vault = Vault.create(folder / "master.key")
        self.records: list[AnyRecord] = []
        self.access = Access(
            store,
            self.vault,
            self.records.append,
            advertise=m.Address(host="bastion.test", port=60022),
            ca="CA",
            clock=self.clock,
        )

    async def declare(self, *documents: dict[str, Any], **options: Any) -> Plan:
        """Applies documents as the administrator does."""
        options = {"base": self.folder, "environment": ENVIRONMENT, "by": "admin", "source": HERE, **options}
        return await self.access.apply([copy.deepcopy(each) for each in documents], **options)

    async def token(self, person: Person = ALICE, database: str = "orders", **wishes: Any) -> m.Token:
        """Requests a token."""
        return await self.access.request_token(person, TokenRequest(database=database, **wishes), HERE)

    def acts(self, prefix: str = "") -> list[Act]:
        """The acts on record whose name begins so."""
        return [each for each in self.records if isinstance(each, Act) and each.act.startswith(prefix)]

    def close(self) -> None:
        self.access.close()


_numbers = itertools.count()


class Stores:
    """Makes migrated, empty stores quickly: a copy of a migrated file, or one database that is emptied each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Path | None = None
        self._url: str | None = None

    def sqlite(self) -> Store:
        if self._file is None:
            self._file = self._folder / "template.db"
            store = Store.open(sqlite_url(self._file))
            store.migrate()
            store.close()
        path = self._folder / f"state-{next(_numbers)}.db"
        shutil.copy(self._file, path)
        return Store.open(sqlite_url(path))

    def postgres(self, server: PostgresServer) -> Store:
        if self._url is None:
            name = f"casemate_{secrets.token_hex(4)}"
            self.empty_postgres(server, name)
            self._url = postgres_url(server, name)
        store = Store.open(self._url)
        store.migrate()
        tables = ", ".join(f'"{table.name}"' for table in schema.metadata.sorted_tables)
        store.run_now(lambda connection: connection.execute(sa.text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")))
        return store

    @staticmethod
    def empty_postgres(server: PostgresServer, name: str) -> None:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def postgres_url(server: PostgresServer, name: str) -> str:
    """SQLAlchemy's URL of a database of the test server."""
    return f"postgresql+psycopg://{server.admin_user}:{server.admin_password}@{server.host}:{server.port}/{name}"
