"""`casemate demo` as a newcomer meets it: in a terminal, and with `--check`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.servers.bastion_process import program
from tests.servers.processes import wait_for

WIDTH, HEIGHT = 110, 34


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The demo's folder; a path that the account of the databases may pass, whoever runs this."""
    path = Path(f"/tmp/casemate-demo-test-{os.getpid()}")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "CASEMATE_DEMO_DIR": str(folder),
        "TERM": "xterm-256color",
    }  # fmt: skip


def processes(folder: Path) -> list[str]:
    """Command lines of the running processes that name the demo's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry.parent / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if str(folder) in command and state != "Z":
            found.append(command)
    return found


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program(), "demo", "--check"], env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip


class Screen:
    """The demo in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.child = pexpect.spawn(
            program()[0],
            [*program()[1:], "demo"],
            env=environment(folder),
            dimensions=(HEIGHT, WIDTH),
            encoding="utf-8",
        )
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.Stream(self._screen)

    def text(self) -> str:
        try:
            while True:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0))
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        return "\n".join(self._screen.display)

    def wait_for(self, pattern: str, limit: float = 60) -> str:
        """The screen once it shows `pattern`."""

        def seen() -> str | None:
            text = self.text()
            return text if re.search(pattern, text) else None

        return wait_for(f"{pattern!r} on the screen", seen, limit)


def test_check_does_the_main_job_and_says_what_it_saw(folder: Path) -> None:
    done = check(folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    said = [line.split(maxsplit=1)[0] for line in lines if not line.startswith(" ")]
    assert said[:3] == ["started", "log", "databases"]
    assert [word for word in said if word in ("token", "tunnel", "query", "record")][:4] == [
        "token", "tunnel", "query", "record",
    ]  # fmt: skip
    assert said[-1] == "proof"
    assert "delivered  32028" in done.stdout
    [record] = [line for line in lines if line.startswith("record") and "on orders" in line]
    assert re.search(r"demo on orders as app, select, 5 rows, [0-9.]+ ms$", record)
    wait_for("the end of what it had started", lambda: not processes(folder))


def test_what_it_makes_up_is_for_its_owner_only(folder: Path) -> None:
    secrets = json.loads((folder / "demo.json").read_text())["passwords"]
    assert {"demo", "auditor", "admin"} <= secrets.keys()
    for path in (folder / "demo.json", folder / "keys" / "demo_ed25519"):
        assert path.stat().st_mode & 0o077 == 0
    for secret in secrets.values():
        for log in folder.glob("*.log"):
            assert secret not in log.read_text(errors="replace")


def test_second_start_opens_the_workstation_signed_in_and_quitting_stops_everything(folder: Path) -> None:
    begun = time.monotonic()
    screen = Screen(folder)
    shown = screen.wait_for(r"orders +PostgreSQL")
    took = time.monotonic() - begun
    assert "demo@127.0.0.1:" in shown
    secrets = json.loads((folder / "demo.json").read_text())["passwords"].values()
    commands = " ".join(processes(folder))
    assert "serve --config" in commands
    assert not [secret for secret in secrets if secret in commands]
    again = check(folder)
    assert again.returncode == 1
    assert "The demo is running already" in again.stderr
    screen.child.sendcontrol("q")
    screen.child.expect(pexpect.EOF, timeout=60)
    wait_for("its end", lambda: not screen.child.isalive())
    assert screen.child.exitstatus == 0
    wait_for("the end of what it had started", lambda: not processes(folder))
    # Three seconds on an idle machine; the tests keep its processors busy. The first start takes far longer than this.
    assert took < 45, f"the second start took {took:.1f} s"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_however_it_ends_nothing_is_left_running(folder: Path, how: signal.Signals) -> None:
    screen = Screen(folder)
    screen.wait_for(r"orders +PostgreSQL")
    screen.child.kill(how)
    screen.text()
    wait_for("the end of what it had started", lambda: not processes(folder))
    wait_for("its end", lambda: not screen.child.isalive())
    screen.child.close()


def test_without_a_terminal_it_says_what_to_do(folder: Path) -> None:
    done = subprocess.run(
        [*program(), "demo"], env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "casemate demo --check" in done.stderr
