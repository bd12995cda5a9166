"""What a person's link can do to a served workstation: lost with a transaction open, many sizes, Ctrl-C, an old tmux.
And that no token that was ever given out is in anything that is kept or watched."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from backends.host_keys import HostKeys
from backends.link import Credentials, Link, LinkError, Target
from bastion.api import messages as m
from bastion.api import methods, screens
from bastion.api.refusals import Refused
from tests.end_to_end.served_desk import Desk, end_workstations
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder, wait_for

DATABASE = "linked"
PASSWORD = "linked's own password"


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    """alice and bob may use one database with its hosted account."""
    postgres_server.create_user("linked_app", PASSWORD)
    postgres_server.create_database(DATABASE, "linked_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE linked_app")
        connection.execute("CREATE TABLE parcels (id int, label text)")
    process = BastionProcess(server_folder("linked"), workstation=True)
    process.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": "linked_app", "password": {"env": "ACCOUNT"}}],
                }
            ],
            "grants": [{"name": "linked", "to": ["alice", "bob"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": PASSWORD},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.fixture
def desk(bastion: BastionProcess, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Desks; they are left at the end."""
    opened: list[Desk] = []

    def make(person: str = "alice", **options: Any) -> Desk:
        made = Desk(bastion, tmp_path / f"desk{len(opened)}", person, **options)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()
    end_workstations(bastion)


def token_of(bastion: BastionProcess, person: str, *words: str) -> str:
    """The token that the person has, or gets."""
    (shown,) = bastion.casemate(person, "token", DATABASE, *words, "--json")
    return str(shown["token"])


def open_console(at: Desk) -> None:
    """From the databases page, with a token that is there."""
    at.terminal.wait(lambda text: f"{DATABASE} " in text)
    at.terminal.press("Enter")
    at.terminal.wait("autocommit")
    at.terminal.wait("public")


def run_sql(at: Desk, text: str) -> None:
    at.terminal.press("End", "C-u")
    at.terminal.type(text)
    at.terminal.press("F5")


def rows(postgres_server: PostgresServer, label: str) -> int:
    with postgres_server.admin(DATABASE) as connection:
        [[count]] = connection.execute("SELECT count(*) FROM parcels WHERE label = %s", [label]).fetchall()
    return int(count)


def test_a_transaction_lives_through_a_lost_link_and_is_committed_from_another_terminal(
    bastion: BastionProcess, desk: Callable[..., Desk], postgres_server: PostgresServer
) -> None:
    token_of(bastion, "alice")
    first = desk(columns=80, lines=24)
    first.open()
    open_console(first)
    first.terminal.press("F10")
    first.terminal.wait("the first statement opens a transaction")
    first.terminal.type("m")
    first.terminal.wait("manual commit")
    run_sql(first, "insert into parcels values (1, 'half done')")
    first.terminal.wait(lambda text: "open" in text and "INSERT 0 1" in text)
    assert rows(postgres_server, "half done") == 0
    first.kill_ssh()
    first.terminal.wait("Killed")

    second = desk(columns=100, lines=30, term="screen")
    second.log_in()
    second.terminal.wait("whose connection was lost")
    second.terminal.press("Enter")
    second.terminal.wait(lambda text: "half done" in text and "manual commit" in text)
    assert rows(postgres_server, "half done") == 0, "nothing was decided for the person"
    second.terminal.press("F10")
    second.terminal.wait("Roll back")
    second.terminal.type("c")
    second.terminal.wait("Committed.")
    assert rows(postgres_server, "half done") == 1
    second.terminal.press("C-q")
    second.returned(0)


def test_control_c_cancels_the_statement_and_never_the_workstation(
    bastion: BastionProcess, desk: Callable[..., Desk], postgres_server: PostgresServer
) -> None:
    token_of(bastion, "alice")
    at = desk(columns=80, lines=24)
    at.open()
    open_console(at)
    run_sql(at, "select pg_sleep(600) /* interrupted */")
    at.terminal.wait("Running")
    wait_for("the statement at work", lambda: postgres_server.running("interrupted"))
    at.terminal.press("C-c")
    at.terminal.wait("Cancelled, the database confirmed it")
    at.terminal.press("C-c")
    at.terminal.wait("quits.")
    run_sql(at, "select 'still ' || 'here'")
    at.terminal.wait("still here")
    at.terminal.press("C-q")
    at.returned(0)
    (found,) = bastion.casemate("auditor", "audit", "search", "interrupted", "--json")
    assert found["state"] == "cancelled"


def test_sizes_change_while_rows_arrive_and_nothing_is_lost(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    token_of(bastion, "bob")
    at = desk("bob")
    at.open()
    open_console(at)
    run_sql(at, "select n, repeat('x', 100) from generate_series(1, 200000) n")
    for number in range(30):
        at.terminal.resize(50 + 9 * (number % 10), 14 + number % 20)
    at.terminal.resize(100, 30)
    at.terminal.wait(lambda text: "200,000 rows, all of them" in text and "bob@" in text.split("\n")[0])
    at.terminal.press("C-q")
    at.returned(0)


def test_a_tmux_that_says_screen_takes_the_copied_token(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    token = token_of(bastion, "alice")
    at = desk(term="screen")
    at.open()
    at.terminal.wait(lambda text: f"{DATABASE} " in text)
    at.terminal.press("F3")
    at.terminal.wait("SSH host")
    at.terminal.type("c")
    assert wait_for("the token in the clipboard", lambda: _clipboard(at)) == token
    at.terminal.press("Escape")
    at.terminal.wait(lambda text: "SSH host" not in text)
    at.terminal.press("C-q")
    at.returned(0)


def _clipboard(at: Desk) -> str:
    try:
        return at.terminal.clipboard()
    except AssertionError:
        return ""


class Watcher:
    """An auditor who hears every notification and watches a person's screen, and keeps all that arrives."""

    def __init__(self, bastion: BastionProcess, person: str) -> None:
        target = Target("auditor", HOST, bastion.address[1])
        self._link = Link.connect_now(
            target, Credentials(password=bastion.password_of("auditor")), HostKeys([bastion.known_hosts])
        )
        self._heard: list[str] = []
        self._over = threading.Event()
        self._link.listen(lambda event: self._heard.append(json.dumps([event.topic, event.kind, event.data])))
        self._link.run_on_loop(self._link.subscribe("sessions", "statements", "tokens"), 30)
        self._bastion, self._person = bastion, person
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        screen: m.Screen | None = None
        while screen is None and not self._over.wait(0.1):
            there = self._link.call_now(methods.SCREENS, methods.ScreenFilter(user=self._person, limit=1))
            screen = next((each for each in there if each.ended_at is None), None)
        after: int | None = None
        while screen is not None and not self._over.is_set():
            try:
                piece: screens.ScreenPiece = self._link.call_now(
                    methods.SCREEN_FOLLOW, screens.ScreenFollowRequest(id=screen.id, after=after, wait=2.0)
                )
            except (Refused, LinkError):
                return
            if piece.data:
                self._heard.append(zstandard.ZstdDecompressor().decompress(piece.data, 64 * 1024 * 1024).decode())
            after = piece.next
            if not piece.live:
                return

    def stop(self) -> str:
        """Everything that was heard and seen."""
        self._over.set()
        self._thread.join(30)
        self._link.close()
        return "\n".join(self._heard)


def test_no_token_that_was_ever_given_out_is_in_what_is_kept_or_watched(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    given: set[str] = {token_of(bastion, "alice", "--new"), token_of(bastion, "bob", "--new")}
    watcher = Watcher(bastion, "alice")
    alice, bob = desk("alice", columns=100), desk("bob", columns=80, lines=24)
    try:
        for at in (alice, bob):
            at.open()
            at.terminal.wait(lambda text: f"{DATABASE} " in text)
            at.terminal.press("F3")
            at.terminal.wait("SSH host")
            at.terminal.type("c")
            given.add(wait_for("the token in the clipboard", lambda at=at: _clipboard(at)))  # type: ignore[misc]
            at.terminal.type("v")
            at.terminal.wait("cmt_")
            at.terminal.press("Right")
            at.terminal.wait("ssh -N -L")
            at.terminal.press("Left")
            at.terminal.type("r")
            at.terminal.wait("2 renewals left")
            at.terminal.type("x")
            at.terminal.wait("Revoke the token?")
            at.terminal.type("y")
            at.terminal.wait(lambda text: "SSH host" not in text)
        # Another one each: asked for in the workstation, and shown on the terminal by a plain command.
        alice.terminal.press("F3")
        alice.terminal.wait("Request the token")
        alice.terminal.type("INC-9")
        alice.terminal.press("Enter")
        alice.terminal.wait("SSH host")
        alice.terminal.type("v")
        alice.terminal.wait("cmt_")
        given |= {token_of(bastion, "alice"), token_of(bastion, "bob")}
        alice.terminal.press("Escape")
        alice.terminal.wait(lambda text: "SSH host" not in text)
        for at in (alice, bob):
            at.terminal.press("C-q")
            at.returned(0)
    finally:
        watched = watcher.stop()
    assert len(given) == 4, "two of each, and the copied ones are among them"

    assert "SSH host" in watched, "the watcher has seen the dialog"
    casts = []
    for screen in bastion.casemate("auditor", "audit", "screens", "--json"):
        if screen["recorded"]:
            where = ["--bastion", f"auditor@{HOST}:{bastion.address[1]}"]
            environment = {"CASEMATE_PASSWORD": bastion.password_of("auditor")}
            casts.append(bastion.run("audit", "replay", screen["id"], *where, environment=environment))
    assert len(casts) >= 2
    for what, text in (("casts", "\n".join(casts)), ("watched", watched)):
        written = "".join(
            str(event[2])
            for line in text.splitlines()
            if line.startswith("[") and len(event := json.loads(line)) == 3 and event[1] == "o"
        )
        for token in given:
            assert token not in text, what
            assert base64.b64encode(token.encode()).decode() not in text, what
            parts = [token[start : start + 8] for start in range(4, len(token) - 8)]
            assert [part for part in parts if part in written] == [], what
    for token in given:
        assert not bastion.mentions(token)
