"""An auditor at another terminal watches somebody's workstation over plain SSH, and replays it when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.cast import Cast, Place
from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from backends.screen_feed import ScreenFeed
from tests.end_to_end.served_desk import Desk, end_workstations
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder, wait_for

DATABASE = "watched"
NASTY = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\u202e\x9b31m [bold]end"


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    """alice may use one database with its hosted account."""
    postgres_server.create_user("watched_app", "watched's own password")
    postgres_server.create_database(DATABASE, "watched_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE watched_app")
        connection.execute(
            "CREATE TABLE parcels AS SELECT n AS id, 'parcel 上海 ' || n AS label FROM generate_series(1, 7) n"
        )
        connection.execute("CREATE TABLE nasty (word text)")
        connection.execute("INSERT INTO nasty VALUES (%s)", [NASTY])
    process = BastionProcess(server_folder("watched"), workstation=True)
    process.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": "watched_app", "password": {"env": "ACCOUNT"}}],
                }
            ],
            "grants": [{"name": "watched", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": "watched's own password"},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.fixture
def desk(bastion: BastionProcess, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Desks; they are left at the end."""
    opened: list[Desk] = []

    def make(person: str = "alice", **options: object) -> Desk:
        made = Desk(bastion, tmp_path / f"desk{len(opened)}", person, **options)  # type: ignore[arg-type]
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()
    end_workstations(bastion)


def at_work(desk: Callable[..., Desk]) -> tuple[Desk, str]:
    """alice in a console; she has looked at her token on the way. Gives the token's text."""
    alice = desk("alice", columns=120, lines=36)
    alice.open()
    alice.terminal.wait(lambda text: f"{DATABASE} " in text)
    alice.terminal.press("F3")
    alice.terminal.wait(lambda text: "Request the token" in text or "SSH host" in text)
    if "Request the token" in alice.terminal.text:
        alice.terminal.type("INC-1")
        alice.terminal.press("Enter")
    alice.terminal.wait("SSH host")
    alice.terminal.type("v")
    text = alice.terminal.wait("cmt_")
    token = text[text.index("cmt_") :][:36]
    alice.terminal.type("o")
    alice.terminal.wait("public")
    return alice, token


def run_sql(at: Desk, text: str) -> None:
    """In the place of what the editor held."""
    at.terminal.press("End", "C-u")
    at.terminal.type(text)
    at.terminal.press("F5")


def screen_of(bastion: BastionProcess) -> str:
    """The id of the newest workstation of alice's."""
    (newest,) = bastion.casemate("auditor", "audit", "screens", "--user", "alice", "--limit", "1", "--json")
    return str(newest["id"])


def session_of(bastion: BastionProcess, words: str) -> str:
    """The session of the statement with these words."""
    found = wait_for("it is on record", lambda: bastion.casemate("auditor", "audit", "search", words, "--json"))
    return str(found[-1]["session"])


def watch(auditor: Desk, session: str) -> None:
    """From the audit page to the watch of a session."""
    auditor.log_in()
    auditor.terminal.wait("Sessions")
    auditor.terminal.press("/")
    auditor.terminal.wait("Enter Search")
    auditor.terminal.type(f"session:{session}")
    auditor.terminal.press("Enter")
    auditor.terminal.wait(lambda text: "1 session" in text and "alice" in text)
    auditor.terminal.type("w")
    auditor.terminal.wait("LIVE")


def paged_to(auditor: Desk, words: str) -> None:
    """From a text's first line on, page by page, to these words: it is opened at the moment on the screen."""
    auditor.terminal.press("Home")
    for _ in range(10):
        before = auditor.terminal.text
        if words in before:
            return
        auditor.terminal.press("PageDown")
        auditor.terminal.wait(lambda text, before=before: text != before)
    raise AssertionError(f"{words} is on no page:\n{auditor.terminal.text}")


def test_a_workstation_is_watched_rewound_caught_up_with_and_replayed(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    alice, token = at_work(desk)
    run_sql(alice, "select id, label from parcels /* seen before */ order by id")
    alice.terminal.wait("parcel 上海 7")
    session = session_of(bastion, "seen before")

    # At a smaller terminal, in the middle of it: the statements, and the whole screen at once.
    auditor = desk("auditor", columns=80, lines=24)
    watch(auditor, session)
    auditor.terminal.wait("seen before")
    auditor.terminal.type("v")
    auditor.terminal.wait(lambda text: "120×36" in text and "parcel 上海 5" in text)

    # What happens is seen when it happens, also where it is not in view at first.
    run_sql(alice, "select word from nasty /* nasty */")
    auditor.terminal.wait(lambda text: "␛]0;owned" in text and "LIVE" in text)

    # Paused, it stands still, and says how far behind it is.
    auditor.terminal.press("Space")
    auditor.terminal.wait("PAUSED")
    run_sql(alice, "select 'while paused' as note")
    alice.terminal.wait("1 row")
    text = auditor.terminal.wait(lambda text: "s behind" in text and "0 ms behind" not in text)
    assert "while paused" not in text

    # Rewound to before the watch began: her page of databases, where she came in.
    auditor.terminal.press("Home")
    text = auditor.terminal.wait(lambda text: "loading …" in text or "casemate" in text)
    while "Search" not in text:
        auditor.terminal.press(".")
        text = auditor.terminal.wait(lambda now, before=text: now != before)
    assert "parcels" not in text
    auditor.terminal.type("c")
    auditor.terminal.wait(lambda text: "LIVE" in text and "while paused" in text)

    run_sql(alice, "select no_such_column from parcels")
    alice.terminal.wait("no_such_column")
    alice.terminal.wait("42703")
    auditor.terminal.type("v")
    auditor.terminal.wait(lambda text: "✗" in text and "no_such_column" in text)
    alice.terminal.press("C-q")
    alice.returned(0)
    auditor.terminal.wait("ENDED")
    auditor.terminal.type("v")
    auditor.terminal.wait("ENDED")

    # Afterwards: the time line, a result out of the record, the screen at the moment of the error, text, and back.
    auditor.terminal.type("r")
    auditor.terminal.wait(lambda text: "with its screen" in text and "1 failed" in text)
    auditor.terminal.press("/")
    auditor.terminal.wait("find in the statements")
    auditor.terminal.type("seen before")
    auditor.terminal.press("Enter")
    auditor.terminal.wait("finding “seen before”")
    auditor.terminal.press("Enter")
    auditor.terminal.wait(lambda text: "7 rows, all of them" in text and "parcel 上海 3" in text)
    auditor.terminal.type("e")
    auditor.terminal.wait('column "no_such_column" does not exist')
    auditor.terminal.type("v")
    auditor.terminal.wait(lambda text: "PAUSED" in text and "120×36" in text and "no_such_column" in text)
    auditor.terminal.press("/")
    auditor.terminal.wait(lambda text: "seen before" in [line.strip() for line in text.splitlines()])
    auditor.terminal.type("parcel 上海 7")
    auditor.terminal.press("Enter")
    auditor.terminal.wait(lambda text: "1 match" in text)
    auditor.terminal.type("t")
    auditor.terminal.wait(lambda text: "What was on the screen" in text and "reading" not in text)
    paged_to(auditor, "parcel 上海")
    auditor.terminal.press("Escape")
    auditor.terminal.wait(lambda text: "What was on the screen" not in text and "PAUSED" in text)
    auditor.terminal.type("s")
    auditor.terminal.wait(lambda text: "Statement" in text and "PAUSED" not in text)

    # Nothing of the token, to nobody; every look on record; nothing that a value said was obeyed.
    screen = screen_of(bastion)
    host, port = bastion.address
    link = Link.connect_now(
        Target("auditor", host, port), Credentials(bastion.password_of("auditor"), agent=False),
        HostKeys([bastion.known_hosts]),
    )  # fmt: skip
    try:
        cast = recording_of(link, screen)
    finally:
        link.close()
    written = "".join(event.data for event in cast.events(Place(0, 0)) if event.kind == "o")
    assert token not in written
    assert not [start for start in range(4, len(token) - 8) if token[start : start + 8] in written]
    assert "owned" in written
    assert "\x1b]0;owned" not in written
    acts = [each["act"] for each in bastion.journal() if each.get("subject") == screen]
    assert acts[0] == "workstation-opened"
    assert {"screen-watched", "screen-shown", "workstation-ended"} <= set(acts)
    assert acts.count("screen-watched") == 1
    opened = [each for each in bastion.journal() if each.get("act") == "workstation-session"]
    assert {each["detail"]["screen"] for each in opened} == {screen}
    assert session in {each["subject"] for each in opened}
    assert not bastion.mentions(token)
    (proof,) = bastion.casemate("auditor", "audit", "verify", "--json")
    assert proof["intact"]
    auditor.terminal.press("C-q")
    auditor.returned(0)


def recording_of(link: Link, screen: str) -> Cast:
    """All of it, as a replay fetches it."""
    feed = ScreenFeed(link, screen)
    asyncio.run(feed.load())
    return feed.cast
