"""The control channel: JSON-RPC on the subsystem `casemate`, spoken by hand and by the workstation's client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import open_tunnel, token_of

PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def stock(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("stock_app", PASSWORD)
    postgres_server.create_database("stock", "stock_app")
    bastion.declare_database("stock", postgres_server, account="stock_app", password=PASSWORD, to="alice")
    return "stock"


class Control:
    """A control channel; `call` gives the whole answer, `event` the next notification."""

    def __init__(self, connection: asyncssh.SSHClientConnection, writer: Any, reader: Any) -> None:
        self.connection = connection
        self.writer = writer
        self.reader = reader
        self._number = 0
        self._events: list[dict[str, Any]] = []

    async def line(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self.reader.readline(), 60)
        assert data, "the channel was closed"
        found: dict[str, Any] = json.loads(data)
        return found

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self.writer.write(json.dumps({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}) + "\n")
        while (answer := await self.line()).get("id") != self._number:
            self._events.append(answer["params"])
        return answer

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "error" not in answer, answer
        return answer["result"]

    async def refusal(self, method: str, **params: Any) -> str:
        answer = await self.call(method, **params)
        assert answer["error"]["code"] == 1
        code: str = answer["error"]["data"]["code"]
        return code

    async def quiet(self) -> None:
        """Waits until no session is live: what is seen from now on is of the test that asks."""
        async with asyncio.timeout(60):
            while (await self.result("sessions.live"))["sessions"]:
                await asyncio.sleep(0.02)

    async def event(self, topic: str, kind: str) -> dict[str, Any]:
        while True:
            event = self._events.pop(0) if self._events else (await self.line())["params"]
            if (event["topic"], event["kind"]) == (topic, kind):
                data: dict[str, Any] = event["data"]
                return data


@asynccontextmanager
async def control(bastion: BastionProcess, user: str) -> AsyncIterator[Control]:
    async with asyncssh.connect(
        *bastion.address, username=user, password=bastion.password_of(user), known_hosts=str(bastion.known_hosts),
        client_keys=None, agent_path=None, config=None,
    ) as connection:  # fmt: skip
        writer, reader, _ = await connection.open_session(subsystem="casemate")
        yield Control(connection, writer, reader)


async def test_hello_says_who_one_is(bastion: BastionProcess) -> None:
    async with control(bastion, "auditor") as channel:
        hello = await channel.result("hello")
    assert (hello["user"], hello["roles"]) == ("auditor", ["auditor"])
    assert hello["bastion"] == {"host": bastion.address[0], "port": bastion.address[1]}


async def test_every_no_is_a_code_with_its_params(bastion: BastionProcess, stock: str) -> None:
    async with control(bastion, "auditor") as channel:
        assert await channel.refusal("token.request", database="stock") == "role-missing"
        assert await channel.refusal("no.such.call") == "unknown-method"
        assert await channel.refusal("session.end", id="s0") == "session-unknown"
        assert await channel.refusal("state.export") in ("role-missing", "unknown-method")
        answer = await channel.call("audit.search", limit="many")
        assert answer["error"]["data"]["code"] == "invalid-params"
        assert "limit" in answer["error"]["message"]
    async with control(bastion, "admin") as channel:
        assert await channel.refusal("state.export") == "unknown-method"
        assert await channel.refusal("state.apply", documents=[], base="/") == "unknown-method"
    async with control(bastion, "alice") as channel:
        assert await channel.refusal("audit.verify") == "role-missing"
        assert await channel.refusal("token.request", database="not-mine") == "database-not-authorized"
        assert await channel.refusal("tunnel.open", token="0" * 16) == "token-unknown"
        assert await channel.refusal("subscribe", topics=["everything"]) == "invalid-params"


@pytest.mark.parametrize("garbage", ["GET / HTTP/1.1\n", '{"jsonrpc": "2.0", "id": "x"\n', "[1, 2]\n", "\x00\xff\n"])
async def test_garbage_ends_the_channel_and_nothing_else(bastion: BastionProcess, garbage: str) -> None:
    async with control(bastion, "alice") as channel:
        second_writer, second_reader, _ = await channel.connection.open_session(subsystem="casemate")
        channel.writer.write(garbage)
        answer = await channel.line()
        assert answer["error"]["code"] == -32700
        assert await asyncio.wait_for(channel.reader.read(), 60) == ""
        second = Control(channel.connection, second_writer, second_reader)
        assert (await second.result("hello"))["user"] == "alice"


async def test_a_line_without_end_is_cut_off_at_its_limit(bastion: BastionProcess) -> None:
    before = bastion.resident_bytes()
    async with control(bastion, "alice") as channel:
        with pytest.raises((BrokenPipeError, asyncssh.Error)):
            for _ in range(64):
                channel.writer.write("x" * (1 << 20))
                await asyncio.wait_for(channel.writer.drain(), 60)
    assert bastion.resident_bytes() - before < 64 * 1024 * 1024


async def test_many_calls_at_once_are_all_answered(bastion: BastionProcess) -> None:
    async with control(bastion, "alice") as channel:
        for number in range(1, 501):
            channel.writer.write(
                json.dumps({"jsonrpc": "2.0", "id": number, "method": "token.list", "params": {}}) + "\n"
            )
        answered = {(await channel.line())["id"] for _ in range(500)}
    assert answered == set(range(1, 501))


async def test_a_promised_tunnel_is_good_for_one_connection(bastion: BastionProcess, stock: str) -> None:
    async with control(bastion, "alice") as channel:
        token = await channel.result("token.request", database=stock)
        tunnel = await channel.result("tunnel.open", token=token["id"], purpose="console")
        assert tunnel["host"] == f"{tunnel['session']}.casemate"
        assert (tunnel["engine"], tunnel["hosted"]) == ("postgresql", True)
        with pytest.raises(asyncssh.ChannelOpenError):
            await channel.connection.open_connection(tunnel["host"], tunnel["port"] + 1)
        reader, writer = await channel.connection.open_connection(tunnel["host"], tunnel["port"])
        writer.write(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        assert await asyncio.wait_for(reader.readexactly(1), 60) in (b"S", b"N")
        with pytest.raises(asyncssh.ChannelOpenError):
            await channel.connection.open_connection(tunnel["host"], tunnel["port"])
        async with control(bastion, "bob") as other:
            second = await channel.result("tunnel.open", token=token["id"])
            with pytest.raises(asyncssh.ChannelOpenError):
                await other.connection.open_connection(second["host"], second["port"])
            assert await other.refusal("tunnel.open", token=token["id"]) == "token-unknown"


async def test_an_auditor_hears_of_sessions_and_statements_and_an_operator_of_their_own(
    bastion: BastionProcess, stock: str
) -> None:
    async with (
        control(bastion, "auditor") as auditor,
        control(bastion, "bob") as bob,
        control(bastion, "alice") as alice,
    ):
        await auditor.quiet()
        for channel in (auditor, bob, alice):
            await channel.result("subscribe", topics=["sessions", "statements", "tokens"])

        def work() -> None:
            with (
                open_tunnel(bastion, "alice", stock) as tunnel,
                psycopg.connect(
                    host=tunnel.host, port=tunnel.port, dbname="stock", user="me", autocommit=True
                ) as connection,
            ):
                connection.execute("SELECT 'heard of'")

        await asyncio.to_thread(work)
        for channel in (auditor, alice):
            opened = await channel.event("sessions", "opened")
            sent = await channel.event("statements", "sent")
            done = await channel.event("statements", "done")
            closed = await channel.event("sessions", "closed")
            assert opened["user"] == sent["user"] == "alice"
            assert (sent["text"], sent["state"]) == ("SELECT 'heard of'", "sent")
            assert (done["text"], done["state"], done["rows"]) == ("SELECT 'heard of'", "done", 1)
            assert (closed["id"], closed["statements"]) == (opened["id"], 1)
        assert (await bob.result("hello"))["user"] == "bob"
        assert bob._events == []


async def test_changes_of_a_session_are_told_at_most_four_times_a_second(bastion: BastionProcess, stock: str) -> None:
    async with control(bastion, "auditor") as auditor:
        await auditor.quiet()
        await auditor.result("subscribe", topics=["sessions"])

        def work() -> None:
            with (
                open_tunnel(bastion, "alice", stock) as tunnel,
                psycopg.connect(
                    host=tunnel.host, port=tunnel.port, dbname="stock", user="me", autocommit=True
                ) as connection,
            ):
                for _ in range(500):
                    connection.execute("SELECT 1", prepare=False)

        started = asyncio.get_running_loop().time()
        await asyncio.to_thread(work)
        changed = 0
        while True:
            event = (await auditor.line())["params"]
            changed += event["kind"] == "changed"
            if event["kind"] == "closed":
                break
        took = asyncio.get_running_loop().time() - started
    assert changed <= took * 4 + 1
    assert event["data"]["statements"] == 500


async def test_an_auditor_ends_a_session_and_its_user_is_told_why(
    bastion: BastionProcess, stock: str, postgres_server: PostgresServer
) -> None:
    token = await asyncio.to_thread(token_of, bastion, "alice", stock)

    def work() -> str:
        """What its client hears in the place of the answer."""
        with open_tunnel(bastion, "alice", stock) as tunnel:
            connection = psycopg.connect(host=tunnel.host, port=tunnel.port, dbname="stock", user="me", autocommit=True)
            with pytest.raises(psycopg.errors.AdminShutdown) as caught:
                connection.execute("SELECT pg_sleep(300)")
            return str(caught.value)

    async with control(bastion, "auditor") as auditor, control(bastion, "bob") as bob:
        await auditor.result("subscribe", topics=["sessions", "statements"])
        sleeping = asyncio.create_task(asyncio.to_thread(work))
        while "pg_sleep" not in (statement := await auditor.event("statements", "sent"))["text"]:
            continue
        assert await bob.refusal("session.end", id=statement["session"]) == "session-unknown"
        assert await bob.refusal("session.cancel", id=statement["session"]) == "session-unknown"
        ended = await auditor.result("session.end", id=statement["session"], reason="lunch")
        assert (ended["id"], ended["token"]) == (statement["session"], token["id"])
        said = await asyncio.wait_for(sleeping, 60)
        # Its client hears of it before it is over.
        while (await auditor.event("sessions", "closed"))["id"] != statement["session"]:
            continue
        assert await auditor.refusal("session.end", id=statement["session"]) == "session-not-live"
    assert "lunch" in said
    assert "auditor" in said
    await asyncio.to_thread(wait_for, "its end", lambda: not postgres_server.running("pg_sleep(300)"))


async def test_cancelling_ones_own_statement_leaves_the_session(
    bastion: BastionProcess, stock: str, postgres_server: PostgresServer
) -> None:
    def work() -> tuple[str, Any]:
        with (
            open_tunnel(bastion, "alice", stock) as tunnel,
            psycopg.connect(
                host=tunnel.host, port=tunnel.port, dbname="stock", user="me", autocommit=True
            ) as connection,
        ):
            with pytest.raises(psycopg.errors.QueryCanceled) as caught:
                connection.execute("SELECT pg_sleep(301)")
            return str(caught.value), connection.execute("SELECT 7").fetchone()

    async with control(bastion, "alice") as alice:
        await alice.result("subscribe", topics=["statements"])
        sleeping = asyncio.create_task(asyncio.to_thread(work))
        while "pg_sleep" not in (statement := await alice.event("statements", "sent"))["text"]:
            continue
        await asyncio.to_thread(wait_for, "it is at work", lambda: postgres_server.running("pg_sleep(301)"))
        assert await alice.result("session.cancel", id=statement["session"]) is True
        said, after = await asyncio.wait_for(sleeping, 60)
    assert "canceling statement" in said
    assert after == (7,)


async def test_a_role_that_is_taken_away_is_gone_at_once(bastion: BastionProcess, stock: str) -> None:
    async with control(bastion, "bob") as bob:
        assert await bob.refusal("audit.verify") == "role-missing"
        await asyncio.to_thread(
            bastion.apply,
            {"users": [{"name": "bob", "roles": ["auditor"], "password": {"env": "BOB"}}]},
            {"BOB": bastion.password_of("bob")},
        )
        assert (await bob.result("audit.verify"))["intact"] is True
        assert await bob.refusal("token.request", database=stock) == "role-missing"
        await asyncio.to_thread(
            bastion.apply,
            {"users": [{"name": "bob", "roles": ["operator"], "password": {"env": "BOB"}}]},
            {"BOB": bastion.password_of("bob")},
        )
        assert await bob.refusal("audit.verify") == "role-missing"


async def test_a_slow_reader_is_told_how_much_it_missed(bastion: BastionProcess, stock: str) -> None:
    """The auditor subscribes and does not read while thousands of statements pass; memory stays bounded."""
    async with control(bastion, "auditor") as auditor:
        await auditor.result("subscribe", topics=["statements"])
        auditor.reader.channel.pause_reading()
        padding = "x" * 4000

        def work() -> None:
            with (
                open_tunnel(bastion, "alice", stock) as tunnel,
                psycopg.connect(
                    host=tunnel.host, port=tunnel.port, dbname="stock", user="me", autocommit=True
                ) as connection,
                connection.pipeline(),
            ):
                for number in range(2500):
                    connection.execute(f"SELECT {number} -- {padding}")

        before = bastion.resident_bytes()
        await asyncio.to_thread(work)
        assert bastion.resident_bytes() - before < 64 * 1024 * 1024
        auditor.reader.channel.resume_reading()
        missed = await auditor.event("missed", "missed")
        assert missed["count"] > 0
        assert (await auditor.result("hello"))["user"] == "auditor"
