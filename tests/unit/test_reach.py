"""How far a connection to a database comes, against servers that fail in one way each."""

from __future__ import annotations

import asyncio
import time

import pytest

from bastion.access.explain import Place
from bastion.sessions.reach import reach


def place(engine: str, port: int, mode: str = "prefer", host: str = "127.0.0.1", domain: str = "") -> Place:
    return Place(engine, host, port, domain, mode, None, None)


async def codes(where: Place, seconds: float = 60) -> list[tuple[str, str, str]]:
    return [(check.stage, check.state, check.code) for check in await reach(where, seconds)]


async def answering(first: bytes, after: bytes = b"") -> asyncio.Server:
    """A server that says `first`, `after` once it was asked something, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        if await reader.read(1000) and after:
            writer.write(after)
            await reader.read(1000)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


FOUND = ("name", "ok", "name-found")
ANSWERS = ("tcp", "ok", "tcp-answers")


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
async def test_a_server_that_says_nothing_is_given_up_in_time(engine: str) -> None:
    async def say_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    began = time.monotonic()
    assert await codes(place(engine, port_of(server)), 2.0) == [FOUND, ANSWERS, ("tls", "no", "tls-unanswered")]
    assert time.monotonic() - began < 30
    server.close()


async def test_a_host_that_is_turned_away_is_told_in_the_servers_words() -> None:
    words = b"\xff\x69\x04Host 'bastion' is blocked because of many connection errors"
    server = await answering(len(words).to_bytes(3, "little") + b"\0" + words)
    found = await reach(place("mysql", port_of(server)), 5)
    assert (found[-1].state, found[-1].code) == ("no", "server-refused")
    assert found[-1].params["detail"] == "Host 'bastion' is blocked because of many connection errors"
    server.close()


async def test_tls_that_is_demanded_and_not_offered() -> None:
    server = await answering(b"", b"N")
    assert await codes(place("postgresql", port_of(server), "require")) == [
        FOUND, ANSWERS, ("tls", "no", "server-refused"),
    ]  # fmt: skip
    assert (await codes(place("postgresql", port_of(server))))[-1] == ("tls", "ok", "tls-off")
    server.close()


async def test_tls_that_breaks_off() -> None:
    server = await answering(b"", b"S")
    assert (await codes(place("postgresql", port_of(server), "verify-full")))[-1] == ("tls", "no", "tls-failed")
    server.close()


async def test_something_else_that_listens_there() -> None:
    server = await answering(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert (await codes(place("mysql", port_of(server))))[-1] == ("tls", "no", "server-refused")
    server.close()


async def test_an_engine_that_is_not_spoken_is_tried_as_far_as_tcp() -> None:
    server = await answering(b"")
    assert await codes(place("db2", port_of(server))) == [FOUND, ANSWERS]
    server.close()


async def test_names_and_domains_that_lead_nowhere() -> None:
    assert await codes(place("mysql", 3306, host="no-such-host.invalid")) == [("name", "no", "name-unknown")]
    assert await codes(place("mysql", 3306, domain="shanghai")) == [("name", "no", "domain-not-dialled")]
