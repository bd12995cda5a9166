"""The databases and peers of a run. Each is started when it is first asked for, and all end with the run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from tests.servers.bastion_process import Reachable

from .databases import ACCOUNT, MariadbDatabase, OracleDatabase, PostgresDatabase, SqlserverDatabase
from .peers import Bastion, Keys, Peer, Sshd, ThinRelay
from .processes import allow_many_files, cpu_seconds, memory_bytes, settle
from .report import Report
from .tunnels import tunnels

BASTIONS = {"bastion": "written", "written": "written", "synced": "synced", "stored": "stored"}
"""Ways that are a bastion, and its durability."""


class Database(Reachable, Protocol):
    """A database to reach, under the name by which the bastion knows it."""

    name: str
    password: str


@dataclass(frozen=True)
class Way:
    """A way to a database: a port of this machine for each tunnel, and the processes in the middle (none: direct)."""

    name: str
    ports: list[int]
    pid: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.ports[0]

    def cpu_seconds(self) -> float:
        """What the processes in the middle have taken so far."""
        return 0.0 if self.pid is None else cpu_seconds(self.pid)

    def memory_bytes(self) -> int:
        """What they hold now."""
        return 0 if self.pid is None else memory_bytes(self.pid)

    def settle(self) -> None:
        """Waits until they have nothing left to do, so that what they do afterwards disturbs nobody's turn."""
        if self.pid is not None and not settle(self.pid):
            self.warnings.append(f"{self.name} was still at work 30 s after the clients had ended")


class Setting:
    """Use as a context manager."""

    def __init__(self, cipher: str, report: Report) -> None:
        self.cipher = cipher
        self.report = report
        self._stack = ExitStack()
        self._bastions: dict[str, Bastion] = {}
        self._declared: set[tuple[str, str]] = set()

    def __enter__(self) -> Setting:
        allow_many_files()
        self._stack.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def with_fresh_peers(self) -> Setting:
        """The same PostgreSQL with peers of its own, which have served nobody yet. A context manager as well."""
        fresh = Setting(self.cipher, self.report)
        fresh.__dict__["postgres"] = self.postgres  # in place of a cached one: it ends with this setting, not with that
        return fresh

    @cached_property
    def folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="casemate-bench-")))

    @cached_property
    def postgres(self) -> PostgresDatabase:
        database = PostgresDatabase()
        self._stack.callback(database.remove)
        return database

    @cached_property
    def mariadb(self) -> MariadbDatabase:
        database = MariadbDatabase()
        self._stack.callback(database.remove)
        return database

    @cached_property
    def sqlserver(self) -> SqlserverDatabase:
        database = SqlserverDatabase()
        self._stack.callback(database.remove)
        return database

    @cached_property
    def oracle(self) -> OracleDatabase:
        database = OracleDatabase()
        self._stack.callback(database.remove)
        return database

    @cached_property
    def _keys(self) -> Keys:
        return Keys(self.folder / "keys")

    @cached_property
    def _sshd(self) -> Sshd:
        sshd = Sshd(self.folder / "sshd", self._keys)
        self._stack.callback(sshd.stop)
        return sshd

    @cached_property
    def _thin_relay(self) -> ThinRelay:
        relay = ThinRelay(self.folder / "relay", self._keys)
        self._stack.callback(relay.stop)
        return relay

    def bastion(self, durability: str = "written") -> Bastion:
        """The bastion of that durability."""
        if durability not in self._bastions:
            bastion = Bastion(self.folder / f"bastion-{durability}", durability)
            self._stack.callback(bastion.stop)
            self._bastions[durability] = bastion
        return self._bastions[durability]

    def peer(self, way: str, database: Database) -> Peer:
        """What stands in the middle of a way that is not direct; it knows the database."""
        if way == "sshd":
            return self._sshd
        if way == "asyncssh":
            return self._thin_relay
        durability = BASTIONS[way]
        bastion = self.bastion(durability)
        if (durability, database.name) not in self._declared:
            bastion.declare(database.name, database, ACCOUNT, database.password)
            self._declared.add((durability, database.name))
        return bastion

    @contextmanager
    def way(self, name: str, database: Database, connections: int = 1) -> Iterator[Way]:
        """A way by name (`direct`, `sshd`, `asyncssh`, `bastion`, `synced`, `stored`), with so many SSH connections."""
        if name == "direct":
            yield Way(name, [database.port])
            return
        peer = self.peer(name, database)
        login = peer.login(database.name)
        with tunnels(login, (database.host, database.port), self.cipher, connections) as ports:
            if isinstance(database, OracleDatabase) and login.password:
                # Its protocol needs a password that both ends know: here the client's is the token.
                database.tokens.update(dict.fromkeys(ports, login.password))
            way = Way(name, ports, peer.pid)
            yield way
        for warning in way.warnings:
            self.report.say(f"Note: {warning}.")

    @contextmanager
    def ways(self, names: Sequence[str], database: Database) -> Iterator[dict[str, Way]]:
        """Several ways at once, each with one SSH connection."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.way(name, database)) for name in names}
