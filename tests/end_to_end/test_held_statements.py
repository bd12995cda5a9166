"""An auditor holds, lets go and refuses statements of SQL Server's and Oracle's clients, and of those that give up.

What the client is told, what the database has seen, and what is on record.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import oracledb
import pymssql
import pytds
import pytest

from bastion.api import live
from tests.protocols.tds import messages as m
from tests.protocols.tds.logins import login7, prelogin
from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.sqlserver import TdsServer
from tests.servers.sqlserver_clients import odbc

from .oracle_place import Oracles
from .sqlserver_stock import CATALOG, Stock, behind, stocked
from .supervision import Auditor
from .test_gateway_control import control

GIVEN_UP = "The statement was held by an auditor, and given up before it was let go. It was not run."
REFUSED = "An auditor (auditor) held this statement and refused it: not today"
NO_ENCRYPTION = 2


@pytest.fixture(scope="module")
def stock(bastion: BastionProcess, tds_server: TdsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    with stocked(bastion, tds_server, tmp_path_factory.mktemp("stock")) as standing:
        yield standing


@pytest.fixture(scope="module")
def oracles(bastion: BastionProcess) -> Iterator[Oracles]:
    classic = Manners(version=318, fields=12, fast_auth=False, end_of_response=False)
    with ExitStack() as stack:
        standing = Oracles(bastion, stack, {"23ai": Manners(), "19c": classic})
        for manners in standing.manners:
            # Here, since a process ends with the thread that began it, and a test's threads end with the test.
            standing.tunnel(manners)
        yield standing


@pytest.fixture
async def auditor(bastion: BastionProcess) -> AsyncIterator[Auditor]:
    async with control(bastion, "auditor") as channel:
        await channel.quiet()
        yield Auditor(channel)


_held: dict[str, int] = {}
"""The statement of a session that was held last: what the list shows may still be of that."""


async def held(auditor: Auditor, login: str, statement: Callable[[], Any]) -> tuple[str, asyncio.Task[Any]]:
    """Runs the statement, which is held from now on; the session's id, and what will have come of the statement."""
    seen = await auditor.session("the session", lambda each: each.login.lower() == login)
    await auditor.control.result("session.hold", id=seen.id, reason="looks odd", seconds=300)
    running = asyncio.create_task(asyncio.to_thread(statement))

    def now(each: live.LiveSession) -> bool:
        order = each.figures.hold
        return each.id == seen.id and order is not None and (order.seq or 0) > _held.get(seen.id, 0)

    found = await auditor.session("held", now)
    assert found.figures.state == "held"
    assert found.figures.hold is not None
    _held[seen.id] = found.figures.hold.seq or 0
    return seen.id, running


async def refuse(auditor: Auditor, session: str) -> None:
    await auditor.control.result("session.release", id=session, refuse=True, reason="not today")


async def let_go(auditor: Auditor, session: str) -> None:
    await auditor.control.result("session.release", id=session, reason="is fine")


def verdicts(bastion: BastionProcess, session: str, word: str) -> list[tuple[str, str]]:
    """Verdict and state of the statements with that word."""
    found = [each for each in bastion.statements(session) if word in each["text"]]
    return [(each["verdict"], each["state"]) for each in found]


async def test_a_batch_and_a_call_of_sql_server_are_refused_and_let_go(stock: Stock, auditor: Auditor) -> None:
    connection = await asyncio.to_thread(
        pymssql.connect, server="127.0.0.1", port=str(stock.tunnel("main").port), user="batches", password="anything",
        database=CATALOG, autocommit=True, login_timeout=60, charset="UTF-8",
    )  # fmt: skip
    cursor = connection.cursor()
    session, running = await held(auditor, "batches", lambda: cursor.execute("delete from items -- refused"))
    await refuse(auditor, session)
    with pytest.raises(pymssql.Error) as told:
        await running
    assert told.value.args[0] == 50000
    assert REFUSED in str(told.value)
    session, running = await held(auditor, "batches", lambda: cursor.execute("update items set price = 9 -- let go"))
    await let_go(auditor, session)
    await running
    assert cursor.rowcount == 5
    await asyncio.to_thread(connection.close)
    assert not stock.server.logged("-- refused")
    assert stock.server.logged("-- let go")
    assert [each[4] for each in behind(stock.record("batches"), "-- ")] == ["refused", "done"]
    assert verdicts(stock.bastion, session, "-- ") == [("held", "refused"), ("held", "done")]

    place = stock.tunnel("main").port
    other = await asyncio.to_thread(
        pytds.connect, "127.0.0.1", CATALOG, "calls", "x", port=place, autocommit=True, login_timeout=60
    )
    values = other.cursor()
    text = "delete from items where id = %s and price = 77"
    session, running = await held(auditor, "calls", lambda: values.execute(text, (1,)))
    await refuse(auditor, session)
    with pytest.raises(pytds.Error, match="not today"):
        await running
    session, running = await held(auditor, "calls", lambda: values.execute(text, (2,)))
    await let_go(auditor, session)
    await running
    await asyncio.to_thread(values.execute, "select 7")
    assert values.fetchall() == [(7,)]
    await asyncio.to_thread(other.close)
    found = [each for each in behind(stock.record("calls"), "price = 77") if "price = 77" in each[1]]
    assert [(each[2], each[4]) for each in found] == [(["@P1=1"], "refused"), (["@P1=2"], "done")]


class Wire:
    """A client that says bytes."""

    def __init__(self, port: int, login: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.say(m.packets(18, prelogin(NO_ENCRYPTION)))
        self.hear()
        self.say(m.packets(16, login7(login, "anything", database=CATALOG)))
        self.hear()

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self) -> bytes:
        """The data of the next message."""
        said = b""
        while True:
            head = self._exactly(8)
            said += self._exactly(struct.unpack_from(">H", head, 2)[0] - 8)
            if head[1] & 1:
                return said

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more
            data += more
        return data

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("pieces", [1, 8])
async def test_an_attention_behind_a_held_batch_is_answered_at_once(
    stock: Stock, auditor: Auditor, pieces: int
) -> None:
    login = f"gives up in {pieces}"
    wire = await asyncio.to_thread(Wire, stock.tunnel("main").port, login)
    session, running = await held(auditor, login, lambda: wire.say(m.batch(f"delete from items -- {login}")))
    await running

    def gives_up() -> tuple[bytes, bytes]:
        order = m.attention()
        for start in range(0, len(order), len(order) // pieces):
            wire.say(order[start : start + len(order) // pieces])
        return wire.hear(), wire.hear()

    told, confirmed = await asyncio.to_thread(gives_up)
    assert GIVEN_UP.encode("utf-16-le") in told
    assert told[0] == 0xAA
    assert struct.unpack_from("<BH", told, len(told) - 13) == (0xFD, m.ERROR)
    assert struct.unpack("<BHHQ", confirmed[-13:])[:2] == (0xFD, m.ATTENTION)
    await asyncio.to_thread(wire.say, m.batch("select 5 -- after it"))
    assert m.int_value(5)[1:] in await asyncio.to_thread(wire.hear)
    await asyncio.to_thread(wire.close)
    assert [(each[1], each[4]) for each in behind(stock.record(login), "-- ")] == [
        (f"delete from items -- {login}", "cancelled"), ("select 5 -- after it", "done"),
    ]  # fmt: skip
    assert verdicts(stock.bastion, session, "delete") == [("held", "cancelled")]
    assert not stock.server.logged(f"-- {login}")
    orders = [each for each in stock.bastion.journal() if each["kind"] == "act" and each["subject"] == session]
    assert [(each["act"], each["user"]) for each in orders] == [
        ("hold-ordered", "auditor"), ("statement-held", "auditor"), ("statement-refused", "alice"),
    ]  # fmt: skip


async def test_a_query_timeout_of_microsofts_driver_gives_a_held_statement_up(stock: Stock, auditor: Auditor) -> None:
    connection = await asyncio.to_thread(odbc, stock.address("patience"), "Encrypt=no")
    seen = await auditor.session("the session", lambda each: each.login == "patience")
    await auditor.control.result("session.hold", id=seen.id, reason="looks odd", seconds=300)
    connection.timeout = 1
    with pytest.raises(Exception, match="Query timeout expired"):
        await asyncio.to_thread(connection.execute, "delete from items -- too late")
    connection.timeout = 0
    found = await asyncio.to_thread(connection.execute, "select 5")
    assert found.fetchval() == 5
    await asyncio.to_thread(connection.close)
    assert [(each[1], each[4]) for each in behind(stock.record("patience"), "-- ")] == [
        ("delete from items -- too late", "cancelled"), ("select 5", "done"),
    ]  # fmt: skip
    assert not stock.server.logged("-- too late")


@pytest.mark.parametrize("manners", ["23ai", "19c"])
async def test_a_call_of_oracle_is_refused_and_let_go(oracles: Oracles, auditor: Auditor, manners: str) -> None:
    login = f"held_{manners}"
    connection = await asyncio.to_thread(lambda: oracledb.connect(**oracles.place(manners, login)))
    cursor = connection.cursor()
    await asyncio.to_thread(cursor.execute, "create table held_items (id number, name varchar2(20))")
    insert = "insert into held_items values (:1, :2)"
    session, running = await held(auditor, login, lambda: cursor.execute(insert, [1, "refused"]))
    await refuse(auditor, session)
    with pytest.raises(oracledb.DatabaseError) as told:
        await running
    assert REFUSED in str(told.value)
    assert "(The bastion says this, not the database.)" in str(told.value)
    session, running = await held(auditor, login, lambda: cursor.execute(insert, [2, "let go"]))
    await let_go(auditor, session)
    await running
    await asyncio.to_thread(cursor.execute, "select id, name from held_items")
    assert await asyncio.to_thread(cursor.fetchall) == [(2, "let go")]
    await asyncio.to_thread(cursor.execute, "drop table held_items")
    await asyncio.to_thread(connection.close)
    states = [(each["binds"], each["state"]) for each in oracles.record(login) if each["text"] == insert]
    assert states == [(["1", "refused"], "refused"), (["2", "let go"], "done")]
    assert verdicts(oracles.bastion, session, "insert") == [("held", "refused"), ("held", "done")]


@pytest.mark.parametrize("manners", ["23ai", "19c"])
async def test_a_break_behind_a_held_call_of_oracle_gives_it_up(
    oracles: Oracles, auditor: Auditor, manners: str
) -> None:
    login = f"breaks_{manners}"
    connection = await asyncio.to_thread(lambda: oracledb.connect(**oracles.place(manners, login)))
    cursor = connection.cursor()
    delete = f"delete from dual -- {login}"
    session, running = await held(auditor, login, lambda: cursor.execute(delete))
    await asyncio.to_thread(connection.cancel)
    with pytest.raises(oracledb.DatabaseError, match="ORA-01013"):
        await asyncio.wait_for(running, 60)
    await asyncio.to_thread(cursor.execute, "select 5 from dual")
    assert await asyncio.to_thread(cursor.fetchall) == [(5,)]
    await asyncio.to_thread(connection.close)
    states = [(each["text"], each["state"]) for each in oracles.record(login)]
    assert states == [(delete, "cancelled"), ("select 5 from dual", "done")]
    assert verdicts(oracles.bastion, session, "delete") == [("held", "cancelled")]
    assert all(login not in text for _, text in oracles.servers[manners].database.log if text.startswith("delete"))
