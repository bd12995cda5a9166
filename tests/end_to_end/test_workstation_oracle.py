"""The workstation's own client library on Oracle, through a real bastion to the test server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backends.connection import DatabaseConnection, RowsArrived, RunEvent, RunFailed, follow
from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from bastion.api import messages as m
from bastion.api import methods
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.oracle.server import PASSWORDS, OracleServer

NAME = "wsoracle"


@pytest.fixture(scope="module")
def server() -> Iterator[OracleServer]:
    started = OracleServer()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess, server: OracleServer) -> BastionProcess:
    stock_bastion.apply(
        {
            "databases": [{
                "name": NAME, "engine": "oracle", "platform": "self-managed", "host": server.host,
                "port": server.port, "service": "FREEPDB1",
                "accounts": [{"name": "app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"bob-{NAME}", "to": ["bob"], "on": [NAME], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORDS["APP"]},
    )  # fmt: skip
    return stock_bastion


@pytest.fixture(scope="module")
def link(bastion: BastionProcess) -> Iterator[Link]:
    opened = Link.connect_now(
        Target("bob", HOST, bastion.address[1]), Credentials(password=bastion.password_of("bob")),
        HostKeys([bastion.known_hosts]),
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def connection(link: Link) -> Iterator[DatabaseConnection]:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    opened = DatabaseConnection.open_now(link, token, "")
    yield opened
    opened.close()


def run(connection: DatabaseConnection, text: str) -> list[RunEvent]:
    return connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now))).result(90)


def rows(events: list[RunEvent]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, RowsArrived) and event.batch is not None:
            found.extend(zip(*(column.to_pylist() for column in event.batch.columns), strict=True))
    return found


def closed(bastion: BastionProcess, session: str) -> dict[str, Any]:
    def found(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
        return next((each for each in sessions if each["id"] == session and each["state"] == "closed"), None)

    record: dict[str, Any] = bastion.wait_for_sessions("the session's end", found, 60)
    return record


def test_what_the_console_ran_is_what_the_server_ran_and_what_is_on_record(
    bastion: BastionProcess, server: OracleServer, link: Link
) -> None:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    before = len(server.log)
    connection = DatabaseConnection.open_now(link, token, "")
    asked = [
        "select '漢' as a, 12345678901234567 as b, null as c from dual",
        "select *\nfrom nowhere_at_all",
    ]
    events = [run(connection, text) for text in asked]
    connection.close()
    assert rows(events[0]) == [("漢", "12345678901234567", None)]
    assert isinstance(events[1][-1], RunFailed)
    assert (events[1][-1].error.code, events[1][-1].error.position) == ("ORA-00942", len("select *\nfrom "))
    record = closed(bastion, connection.session)
    assert (record["engine"], record["user"], record["unattributed_bytes"]) == ("oracle", "bob", 0)
    recorded = [one["text"] for one in bastion.statements(connection.session)]
    assert recorded == server.log[before:] == asked
