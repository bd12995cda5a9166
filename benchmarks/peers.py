"""What stands between a client and a database: nothing, sshd, asyncssh's forwarding, or a bastion.

All are started on 127.0.0.1 as the current user and die with this process.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from tests.end_to_end.stock_clients import token_of
from tests.servers.bastion_process import BastionProcess, Reachable
from tests.servers.processes import ServerProcess, free_port

from .processes import BenchmarkFailed
from .tunnels import HOST, Login

PERSON = "alice"
"""The operator whose token is used (tests.servers.bastion_process)."""


LIMITS = """
[limits]
sessions = 5000
unauthenticated_per_source = 1000
unauthenticated = 1000
"""
"""Of the bastion: room for as many sessions as are measured at one time, all from this machine."""


class Peer(Protocol):
    """Something that `ssh -L` logs in to. `pid` is the root of its processes."""

    @property
    def pid(self) -> int: ...

    def login(self, database: str) -> Login:
        """How to log in for a tunnel to that database."""
        ...


class Keys:
    """A host's key and a client's, for the peers that know no tokens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.host, self.client = folder / "host", folder / "client"
        for path in (self.host, self.client):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        self.authorized = folder / "authorized_keys"
        shutil.copy(folder / "client.pub", self.authorized)

    def known_hosts(self, port: int) -> Path:
        path = self._folder / f"known_hosts-{port}"
        path.write_text(f"[{HOST}]:{port} {(self._folder / 'host.pub').read_text()}")
        return path


class Sshd:
    """OpenSSH's sshd with a configuration of its own."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None:
            raise BenchmarkFailed("sshd is not on this machine: install openssh-server")
        folder.mkdir()
        port = free_port()
        self._login = Login(getpass.getuser(), port, keys.known_hosts(port), key=keys.client)
        configuration = folder / "sshd_config"
        configuration.write_text(
            f"Port {port}\nListenAddress {HOST}\nHostKey {keys.host}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {keys.authorized}\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowTcpForwarding yes\nCompression no\n"
            "MaxSessions 1000\nMaxStartups 1000\nUseDNS no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = ServerProcess([program, "-D", "-e", "-f", configuration], folder / "sshd.log")
        self._process.wait_until("sshd", lambda: "Server listening" in self._process.log.read_text())

    @property
    def pid(self) -> int:
        return self._process.pid

    def login(self, database: str) -> Login:
        return self._login

    def stop(self) -> None:
        self._process.stop()


class ThinRelay:
    """asyncssh's own port forwarding (benchmarks/thin_relay.py)."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        folder.mkdir()
        port = free_port()
        self._login = Login("bench", port, keys.known_hosts(port), key=keys.client)
        command: list[str | Path] = [
            sys.executable, "-m", "benchmarks.thin_relay", "--port", str(port), "--host-key", keys.host,
            "--authorized-keys", keys.authorized,
        ]  # fmt: skip
        here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = ServerProcess(command, folder / "relay.log", environment=here)
        self._process.wait_until("the thin relay", lambda: "listening" in self._process.log.read_text())

    @property
    def pid(self) -> int:
        return self._process.pid

    def login(self, database: str) -> Login:
        return self._login

    def stop(self) -> None:
        self._process.stop()


class Bastion:
    """`casemate serve`, which records everything. `durability` as in its configuration."""

    def __init__(self, folder: Path, durability: str = "written") -> None:
        folder.mkdir()
        self._process = BastionProcess(folder)
        self._process.stop()
        file = self._process.configuration
        text = file.read_text()
        text, found = re.subn(r'^durability = ".*"$', f'durability = "{durability}"', text, flags=re.M)
        if found != 1 or re.search(r"^\[limits\]", text, re.M):
            raise BenchmarkFailed(f"{file} is written otherwise now than this benchmark knows")
        file.write_text(text + LIMITS)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def declare(self, name: str, server: Reachable, account: str, password: str) -> None:
        """A database with a hosted account, granted to the person."""
        self._process.declare_database(name, server, account=account, password=password, to=PERSON, tls="disable")

    def login(self, database: str) -> Login:
        token: dict[str, Any] = token_of(self._process, PERSON, database)
        return Login(PERSON, self._process.address[1], self._process.known_hosts, password=token["token"])

    def on_record(self) -> str:
        """What stands on record by now, in a sentence."""
        sessions = self._process.sessions()
        return (
            f"On record: {len(sessions):,} sessions, {sum(each['statements'] for each in sessions):,} statements, "
            f"{sum(each['unattributed_bytes'] for each in sessions)} unattributed bytes."
        )

    def stop(self) -> None:
        self._process.remove()
