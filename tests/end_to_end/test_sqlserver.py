"""SQL Server's clients through OpenSSH's `ssh -N -L` and the bastion, in the modes of encryption that each has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymssql
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.sqlserver import TdsServer

from .sqlserver_stock import ACCOUNT, CATALOG, Granted, about, expected, prepared
from .stock_clients import SshTunnel, open_tunnel, record_of, session_of


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def granted(bastion: BastionProcess, tds_server: TdsServer) -> Granted:
    return prepared(bastion, tds_server, "stock-sqlserver")


@pytest.fixture
def tunnel(bastion: BastionProcess, granted: Granted) -> Iterator[SshTunnel]:
    with open_tunnel(bastion, "alice", granted.name) as standing:
        yield standing


@contextmanager
def freetds(tunnel: SshTunnel, **settings: Any) -> Iterator[pymssql.Connection]:
    connection = pymssql.connect(
        **{
            "server": tunnel.host, "port": str(tunnel.port), "user": "whoever", "password": "anything",
            "database": CATALOG, "autocommit": True, "login_timeout": 20, "charset": "UTF-8", "appname": "stock app",
            **settings,
        }
    )  # fmt: skip
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
def test_pymssql_needs_no_password_in_any_mode(bastion: BastionProcess, granted: Granted, encryption: str) -> None:
    query = f"SELECT id, name FROM items WHERE id <= 3 ORDER BY id -- {encryption}"
    with open_tunnel(bastion, "alice", granted.name) as tunnel, freetds(tunnel, encryption=encryption) as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        assert cursor.fetchall() == [(1, "item 1"), (2, "item 2"), (3, "item 3")]
    session = session_of(bastion, tunnel)
    assert about(record_of(bastion, session), "items") == [expected(granted, query, kind="select", rows=3)]
    assert session["unattributed_bytes"] == 0
    assert (session["login"], session["client"], session["catalog"]) == ("whoever", "stock app", CATALOG)
    assert session["server_version"].startswith("Microsoft SQL Server")


def test_the_database_sees_the_account_and_the_person(
    granted: Granted, tunnel: SshTunnel
) -> None:
    with freetds(tunnel) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT SUSER_SNAME(), APP_NAME(), DB_NAME()")
        assert cursor.fetchone() == (ACCOUNT, "stock app (alice)", CATALOG)
