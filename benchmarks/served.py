"""A bastion that serves the workstation, a person who logs in to it with OpenSSH's client, and what they do there."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.end_to_end.served_desk import ui_host_of, ui_processes_of
from tests.end_to_end.stock_clients import askpass, ssh_command
from tests.servers.bastion_process import BastionProcess

from .databases import ACCOUNT, PostgresDatabase
from .peers import LIMITS, PERSON
from .processes import BenchmarkFailed
from .terminal import LIMIT, Terminal

ENTER, ESCAPE, F5, F6, CTRL_J, CTRL_U = b"\r", b"\x1b", b"\x1b[15~", b"\x1b[17~", b"\n", b"\x15"
PASTE_BEGIN, PASTE_END = b"\x1b[200~", b"\x1b[201~"


class Served:
    """`databases`: names in the server of `database`, each an entry of the bastion under its own name."""

    def __init__(self, folder: Path, database: PostgresDatabase, databases: list[str]) -> None:
        folder.mkdir()
        self._folder = folder
        self.process = BastionProcess(folder / "bastion-process", workstation=True)
        try:
            self._configure()
            self._declare(database, databases)
        except BaseException:
            self.process.remove()
            raise
        self.host = ui_host_of(self.process)

    def _configure(self) -> None:
        self.process.stop()
        file = self.process.configuration
        # Nobody comes back to a workstation here: one whose client is gone ends.
        text, found = re.subn(r"^resume_for = .*$", "resume_for = 0", file.read_text(), flags=re.M)
        if found != 1:
            raise BenchmarkFailed(f"{file} is written otherwise now than this benchmark knows")
        file.write_text(re.sub(r"^per_person = .*$", "per_person = 100", text, flags=re.M) + LIMITS)
        self.process.start()

    def _declare(self, database: PostgresDatabase, databases: list[str]) -> None:
        entries = [
            {
                "name": name, "engine": database.engine, "platform": "self-managed", "host": database.host,
                "port": database.port, "tls": {"mode": "disable"}, "databases": [name],
                "accounts": [{"name": ACCOUNT, "password": {"env": "ACCOUNT_PASSWORD"}}],
            }
            for name in databases
        ]  # fmt: skip
        grants = [{"name": "bench", "to": [PERSON], "on": databases, "accounts": ["*"]}]
        self.process.apply({"databases": entries, "grants": grants}, {"ACCOUNT_PASSWORD": database.password})

    @property
    def processes(self) -> set[int]:
        """Of the workstations that are open."""
        return set(ui_processes_of(self.host))

    def ssh(
        self, port: int | None = None, compressed: bool = False, more: Mapping[str, str] | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """The client's words and environment. `port`: by way of a relay of this machine; `more`: options of ssh."""
        host, own = self.process.address
        place = self._folder / "askpass"
        place.mkdir(exist_ok=True)
        options = {"Compression": "yes" if compressed else "no", "HostKeyAlias": f"[{host}]:{own}", **(more or {})}
        words = ssh_command(PERSON, host, port or own, self.process.known_hosts, options)
        environment = askpass(place, self.process.password_of(PERSON))
        return words, {**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8"}

    @contextmanager
    def login(self, port: int | None = None, compressed: bool = False) -> Iterator[Terminal]:
        """A terminal on which `ssh` has been started; `milliseconds_to_first_page` waits for the page."""
        with Terminal(*self.ssh(port, compressed)) as terminal:
            yield terminal

    @contextmanager
    def logged_in(self) -> Iterator[Callable[[], Terminal]]:
        """A connection that has been logged in and has no terminal yet; each call asks for one on it."""
        shared = {"ControlPath": str(self._folder / "shared")}
        with Terminal(*self._without_a_command({"ControlMaster": "yes", **shared})) as connection:
            end = time.monotonic() + LIMIT
            while not (self._folder / "shared").exists():
                if time.monotonic() > end:
                    raise BenchmarkFailed(f"ssh was not logged in within {LIMIT:g} s")
                connection.drain()
            yield lambda: Terminal(*self.ssh(more={"ControlMaster": "no", **shared}))

    def _without_a_command(self, more: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        words, environment = self.ssh(more=more)
        return [words[0], "-N", *words[1:]], environment

    @contextmanager
    def console(self, database: str, port: int | None = None, compressed: bool = False) -> Iterator[Terminal]:
        """The same with the database's console open and the cursor in its editor."""
        with self.login(port, compressed) as terminal:
            milliseconds_to_first_page(terminal)
            open_console(terminal, database)
            yield terminal

    def stop(self) -> None:
        self.process.remove()
        shutil.rmtree(self._folder, ignore_errors=True)


def milliseconds_to_first_page(terminal: Terminal) -> float:
    """From the start of `ssh` to the page with the databases."""
    return (terminal.wait(lambda text: "Search" in text and "1 Databases" in text) - terminal.began) * 1000


def open_console(terminal: Terminal, database: str) -> float:
    """From the page with the databases; the moment of the last Enter."""
    terminal.wait(f"{database} ")
    terminal.drain()
    terminal.press(database.encode())
    terminal.wait(lambda text: text.count(database) > 1)
    terminal.drain()
    entered = terminal.press(ENTER)
    terminal.wait(lambda text: "Request the token" in text or "autocommit" in text)
    if "Request the token" in terminal.text:
        terminal.drain()
        terminal.press(b"INC-1")
        terminal.drain()
        entered = terminal.press(ENTER)
    terminal.wait(lambda text: "autocommit" in text and "public" in text)
    return entered


def paste(terminal: Terminal, lines: int) -> None:
    """A script of so many lines into the editor."""
    terminal.press(PASTE_BEGIN + script(lines) + PASTE_END)
    terminal.drain(1.0)


def script(lines: int) -> bytes:
    """Short statements, one a line."""
    return b"".join(b"select %d from pgbench_accounts;\r" % number for number in range(1, lines + 1))


@contextmanager
def all_of(served: Served, count: int) -> Iterator[list[Terminal]]:
    """So many workstations with their first page."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(served.login()))
            milliseconds_to_first_page(opened[-1])
        yield opened
