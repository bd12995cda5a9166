"""The test servers are what they say: the right product, the authentication asked for, a log of what they ran."""

from __future__ import annotations

import subprocess

import psycopg
import pymysql
import pytest

from . import excuses
from .mariadb import MariadbServer
from .mysql import MysqlServer
from .postgres import PostgresServer


@pytest.mark.parametrize("plugin", ["scram-sha-256", "md5", "cleartext", "trust"])
def test_postgres_takes_each_kind_of_login(postgres_server: PostgresServer, plugin: str) -> None:
    user = f"login_{plugin.replace('-', '_')}"
    postgres_server.create_user(user, "right", plugin)
    with psycopg.connect(postgres_server.dsn("postgres", user, "right")) as connection:
        assert connection.info.server_version // 10000 == 18
        connection.execute(f"SELECT 'asked by {user}'")
    postgres_server.wait_until_logged(f"SELECT 'asked by {user}'")
    if plugin != "trust":
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres_server.dsn("postgres", user, "wrong"))


@pytest.mark.parametrize("plugin", ["mysql_native_password", "ed25519"])
def test_mariadb_takes_each_kind_of_login(mariadb_server: MariadbServer, plugin: str) -> None:
    mariadb_server.create_user("someone", "right", plugin)
    rows = mariadb_server.execute("SELECT plugin FROM mysql.user WHERE user = 'someone'", "SELECT VERSION()")
    assert "MariaDB" in rows[0][0]
    connection = pymysql.connect(
        host=mariadb_server.host, port=mariadb_server.port, user="someone", password="right", ssl_disabled=True
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 'asked with {plugin}'")
    connection.close()
    mariadb_server.wait_until_logged(f"SELECT 'asked with {plugin}'")


def test_mysql_is_9_7_with_its_own_client_and_tls(mysql_server: MysqlServer) -> None:
    mysql_server.create_user("someone", "right")
    done = subprocess.run(
        [*mysql_server.client_command(), f"--host={mysql_server.host}", f"--port={mysql_server.port}",
         "--protocol=TCP", "--user=someone", "--ssl-mode=VERIFY_CA", f"--ssl-ca={mysql_server.certificate_authority}",
         "--batch", "--skip-column-names", "-e", "SELECT @@version, 'its own client'; SHOW STATUS LIKE 'Ssl_version'"],
        env={"MYSQL_PWD": "right"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9.7.")
    assert "TLSv1.3" in done.stdout
    mysql_server.wait_until_logged("SELECT @@version, 'its own client'")


def test_a_skip_needs_an_excuse_from_the_table() -> None:
    assert excuses.unexcused(["Skipped: I did not feel like it"]) == ["Skipped: I did not feel like it"]
    assert excuses.unexcused(["Skipped: " + excuses.EXCUSES["no-captures"].reason]) == []
