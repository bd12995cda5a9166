"""Where MySQL's clients are sent: MariaDB and MySQL behind the bastion, with and without TLS inside the tunnel."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.servers.bastion_process import BastionProcess
from tests.servers.mysql import MysqlServer
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.processes import wait_for

from ..stock_clients import SshTunnel, open_tunnel, record_of, run_client

ACCOUNT = "clients_app"
PASSWORD = "the account's own password"
CATALOG = "clients"
PROGRAMS = Path(__file__).with_name("programs")

MANY = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 100) FROM n"
)
"""A thousand rows; the programs add up the first column and the length of the second: MANY_SUM."""
MANY_SUM = 600_500
SLOW = "SELECT SLEEP(61), id FROM items"
INTERRUPTED = [1317, "Query execution was interrupted"]
"""What a client sees of SLOW after a KILL QUERY."""

WHO = (
    "SELECT ATTR_VALUE FROM performance_schema.session_connect_attrs WHERE PROCESSLIST_ID = CONNECTION_ID() "
    "AND ATTR_NAME IN ('casemate_user', 'program_name') ORDER BY ATTR_NAME"
)
"""Whom the database takes the client for: two rows, the person's name and the program's."""

Brief = tuple[str, Sequence[str | None] | None, str, int | None, str | None]
"""A statement's text, binds, state, rows and error, as `Place.record` shows it."""

_logins = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A standing tunnel of alice's to a server, and how a client is to speak inside it.

    tls         whether the client asks for TLS and checks the bastion's certificate, host name included
    authority   the bastion's CA, as `casemate ca` hands it out
    login       the user name that the client types: another one for each test, by which its sessions are known
    """

    bastion: BastionProcess
    server: MysqlFamilyServer
    tunnel: SshTunnel
    tls: bool
    authority: Path
    file: Path
    login: str = ""

    @property
    def host(self) -> str:
        return self.tunnel.host

    @property
    def port(self) -> int:
        return self.tunnel.port

    @property
    def is_mariadb(self) -> bool:
        return not isinstance(self.server, MysqlServer)

    @property
    def unknown_column(self) -> str:
        """The server's words for `SELECT no_such_column FROM items`."""
        return f"Unknown column 'no_such_column' in '{'SELECT' if self.is_mariadb else 'field list'}'"

    @property
    def interrupted(self) -> Brief:
        """The record of SLOW after a KILL QUERY; MySQL sends a first row before the error, MariaDB does not."""
        return failed(SLOW, "1317 (70100): Query execution was interrupted", 0 if self.is_mariadb else 1)

    def arguments(self) -> list[str]:
        """What every program under `programs/` is told: HOST PORT LOGIN FILE [AUTHORITY]."""
        words = [self.host, str(self.port), self.login, str(self.file)]
        return [*words, str(self.authority)] if self.tls else words

    def python(self, program: str, *words: str, path: Path | None = None) -> dict[str, Any]:
        """What `programs/PROGRAM.py` reports that it saw; `path` has modules that are not in this environment."""
        environment = {"PYTHONPATH": str(path)} if path is not None else None
        command = [sys.executable, str(PROGRAMS / f"{program}.py"), *self.arguments(), *words]
        return report_of(run_client(command, environment))

    def sessions(self, login: str = "", count: int = 1) -> list[dict[str, Any]]:
        """The sessions of this test's login (or another), oldest first, once that many are over."""
        login = login or self.login

        def over(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [each for each in sessions if each["login"] == login]
            ended = [each for each in ours if each["state"] not in ("opening", "live")]
            return ours if len(ended) == len(ours) >= count else None

        found: list[dict[str, Any]] = self.bastion.wait_for_sessions(f"{count} sessions of {login} to end", over)
        assert len(found) == count
        for each in found:
            # A server closes when a client takes its leave, so either of them may be seen to go first.
            assert (each["state"], each["unattributed_bytes"]) == ("closed", 0), each
            assert each["end_reason"] in ("client", "database"), each
            assert (each["user"], each["account"], each["engine"]) == ("alice", ACCOUNT, "mysql")
        return found

    def record(self, session: Mapping[str, Any] | None = None, *, begin: str = "SELECT 'begin'") -> list[Brief]:
        """The statements of a session (of the only one) behind `begin`, in order.

        What stands before it is what a client says of itself at its start: settings, and questions about the server.
        """
        statements = record_of(self.bastion, session or self.sessions()[0])
        for each in statements:
            assert (each["user"], each["database"], each["account"]) == ("alice", self.tunnel.database, ACCOUNT)
            assert (each["verdict"], each["tool"]) == ("allowed", "")
        texts = [each["text"] for each in statements]
        start = texts.index(begin) + 1 if begin else 0
        assert {each["kind"] for each in statements[:start]} <= {"set", "select", "show", "use"}
        return [
            (each["text"], each["binds"], each["state"], each["rows"], each["error"]) for each in statements[start:]
        ]

    def killed(self, login: str = "") -> None:
        """The second connection of a client that cancelled a statement ended with its KILL QUERY."""
        [session] = self.sessions(login or f"{self.login}-2")
        text, _, state, _, error = self.record(session, begin="")[-1]
        assert text.startswith("KILL QUERY ")
        assert (state, error) == ("done", None)
        wait_for("its end there", lambda: not self.server.running("SLEEP(61)"))


def report_of(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON object that a program printed."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def done(text: str, rows: int | None = None, binds: Sequence[str | None] | None = None) -> Brief:
    """A statement that succeeded."""
    return (text, None if binds is None else list(binds), "done", rows, None)


def failed(text: str, error: str, rows: int | None = None, binds: Sequence[str | None] | None = None) -> Brief:
    """A statement that the database refused, with its words."""
    return (text, None if binds is None else list(binds), "failed", rows, error)


@dataclass(frozen=True)
class Behind:
    """What all tests of a module share: the server, declared in the bastion and granted to alice, and a tunnel."""

    place: Place

    def fresh(self, *, tls: bool) -> Place:
        """The place for one test."""
        return replace(self.place, tls=tls, login=f"client-{next(_logins)}-{self.place.port}")


@contextmanager
def mysql_behind(bastion: BastionProcess, server: MysqlFamilyServer, name: str) -> Iterator[Behind]:
    """A catalog with a table of five rows and a procedure, the hosted account, and alice's tunnel to it."""
    server.create_user(ACCOUNT, PASSWORD)
    server.create_database(CATALOG)
    server.execute(
        "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2), added DATETIME)",
        *(f"INSERT INTO items VALUES ({n}, 'item {n}', {n}.5, '2026-01-01 00:00:00')" for n in range(1, 6)),
        "CREATE PROCEDURE two_results (IN at_most INT, INOUT total INT) BEGIN "
        "SELECT id FROM items WHERE id <= at_most ORDER BY id; SELECT 'second'; SET total = total + at_most; END",
        database=CATALOG,
    )
    bastion.declare_database(name, server, account=ACCOUNT, password=PASSWORD, to="alice")
    authority = bastion.folder / "authority.pem"
    authority.write_text(
        bastion.run("ca", "--bastion", f"alice@{bastion.address[0]}:{bastion.address[1]}",
                    environment={"CASEMATE_PASSWORD": bastion.password_of("alice")})
    )  # fmt: skip
    file = bastion.folder / "thousand.tsv"
    file.write_text("".join(f"{n}\tline {n}\n" for n in range(1000)))
    with open_tunnel(bastion, "alice", name) as tunnel:
        yield Behind(Place(bastion, server, tunnel, tls=False, authority=authority, file=file))
