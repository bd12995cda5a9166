"""Programs that the demo starts: they end with it, however it ends.

A child runs in a session of its own, so a Ctrl-C at the terminal reaches the demo alone, which then stops the children
in order. Where the demo is killed, Linux ends them (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class ChildFailed(Exception):
    """A program that the demo needs did not start or ended early. The message names it, why, and its log."""


def server_user() -> pwd.struct_passwd | None:
    """Whom database servers run as when the demo is run by root, since they refuse root; None for everybody else."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def give_to_server_user(path: Path) -> None:
    """Makes `server_user` the owner, where there is one."""
    user = server_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def plain_environment() -> dict[str, str]:
    """An environment without anything that steers a database server or client (PG*, MYSQL*, …)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")}


def _become_server_user() -> None:
    user = server_user()
    if user is not None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


def run_to_end(command: Sequence[str | Path], what: str, *, limit: float = 120) -> None:
    """Runs a server's own tool as `server_user`. Raises ChildFailed with the end of its output."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=plain_environment(),
            preexec_fn=_become_server_user,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ChildFailed(f"{what} could not be run: {error}") from error
    if done.returncode != 0:
        raise ChildFailed(f"{what} failed: {done.stdout.decode(errors='replace').strip()[-600:]}")


class Child:
    """A running program, its output in `log`."""

    def __init__(
        self,
        what: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        as_server_user: bool = False,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        pipe_output: bool = False,
    ) -> None:
        self.what = what
        self.log = log
        self._stop_signal = stop_signal
        parent = os.getpid()

        def prepare() -> None:
            if as_server_user:
                _become_server_user()
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
                if os.getppid() != parent:
                    os.kill(os.getpid(), stop_signal)

        with log.open("ab") as out:
            os.fchmod(out.fileno(), 0o600)
            try:
                self.process = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if pipe_output else out,
                    stderr=out,
                    cwd="/",
                    env=dict(plain_environment() if environment is None else environment),
                    preexec_fn=prepare,
                    start_new_session=True,
                )
            except OSError as error:
                raise ChildFailed(f"{what} could not be started: {error}") from error

    def check(self) -> None:
        """Raises ChildFailed where it has ended."""
        if self.process.poll() is not None:
            raise ChildFailed(
                f"{self.what} ended by itself (exit code {self.process.returncode}); its log is {self.log}. "
                f"The end of it:\n{self.last_words()}"
            )

    def wait_until(self, ready: Callable[[], bool], limit: float = 60) -> None:
        """Waits until it is ready. Raises ChildFailed where it ends before, or is not ready after `limit` seconds."""
        end = time.monotonic() + limit
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise ChildFailed(f"{self.what} was not ready after {limit:g} seconds; its log is {self.log}")
            time.sleep(0.03)

    def first_line(self, limit: float = 60) -> str:
        """The first line that it prints, where its output is piped. The same limits as `wait_until`."""
        pipe = self.process.stdout
        if pipe is None:
            raise ValueError("the output of this program is not piped")
        read = bytearray()
        end = time.monotonic() + limit
        while b"\n" not in read:
            ready, _, _ = select.select([pipe], [], [], 0.2)
            if ready:
                chunk = os.read(pipe.fileno(), 4096)
                if not chunk:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.process.wait(5)
                    self.check()
                    raise ChildFailed(f"{self.what} closed its output without a word; its log is {self.log}")
                read += chunk
            elif time.monotonic() > end:
                raise ChildFailed(f"{self.what} was not ready after {limit:g} seconds; its log is {self.log}")
        return read.split(b"\n", 1)[0].decode(errors="replace")

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-1500:].strip()
        return "(nothing)"

    def stop(self, limit: float = 15) -> None:
        """Ends it: politely, after `limit` seconds by force."""
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(limit)
        if self.process.stdout is not None:
            self.process.stdout.close()


def port_is_free(port: int) -> bool:
    """Whether a server of ours could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
