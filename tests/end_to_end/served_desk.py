"""A desk with tmux and OpenSSH's client on it, for the workstation that the bastion serves."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from pathlib import Path

from tests.end_to_end.stock_clients import askpass, ssh_command
from tests.end_to_end.tmux import Tmux
from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import wait_for


class Desk:
    """One person at one terminal."""

    def __init__(
        self,
        bastion: BastionProcess,
        place: Path,
        person: str = "alice",
        columns: int = 100,
        lines: int = 30,
        term: str = "tmux-256color",
        environment: dict[str, str] | None = None,
    ) -> None:
        place.mkdir(exist_ok=True)
        self.bastion = bastion
        self._person = person
        self._environment = environment or {}
        self.terminal = Tmux(
            place, {**askpass(place, bastion.password_of(person)), **self._environment}, columns, lines, term
        )
        self._options = {"SendEnv": " ".join(self._environment)} if self._environment else {}

    def log_in(self, *words: str, port: int | None = None) -> None:
        """`ssh …`, and what it returned is shown at the end."""
        host, usual = self.bastion.address
        command = ssh_command(self._person, host, port or usual, self.bastion.known_hosts, self._options)
        self.terminal.type(f"clear; {shlex.join([*command[:-1], *words, command[-1]])}; echo returned $?")
        self.terminal.press("Enter")

    def open(self) -> None:
        """Logs in and waits for the first page."""
        self.log_in()
        self.terminal.wait(lambda text: text.lstrip().startswith("casemate") and "Search" in text)

    def returned(self, code: int) -> str:
        """Waits for the end of ssh; what is shown then. The terminal is the shell's again."""
        text = self.terminal.wait(f"returned {code}")
        self.restored()
        return text

    def restored(self) -> None:
        """The terminal is as it was: normal screen, cursor, no mouse, wrapping."""
        names = ("alternate_on", "cursor_flag", "mouse_any_flag", "mouse_sgr_flag", "wrap_flag", "keypad_flag")
        found = dict(zip(names, self.terminal.state(*names), strict=True))
        assert found == {
            "alternate_on": "0", "cursor_flag": "1", "mouse_any_flag": "0", "mouse_sgr_flag": "0", "wrap_flag": "1",
            "keypad_flag": "0",
        }  # fmt: skip

    def ssh(self) -> int:
        """The process id of the client."""
        (pid,) = [pid for pid in children_of(int(self.terminal.state("pane_pid")[0])) if b"ssh" in command_line(pid)]
        return pid

    def kill_ssh(self) -> None:
        """kill -9 of the client: the connection is lost without a word."""
        os.kill(self.ssh(), signal.SIGKILL)

    def close(self) -> None:
        self.terminal.close()


def children_of(pid: int) -> list[int]:
    """Processes whose parent it is."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def command_line(pid: int) -> bytes:
    """Its words."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def ui_host_of(bastion: BastionProcess) -> int:
    """The process id of the bastion's UI host, once it is there."""

    def found() -> int | None:
        for pid in children_of(bastion.pid):
            words = command_line(pid)
            if b"tui.hosting" in words or b"casemate-ui" in words:
                return pid
        return None

    return int(wait_for("the UI host", found))


def ui_processes_of(host: int) -> list[int]:
    """The workstations that it has forked."""
    return children_of(host)


def end_workstations(bastion: BastionProcess) -> None:
    """Kills every workstation that is there, also one that only now begins, and waits until none is left."""

    def none_left() -> bool:
        left = ui_processes_of(ui_host_of(bastion))
        for process in left:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(process, signal.SIGKILL)
        return not left

    wait_for("no workstation left", none_left)
