"""The test server for TDS, asked directly by clients that know nothing of each other: python-tds, FreeTDS's programs,
Microsoft's ODBC driver, tedious and jTDS, in every mode of encryption that each has."""

from __future__ import annotations

import datetime
import decimal
import json
import re
from pathlib import Path

import pytds
import pytest

from tests.end_to_end.clients.java import run_java
from tests.end_to_end.clients.node import run_node

from . import excuses
from .sqlserver import TdsServer
from .sqlserver_clients import JTDS, Address, freetds, odbc

MANY = (
    "with n as (select 1 as i union all select i + 1 from n where i < {count}) select i from n option (maxrecursion 0)"
)


def address(server: TdsServer, listener: str) -> Address:
    return Address(
        server.ports[listener],
        server.admin_user,
        server.admin_password,
        authority=server.certificate_authority,
        certificate=server.folder / "server.pem",
    )


def texts(server: TdsServer, session: int) -> list[str]:
    """What the server's log has of a session: batches, calls, transactions, bulk loads, attentions."""
    return [entry["text"] for entry in server.entries() if entry["session"] == session and entry["kind"] != "login"]


# ----------------------------------------------------------------------------------------------------- python-tds


@pytest.mark.parametrize(
    ("listener", "tls"),
    [
        ("plain", ""),
        ("main", "login"),
        ("main", "whole"),
        ("required", "whole"),
        ("small", ""),
        ("mars", ""),
        ("routing", ""),
    ],
)
def test_python_tds(tds_server: TdsServer, listener: str, tls: str) -> None:
    encrypted = {"cafile": str(tds_server.certificate_authority), "validate_host": False} if tls else {}
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
    with pytds.connect(
        tds_server.host,
        port=tds_server.ports[listener],
        user="sa",
        password=tds_server.admin_password,
        login_timeout=60,
        timeout=60,
        use_mars=listener == "mars",
        enc_login_only=tls == "login",
        **encrypted,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("select %s, %s, %s, %s, %s, @@spid", (1, "é漢", decimal.Decimal("12.34"), moment, None))
        (row,) = cursor.fetchall()
        assert row[:-1] == (1, "é漢", decimal.Decimal("12.34"), moment, None)
        cursor.execute("create table #rolled (i int); insert #rolled values (1)")
        connection.rollback()
        cursor.execute("select 1; raiserror('in the middle', 16, 1); select 2")
        assert cursor.fetchall() == [(1,)]
        with pytest.raises(pytds.OperationalError, match="in the middle"):
            cursor.nextset()
        if listener == "mars":
            one, other = connection.cursor(), connection.cursor()
            one.execute("select 5")
            other.execute("select 6")
            assert (one.fetchall(), other.fetchall()) == ([(5,)], [(6,)])
    logged = texts(tds_server, row[-1])
    assert "select @P1, @P2, @P3, @P4, NULL, @@spid" in logged
    assert {"begin", "rollback"} <= set(logged)


def test_python_tds_stops_reading_in_the_middle_of_a_result(tds_server: TdsServer) -> None:
    with pytds.connect(
        tds_server.host,
        port=tds_server.ports["plain"],
        user="sa",
        password=tds_server.admin_password,
        timeout=60,
        login_timeout=60,
        autocommit=True,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(MANY.format(count=1_000_000))
        assert cursor.fetchone() == (1,)
        cursor.cancel()
        cursor.execute("select @@spid")
        ((session,),) = cursor.fetchall()
    assert any(entry["kind"] == "attention" for entry in tds_server.entries() if entry["session"] == session)


def test_python_tds_at_7_1(tds_server: TdsServer) -> None:
    with pytds.connect(
        tds_server.host,
        port=tds_server.ports["plain"],
        user="sa",
        password=tds_server.admin_password,
        timeout=60,
        login_timeout=60,
        tds_version=0x71000001,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("select %s, N'x', cast('2020-01-02' as date)", (5,))
        assert cursor.fetchall() == [(5, "x", "2020-01-02")]


def test_a_blob_of_100_mb(tds_server: TdsServer) -> None:
    with pytds.connect(
        tds_server.host,
        port=tds_server.ports["plain"],
        user="sa",
        password=tds_server.admin_password,
        timeout=60,
        login_timeout=60,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("select cast(replicate(cast(0x41 as varbinary(max)), 104857600) as varbinary(max))")
        ((blob,),) = cursor.fetchall()
    assert len(blob) == 104857600
    assert blob.count(b"A") == len(blob)


# -------------------------------------------------------------------------------------------- FreeTDS's programs


@pytest.mark.parametrize(
    ("listener", "encryption", "version"),
    [
        ("plain", "off", "7.4"),
        ("main", "request", "7.4"),
        ("main", "require", "7.4"),
        ("required", "request", "7.4"),
        ("small", "request", "7.3"),
        ("main", "request", "7.2"),
        ("old", "off", "7.4"),
        ("main", "require", "7.1"),
    ],
)
def test_tsql(tds_server: TdsServer, listener: str, encryption: str, version: str) -> None:
    done = freetds(
        "tsql",
        address(tds_server, listener),
        encryption,
        ["-o", "q"],
        version=version,
        typed=(
            "select N'é漢' as said, @@spid as spid\ngo\nprint N'printed'\nselect name from sys.databases where name = "
            "'master'\ngo\n"
            "raiserror('in the middle', 16, 3)\nselect 'behind'\ngo\nexit\n"
        ),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    session = next(int(line.split("\t")[1]) for line in lines if line.startswith("é漢"))
    assert {"master", "behind"} <= {line.strip() for line in lines}
    assert "printed" in done.stdout + done.stderr
    assert "Msg 50000 (severity 16, state 3)" in done.stdout + done.stderr
    assert texts(tds_server, session)[-1] == "raiserror('in the middle', 16, 3)\nselect 'behind'\n"


def test_freebcp_in_and_out(tds_server: TdsServer, tmp_path: Path) -> None:
    tds_server.execute(
        "drop table if exists bulk_rows",
        "create table bulk_rows (id int not null, name nvarchar(50), price decimal(10, 2), at datetime)",
    )
    given = tmp_path / "in.txt"
    given.write_text("".join(f"{i}\tname {i}\t{i / 4:.2f}\t2024-01-02 03:04:05\n" for i in range(3000)))
    into = freetds("freebcp", address(tds_server, "main"), "request", ["master..bulk_rows", "in", str(given), "-c"])
    assert "3000 rows copied" in into.stdout, into.stdout + into.stderr
    assert tds_server.execute("select count(*), max(id), sum(price) from bulk_rows") == [(3000, 2999, 1124625.0)]
    taken = tmp_path / "out.txt"
    out = freetds("freebcp", address(tds_server, "main"), "require", ["master..bulk_rows", "out", str(taken), "-c"])
    assert "3000 rows copied" in out.stdout, out.stdout + out.stderr
    assert taken.read_text().splitlines()[7] == "7\tname 7\t1.75\t2024-01-02 03:04:05.000"
    (bulk,) = {
        entry["session"] for entry in tds_server.entries() if entry["kind"] == "bulk" and "bulk_rows" in entry["text"]
    }
    rows = [entry["rows"] for entry in tds_server.entries() if entry["session"] == bulk and entry["kind"] == "bulk"]
    assert sum(rows) == 3000


def test_bsqldb(tds_server: TdsServer) -> None:
    done = freetds(
        "bsqldb",
        address(tds_server, "main"),
        "request",
        ["-q", "-t", "|"],
        typed="select cast(1.5 as decimal(5, 2)) as a, cast('x' as varchar(3)) as b, cast(null as int) as c\n",
    )
    assert done.returncode == 0, done.stderr
    assert re.sub(" ", "", done.stdout.splitlines()[-1]) == "1.50|x|NULL"


# ------------------------------------------------------------------------------------------ Microsoft's ODBC driver


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("plain", "Encrypt=no"),
        ("main", "Encrypt=no"),
        ("main", "Encrypt=yes;TrustServerCertificate=yes"),
        ("required", "Encrypt=yes;TrustServerCertificate=yes"),
        ("strict", "Encrypt=strict;ServerCertificate={certificate}"),
        ("mars", "Encrypt=no;MARS_Connection=yes"),
        ("small", "Encrypt=no"),
        ("routing", "Encrypt=no"),
    ],
)
def test_microsofts_odbc_driver(tds_server: TdsServer, listener: str, settings: str) -> None:
    place = address(tds_server, listener)
    connection = odbc(place, settings.format(certificate=place.certificate), autocommit=False)
    cursor = connection.cursor()
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
    (row,) = cursor.execute(
        "select ?, ?, ?, ?, ?, @@spid", 1, "é漢", decimal.Decimal("12.34"), moment, b"\0\xff"
    ).fetchall()
    assert tuple(row)[:-1] == (1, "é漢", decimal.Decimal("12.34"), moment, b"\0\xff")
    cursor.execute("create table #driver (a int, b nvarchar(20))")
    connection.commit()
    cursor.fast_executemany = True
    cursor.executemany("insert into #driver values (?, ?)", [(number, f"row {number}") for number in range(5)])
    connection.rollback()
    assert cursor.execute("select count(*) from #driver").fetchval() == 0
    cursor.execute("select 1; raiserror('in the middle', 16, 1); select 2")
    assert [tuple(each) for each in cursor.fetchall()] == [(1,)]
    with pytest.raises(Exception, match="in the middle"):
        cursor.nextset()
    if listener == "mars":
        one, other = connection.cursor(), connection.cursor()
        one.execute("select 1 as a union select 2")
        assert one.fetchone()[0] == 1
        assert other.execute("select 3").fetchval() == 3
        assert one.fetchone()[0] == 2
    connection.close()
    logged = texts(tds_server, row[-1])
    assert "select @P1, @P2, @P3, @P4, @P5, @@spid" in logged
    assert {"begin", "commit", "rollback"} <= set(logged)


def test_the_odbc_driver_gives_up_waiting(tds_server: TdsServer) -> None:
    connection = odbc(address(tds_server, "main"), "Encrypt=no")
    connection.timeout = 1
    with pytest.raises(Exception, match="Query timeout expired"):
        connection.execute("waitfor delay '00:01:00'")
    assert connection.execute("select 5").fetchval() == 5
    connection.close()


# ------------------------------------------------------------------------------------------------ tedious and jTDS


@pytest.mark.parametrize(
    ("listener", "mode"),
    [("plain", "off"), ("main", "on"), ("required", "on"), ("strict", "strict"), ("small", "on"), ("routing", "on")],
)
def test_tedious(tds_server: TdsServer, listener: str, mode: str) -> None:
    environment = {
        "DB_USER": "sa",
        "DB_PASSWORD": tds_server.admin_password,
        "DB_CA": str(tds_server.certificate_authority),
    }
    host = "localhost" if mode == "strict" else tds_server.host
    done = run_node("sqlserver_tedious", [host, str(tds_server.ports[listener]), "master", mode], environment)
    assert done.returncode == 0, done.stderr
    said = [(each["step"], each["value"]) for each in map(json.loads, done.stdout.splitlines())]
    assert said == [
        ("parameters", [[5, "é漢", {"type": "Buffer", "data": [0, 255]}]]),
        ("prepared", [2]),
        ("prepared", [42]),
        ("bulk", 3),
        ("kept", [[1, "a", 1], [2, None, None], [3, "é", 9000]]),
        ("error", [50000, "in the middle"]),
        ("cancelled", ["waiting", "ECANCEL"]),
        ("cancelled", ["rows", "ECANCEL"]),
        ("after", [[7]]),
    ]


@pytest.mark.parametrize(
    ("listener", "settings"),
    [("plain", ""), ("main", ""), ("required", "ssl=require"), ("old", "prepareSQL=2"), ("small", "useCursors=true")],
)
def test_jtds(tds_server: TdsServer, listener: str, settings: str) -> None:
    if not JTDS.exists():
        excuses.skip("no-jtds")
    place = f"jdbc:jtds:sqlserver://{tds_server.host}:{tds_server.ports[listener]}/master;{settings}"
    done = run_java("SqlserverJdbc", JTDS, [place], {"DB_USER": "sa", "DB_PASSWORD": tds_server.admin_password})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "prepared=é漢|12.34|2",
        "prepared=é漢|12.34|42",
        "batch=3",
        "cursor=3|row 3",
        "first=row 1",
        "error=208|Invalid object name 'nowhere_at_all'.",
        "result=1",
        "next=2",
        "cancelled=The query has timed out.",
        "after=7",
    ]
