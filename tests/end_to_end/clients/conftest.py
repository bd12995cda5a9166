"""The databases that client programs and drivers are sent to, in both TLS modes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.mysql import MysqlServer
from tests.servers.postgres import PostgresServer

from . import mysql_place
from .postgres_place import Behind, Place, postgres_behind


@pytest.fixture(scope="module")
def _postgres_behind(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> Iterator[Behind]:
    with postgres_behind(stock_bastion, postgres_server) as behind:
        yield behind


@pytest.fixture(params=["plain", "tls"])
def postgres(_postgres_behind: Behind, request: pytest.FixtureRequest) -> Place:
    """PostgreSQL through the bastion, without TLS inside the tunnel and with TLS checked against the bastion's CA."""
    return _postgres_behind.fresh(tls=request.param == "tls")


@pytest.fixture(scope="module")
def _mariadb_behind(stock_bastion: BastionProcess, mariadb_server: MariadbServer) -> Iterator[mysql_place.Behind]:
    with mysql_place.mysql_behind(stock_bastion, mariadb_server, "clients-mariadb") as behind:
        yield behind


@pytest.fixture(scope="module")
def _mysql_behind(stock_bastion: BastionProcess, mysql_server: MysqlServer) -> Iterator[mysql_place.Behind]:
    with mysql_place.mysql_behind(stock_bastion, mysql_server, "clients-mysql") as behind:
        yield behind


@pytest.fixture(params=["mariadb-plain", "mariadb-tls", "mysql-plain", "mysql-tls"])
def mysql(request: pytest.FixtureRequest) -> mysql_place.Place:
    """MariaDB and MySQL through the bastion, without TLS inside the tunnel and with TLS checked against its CA."""
    server, mode = request.param.split("-")
    behind: mysql_place.Behind = request.getfixturevalue(f"_{server}_behind")
    return behind.fresh(tls=mode == "tls")
