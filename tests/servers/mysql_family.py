"""What MariaDB and MySQL servers for tests have in common: administration over the wire, and their statement log."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pymysql

from .processes import ServerProcess, remove, wait_for

CONNECTION_ATTRIBUTES = ("--performance-schema=ON", "--performance-schema-instrument=%=OFF")
"""What a server shows its connections' attributes with: its performance schema, without any measuring."""


def literal(text: str) -> str:
    """A string literal; only for the plain texts of tests."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class MysqlFamilyServer:
    """A server of MySQL's protocol. Subclasses create it and say which authentication it knows."""

    engine = "mysql"
    host = "127.0.0.1"
    admin_user = "root"
    default_plugin = ""
    plugins: dict[str, str] = {}
    """Authentication plugin -> the clause of CREATE USER, with `{}` where the password's literal goes."""

    port: int
    folder: Path
    statements_log: Path
    """The server's general log: every command as it got it."""
    socket: Path
    certificate_authority: Path
    process: ServerProcess

    def __init__(self) -> None:
        self.admin_password = secrets.token_hex(12)

    def _ready(self) -> bool:
        try:
            self.admin().close()
        except pymysql.OperationalError:
            return False
        return True

    def admin(self, database: str | None = None) -> pymysql.Connection[Any]:
        """A direct connection as administrator, in autocommit, over the server's Unix socket."""
        return pymysql.connect(
            unix_socket=str(self.socket), user=self.admin_user, password=self.admin_password,
            database=database, autocommit=True, charset="utf8mb4", connect_timeout=30,
        )  # fmt: skip

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Runs statements as administrator; returns the rows of the last one."""
        connection = self.admin(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def create_user(self, name: str, password: str, plugin: str | None = None) -> None:
        """A login that may do everything from 127.0.0.1; replaced if it is there. `plugin` is one of `plugins`."""
        clause = self.plugins[plugin or self.default_plugin].format(literal(password))
        account = f"{literal(name)}@'%'"
        self.execute(
            f"DROP USER IF EXISTS {account}",
            f"CREATE USER {account} {clause}",
            f"GRANT ALL ON *.* TO {account}",
        )

    def create_database(self, name: str) -> None:
        """A new, empty database; one of that name is dropped first."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")

    def logged(self, text: str) -> bool:
        """Whether `text` stands in the server's general log by now."""
        return text in self.statements_log.read_text(errors="replace")

    def wait_until_logged(self, text: str, limit: float = 60) -> None:
        """Waits until the server's general log has `text`."""
        wait_for(f"{text!r} in the server's general log", lambda: self.logged(text), limit)

    def running(self, text: str) -> list[int]:
        """Connection ids that are at work on a statement containing `text` now."""
        rows = self.execute(
            "SELECT ID FROM information_schema.PROCESSLIST "
            f"WHERE COMMAND IN ('Query', 'Execute') AND ID <> CONNECTION_ID() AND INFO LIKE {literal(f'%{text}%')}"
        )
        return [row[0] for row in rows]

    def stop(self) -> None:
        """Stops it; its data stay until `remove`."""
        self.process.stop()

    def remove(self) -> None:
        self.stop()
        remove(self.folder)
