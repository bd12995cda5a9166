"""A SQL Server for tests: the program of tests/servers/tds in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymssql

from . import certificates
from .processes import ServerProcess, plain_environment, remove, server_folder, wait_for

LISTENERS: dict[str, dict[str, object]] = {
    "main": {"encryption": "off"},
    "plain": {"encryption": "not_supported"},
    "required": {"encryption": "required"},
    "strict": {"encryption": "off", "strict_only": True},
    "mars": {"encryption": "off", "mars": True},
    "small": {"encryption": "off", "packet_size": 512},
    "old": {"encryption": "not_supported", "version": "V7_1"},
    "routing": {"encryption": "off", "route": "main"},
}
"""Ports by what they are for. `main` is SQL Server as it comes: the login is encrypted, all where the client asks."""


class TdsServer:
    """`port` is that of `main`; `ports` has the others. Databases master, tempdb, model and msdb are there."""

    engine = "sqlserver"
    host = "127.0.0.1"
    admin_user = "sa"

    def __init__(self, listeners: Mapping[str, Mapping[str, object]] = LISTENERS) -> None:
        self.folder = server_folder("tds")
        self.admin_password = f"Sa-{secrets.token_hex(12)}"
        self.statements_log = self.folder / "statements.log"
        """What it ran, one JSON object a line: session, user, database, kind, text, parameters."""
        made = certificates.make(self.folder)
        self.certificate_authority = made.authority
        self._settings: dict[str, Any] = {
            "certificate": str(made.certificate), "key": str(made.key),
            "logins": {self.admin_user: self.admin_password},
            "listeners": {name: dict(settings) for name, settings in listeners.items()},
        }  # fmt: skip
        self.ports: dict[str, int] = {}
        self._process: ServerProcess | None = None
        self.start()

    @property
    def port(self) -> int:
        return self.ports["main"]

    @property
    def process(self) -> ServerProcess:
        if self._process is None:
            raise RuntimeError("the server is not started")
        return self._process

    def start(self) -> None:
        """Starts it (again, on the same ports and data)."""
        (self.folder / "server.json").write_text(json.dumps(self._settings))
        (self.folder / "ports.json").unlink(missing_ok=True)
        root = Path(__file__).parents[2]
        self._process = ServerProcess(
            [sys.executable, "-m", "tests.servers.tds", self.folder], self.folder / "server.log",
            environment={**plain_environment(), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1",
                         **{name: value for name, value in os.environ.items() if name.startswith("CASEMATE_TEST")}},
        )  # fmt: skip
        self._process.wait_until("the TDS server", (self.folder / "ports.json").exists)
        self.ports = json.loads((self.folder / "ports.json").read_text())
        for name, port in self.ports.items():
            self._settings["listeners"][name]["port"] = port

    def admin(self, database: str = "master") -> pymssql.Connection:
        """A direct connection as administrator, in autocommit."""
        return pymssql.connect(
            server=self.host, port=str(self.port), user=self.admin_user, password=self.admin_password,
            database=database, autocommit=True, login_timeout=30, charset="UTF-8", appname="administration",
        )  # fmt: skip

    def execute(self, *statements: str, database: str = "master") -> list[tuple[Any, ...]]:
        """Runs statements as administrator; returns the rows of the last one."""
        connection = self.admin(database)
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def create_user(self, name: str, password: str) -> None:
        """A login that may do everything; replaced if it is there."""
        self.execute(f"CREATE LOGIN [{name}] WITH PASSWORD = N'{password.replace(chr(39), chr(39) * 2)}'")

    def create_database(self, name: str) -> None:
        """A new, empty database; one of that name is dropped first."""
        self.execute(f"DROP DATABASE IF EXISTS [{name}]", f"CREATE DATABASE [{name}]")

    def entries(self) -> list[dict[str, Any]]:
        """The log, in order."""
        return [json.loads(line) for line in self.statements_log.read_text(encoding="utf-8").splitlines()]

    def logged(self, text: str) -> bool:
        """Whether a statement with `text` in it was run."""
        return any(text in entry["text"] for entry in self.entries())

    def wait_until_logged(self, text: str, limit: float = 60) -> None:
        """Waits until the log has `text`."""
        wait_for(f"{text!r} in the server's log", lambda: self.logged(text), limit)

    def running(self, text: str) -> list[int]:
        """Sessions that are at work on a statement containing `text` now."""
        rows = self.execute("SELECT session_id, command FROM sys.dm_exec_requests WHERE session_id <> @@SPID")
        return [session for session, command in rows if text in command]

    def stop(self) -> None:
        """Stops it; its data stay until `remove`."""
        self.process.stop()

    def remove(self) -> None:
        self.stop()
        remove(self.folder)
