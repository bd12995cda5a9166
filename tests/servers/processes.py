"""Starting a real program for tests: a port of its own, an owner that it accepts, and an end that always comes.

Everything started here dies with the test process, also when that is killed: the kernel is asked for it
(PR_SET_PDEATHSIG) where it is Linux, and pytest's teardown does it in any case.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_held_ports: dict[int, IO[str]] = {}
_folders: list[Path] = []


class ServerFailed(Exception):
    """A test server did not start, or ended before its time. The message carries the end of its log."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on and that no other test process will be given.

    It lies below the range from which the kernel takes ports for outgoing connections, so that no connection can sit
    on it between this answer and the server's start. A lock on a file keeps it for this process's life.
    """
    locks = Path(tempfile.gettempdir()) / f"casemate-test-ports-{os.getuid()}"
    locks.mkdir(mode=0o700, exist_ok=True)
    for port in random.sample(range(20_000, _first_ephemeral_port()), 200):
        lock = (locks / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
        _held_ports[port] = lock
        return port
    raise ServerFailed("no free port between 20000 and the ephemeral range; something on this machine holds them all")


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768


def wait_for(what: str, condition: Callable[[], T], limit: float = 60.0, interval: float = 0.02) -> T:
    """The first truthy answer of `condition`. Fails after `limit` seconds, naming `what` was waited for."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit:g} s for {what}, and it did not come")
        time.sleep(interval)


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def server_user() -> str | None:
    """The account that a database server runs under when we are root (they all refuse to run as root); else None."""
    return "nobody" if os.geteuid() == 0 else None


def server_folder(name: str) -> Path:
    """A new folder for a server's data, owned by `server_user`, in the system's temporary folder.

    Its path is short: a Unix socket's must fit in 107 bytes. Folders of test processes that were killed are swept.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"casemate-{os.getpid()}-{name}-"))
    own(folder)
    _folders.append(folder)
    return folder


def own(path: Path) -> None:
    """Gives a path to `server_user`, where there is one."""
    user = server_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def remove(folder: Path) -> None:
    """Removes a server's folder; a file that vanishes meanwhile is no fault."""
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob("casemate-[0-9]*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            remove(folder)


@atexit.register
def _remove_folders() -> None:
    for folder in _folders:
        remove(folder)


def _die_with_parent(parent: int, death: signal.Signals) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), death)


def _become(user: str | None, root: Path | None) -> None:
    if root is not None:
        os.chroot(root)
        os.chdir("/")
    if user is not None:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)


def run_to_end(
    command: Sequence[str | Path], *, user: str | None = None, root: Path | None = None, limit: float = 120
) -> str:
    """Runs a program as `user`, inside the tree `root` where one is given. Returns what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit,
        cwd="/",
        env=plain_environment(),
        preexec_fn=lambda: _become(user, root),
        check=False,
    )
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def plain_environment() -> dict[str, str]:
    """An environment without anything that steers a database client or server (PG*, MYSQL*, …)."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


class ServerProcess:
    """A running server program with its log. `stop` ends it; so does the end of this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        user: str | None = None,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self._stop_signal = stop_signal
        parent = os.getpid()

        def prepare() -> None:
            _become(user, root)
            _die_with_parent(parent, death_signal)

        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=dict(environment or plain_environment()),
                preexec_fn=prepare,
                start_new_session=True,
            )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, what: str, ready: Callable[[], bool], limit: float = 120.0) -> None:
        """Waits for `ready`; an end of the program in the meantime is reported with its log."""

        def ready_or_ended() -> bool:
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.command[0]} ended with {self.process.returncode}:\n{self.last_words()}")
            return ready()

        try:
            wait_for(what, ready_or_ended, limit)
        except TimeoutError as error:
            raise ServerFailed(f"{error}; the end of its log:\n{self.last_words()}") from error

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-3000:]
        return "(no log)"

    def stop(self, limit: float = 15.0) -> None:
        """Ends the program: politely, then by force."""
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(limit)
