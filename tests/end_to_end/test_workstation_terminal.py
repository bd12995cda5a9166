"""The main job in a real terminal: log in, a token, a query, its rows, quit; then it is found on record."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.servers.bastion_process import HOST, BastionProcess, program
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

PASSWORD = "workstation-app's own password"
DATABASE = "wsterminal"
LIMIT = 60.0


class Terminal:
    """A program on a pseudo-terminal, and what a person would see of it."""

    def __init__(self, words: list[str], environment: dict[str, str], columns: int = 100, lines: int = 30) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._child = pexpect.spawn(words[0], words[1:], env=environment, dimensions=(lines, columns), timeout=LIMIT)
        self.written = b""

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def _read(self, limit: float) -> bool:
        """Reads once; False at the end of the program."""
        try:
            data = self._child.read_nonblocking(65536, timeout=limit)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += data
        # A query of the keyboard protocol that the emulator would print.
        self._stream.feed(data.replace(b"\x1b[<u", b"").replace(b"\x1b[>1u", b""))
        return True

    def wait(self, what: str | Callable[[str], bool]) -> str:
        """Until the screen shows it. Raises AssertionError with the screen."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if what in self.text if isinstance(what, str) else what(self.text):
                return self.text
            if not self._read(0.2):
                break
        raise AssertionError(f"{what!r} was not shown:\n{self.text}")

    def press(self, keys: str) -> None:
        self._child.send(keys)

    def stopped_and_told_to_go_on(self) -> None:
        """By signals that a program is not asked about; what was on the terminal is gone meanwhile."""
        os.kill(self._child.pid, signal.SIGSTOP)
        wait_for("its stop", lambda: _state(self._child.pid) == "T", LIMIT)
        self._screen.reset()
        os.kill(self._child.pid, signal.SIGCONT)

    def ended(self) -> int:
        """Waits for the end; the exit code. Raises AssertionError with the screen."""
        end = time.monotonic() + LIMIT
        while self._read(0.2):
            if time.monotonic() > end:
                raise AssertionError(f"the program has not ended:\n{self.text}")
        wait_for("the end of the program", lambda: not self._child.isalive(), LIMIT)
        return int(self._child.exitstatus if self._child.exitstatus is not None else -1)

    def kill(self) -> None:
        """Ends it, however long its end takes: closing alone gives up after a tenth of a second."""
        if self._child.isalive():
            self._child.kill(signal.SIGKILL)
            wait_for("the end of the program", lambda: not self._child.isalive(), LIMIT)
        self._child.close()


def _state(process: int) -> str:
    """The state that the kernel gives it (proc_pid_stat(5))."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


ENTER, ESCAPE, TAB = "\r", "\x1b", "\t"
F3, F5, F8, RIGHT = "\x1bOR", "\x1b[15~", "\x1b[19~", "\x1b[C"
CTRL_J, CTRL_Q = "\n", "\x11"


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    """alice may use the database with its hosted account, and open one name in it."""
    postgres_server.create_user("ws_app", PASSWORD)
    postgres_server.create_database(DATABASE, "ws_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE ws_app")
        connection.execute(
            "CREATE TABLE parcels AS SELECT n AS id, 'parcel ' || n AS label FROM generate_series(1, 7) AS n"
        )
    stock_bastion.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": "ws_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                }
            ],
            "grants": [{"name": "alice-wsterminal", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    return stock_bastion


def environment(bastion: BastionProcess) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(bastion.folder),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "CASEMATE_KNOWN_HOSTS": str(bastion.known_hosts),
    }


@pytest.fixture
def terminal(granted: BastionProcess) -> Iterator[Terminal]:
    target = f"alice@{HOST}:{granted.address[1]}"
    opened = Terminal([*program(), "connect", target], environment(granted))
    yield opened
    opened.kill()


def test_stopped_and_told_to_go_on_it_is_there_again_and_can_be_left(terminal: Terminal) -> None:
    terminal.wait("Password, or passphrase")
    for word in ("once", "twice"):
        terminal.stopped_and_told_to_go_on()
        terminal.wait("Password, or passphrase")
        terminal.press(f"not the password, {word}" + ENTER)
        terminal.wait("Login failed")
    terminal.press(CTRL_Q)
    assert terminal.ended() == 0


def test_the_main_job(granted: BastionProcess, postgres_server: PostgresServer, terminal: Terminal) -> None:
    terminal.wait("Password, or passphrase")
    terminal.press("not the password" + ENTER)
    terminal.wait("Login failed")
    terminal.press(granted.password_of("alice") + ENTER)
    terminal.wait("1 Databases")

    terminal.press(DATABASE)
    terminal.wait(lambda text: f"{DATABASE} " in text and "ws_app" in text and "none" in text)
    terminal.press(F3)
    terminal.wait("Request the token")
    terminal.press("INC-4711" + ENTER)
    terminal.wait("************")
    terminal.press("v")
    terminal.wait("cmt_")
    terminal.wait(lambda text: "7h 59m left" in text or "8h 00m left" in text)
    terminal.press(RIGHT)
    terminal.wait("ssh -N -L")
    terminal.press("o")

    terminal.wait("autocommit")
    terminal.wait("public")
    terminal.press("select id, label from parcels /* seen in a terminal */ order by id" + F5)
    terminal.wait("7 rows, all of them")
    terminal.wait(lambda text: "parcel 1" in text and "parcel 7" in text)

    terminal.press("\r;\rselect pg_sleep(60)" + CTRL_J)
    terminal.wait("Running")
    wait_for("the statement at work", lambda: postgres_server.running("pg_sleep(60)"))
    terminal.press(F8)
    terminal.wait("the connection is kept.")

    terminal.press(CTRL_Q)
    assert terminal.ended() == 0
    assert terminal.written.count(b"\x1b[?1049l") >= 1

    found = granted.casemate("auditor", "audit", "search", "seen in a terminal", "--json")
    assert [(entry["user"], entry["database"], entry["account"], entry["state"], entry["rows"]) for entry in found] == [
        ("alice", DATABASE, "ws_app", "done", 7)
    ]
    slept = granted.casemate("auditor", "audit", "search", "pg_sleep(60)", "--user", "alice", "--json")
    assert [entry["state"] for entry in slept] == ["cancelled"]
    session = granted.wait_for_sessions(
        "the end of the session",
        lambda all_: [entry for entry in all_ if entry["id"] == found[0]["session"] and entry["state"] == "closed"],
    )
    assert [entry["unattributed_bytes"] for entry in session] == [0]


def test_without_a_terminal_it_says_so(granted: BastionProcess) -> None:
    done = subprocess.run(
        [*program(), "connect", f"alice@{HOST}"],
        env=environment(granted),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert done.stdout == ""
