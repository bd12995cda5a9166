"""What a session to SQL Server may be, how it is ended, and what an auditor is shown of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymssql
import pytds
import pytest

from tests.servers.bastion_process import AUDITOR, BastionProcess
from tests.servers.processes import wait_for
from tests.servers.sqlserver import TdsServer

from .sqlserver_stock import ACCOUNT, CATALOG, PASSWORD, Stock, behind, stocked
from .stock_clients import open_tunnel
from .test_gateway_control import control
from .test_recordings import look_at


@pytest.fixture(scope="module")
def stock(bastion: BastionProcess, tds_server: TdsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    with stocked(bastion, tds_server, tmp_path_factory.mktemp("stock")) as standing:
        yield standing


def connect(port: int, login: str, password: str = "anything", database: str = CATALOG, **settings: Any) -> Any:
    return pymssql.connect(
        server="127.0.0.1", port=str(port), user=login, password=password, database=database, autocommit=True,
        login_timeout=60, charset="UTF-8", **settings,
    )  # fmt: skip


class Asked(threading.Thread):
    """Runs a statement that takes long, in a thread of its own; `said` is the error that came of it."""

    def __init__(self, connection: Any, text: str) -> None:
        super().__init__(daemon=True)
        self._cursor, self._text = connection.cursor(), text
        self.said = ""
        self.start()

    def run(self) -> None:
        try:
            self._cursor.execute(self._text)
        except pymssql.Error as error:
            self.said = str(error)

    def over(self) -> str:
        self.join(60)
        assert not self.is_alive()
        return self.said


def live(stock: Stock, login: str) -> str:
    """The id of that login's session, once its statement runs on the server."""
    stock.server.wait_until_logged(f"-- {login}")
    found = [each for each in stock.bastion.sessions() if each["login"] == login]
    assert [each["state"] for each in found] == ["live"]
    return str(found[0]["id"])


def cancelled(bastion: BastionProcess, session: str) -> bool:
    """The order that a console gives for its own session, over the control API."""

    async def order() -> bool:
        async with control(bastion, "alice") as channel:
            return bool(await channel.result("session.cancel", id=session))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, order()).result()


def test_a_console_cancels_its_statement_and_goes_on(stock: Stock) -> None:
    connection = connect(stock.tunnel("main").port, "cancelling")
    text = "waitfor delay '00:02:00' -- cancelling"
    asked = Asked(connection, text)
    assert cancelled(stock.bastion, live(stock, "cancelling"))
    assert "cancelled by the bastion" in asked.over()
    cursor = connection.cursor()
    cursor.execute("select 5")
    assert cursor.fetchall() == [(5,)]
    connection.close()
    assert behind(stock.record("cancelling"), "waitfor") == [
        ("waitfor", text, None, None, "cancelled", "cancelled by the bastion (attention)"),
        ("select", "select 5", None, 1, "done", None),
    ]


def test_a_session_that_is_ended_is_stopped_on_the_database_and_its_client_told_why(stock: Stock) -> None:
    connection = connect(stock.tunnel("main").port, "ended")
    text = "waitfor delay '00:02:00' -- ended"
    asked = Asked(connection, text)
    stock.bastion.casemate(AUDITOR, "end", live(stock, "ended"), "--reason", "that is enough")
    assert "that is enough" in asked.over()
    wait_for("the end of the statement on the server", lambda: not stock.server.running("-- ended"))
    session = stock.session("ended")
    assert session["end_reason"].startswith("ended by auditor")
    assert behind(stock.record("ended"), "waitfor") == [
        ("waitfor", text, None, None, "cancelled", "cancelled by the bastion (attention)")
    ]
    [order] = [
        each for each in stock.bastion.journal() if each["kind"] == "cancel" and each["session"] == session["id"]
    ]
    assert order["confirmed"] is True


def test_a_client_that_is_gone_leaves_nothing_running(stock: Stock) -> None:
    connection = connect(stock.tunnel("main").port, "gone")
    Asked(connection, "waitfor delay '00:02:00' -- gone")
    live(stock, "gone")
    tunnel = stock.tunnels.pop("main")
    tunnel.process.stop()
    wait_for("the end of the statement on the server", lambda: not stock.server.running("-- gone"))
    assert behind(stock.record("gone"), "waitfor")[0][4] == "cancelled"


def test_what_an_auditor_is_shown_is_what_the_client_saw(stock: Stock) -> None:
    place = stock.tunnel("main").port
    many = "with n as (select 1 as i union all select i + 1 from n where i < 500) select i, i * 2 as twice from n"
    with pytds.connect("127.0.0.1", CATALOG, "shown", "x", port=place, autocommit=True, login_timeout=60) as connection:
        cursor = connection.cursor()
        cursor.execute("select id, name, price, cast(null as int) as nothing from items order by id; print 'said'")
        assert len(cursor.fetchall()) == 5
        cursor.execute(many)
        assert len(cursor.fetchall()) == 500
        with pytest.raises(pytds.Error):
            cursor.execute("select 1 as a; select * from nowhere_at_all")
            cursor.nextset()
        cursor.execute("select %s as x, %s as y", (7, "é"))
        assert cursor.fetchall() == [(7, "é")]
    shown = look_at(stock.bastion, stock.session("shown")["id"])
    found = {text: each[0] for text, each in shown.items()}
    items = next(each for text, each in found.items() if "from items" in text)
    assert items.rows == [[str(n), f"item {n}", f"{n}.50", None] for n in range(1, 6)]
    assert items.columns[1] == ["id", "name", "price", "nothing"]
    assert items.notices == ["said"]
    assert found[many].rows == [[str(n), str(2 * n)] for n in range(1, 501)]
    failed = next(each for text, each in found.items() if "nowhere_at_all" in text)
    assert failed.errors == ["208: Invalid object name 'nowhere_at_all'."]
    assert found["select @P1 as x, @P2 as y"].rows == [["7", "é"]]
    assert {each.kept for each in found.values()} == {("whole", "")}


@pytest.fixture(scope="module")
def own(stock: Stock) -> dict[str, int]:
    """Databases with other rules, and the ports of tunnels to them: a stock client's way to each."""
    stock.server.create_user("carol", "carol's own password")
    where = {"engine": "sqlserver", "host": "127.0.0.1"}
    hosted = {"name": ACCOUNT, "password": {"env": "HOSTED"}}
    port = stock.server.ports

    def database(name: str, listener: str, account: dict[str, Any], tls: str = "prefer", **more: Any) -> dict[str, Any]:
        return {"name": name, **where, "port": port[listener], "tls": {"mode": tls}, "accounts": [account], **more}

    stock.bastion.apply(
        {
            "databases": [
                database("own-any", "main", {"any": True}),
                database("own-token", "main", hosted),
                database("own-only", "main", hosted, databases=[CATALOG]),
                database("own-tls", "plain", hosted, "require"),
                database("own-wrong", "main", {"name": ACCOUNT, "password": {"env": "WRONG"}}),
                database("own-strict", "strict", hosted, "require"),
                {"name": "own-routing", **where, "host": "localhost", "port": port["routing"], "accounts": [hosted]},
            ],
            "grants": [{"name": "own", "to": ["alice"], "on": [
                "own-any", "own-token", "own-only", "own-tls", "own-wrong", "own-strict", "own-routing"]}],
            "policies": [{"name": "own-token", "to": ["*"], "on": ["own-token"], "client_password": "token"}],
        },
        {"HOSTED": PASSWORD, "WRONG": "wrong"},
    )  # fmt: skip
    return {
        name: stock.stack.enter_context(open_tunnel(stock.bastion, "alice", name)).port
        for name in ("own-any", "own-token", "own-only", "own-tls", "own-wrong", "own-strict", "own-routing")
    }


def test_a_login_that_is_not_hosted_is_the_clients_own(stock: Stock, own: dict[str, int]) -> None:
    connection = connect(own["own-any"], "carol", "carol's own password")
    cursor = connection.cursor()
    cursor.execute("select suser_sname()")
    assert cursor.fetchall() == [("carol",)]
    connection.close()
    session = stock.session("carol")
    assert (session["account"], session["login"], session["user"]) == ("*", "carol", "alice")
    assert "Login failed for user 'carol'" in refused(own["own-any"], "carol", password="wrong")
    assert not stock.bastion.mentions("carol's own password")


def refused(port: int, login: str, password: str = "anything", database: str = CATALOG) -> str:
    """What the client is told. (pymssql tells the first refusal of a process only.)"""
    with pytest.raises(pytds.Error) as caught:
        pytds.connect("127.0.0.1", database, login, password, port=port, login_timeout=60)
    return str(caught.value)


def test_what_is_refused_is_refused_in_the_clients_protocol(stock: Stock, own: dict[str, int]) -> None:
    assert "must be the O&M token" in refused(own["own-token"], "no-token")
    assert "'master' may not be opened here" in refused(own["own-only"], "other-database", database="master")
    assert "offers no TLS" in refused(own["own-tls"], "no-tls")
    assert "Login failed for user" in refused(own["own-wrong"], "wrong-secret")
    sessions = {each["login"]: each for each in stock.bastion.sessions()}
    assert {sessions[login]["state"] for login in ("no-token", "other-database", "no-tls", "wrong-secret")} == {
        "refused"
    }
    assert not stock.bastion.mentions(PASSWORD)


def test_another_database_is_not_opened_later_either(stock: Stock, own: dict[str, int]) -> None:
    connection = connect(own["own-only"], "only")
    cursor = connection.cursor()
    with pytest.raises(pymssql.OperationalError, match="'master' may not be opened here"):
        cursor.execute("select 1 use master select 2")
    cursor.execute("select db_name()")
    assert cursor.fetchall() == [(CATALOG,)]
    connection.close()
    found = behind(stock.record("only"), "use master")
    assert (found[0][4], (found[0][5] or "")[:4]) == ("refused", "916:")
    assert not stock.server.logged("use master select 2")


def test_a_server_of_tds_8_only_and_one_that_sends_the_connection_on(stock: Stock, own: dict[str, int]) -> None:
    connection = connect(own["own-strict"], "strict")
    connection.close()
    assert stock.session("strict")["database_tls"] == "TLSv1.3"
    # The main port is granted as a database at 127.0.0.1, and that is where it is sent.
    connection = connect(own["own-routing"], "routed")
    cursor = connection.cursor()
    cursor.execute("select 8")
    assert cursor.fetchall() == [(8,)]
    connection.close()
    assert behind(stock.record("routed"), "select 8") == [("select", "select 8", None, 1, "done", None)]


def test_why_goes_through_the_stages_of_a_sql_server(stock: Stock, own: dict[str, int]) -> None:
    where = ["--bastion", f"alice@{stock.bastion.address[0]}:{stock.bastion.address[1]}", "--json"]
    secret = {"CASEMATE_PASSWORD": stock.bastion.password_of("alice")}
    explanation = json.loads(stock.bastion.run("why", "own-only", *where, environment=secret))
    stages = {check["stage"]: (check["state"], check["code"]) for check in explanation["checks"]}
    assert stages["tls"] == ("ok", "tls-on")
    [tls] = [check for check in explanation["checks"] if check["stage"] == "tls"]
    assert tls["params"]["said"] == "16.0.1000"
