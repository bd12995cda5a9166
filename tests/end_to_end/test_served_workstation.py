"""The workstation over plain SSH: OpenSSH's client in tmux, nothing of ours at the desk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.served_desk import Desk, ui_host_of, ui_processes_of
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder, wait_for

DATABASE = "served"
NASTY = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\u202e\x9b31m end"


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    """alice and bob may use one database with its hosted account."""
    postgres_server.create_user("served_app", "served's own password")
    postgres_server.create_database(DATABASE, "served_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE served_app")
        connection.execute(
            "CREATE TABLE parcels AS SELECT n AS id, 'parcel ' || n AS label FROM generate_series(1, 7) n"
        )
        connection.execute("CREATE TABLE nasty (word text)")
        connection.execute("INSERT INTO nasty VALUES (%s)", [NASTY])
    process = BastionProcess(server_folder("served"), workstation=True)
    process.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": "served_app", "password": {"env": "ACCOUNT"}}],
                }
            ],
            "grants": [{"name": "served", "to": ["alice", "bob"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": "served's own password"},
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


def open_token(desk: Desk) -> None:
    """From the databases page to a token."""
    terminal = desk.terminal
    terminal.wait(lambda text: f"{DATABASE} " in text)
    terminal.press("F3")
    terminal.wait(lambda text: "Request the token" in text or "SSH host" in text)
    if "Request the token" in terminal.text:
        terminal.type("INC-1")
        terminal.press("Enter")
    terminal.wait("SSH host")


def open_console(desk: Desk) -> None:
    """From the databases page to a console."""
    open_token(desk)
    desk.terminal.type("o")
    desk.terminal.wait("public")


def run_sql(desk: Desk, text: str) -> None:
    desk.terminal.type(text)
    desk.terminal.press("F5")


def test_the_main_job(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    open_console(at)
    run_sql(at, "select id, label from parcels /* served over ssh */ order by id")
    at.terminal.wait(lambda text: "parcel 1" in text and "parcel 7" in text and "7 rows" in text)
    assert at.terminal.state("alternate_on", "mouse_any_flag", "cursor_flag") == ("1", "1", "0")

    at.terminal.press("C-q")
    text = at.returned(0)
    assert "Traceback" not in text

    found = bastion.casemate("auditor", "audit", "search", "served over ssh", "--json")
    assert [(each["user"], each["database"], each["state"], each["rows"]) for each in found] == [
        ("alice", DATABASE, "done", 7)
    ]
    session = next(each for each in bastion.sessions() if each["id"] == found[0]["session"])
    assert (session["source"], session["unattributed_bytes"]) == ("127.0.0.1", 0)
    assert ui_processes_of(ui_host_of(bastion)) == []


def test_a_copied_token_reaches_the_clipboard_of_the_persons_terminal(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    open_token(at)
    at.terminal.type("c")
    copied = wait_for("the token in the clipboard", lambda: _clipboard(at))
    assert copied.startswith("cmt_")
    assert copied not in at.terminal.text
    at.terminal.type("v")
    at.terminal.wait(copied)


def _clipboard(at: Desk) -> str:
    try:
        return at.terminal.clipboard()
    except AssertionError:
        return ""


def test_without_a_terminal_or_on_a_plain_one_there_is_a_sentence(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.log_in("-T")
    assert "needs a terminal" in at.returned(1)
    dumb = desk(term="dumb")
    dumb.log_in()
    text = dumb.terminal.wait("returned 1")
    assert "terminal of type `dumb`" in text.replace("\n", "")


def test_two_people_at_once_and_the_end_of_one_is_not_the_others(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    alice, bob = desk("alice"), desk("bob", columns=80, lines=24)
    alice.open()
    bob.open()
    assert "alice@" in alice.terminal.text
    assert "bob@" in bob.terminal.text
    host = ui_host_of(bastion)
    before = set(ui_processes_of(host))
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)  # alice's: she was first
    text = alice.returned(1)
    assert "ended unexpectedly" in text
    bob.terminal.type("no such thing")
    bob.terminal.wait("no such thing")
    bob.terminal.press("C-q")
    bob.returned(0)
    wait_for("no process left", lambda: not ui_processes_of(host))
