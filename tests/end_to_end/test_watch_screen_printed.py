"""An auditor follows the screen of a served workstation in their own shell: `casemate watch SESSION --screen`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.served_desk import Desk, end_workstations
from tests.servers.bastion_process import BastionProcess, CommandFailed, program
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder, wait_for

DATABASE = "printed"
ACCOUNT = "printed_app"
PASSWORD = "printed's own password"
COLUMNS, LINES = 110, 32


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    """alice may use one database with its hosted account."""
    postgres_server.create_user(ACCOUNT, PASSWORD)
    postgres_server.create_database(DATABASE, ACCOUNT)
    process = BastionProcess(server_folder(DATABASE), workstation=True)
    process.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": ACCOUNT, "password": {"env": "ACCOUNT"}}],
                }
            ],
            "grants": [{"name": DATABASE, "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": PASSWORD},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.fixture
def alice(bastion: BastionProcess, tmp_path: Path) -> Iterator[Desk]:
    """Her terminal."""
    made = Desk(bastion, tmp_path / "alice", "alice", columns=COLUMNS, lines=LINES)
    yield made
    made.close()
    end_workstations(bastion)


@pytest.fixture
def auditor(bastion: BastionProcess, tmp_path: Path) -> Iterator[Desk]:
    """A shell on the auditor's machine, larger than alice's terminal."""
    environment = {
        "CASEMATE_PASSWORD": bastion.password_of("auditor"), "CASEMATE_KNOWN_HOSTS": str(bastion.known_hosts),
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    made = Desk(bastion, tmp_path / "auditor", "auditor", columns=120, lines=40, environment=environment)
    yield made
    made.close()


def at_work(alice: Desk) -> None:
    """alice in a console."""
    alice.open()
    alice.terminal.wait(lambda text: f"{DATABASE} " in text)
    alice.terminal.press("F3")
    alice.terminal.wait("Request the token")
    alice.terminal.type("INC-1")
    alice.terminal.press("Enter")
    alice.terminal.wait("SSH host")
    alice.terminal.type("o")
    alice.terminal.wait("public")


def watch(bastion: BastionProcess, auditor: Desk, session: str) -> None:
    """In the auditor's shell; what it returned is shown at the end."""
    host, port = bastion.address
    words = [*program(), "watch", session, "--screen", "--bastion", f"auditor@{host}:{port}"]
    auditor.terminal.type(f"clear; {shlex.join(words)}; echo returned $?")
    auditor.terminal.press("Enter")


def shown_as_at(alice: Desk) -> Callable[[str], bool]:
    """Whether the auditor sees what alice sees, line for line."""

    def same(text: str) -> bool:
        hers = [line.rstrip() for line in alice.terminal.text.splitlines()]
        return [line.rstrip() for line in text.splitlines()][: len(hers)] == hers

    return same


def test_a_workstation_is_followed_in_a_shell_and_left(bastion: BastionProcess, alice: Desk, auditor: Desk) -> None:
    at_work(alice)
    alice.terminal.type("select 'parcel 上海 ' || (41 + 1) /* drawn afar */")
    alice.terminal.press("F5")
    alice.terminal.wait("parcel 上海 42")
    (found,) = wait_for(
        "her statement is on record", lambda: bastion.casemate("auditor", "audit", "search", "drawn afar", "--json")
    )
    session = found["session"]

    # Where there is no terminal to draw it on, nothing is drawn.
    with pytest.raises(CommandFailed, match="standard output is none") as failed:
        bastion.casemate("auditor", "watch", session, "--screen")
    assert failed.value.exit_code == 1
    assert "screen-watched" not in [each.get("act") for each in bastion.journal()]

    watch(bastion, auditor, session)
    text = auditor.terminal.wait(lambda text: "parcel 上海 42" in text and "Ctrl-C leaves" in text)
    assert f" {COLUMNS}×{LINES} · alice · {session}" in text.splitlines()[-1]
    auditor.terminal.wait(shown_as_at(alice))
    assert auditor.terminal.state("alternate_on", "cursor_flag") == ("1", "0")

    # What is typed is seen while it is typed; what the auditor types is seen nowhere.
    auditor.terminal.type("not for anybody")
    alice.terminal.press("End", "C-u")
    alice.terminal.type("select 'seen before it is run'")
    text = auditor.terminal.wait("select 'seen before it is run'")
    assert "not for anybody" not in text

    # A smaller terminal has its part of it, and says so; a larger one all of it again.
    auditor.terminal.resize(80, 24)
    text = auditor.terminal.wait(lambda text: f"CLIPPED: 80×23 of {COLUMNS}×{LINES}" in text)
    assert len(text.rstrip("\n").splitlines()) == 24
    auditor.terminal.resize(120, 40)
    auditor.terminal.wait(lambda text: f" {COLUMNS}×{LINES} · alice" in text)
    auditor.terminal.wait(shown_as_at(alice))

    auditor.terminal.press("C-c")
    text = auditor.returned(130)
    assert "You watch no longer." in text
    assert "seen before" not in text
    auditor.terminal.type("echo shell is back")
    auditor.terminal.press("Enter")
    text = auditor.terminal.wait(lambda text: "shell is back" in text.splitlines())
    assert "not for anybody" not in text

    looks = [each for each in bastion.journal() if each.get("act") == "screen-watched"]
    assert [each["user"] for each in looks] == ["auditor"]
    opened = [each for each in bastion.journal() if each.get("act") == "workstation-session"]
    assert {looks[0]["subject"]} == {each["detail"]["screen"] for each in opened if each["subject"] == session}

    # It ends with the session: alice leaves.
    watch(bastion, auditor, session)
    auditor.terminal.wait(lambda text: "seen before it is run" in text and "Ctrl-C leaves" in text)
    alice.terminal.press("C-q")
    alice.returned(0)
    text = auditor.returned(0)
    assert "The session is over" in text or "The workstation is closed." in text
