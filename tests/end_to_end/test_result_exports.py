"""Results written out: INSERTs that real servers take back, and exports that wait on the bastion for `export get`."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends import formats
from backends.connection import DatabaseConnection, ResultBegan, ResultEnded, RunFailed, follow
from backends.export import Export
from backends.host_keys import HostKeys
from backends.interface import Kind
from backends.link import Credentials, Link
from backends.row_store import ResultSpace, RowStore
from backends.spill import SpillFolder
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from screens.export import BastionDestination, fetch_line
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

from .stock_clients import askpass, ssh_command
from .test_workstation_backends import PASSWORD, declare, target

NAMES = {"postgresql": "expostgres", "mysql": "exmariadb"}
TABLE = {
    "postgresql": "id int8, total numeric, f float8, text text, ok bool, at timestamptz, data bytea, doc jsonb, "
    '"odd ""name" text, i interval',
    "mysql": "id bigint, total decimal(40,3), f double, text text, ok bit(1), at datetime(6), data blob, doc json, "
    "`odd ``name` varchar(100), i time",
}
ROWS = {
    "postgresql": r"""
      (1, 0.10, 1.5e-300, 'plain', true, '2026-11-22 10:00:00.5+00', '\x00ff27', '{"a": "it''s \\ \"x\""}',
        E'back\\slash ''quote'' "double" `tick`', '1 year 2 mons 03:04:05'),
      (2, -12345678901234567890.123, 'NaN', E'tab\t line\r\nend \x01 \x1b[2J', false, null, '', '[]', '', null),
      (3, null, '-Infinity', '', null, 'infinity', null, null, null, '-1 days'),
      (4, 'NaN', 0, '上海 🎉 é %s :x $1 -- /* ; */', true, '0001-01-01 00:00:00+00', '\x5c', 'null', 'NULL', null)""",
    "mysql": r"""(1, 0.10, 1.5e-300, 'plain', b'1', '2026-11-22 10:00:00.5', x'00ff27', '{"a": "it''s \\\\ \\"x\\""}',
        'back\\slash ''quote'' "double" `tick`', '838:59:59'),
      (2, -12345678901234567890.123, 1e300, 'tab\t line\r\nend \0 \Z [2J', b'0', null, '', '[]', '', '-00:00:01'),
      (3, null, null, '', null, null, null, null, null, null),
      (4, 7, 0, '上海 🎉 é %s :x $1 -- /* ; */', b'1', '1000-01-01', x'5c', 'null', 'NULL', '00:00:00')""",
}


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    name = NAMES["postgresql"]
    postgres_server.create_user("backends_app", PASSWORD)
    postgres_server.create_database(name, "backends_app")
    declare(stock_bastion, name, postgres_server)
    return stock_bastion


@pytest.fixture(scope="module")
def mariadb(bastion: BastionProcess, mariadb_server: MariadbServer) -> str:
    name = NAMES["mysql"]
    mariadb_server.create_database(name)
    mariadb_server.create_user("backends_app", PASSWORD)
    mariadb_server.execute(f"GRANT ALL ON {name}.* TO backends_app@'%'")
    declare(bastion, name, mariadb_server)
    return name


@pytest.fixture(scope="module")
def link(bastion: BastionProcess) -> Iterator[Link]:
    opened = Link.connect_now(
        target(bastion), Credentials(password=bastion.password_of("bob")), HostKeys([bastion.known_hosts])
    )
    yield opened
    opened.close()


def connected(link: Link, name: str) -> DatabaseConnection:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=name))
    return DatabaseConnection.open_now(link, token, name)


def run(connection: DatabaseConnection, text: str, space: ResultSpace) -> RowStore | None:
    """Runs a statement; its rows where it has any."""

    def work() -> RowStore | None:
        store = None
        for event in follow(
            connection.backend, text, connection.cancel_now, keep=lambda columns: RowStore(columns, space)
        ):
            assert isinstance(event, ResultBegan | ResultEnded) or event.__class__.__name__ in (
                "RowsArrived", "Notice",
            ), event  # fmt: skip
            if isinstance(event, ResultBegan):
                store = event.store
        return store

    return connection.submit(work).result(60)


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_inserts_bring_the_same_rows_about(
    engine: str, link: Link, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "mysql":
        request.getfixturevalue("mariadb")
    space = ResultSpace(SpillFolder(tmp_path), memory=0)
    connection = connected(link, NAMES[engine])
    try:
        for name in ("first", "second"):
            run(connection, f"create table {name}_one ({TABLE[engine]})", space)
        run(connection, f"insert into first_one values {ROWS[engine]}", space)
        first = run(connection, "select * from first_one order by id", space)
        assert first is not None
        assert first.rows == 4
        rows = [first.values(number) for number in range(4)]
        statements = list(formats.write("insert", first.columns, rows, engine=engine, table=("second_one",)))
        for statement in statements:
            run(connection, statement, space)
        second = run(connection, "select * from second_one order by id", space)
        assert second is not None
        assert [second.values(number) for number in range(second.rows)] == rows
        assert [column.kind for column in first.columns][:2] == [Kind.NUMBER, Kind.NUMBER]
        # The tables that the columns come from are known: by name in MySQL's protocol, by number in PostgreSQL's.
        origin = first.columns[1].origin
        assert origin is not None
        assert (origin.table, origin.column) == ("first_one", "total") if engine == "mysql" else origin.table_oid > 0
        expression = run(connection, "select 1 + 1 as two", space)
        assert expression is not None
        assert expression.columns[0].origin is None
    finally:
        connection.close()


def test_rows_that_have_come_are_shown_while_the_database_goes_on(link: Link, tmp_path: Path) -> None:
    """The server waits for minutes within the statement; what it sent before is there long before that."""
    connection = connected(link, NAMES["postgresql"])
    space = ResultSpace(SpillFolder(tmp_path), memory=1_000_000)
    stores: list[RowStore] = []
    enough, events = threading.Event(), []
    statement = "select n, repeat('x', 3000), case when n = 33 then pg_sleep(150) end from generate_series(1, 40) n"

    def keep(columns: Any) -> RowStore:
        stores.append(RowStore(columns, space))
        return stores[-1]

    def work() -> None:
        for event in follow(connection.backend, statement, connection.cancel_now, keep=keep):
            events.append(event)
            if stores and stores[0].rows >= 16:
                enough.set()

    try:
        done = connection.submit(work)
        assert enough.wait(60)
        assert connection.cancel_now()
        done.result(60)
        assert isinstance(events[-1], RunFailed)
        assert events[-1].error.cancelled
        assert 16 <= stores[0].rows <= 32
    finally:
        connection.close()


def ssh(bastion: BastionProcess, place: Path, user: str, command: str, *options: str) -> Any:
    words = ssh_command(user, *bastion.address, bastion.known_hosts, {})
    return subprocess.run(
        [*words[:1], *options, *words[1:], command], env=askpass(place, bastion.password_of(user)),
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


async def test_an_export_waits_on_the_bastion_and_is_fetched_with_ssh(
    bastion: BastionProcess, link: Link, tmp_path: Path
) -> None:
    space = ResultSpace(SpillFolder(tmp_path / "rows"), memory=0)
    connection = await asyncio.to_thread(connected, link, NAMES["postgresql"])
    statement = (
        "select n as id, repeat('tea ', 20) || n as text, decode('00ff0a', 'hex') as b from generate_series(1, 20000) n"
    )
    try:
        store = await asyncio.to_thread(run, connection, statement, space)
        assert store is not None
        loop = asyncio.get_running_loop()

        def work() -> BastionDestination:
            destination = BastionDestination(link, loop, connection.session, statement, "csv", "tea\x1b[2J/../x.csv")
            Export(store, range(3), "csv").run(destination)
            return destination

        file = (await asyncio.to_thread(work)).file
        session = connection.session
    finally:
        await asyncio.to_thread(connection.close)
    expected = b"".join([b"id,text,b\r\n", *[f"{n},{'tea ' * 20}{n},\\x00ff0a\r\n".encode() for n in range(1, 20_001)]])
    assert (file.rows, file.bytes, file.digest) == (20_000, len(expected), hashlib.sha256(expected).hexdigest())
    assert file.name == "tea[2J..x.csv"
    assert fetch_line(link, file).endswith(f" export get {file.id} > tea-2J..x.csv")

    listed = await asyncio.to_thread(ssh, bastion, tmp_path, "bob", "export list")
    assert listed.stdout.split()[:6] == [b"ID", b"NAME", b"DATABASE", b"ROWS", b"BYTES", b"UNTIL"]
    assert file.id.encode() in listed.stdout
    got = await asyncio.to_thread(ssh, bastion, tmp_path, "bob", f"export get {file.id}")
    assert (got.returncode, got.stderr) == (0, b"")
    assert got.stdout == expected
    [same] = bastion.casemate("bob", "export", "list", "--json")
    assert same["digest"] == file.digest

    # Nobody else's, and not to a terminal, which what is in the rows could drive.
    other = await asyncio.to_thread(ssh, bastion, tmp_path, "alice", f"export get {file.id}")
    assert (other.returncode, other.stdout) == (1, b"")
    assert b"There is no export" in other.stderr
    shown = await asyncio.to_thread(ssh, bastion, tmp_path, "bob", f"export get {file.id}", "-tt")
    assert shown.returncode == 2
    assert b"goes to a file" in shown.stdout + shown.stderr
    bare = await asyncio.to_thread(ssh, bastion, tmp_path, "bob", "export")
    assert bare.returncode == 2

    acts = [record for record in bastion.journal() if record["kind"] == "act" and record["subject"] == file.id]
    assert [act["act"] for act in acts] == ["result-exported", "export-fetched"]
    for act in acts:
        assert act["user"] == "bob"
        seq = act["detail"].pop("seq")
        assert act["detail"] == {
            "session": session, "database": NAMES["postgresql"], "format": "csv", "name": file.name, "rows": 20_000,
            "bytes": len(expected), "sha256": file.digest,
        }  # fmt: skip
        [on_record] = [s for s in bastion.statements(session) if s["seq"] == seq]
        assert on_record["text"] == statement
    removed = await asyncio.to_thread(ssh, bastion, tmp_path, "bob", f"export remove {file.id}")
    assert removed.returncode == 0
    assert bastion.casemate("bob", "export", "list", "--json") == []


async def test_a_result_of_somebody_elses_session_is_not_taken(bastion: BastionProcess, link: Link) -> None:
    for params in (
        methods.ExportBegin(session="s-nobody", statement="select 1", format="csv", name="x"),
        methods.ExportBegin(session="s-nobody", statement="select 1", format="exe", name="x"),
    ):
        with pytest.raises(Refused) as refused:
            await link.call(methods.EXPORT_BEGIN, params)
        assert refused.value.code in ("session-unknown", "invalid-params")
