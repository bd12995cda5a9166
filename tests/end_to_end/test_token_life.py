"""A token comes to its end under open consoles: one that is renewed lives on, one that is not ends when it said."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.connection import DatabaseConnection, ResultEnded, RunEvent, RunFailed, follow
from backends.console import DatabaseConsole
from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from backends.personal import Personal
from bastion.api import messages as m
from bastion.api import methods
from bastion.store.moments import to_text
from screens.databases import FAVOURITES, Nothing
from screens.workstation import Services, Start
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for
from tui.app import CasemateApp

PASSWORD = "hosted-secret"
LEFT = timedelta(seconds=12)
"""Long enough for two consoles to be opened meanwhile on a machine that has much else to do."""


@pytest.fixture(scope="module")
def ledger(bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    postgres_server.create_user("ledger_app", PASSWORD)
    postgres_server.create_database("ledger", "ledger_app")
    bastion.apply(
        {
            "databases": [{
                "name": "ledger", "engine": "postgresql", "host": postgres_server.host, "port": postgres_server.port,
                "databases": ["ledger"], "accounts": [{"name": "ledger_app", "password": {"env": "LEDGER"}}],
            }],
            "database_groups": [{"name": "finance", "members": ["ledger"]}],
            "grants": [{"name": "ledgers", "to": ["alice", "bob"], "on": ["group:finance"]}],
        },
        {"LEDGER": PASSWORD},
    )  # fmt: skip
    return bastion


@pytest.fixture
def links(ledger: BastionProcess) -> Iterator[dict[str, Link]]:
    opened = {
        person: Link.connect_now(
            Target(person, HOST, ledger.address[1]),
            Credentials(password=ledger.password_of(person)),
            HostKeys([ledger.known_hosts]),
        )
        for person in ("alice", "bob")
    }
    yield opened
    for link in opened.values():
        link.close()


def end_at(bastion: BastionProcess, token: m.Token, end: datetime) -> None:
    """Puts a token's end where no request may put it: one lives for a minute at least."""
    with sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=60) as store:
        store.execute("UPDATE tokens SET expires_at = ? WHERE id = ?", (to_text(end), token.id))
    store.close()


def run(connection: DatabaseConnection, text: str) -> RunEvent:
    """The last event of a statement."""
    return connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now))).result(30)[-1]


def test_renewal_reaches_a_console_that_is_open(ledger: BastionProcess, links: dict[str, Link]) -> None:
    tokens = {
        person: link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database="ledger"))
        for person, link in links.items()
    }
    end = datetime.now(UTC) + LEFT
    for token in tokens.values():
        end_at(ledger, token, end)
    consoles = {person: DatabaseConnection.open_now(link, tokens[person], "ledger") for person, link in links.items()}
    for console in consoles.values():
        assert isinstance(run(console, "select 1"), ResultEnded)
    renewed = links["alice"].call_now(methods.TOKEN_RENEW, methods.ById(id=tokens["alice"].id))
    assert datetime.fromisoformat(renewed.expires_at) > end + timedelta(minutes=50)

    def ended() -> bool:
        live = links["bob"].call_now(methods.SESSIONS, m.SessionFilter(live=True))
        return consoles["bob"].session not in [session.id for session in live]

    wait_for("the end of the session whose token was not renewed", ended)
    assert datetime.now(UTC) >= end
    assert isinstance(run(consoles["bob"], "select 2"), RunFailed)
    assert isinstance(run(consoles["alice"], "select 2"), ResultEnded), "it lives past the former end"
    for console in consoles.values():
        console.close()


async def test_what_a_person_keeps_is_there_at_the_next_login_and_nobody_elses(
    ledger: BastionProcess, links: dict[str, Link]
) -> None:
    personal = Personal()
    personal.use(links["alice"])
    assert await personal.put(FAVOURITES, "ledger/ledger_app", Nothing())
    secret = {"text": "alter role ledger_app password 'Geheim-77'", "engine": "postgresql"}
    assert await personal.put("history", "1", secret)
    again = Link.connect_now(
        Target("alice", HOST, ledger.address[1]),
        Credentials(password=ledger.password_of("alice")),
        HostKeys([ledger.known_hosts]),
    )
    try:
        personal.use(again)
        assert [kept.key for kept in await personal.items(FAVOURITES, Nothing)] == ["ledger/ledger_app"]
        [entry] = await personal.items("history", dict[str, str])
        assert entry.value["text"] == "alter role ledger_app password '***'"
    finally:
        again.close()
    personal.use(links["bob"])
    assert await personal.items(FAVOURITES, Nothing) == []
    assert not ledger.mentions("Geheim-77")


def test_the_list_comes_with_its_groups_and_in_pages(links: dict[str, Link]) -> None:
    page = links["alice"].call_now(methods.DATABASES, methods.DatabaseList(limit=1))
    assert [(each.name, each.groups) for each in page] == [("ledger", ["finance"])]
    assert links["alice"].call_now(methods.DATABASES, methods.DatabaseList(after="ledger", limit=1)) == []


async def until(pilot: Pilot[Any], words: str) -> str:
    """The screen, once the words are on it."""
    async with asyncio.timeout(60):
        while True:
            strips = pilot.app.screen._compositor.render_strips()
            text = "\n".join("".join(segment.text for segment in strip) for strip in strips)
            if words in text:
                return text
            await pilot.pause(0.02)


async def test_found_kept_and_explained_at_the_keyboard(ledger: BastionProcess) -> None:
    """The real workstation without a terminal, on a real bastion and database."""
    services = Services(
        log_in=Link.connect, open_console=DatabaseConsole.open, host_keys=HostKeys([ledger.known_hosts])
    )  # type: ignore[arg-type]
    start = Start(target=f"bob@{HOST}:{ledger.address[1]}", password=ledger.password_of("bob"))
    app = CasemateApp(services, start)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, "ledger_app")
        await pilot.press(*"finance", "f7")
        await until(pilot, "★ ledger")
        await pilot.press("f3")
        text = await until(pilot, "O&M token: ledger as ledger_app")
        if "Request the token" in text:
            await pilot.press(*"INC-5", "enter")
        await until(pilot, "************")
        await pilot.press("escape", "f8")
        await until(pilot, "In the clear, as its setting prefer allows.")
        await until(pilot, "F9 tries the login too.")
        await pilot.press("f9")
        await until(pilot, "The login works: postgresql")
        await pilot.press("escape", "escape", *"no-such-ledger", "f8")
        await until(pilot, "Ask admin for a grant for no-such-ledger.")
        await pilot.press("escape")
    app.link.close()  # type: ignore[union-attr]
