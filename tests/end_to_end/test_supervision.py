"""An auditor beside operators with stock clients: seen live, watched, spoken to, held, let go, ended, locked out.

What is asserted is what each of them sees: the operator's client, the database, the auditor, and the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pymysql
import pytest

from tests.end_to_end.stock_clients import TunnelRefused, open_tunnel, ssh_tunnel, token_of
from tests.end_to_end.supervision import Auditor, StockClient, mariadb, psql
from tests.end_to_end.test_gateway_control import control
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

PASSWORD = "hosted-secret"
CATALOG = "overseen"


@pytest.fixture(scope="module")
def on_postgres(bastion: BastionProcess, postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user("overseen_app", PASSWORD)
    postgres_server.create_database(CATALOG, "overseen_app")
    with postgres_server.admin(CATALOG) as connection:
        connection.execute("CREATE TABLE accounts AS SELECT generate_series(1, 100) AS id, 0 AS balance")
        connection.execute("ALTER TABLE accounts OWNER TO overseen_app")
    bastion.declare_database("pg", postgres_server, account="overseen_app", password=PASSWORD, to="alice")
    return postgres_server


@pytest.fixture(scope="module")
def on_mariadb(bastion: BastionProcess, mariadb_server: MariadbServer) -> MariadbServer:
    mariadb_server.create_user("overseen_app", PASSWORD)
    mariadb_server.create_database(CATALOG)
    with mariadb_server.admin(CATALOG) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE accounts (id INT, balance INT)")
        cursor.execute("INSERT INTO accounts SELECT seq, 0 FROM seq_1_to_100")
        connection.commit()
    bastion.declare_database("my", mariadb_server, account="overseen_app", password=PASSWORD, to="alice")
    return mariadb_server


@pytest.fixture
async def auditor(bastion: BastionProcess) -> AsyncIterator[Auditor]:
    async with control(bastion, "auditor") as channel:
        await channel.quiet()
        yield Auditor(channel)


async def said(client: StockClient, words: str) -> str:
    return await asyncio.to_thread(client.until, words)


def acts(bastion: BastionProcess, subject: str) -> list[str]:
    """What was done about a session or a person, as the journal has it."""
    return [each["act"] for each in bastion.journal() if each["kind"] == "act" and each["subject"] == subject]


def counted(server: PostgresServer | MariadbServer) -> int:
    """The rows that a test would delete, seen from outside."""
    if isinstance(server, PostgresServer):
        with server.admin(CATALOG) as connection:
            found = connection.execute("SELECT count(*) FROM accounts WHERE balance = 0").fetchone()
            assert found is not None
            return int(found[0])
    with server.admin(CATALOG) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts WHERE balance = 0")
        return int(cursor.fetchone()[0])


async def test_psql_is_seen_watched_spoken_to_held_and_ended(
    bastion: BastionProcess, on_postgres: PostgresServer, auditor: Auditor
) -> None:
    with open_tunnel(bastion, "alice", "pg") as tunnel:
        client = psql(tunnel, CATALOG)
        client.type("begin;", "select 'in transaction';")
        await said(client, "in transaction")
        seen = await auditor.session("a transaction", lambda each: each.figures.state == "transaction")
        assert (seen.user, seen.database, seen.account, seen.client) == ("alice", "pg", "overseen_app", "psql")
        assert seen.figures.transaction == "open"
        assert seen.figures.transaction_since is not None
        await auditor.begin(seen.id)

        client.type("select generate_series(1, 3);", "rollback;", "select 1 / 0;")
        await said(client, "division by zero")
        events = await auditor.watch(seen.id, lambda all: all if [e for e in all if e.get("error")] else None)
        sent = {e["seq"]: e["statement"]["text"] for e in events if e["kind"] == "sent"}
        done = {sent[e["seq"]]: (e["state"], e["rows"]) for e in events if e["kind"] == "done"}
        assert done["select generate_series(1, 3);"] == ("done", 3)
        assert done["select 1 / 0;"][0] == "failed"
        failed = next(e for e in events if e.get("error"))
        assert "division by zero" in failed["error"]
        assert failed["duration_ms"] > 0

        told = await auditor.control.result("session.message", id=seen.id, text="is this planned?", reason="a question")
        assert told == {"workstations": 0, "protocol": True, "ssh": True}
        client.type("select 'after the message';")
        assert "WARNING:  A message of the auditor auditor: is this planned?" in await said(client, "after the message")

        await held_and_refused(
            auditor, client, seen.id, "ERROR:  An auditor (auditor) held this statement", on_postgres
        )
        await held_and_let_go(auditor, client, seen.id, on_postgres)

        client.type("select pg_sleep(600);")
        await auditor.session("what runs", lambda each: (each.figures.running or "").startswith("select pg_sleep"))
        await asyncio.to_thread(wait_for, "it is at work", lambda: on_postgres.running("pg_sleep(600)"))
        await auditor.control.result("session.end", id=seen.id, reason="no sleeping here")
        await said(client, "FATAL:  An auditor (auditor) ended this session: no sleeping here.")
        client.close()
        await asyncio.to_thread(wait_for, "its end there", lambda: not on_postgres.running("pg_sleep(600)"))
    over = await auditor.watch(seen.id, lambda all: [e for e in all if e["kind"] == "ended"])
    assert over[0]["reason"].startswith("ended by auditor")
    [record] = await asyncio.to_thread(
        bastion.wait_for_sessions,
        "its end on record",
        lambda all_: [each for each in all_ if each["id"] == seen.id and each["state"] == "closed"],
    )
    assert record["end_reason"].startswith("ended by auditor")
    assert record["backend"] in ("idle", "gone")
    assert acts(bastion, seen.id) == [
        "session-watched", "message-sent", "hold-ordered", "statement-held", "statement-refused", "hold-ordered",
        "statement-held", "statement-released", "session-end-ordered",
    ]  # fmt: skip
    assert (await auditor.control.result("audit.verify"))["intact"]


async def held_and_refused(
    auditor: Auditor, client: StockClient, session: str, error: str, server: PostgresServer | MariadbServer
) -> None:
    await auditor.control.result("session.hold", id=session, reason="looks odd", seconds=300)
    client.type("delete from accounts;", "select 'behind it';")
    held = await auditor.session("a held statement", lambda each: each.figures.state == "held")
    assert held.figures.running == "delete from accounts" + (";" if "ERROR:" in error else "")
    assert held.figures.hold is not None
    assert (held.figures.hold.by, held.figures.hold.reason) == ("auditor", "looks odd")
    assert "without-where" in [reason.code for reason in held.figures.reasons]
    assert held.figures.risk >= 40
    assert counted(server) == 100
    assert not server_is_at(server, "delete from accounts")
    assert "behind it" not in client.said
    await auditor.control.result("session.release", id=session, refuse=True, reason="not today")
    heard = await said(client, "behind it")
    assert error in heard
    assert "not today" in heard
    assert counted(server) == 100


async def held_and_let_go(
    auditor: Auditor, client: StockClient, session: str, server: PostgresServer | MariadbServer
) -> None:
    await auditor.control.result("session.hold", id=session, reason="once more", seconds=300)
    client.type("update accounts set balance = 1 where id <= 10;", "select 'it went on';")
    await auditor.session("a held statement", lambda each: each.figures.state == "held")
    assert counted(server) == 100
    await auditor.control.result("session.release", id=session, reason="fine")
    await said(client, "it went on")
    assert counted(server) == 90


def server_is_at(server: PostgresServer | MariadbServer, text: str) -> bool:
    if isinstance(server, PostgresServer):
        return bool(server.running(text))
    with server.admin(CATALOG) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT info FROM information_schema.processlist WHERE id <> connection_id()")
        return any(info and text in info for (info,) in cursor.fetchall())


async def test_the_mariadb_client_too(bastion: BastionProcess, on_mariadb: MariadbServer, auditor: Auditor) -> None:
    with open_tunnel(bastion, "alice", "my") as tunnel:
        client = mariadb(tunnel, CATALOG)
        client.type("begin;", "select count(*), 'in transaction' from accounts;")
        await said(client, "in transaction")
        seen = await auditor.session("a transaction", lambda each: each.figures.state == "transaction")
        assert (seen.user, seen.database, seen.engine) == ("alice", "my", "mysql")
        await auditor.begin(seen.id)
        client.type("rollback;", "select nothing_like_it;", "select 'and on';")
        await said(client, "and on")
        events = await auditor.watch(seen.id, lambda all: all if [e for e in all if e.get("error")] else None)
        assert "nothing_like_it" in next(e for e in events if e.get("error"))["error"]

        told = await auditor.control.result("session.message", id=seen.id, text="hello", reason="a question")
        # MySQL's protocol has no words for it; what is left is the SSH connection.
        assert told == {"workstations": 0, "protocol": False, "ssh": True}
        await held_and_refused(auditor, client, seen.id, "An auditor (auditor) held this statement", on_mariadb)
        await held_and_let_go(auditor, client, seen.id, on_mariadb)

        client.type("select sleep(600);")
        await auditor.session("what runs", lambda each: (each.figures.running or "").startswith("select sleep"))
        await auditor.control.result("session.end", id=seen.id, reason="no sleeping here")
        await said(client, "An auditor (auditor) ended this session: no sleeping here.")
        client.close()
        await asyncio.to_thread(wait_for, "its end there", lambda: not server_is_at(on_mariadb, "sleep(600)"))
    assert "statement-refused" in acts(bastion, seen.id)


async def test_only_auditors_and_never_without_a_reason(
    bastion: BastionProcess, on_postgres: PostgresServer, auditor: Auditor
) -> None:
    with open_tunnel(bastion, "alice", "pg") as tunnel:
        client = psql(tunnel, CATALOG)
        client.type("select 'here';")
        await said(client, "here")
        seen = await auditor.session("the session", lambda each: each.figures.state == "idle")
        asked: dict[str, dict[str, Any]] = {
            "session.watch": {"session": seen.id},
            "session.message": {"id": seen.id, "text": "x", "reason": "y"},
            "session.hold": {"id": seen.id, "reason": "y"},
            "session.release": {"id": seen.id, "reason": "y"},
            "user.lock": {"user": "bob", "seconds": 600, "reason": "y"},
        }
        for person in ("alice", "bob", "admin"):
            async with control(bastion, person) as channel:
                for method, params in asked.items():
                    assert await channel.refusal(method, **params) == "role-missing", (person, method)
                if person != "admin":
                    for method, more in (("user.unlock", {"user": "bob", "reason": "y"}), ("user.locks", {})):
                        assert await channel.refusal(method, **more) == "role-missing", (person, method)
                listed = (await channel.result("sessions.live"))["sessions"]
                assert [each["id"] for each in listed] == ([] if person == "bob" else [seen.id])
        async with control(bastion, "bob") as channel:
            assert await channel.refusal("session.end", id=seen.id, reason="mine") == "session-unknown"
        call = auditor.control
        for method, params in asked.items():
            if "reason" in params:
                assert await call.refusal(method, **{**params, "reason": "  "}) == "reason-needed", method
        assert await call.refusal("session.end", id=seen.id) == "reason-needed"
        assert await call.refusal("session.message", id=seen.id, text=" ", reason="y") == "message-empty"
        assert await call.refusal("session.message", id=seen.id, text="x" * 501, reason="y") == "words-too-long"
        assert await call.refusal("session.hold", id=seen.id, reason="y", seconds=601) == "hold-time"
        assert await call.refusal("session.release", id=seen.id, reason="y") == "nothing-held"
        assert await call.refusal("session.hold", id="s0", reason="y") == "session-unknown"
        assert await call.refusal("session.watch", session="s0") == "session-unknown"
        assert await call.refusal("session.watch", session=seen.id, watch="0" * 16) == "watch-unknown"
        assert await call.refusal("user.lock", user="auditor", seconds=600, reason="y") == "not-yourself"
        assert await call.refusal("user.lock", user="nobody", seconds=600, reason="y") == "user-unknown"
        assert await call.refusal("user.lock", user="bob", seconds=5, reason="y") == "lock-time"
        assert await call.refusal("user.unlock", user="bob", reason="y") == "not-locked"
        assert acts(bastion, seen.id) == []
        client.close()


async def test_a_held_statement_that_its_own_client_cancels_is_given_up(
    bastion: BastionProcess, on_postgres: PostgresServer, auditor: Auditor
) -> None:
    import signal

    with open_tunnel(bastion, "alice", "pg") as tunnel:
        client = psql(tunnel, CATALOG)
        client.type("select 'ready';")
        await said(client, "ready")
        seen = await auditor.session("the session", lambda each: each.figures.state == "idle")
        await auditor.control.result("session.hold", id=seen.id, reason="looks odd")
        client.type("delete from accounts;")
        await auditor.session("a held statement", lambda each: each.figures.state == "held")
        client.process.send_signal(signal.SIGINT)
        heard = await said(client, "given up before it was let go")
        assert "It was not run." in heard
        await auditor.session_gone(seen.id)  # psql leaves when it is interrupted and nobody types
        client.close()
    [statement] = [each for each in bastion.statements(seen.id) if each["text"].startswith("delete")]
    assert (statement["state"], statement["verdict"]) == ("cancelled", "held")


async def test_a_locked_person_is_out_until_then_and_applying_documents_does_not_let_them_in(
    bastion: BastionProcess, on_postgres: PostgresServer, auditor: Auditor
) -> None:
    token = token_of(bastion, "alice", "pg")
    with open_tunnel(bastion, "alice", "pg") as tunnel:
        client = psql(tunnel, CATALOG)
        client.type("select 'here';")
        await said(client, "here")
        seen = await auditor.session("the session", lambda each: each.figures.state == "idle")
        lock = await auditor.control.result("user.lock", user="alice", seconds=3600, reason="an inquiry")
        assert (lock["user"], lock["by"], lock["sessions"]) == ("alice", "auditor", 1)
        await auditor.session_gone(seen.id)
        client.type("select 1;")
        assert "an inquiry" in await said(client, "alice is locked until")
        client.close()
    try:
        bastion.apply({"users": [{"name": "alice", "roles": ["operator"], "comment": "declared anew"}]})
        with pytest.raises(TunnelRefused) as refused, ssh_tunnel(
            user="alice", token=bastion.password_of("alice"), bastion=bastion.address,
            known_hosts=bastion.known_hosts, to=("127.0.0.1", 1),
        ):  # fmt: skip
            raise AssertionError("alice is in")
        assert "alice is locked until" in str(refused.value)
        assert "an inquiry" in str(refused.value)
        [shown] = await auditor.control.result("user.locks")
        assert (shown["user"], shown["reason"]) == ("alice", "an inquiry")
    finally:
        await auditor.control.result("user.unlock", user="alice", reason="over")
    assert token_of(bastion, "alice", "pg")["id"] == token["id"]
    done = [act for act in acts(bastion, "alice") if act in ("user-locked", "user-unlocked")]
    assert done == ["user-locked", "user-unlocked"]


async def test_statements_with_values_are_held_whole_in_either_protocol(
    bastion: BastionProcess, on_postgres: PostgresServer, on_mariadb: MariadbServer, auditor: Auditor
) -> None:
    """The extended protocol's messages of one statement, and MySQL's prepared ones, behind a hold and a refusal."""
    with (
        open_tunnel(bastion, "alice", "pg") as tunnel,
        psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=CATALOG, user="me", password="", autocommit=True
        ) as connection,
    ):
        delete = "delete from accounts where id = %s and balance = 99"
        await refused_then_let_go(
            auditor, "pg", lambda: connection.execute(delete, (1,)).rowcount,
            lambda: connection.execute("select 7").fetchone(), (7,),
        )  # fmt: skip
        # In one pipeline: what stands behind a refused statement in it is not run either.
        seen = await auditor.session("the session", lambda each: each.database == "pg")
        await auditor.control.result("session.hold", id=seen.id, reason="odd", seconds=300)

        def pipeline() -> None:
            with connection.pipeline():
                connection.execute(delete, (2,))
                connection.execute("update accounts set balance = 5 where id = %s", (3,))

        running = asyncio.create_task(asyncio.to_thread(pipeline))
        await auditor.session("held", lambda each: each.figures.state == "held")
        await auditor.control.result("session.release", id=seen.id, refuse=True, reason="not today")
        with pytest.raises(psycopg.Error):
            await running
        assert connection.execute("select balance from accounts where id = 3").fetchone() != (5,)
    with open_tunnel(bastion, "alice", "my") as tunnel:
        settings: dict[str, Any] = {"host": tunnel.host, "port": tunnel.port, "user": "me", "database": CATALOG}
        with pymysql.connect(**settings, password="", autocommit=True) as other, other.cursor() as cursor:
            cursor.execute("prepare gone from 'delete from accounts where id = ? and balance = 99'")
            cursor.execute("set @id = 1")

            def delete_there() -> int:
                return cursor.execute("execute gone using @id")

            def seven() -> Any:
                cursor.execute("select 7")
                return cursor.fetchone()

            await refused_then_let_go(auditor, "my", delete_there, seven, (7,))


async def refused_then_let_go(
    auditor: Auditor, database: str, delete: Callable[[], int], select: Callable[[], Any], expected: Any
) -> None:
    seen = await auditor.session("the session", lambda each: each.database == database)
    for refuse in (True, False):
        await auditor.control.result("session.hold", id=seen.id, reason="odd", seconds=300)
        running = asyncio.create_task(asyncio.to_thread(delete))
        await auditor.session("held", lambda each: each.id == seen.id and each.figures.state == "held")
        await auditor.control.result("session.release", id=seen.id, refuse=refuse, reason="not today")
        if refuse:
            with pytest.raises((psycopg.Error, pymysql.Error), match="not today"):
                await running
        else:
            assert await running == 0
        assert await asyncio.to_thread(select) == expected
