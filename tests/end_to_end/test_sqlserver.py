"""SQL Server's clients through OpenSSH's `ssh -N -L` and the bastion, in the modes of encryption that each has.

The server is tests/servers/tds, which test_tds_direct_clients.py holds against the same clients without a bastion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymssql
import pytds
import pytest

from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.sqlserver import TdsServer
from tests.servers.sqlserver_clients import JTDS, freetds, odbc

from .clients.java import run_java
from .clients.node import run_node
from .sqlserver_stock import ACCOUNT, CATALOG, Stock, behind, said, stocked

SLOW = pytest.mark.slow
"""What differs from another one in little."""

CANCELLED = "cancelled by the client (attention)"
MANY = "with n as (select 1 as i union all select i + 1 from n where i < {count}) select i from n"


@pytest.fixture(scope="module")
def stock(
    stock_bastion: BastionProcess, tds_server: TdsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stock]:
    with stocked(stock_bastion, tds_server, tmp_path_factory.mktemp("stock")) as standing:
        yield standing


@contextmanager
def by_pymssql(stock: Stock, login: str, listener: str = "main", **settings: Any) -> Iterator[pymssql.Connection]:
    place = stock.address(login, listener)
    connection = pymssql.connect(
        server=place.host, port=str(place.port), user=place.user, password=place.password, database=CATALOG,
        **{"autocommit": True, "login_timeout": 60, "charset": "UTF-8", "appname": "stock app", **settings},
    )  # fmt: skip
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def by_pytds(stock: Stock, login: str, listener: str = "main", **settings: Any) -> Iterator[pytds.Connection]:
    place = stock.address(login, listener)
    with pytds.connect(
        place.host, port=place.port, user=place.user, password=place.password, database=CATALOG, login_timeout=60,
        timeout=60, **settings,
    ) as connection:  # fmt: skip
        yield connection


def test_pymssql_needs_no_password_and_the_database_sees_the_account_and_the_person(stock: Stock) -> None:
    for encryption in ("off", "request", "require"):
        login = f"pymssql-{encryption}"
        with by_pymssql(stock, login, encryption=encryption) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT id, name FROM items WHERE id <= 2 ORDER BY id")
            assert cursor.fetchall() == [(1, "item 1"), (2, "item 2")]
            cursor.execute("SELECT SUSER_SNAME(), APP_NAME(), DB_NAME(), N'数据'")
            assert cursor.fetchone() == (ACCOUNT, "stock app (alice)", CATALOG, "数据")
    session = stock.session("pymssql-require")
    names = ("user", "database", "account", "login", "engine", "client", "catalog")
    assert {name: session[name] for name in names} == {
        "user": "alice", "database": stock.name("main"), "account": ACCOUNT, "login": "pymssql-require",
        "engine": "sqlserver", "client": "stock app", "catalog": CATALOG,
    }  # fmt: skip
    assert session["server_version"] == "Microsoft SQL Server 16.0.1000"
    for encryption in ("off", "request", "require"):
        assert behind(stock.record(f"pymssql-{encryption}"), "items") == [
            ("select", "SELECT id, name FROM items WHERE id <= 2 ORDER BY id", None, 2, "done", None),
            ("select", "SELECT SUSER_SNAME(), APP_NAME(), DB_NAME(), N'数据'", None, 1, "done", None),
        ]


@pytest.mark.parametrize("tls", ["", pytest.param("login", marks=SLOW), "whole"])
def test_python_tds(stock: Stock, tls: str) -> None:
    encrypted = {"cafile": str(stock.authority), "validate_host": False} if tls else {}
    login = f"pytds-{tls}"
    with by_pytds(stock, login, enc_login_only=tls == "login", **encrypted) as connection:
        cursor = connection.cursor()
        cursor.execute("select %s, %s, %s", (1, "é漢", None))
        assert cursor.fetchall() == [(1, "é漢", None)]
        cursor.execute("create table #rolled (i int); insert #rolled values (1)")
        connection.rollback()
        cursor.execute("select 1; raiserror('in the middle', 16, 1); select 2")
        assert cursor.fetchall() == [(1,)]
        with pytest.raises(pytds.OperationalError, match="in the middle"):
            cursor.nextset()
        cursor.execute("use master")
        cursor.execute(MANY.format(count=500_000))
        assert cursor.fetchone() == (1,)
        cursor.cancel()
        cursor.execute("select 7")
        assert cursor.fetchall() == [(7,)]
    record = stock.record(login)
    found = behind(record, "@P1, @P2")
    stopped = next(each for each in found if "with n as" in each[1])
    assert stopped[4:] == ("failed", CANCELLED)
    assert 0 < (stopped[3] or 0) <= 500_000
    assert [each for each in found if each is not stopped] == [
        ("select", "select @P1, @P2, NULL", ["@P1=1", "@P2=é漢"], 1, "done", None),
        ("create", "create table #rolled (i int); insert #rolled values (1)", None, 1, "done", None),
        (
            "rollback",
            "ROLLBACK TRANSACTION; BEGIN TRANSACTION",
            None,
            None,
            "done",
            None,
        ),
        ("select", "select 1; raiserror('in the middle', 16, 1); select 2", None, 2, "failed", "50000: in the middle"),
        ("use", "use master", None, None, "done", None),
        ("select", "select 7", None, 1, "done", None),
    ]
    assert [each["schema"] for each in record if each["text"] in ("use master", "select 7")] == [CATALOG, "master"]


@pytest.mark.parametrize(
    ("listener", "encryption", "version"),
    [("main", "off", "7.4"), ("main", "require", "7.1"), pytest.param("small", "request", "7.2", marks=SLOW)],
)
def test_tsql(stock: Stock, listener: str, encryption: str, version: str) -> None:
    login = f"tsql-{version}"
    done = freetds("tsql", stock.address(login, listener), encryption, ["-o", "q"], version=version, typed=(
        f"use {CATALOG}\ngo\nselect name, price from items where id = 3\ngo\n"
        "raiserror('no', 16, 3)\nselect 'behind'\ngo\nexit\n"
    ))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "item 3\t3.50" in done.stdout
    assert "Msg 50000 (severity 16, state 3)" in done.stdout + done.stderr
    assert behind(stock.record(login), "use") == [
        ("use", f"use {CATALOG}\n", None, None, "done", None),
        ("select", "select name, price from items where id = 3\n", None, 1, "done", None),
        ("raiserror", "raiserror('no', 16, 3)\nselect 'behind'\n", None, 1, "failed", "50000: no"),
    ]


def test_freebcp_loads_in_bulk(stock: Stock, tmp_path: Path) -> None:
    stock.server.execute("create table bulk_rows (id int not null, name nvarchar(50))", database=CATALOG)
    given = tmp_path / "in.txt"
    given.write_text("".join(f"{i}\tname {i}\n" for i in range(3000)))
    words = [f"{CATALOG}..bulk_rows", "in", str(given), "-c"]
    done = freetds("freebcp", stock.address("freebcp"), "request", words)
    assert "3000 rows copied" in done.stdout, done.stdout + done.stderr
    assert stock.server.execute("select count(*), max(id) from bulk_rows", database=CATALOG) == [(3000, 2999)]
    found = [each for each in said(stock.record("freebcp")) if "insert bulk" in each[1].lower()]
    assert all("bulk_rows" in each[1] for each in found)
    assert sum(each[3] or 0 for each in found) == 3000


@pytest.mark.parametrize("encryption", ["Encrypt=no", pytest.param("Encrypt=yes", marks=SLOW), "Encrypt=strict"])
def test_microsofts_odbc_driver(stock: Stock, monkeypatch: pytest.MonkeyPatch, encryption: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(stock.authority))
    login = f"odbc-{encryption[8:]}"
    connection = odbc(stock.address(login, host="localhost"), encryption, autocommit=False)
    cursor = connection.cursor()
    assert cursor.execute("select ?, ?", 1, "é漢").fetchone()[1] == "é漢"
    cursor.execute("create table #driver (a int, b nvarchar(20))")
    cursor.fast_executemany = True
    cursor.executemany("insert into #driver values (?, ?)", [(number, f"row {number}") for number in range(3)])
    connection.commit()
    connection.timeout = 1
    with pytest.raises(Exception, match="Query timeout expired"):
        connection.execute("waitfor delay '00:01:00'")
    connection.timeout = 0
    assert connection.execute("select 5").fetchval() == 5
    connection.close()
    found = behind(stock.record(login), "@P1,")
    insert = "insert into #driver values (@P1, @P2)"
    assert [each for each in found if each[0] in ("select", "create", "insert", "commit", "waitfor")] == [
        ("select", "select @P1, @P2", ["1", "é漢"], 1, "done", None),
        ("create", "create table #driver (a int, b nvarchar(20))", None, None, "done", None),
        *(("insert", insert, [str(n), f"row {n}"], 1, "done", None) for n in range(3)),
        ("commit", "COMMIT TRANSACTION; BEGIN TRANSACTION", None, None, "done", None),
        ("waitfor", "waitfor delay '00:01:00'", None, None, "failed", CANCELLED),
        ("select", "select 5", None, 1, "done", None),
    ]


@pytest.mark.parametrize("mode", ["off", pytest.param("on", marks=SLOW), "strict"])
def test_tedious(stock: Stock, mode: str) -> None:
    login = f"tedious-{mode}"
    place = stock.address(login)
    environment = {"DB_USER": login, "DB_PASSWORD": "anything", "DB_CA": str(stock.authority)}
    done = run_node("sqlserver_tedious", ["localhost", str(place.port), CATALOG, mode], environment)
    assert done.returncode == 0, done.stderr
    answers = [(each["step"], each["value"]) for each in map(json.loads, done.stdout.splitlines())]
    assert answers == [
        ("parameters", [[5, "é漢", {"type": "Buffer", "data": [0, 255]}]]), ("prepared", [2]), ("prepared", [42]),
        ("bulk", 3),
        ("kept", [[1, "a", 1], [2, None, None], [3, "é", 9000]]), ("error", [50000, "in the middle"]),
        ("cancelled", ["waiting", "ECANCEL"]), ("cancelled", ["rows", "ECANCEL"]), ("after", [[7]]),
    ]  # fmt: skip
    found = behind(stock.record(login), "@a, @b")
    stopped = found.pop(-2)
    assert (stopped[0], stopped[4], stopped[5]) == ("select", "failed", CANCELLED)
    bulk = "insert bulk #tedious([id] int, [name] nvarchar(50), [more] varchar(max))"
    assert found == [
        ("select", "select @a, @b, @c", ["@a=5", "@b=é漢", "@c=0x00ff"], 1, "done", None),
        ("prepare", "select @x + 1", None, None, "done", None),
        ("select", "select @x + 1", ["@x=1"], 1, "done", None),
        ("select", "select @x + 1", ["@x=41"], 1, "done", None),
        ("exec", "EXEC sp_unprepare @handle = ?", ["1"], None, "done", None),
        (
            "create",
            "create table #tedious (id int not null, name nvarchar(50), more varchar(max))",
            None,
            None,
            "done",
            None,
        ),
        ("insert", bulk, None, None, "done", None),
        ("insert", bulk, None, 3, "done", None),
        ("begin", "BEGIN TRANSACTION one -- isolation level READ COMMITTED", None, None, "done", None),
        ("delete", "delete from #tedious", None, 3, "done", None),
        ("rollback", "ROLLBACK TRANSACTION", None, None, "done", None),
        ("select", "select id, name, len(more) from #tedious order by id", None, 3, "done", None),
        ("select", "select 1; raiserror('in the middle', 16, 1); select 2", None, 2, "failed", "50000: in the middle"),
        ("waitfor", "waitfor delay '00:01:00'", None, None, "failed", CANCELLED),
        ("select", "select 7", None, 1, "done", None),
    ]


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        ("main", "ssl=require"),
        ("old", "prepareSQL=2"),
        pytest.param("main", "", marks=SLOW),
        pytest.param("small", "prepareSQL=1", marks=SLOW),
    ],
)
def test_jtds(stock: Stock, listener: str, settings: str) -> None:
    if not JTDS.exists():
        excuses.skip("no-jtds")
    login = f"jtds-{listener}-{settings[:3]}"
    place = f"jdbc:jtds:sqlserver://127.0.0.1:{stock.address(login, listener).port}/{CATALOG};{settings}"
    done = run_java("SqlserverJdbc", JTDS, [place], {"DB_USER": login, "DB_PASSWORD": "anything"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "prepared=é漢|12.34|2", "prepared=é漢|12.34|42", "batch=3", "cursor=3|row 3", "first=row 1",
        "error=208|Invalid object name 'nowhere_at_all'.", "result=1", "next=2",
        "cancelled=The query has timed out.", "after=7",
    ]  # fmt: skip
    found = [each for each in said(stock.record(login)) if "@P0" in each[1] and each[0] != "prepare"]
    asked, insert = "select  @P0 ,  @P1 ,  @P2  + 1", "insert into #jdbc values ( @P0 ,  @P1 )"
    if settings != "prepareSQL=1":
        assert [each for each in found if each[0] in ("select", "insert")] == [
            ("select", asked, ["é漢", "12.34", "1"], 1, "done", None),
            ("select", asked, ["é漢", "12.34", "41"], 1, "done", None),
            *(("insert", insert, [str(n), f"row {n}"], 1, "done", None) for n in (1, 2, 3)),
        ]


@pytest.mark.slow
def test_a_million_rows_and_100_mb_in_one_value_pass_in_little_memory(stock: Stock) -> None:
    before = stock.bastion.resident_bytes()
    with by_pytds(stock, "large", autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute(MANY.format(count=1_000_000) + " option (maxrecursion 0)")
        assert sum(1 for _ in iter(lambda: cursor.fetchmany(10_000), [])) == 100
        cursor.execute("select cast(replicate(cast(0x41 as varbinary(max)), 104857600) as varbinary(max))")
        ((blob,),) = cursor.fetchall()
    assert len(blob) == 104857600
    assert stock.bastion.resident_bytes() - before < 64 << 20
    assert [each[3] for each in behind(stock.record("large"), "with n as")] == [1_000_000, 1]
