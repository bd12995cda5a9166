"""OpenSSH's client, the same for every peer: one login or hundreds, with one cipher and no compression."""

from __future__ import annotations

import shlex
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.stock_clients import askpass, ssh_command
from tests.servers.processes import ServerProcess, free_port, wait_for

from .processes import BenchmarkFailed

HOST = "127.0.0.1"

AT_ONCE = 8
"""Logins under way at one time, where many tunnels are opened."""


@dataclass(frozen=True)
class Login:
    """How to log in at a peer: with a password (the bastion's token) or with a key."""

    user: str
    port: int
    known_hosts: Path
    password: str = ""
    key: Path | None = None

    def command(self, cipher: str, *words: str, options: dict[str, str] | None = None) -> list[str]:
        """`ssh WORDS user@host`."""
        chosen = {"Ciphers": cipher, "Compression": "no", **(options or {})}
        if self.key is not None:
            chosen |= {"IdentityFile": str(self.key), "IdentitiesOnly": "yes", "PubkeyAuthentication": "yes"}
        command = ssh_command(self.user, HOST, self.port, self.known_hosts, chosen)
        return [*command[:-1], *words, command[-1]]

    def environment(self, place: Path) -> dict[str, str]:
        """In which `ssh` finds the password; `place` is a folder for a script."""
        return askpass(place, self.password)


@contextmanager
def tunnels(login: Login, to: tuple[str, int], cipher: str, count: int = 1) -> Iterator[list[int]]:
    """`count` standing `ssh -N -L`, each with a connection of its own; their ports on this side."""
    standing: list[tuple[ServerProcess, Path]] = []
    with tempfile.TemporaryDirectory(prefix="casemate-tunnels-") as folder:
        environment = login.environment(Path(folder))
        ports: list[int] = []
        try:
            for number in range(count):
                _wait_until_up(standing, AT_ONCE - 1)
                port, up = free_port(), Path(folder) / f"up-{number}"
                options = {
                    "ExitOnForwardFailure": "yes",
                    "PermitLocalCommand": "yes",
                    "LocalCommand": f"touch {shlex.quote(str(up))}",
                }
                command = login.command(cipher, "-N", "-L", f"{HOST}:{port}:{to[0]}:{to[1]}", options=options)
                log = Path(folder) / f"ssh-{number}.log"
                standing.append((ServerProcess(command, log, environment=environment), up))
                ports.append(port)
            _wait_until_up(standing, 0)
            yield ports
        finally:
            for process, _ in standing:
                if process.process.poll() is None:
                    process.process.send_signal(signal.SIGTERM)
            for process, _ in standing:
                process.stop()


def _wait_until_up(standing: list[tuple[ServerProcess, Path]], at_most: int) -> None:
    """Waits until no more than `at_most` of them are still logging in."""
    waiting = [each for each in standing[-AT_ONCE - 1 :] if not each[1].exists()]

    def enough() -> bool:
        waiting[:] = [each for each in waiting if not each[1].exists()]
        for process, _ in waiting:
            if process.process.poll() is not None:
                raise BenchmarkFailed(f"ssh ended before the tunnel stood: {process.last_words()}")
        return len(waiting) <= at_most

    wait_for("ssh tunnels", enough, limit=60, interval=0.005)
