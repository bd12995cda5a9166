"""The editor against a real database and bastion: names of the catalog are completed, a statement asks for its
parameter, and what was open and what was run are there again after a restart, without the password that was in it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.desk import Desk
from tests.servers.bastion_process import HOST, BastionProcess, program
from tests.servers.postgres import PostgresServer

from .test_workstation_terminal import ENTER, ESCAPE, F5, TAB, Terminal, environment

PASSWORD = "editor-app's own password"
DATABASE = "wseditor"
SECRET = "correct-horse-battery"
CTRL_BACKSLASH, F7 = "\x1c", "\x1b[18~"


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    """bob may use the database with its hosted account."""
    postgres_server.create_user("editor_app", PASSWORD)
    postgres_server.create_database(DATABASE, "editor_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE editor_app")
        connection.execute(
            "CREATE TABLE parcels AS SELECT n AS id, 'parcel ' || n AS label FROM generate_series(1, 7) AS n"
        )
    stock_bastion.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE],
                    "accounts": [{"name": "editor_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                }
            ],
            "grants": [{"name": "bob-wseditor", "to": ["bob"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    return stock_bastion


@pytest.fixture
def desk(granted: BastionProcess) -> Iterator[Desk]:
    opened = Desk(granted)
    # What is open follows the person, also into other tests.
    opened.call("bob", "personal.remove", kind="editor")
    yield opened
    opened.call("bob", "personal.remove", kind="editor")
    opened.close()


def workstation(bastion: BastionProcess) -> Terminal:
    """Logged in, with the console of the database open and its names known."""
    opened = Terminal([*program(), "connect", f"bob@{HOST}:{bastion.address[1]}"], environment(bastion))
    opened.wait("Password, or passphrase")
    opened.press(bastion.password_of("bob") + ENTER)
    opened.wait("1 Databases")
    opened.press(DATABASE)
    opened.wait(lambda text: f"{DATABASE} " in text and "editor_app" in text)
    opened.press(ENTER)
    return opened


def test_completed_asked_for_and_there_again(granted: BastionProcess, desk: Desk) -> None:
    terminal = workstation(granted)
    try:
        terminal.wait("Request the token")
        terminal.press("INC-4712" + ENTER)
        terminal.wait("1 table")
        terminal.press("select label from par")
        terminal.wait("Tab takes it")
        terminal.press(TAB + " where id = :which")
        terminal.wait("parcels where id = :which")
        terminal.press(F5)
        terminal.wait("Values for the statement")
        terminal.press("3")
        terminal.wait("where id = 3")
        terminal.press(F5)
        terminal.wait("parcel 3")
        terminal.press(f";\ralter role editor_app password '{SECRET}'" + F5)
        terminal.wait("ALTER ROLE")
        terminal.press(F7)
        terminal.wait("alter role editor_app password '***'")
        terminal.press(ESCAPE)
        terminal.wait(lambda text: "Enter inserts the statement" not in text)
        terminal.press(CTRL_BACKSLASH)
        assert terminal.ended() == 0
    finally:
        terminal.kill()

    kept = [json.loads(item["value"]) for item in desk.call("bob", "personal.list", kind="history")["items"]]
    here = [entry for entry in kept if entry["database"] == DATABASE and "parcels" in entry["text"]]
    assert [entry["rows"] for entry in here] == [1]
    [altered] = [entry for entry in kept if "alter role" in entry["text"]]
    assert SECRET not in json.dumps(altered)

    again = workstation(granted)
    try:
        again.wait("select label from parcels where id = :which;")
        again.press(F7)
        again.wait("select label from parcels where id = 3")
    finally:
        again.kill()
