"""The databases that are measured through: PostgreSQL and MariaDB of the tests, filled, without their own logs.

And what answers in SQL Server's and in Oracle's place: there is none to be had, and those of the tests, which run their
SQL on SQLite in Python, are slower than anything on the way to them.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.mariadb import MariadbServer
from tests.servers.mariadb import program as mariadb_program
from tests.servers.postgres import PROGRAMS, PostgresServer
from tests.servers.processes import ServerProcess

from . import processes
from .tds_answers import PASSWORD_VARIABLE

ACCOUNT = "app"
NAME = "bench"
ROWS = 1_000_000
"""Of pgbench_accounts."""
POINT_ROWS = 100_000
"""Of sbtest1, the table that sysbench reads."""


class PostgresDatabase:
    """pgbench's tables at scale 10."""

    engine = "postgresql"
    name = "bench-postgresql"

    def __init__(self, connections: int = 800) -> None:
        self.password = secrets.token_hex(12)
        self.server = PostgresServer({
            "log_statement": "none", "log_connections": "", "shared_buffers": "256MB",
            "max_connections": str(connections), "max_wal_size": "4GB",
        })  # fmt: skip
        self.host, self.port = self.server.host, self.server.port
        self.server.create_user(ACCOUNT, self.password)
        self.server.create_database(NAME, ACCOUNT)
        fill: list[str | Path] = [
            PROGRAMS / "pgbench",
            "-i",
            "-q",
            "-s",
            str(ROWS // 100_000),
            *self.address(self.port),
        ]
        processes.run([*fill, NAME], self.environment())
        with self.server.admin(NAME) as connection:
            connection.execute(
                f"CREATE UNLOGGED TABLE sink (LIKE pgbench_accounts); ALTER TABLE sink OWNER TO {ACCOUNT}"
            )

    def address(self, port: int) -> list[str]:
        """A PostgreSQL client's words for the way that listens on `port`."""
        return ["-h", self.host, "-p", str(port), "-U", ACCOUNT]

    def environment(self) -> dict[str, str]:
        """A PostgreSQL client's environment."""
        return {
            "PATH": os.environ["PATH"],
            "PGPASSWORD": self.password,
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
        }

    def connect(self, port: int) -> psycopg.Connection[Any]:
        """A connection by the way that listens on `port`."""
        return psycopg.connect(
            host=self.host, port=port, user=ACCOUNT, password=self.password, dbname=NAME, sslmode="disable",
            gssencmode="disable", autocommit=True, connect_timeout=30,
        )  # fmt: skip

    def remove(self) -> None:
        self.server.remove()


class MariadbDatabase:
    """sysbench's table for point selects."""

    engine = "mysql"
    name = "bench-mysql"

    def __init__(self) -> None:
        self.password = secrets.token_hex(12)
        self.server = MariadbServer()
        self.host, self.port = self.server.host, self.server.port
        self.server.create_user(ACCOUNT, self.password)
        self.server.create_database(NAME)
        self.server.execute(
            "SET GLOBAL general_log = OFF",
            "CREATE TABLE sbtest1 (id INT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, c CHAR(120) NOT NULL, "
            "pad CHAR(60) NOT NULL, KEY k_1 (k))",
            f"INSERT INTO sbtest1 (id, k, c, pad) SELECT seq, seq % 1000, REPEAT('c', 119), REPEAT('p', 59) "
            f"FROM seq_1_to_{POINT_ROWS}",
            database=NAME,
        )

    def remove(self) -> None:
        self.server.remove()


BLOB_MEGABYTES = 100


class _Answers:
    """A process that has its answers ready made."""

    host = "127.0.0.1"

    def __init__(self, module: str, what: str, **amounts: int) -> None:
        self.password = secrets.token_hex(12)
        self._folder = tempfile.TemporaryDirectory(prefix="casemate-bench-answers-")
        log = Path(self._folder.name) / "port"
        words = [word for name, amount in amounts.items() for word in (f"--{name}", str(amount))]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[1]),
            PASSWORD_VARIABLE: self.password,
        }
        self._process = ServerProcess([sys.executable, "-m", module, *words], log, environment=environment)
        self._process.wait_until(f"the answers of {what}", lambda: log.read_text().endswith("\n"))
        self.port = int(log.read_text())

    def remove(self) -> None:
        self._process.stop()
        self._folder.cleanup()


class SqlserverDatabase(_Answers):
    """Answers that are ready made (benchmarks/tds_answers.py)."""

    engine = "sqlserver"
    name = "bench-sqlserver"

    def __init__(self, rows: int = ROWS, megabytes: int = BLOB_MEGABYTES) -> None:
        super().__init__("benchmarks.tds_answers", "SQL Server", rows=rows, megabytes=megabytes)


class OracleDatabase(_Answers):
    """Answers that are ready made (benchmarks/oracle_answers.py)."""

    engine = "oracle"
    name = "bench-oracle"

    def __init__(self, rows: int = ROWS) -> None:
        super().__init__("benchmarks.oracle_answers", "Oracle", rows=rows)
        self.tokens: dict[int, str] = {}
        """By the port of a tunnel: what stands in the password's place there."""

    def password_at(self, port: int) -> str:
        """With which one logs in by the way that listens on `port`."""
        return self.tokens.get(port, self.password)


def mariadb_is_here() -> bool:
    """Whether this machine has MariaDB's server."""
    return mariadb_program("mariadbd") is not None
