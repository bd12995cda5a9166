"""Real servers for every test that asks, and the rule that a skip needs an excuse.

Each pytest-xdist worker has servers of its own, started when first asked for. Tests make users and databases of
their own names in them and leave the rest alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import debian_postgres, excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer, program
from tests.servers.mysql import MysqlServer, tree
from tests.servers.new_mariadb import NewMariadbServer
from tests.servers.new_mariadb import tree as new_mariadb_tree
from tests.servers.postgres import PostgresServer
from tests.servers.sqlserver import TdsServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL 18."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def tls_postgres_server() -> Iterator[debian_postgres.TlsPostgresServer]:
    """PostgreSQL 18 with TLS, from Debian."""
    found = debian_postgres.tree()
    if found is None:
        excuses.skip("no-postgresql-18")
    if os.geteuid() != 0:
        excuses.skip("postgresql-18-needs-root")
    server = debian_postgres.TlsPostgresServer(found)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """MariaDB of the machine's distribution."""
    if program("mariadbd") is None or program("mariadb-install-db") is None:
        excuses.skip("no-mariadb")
    server = MariadbServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MysqlServer]:
    """MySQL 9.7."""
    found = tree()
    if found is None:
        excuses.skip("no-mysql-9.7")
    if os.geteuid() != 0:
        excuses.skip("mysql-9.7-needs-root")
    server = MysqlServer(found)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def new_mariadb_server() -> Iterator[NewMariadbServer]:
    """MariaDB 11.8, with a binary log."""
    found = new_mariadb_tree()
    if found is None:
        excuses.skip("no-mariadb-11.8")
    if os.geteuid() != 0:
        excuses.skip("mariadb-11.8-needs-root")
    server = NewMariadbServer(found)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def tds_server() -> Iterator[TdsServer]:
    """What passes for SQL Server."""
    server = TdsServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def stock_bastion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BastionProcess]:
    """A bastion that the tests of a file share; each declares databases of its own names.

    One a file, so that no file finds in a search, or stumbles over, what another left in the record.
    """
    bastion = BastionProcess(tmp_path_factory.mktemp("bastion"))
    yield bastion
    bastion.remove()


@pytest.fixture
def own_bastion(tmp_path: Path) -> Iterator[BastionProcess]:
    """A bastion that a test may stop, kill and start."""
    bastion = BastionProcess(tmp_path)
    yield bastion
    bastion.remove()


def _unexcused(config: pytest.Config) -> list[str]:
    """The reasons of this run's skips that its machine has no excuse for; none outside CI and in xdist's workers."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI") or hasattr(config, "workerinput"):
        return []
    skips = reporter.stats.get("skipped", [])
    return excuses.unexcused(skip.longrepr[2] for skip in skips if isinstance(skip.longrepr, tuple))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = _unexcused(config)
    if missing:
        terminalreporter.section("skipped without an excuse (tests/servers/excuses.py)", red=True)
        for reason in missing:
            terminalreporter.line(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run in CI where something was skipped that this machine could have run."""
    if session.exitstatus == pytest.ExitCode.OK and _unexcused(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
