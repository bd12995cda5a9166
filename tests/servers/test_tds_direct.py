"""The test server for TDS, asked directly by pymssql (FreeTDS's library)."""

from __future__ import annotations

import pymssql
import pytds
import pytest

from .sqlserver import TdsServer


def connected(server: TdsServer, listener: str, encryption: str = "request", password: str = "") -> pymssql.Connection:
    return pymssql.connect(
        server=server.host, port=str(server.ports[listener]), user=server.admin_user, autocommit=True,
        password=password or server.admin_password, database="master", login_timeout=60, encryption=encryption,
    )  # fmt: skip


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
@pytest.mark.parametrize("listener", ["main", "required", "small", "mars"])
def test_pymssql_in_every_mode_of_encryption(tds_server: TdsServer, listener: str, encryption: str) -> None:
    connection = connected(tds_server, listener, encryption)
    cursor = connection.cursor()
    cursor.execute(f"SELECT N'asked {listener} {encryption}' AS said, @@SPID AS spid")
    ((said, spid),) = cursor.fetchall()
    assert said == f"asked {listener} {encryption}"
    connection.close()
    entry = next(one for one in tds_server.entries() if said in one["text"])
    assert (entry["session"], entry["kind"], entry["user"]) == (spid, "batch", "sa")


def test_a_wrong_password_is_refused(tds_server: TdsServer) -> None:
    with pytest.raises(pymssql.OperationalError):
        connected(tds_server, "main", password="wrong")
    # pymssql has number and words of a process's first refused login only.
    with pytest.raises(pytds.OperationalError, match="Login failed for user 'sa'"):
        pytds.connect(
            tds_server.host, "master", tds_server.admin_user, "wrong", port=tds_server.ports["main"], login_timeout=60
        )
