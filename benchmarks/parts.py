"""The two ways to a database that are compared: a bastion that records everything, OpenSSH's sshd that records nothing.

Both are started here, on 127.0.0.1, in a temporary folder, as the current user; the client of both is the same `ssh`
with the same cipher and no compression.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.stock_clients import SshTunnel, ssh_tunnel
from tests.servers.postgres import PostgresServer
from tests.servers.processes import ServerProcess, free_port

PERSON = "bench"
HOST = "127.0.0.1"


class BenchmarkFailed(Exception):
    """A part of the measurement did not work; the message says which and how."""


class Bastion:
    """`casemate serve` over one PostgreSQL database."""

    def __init__(self, folder: Path, server: PostgresServer, account: str, account_password: str) -> None:
        self.home = folder / "bastion"
        self.port = free_port()
        self.known_hosts = self.home / "known_hosts"
        self._server = server
        self._passwords = {
            "CASEMATE_PASSWORD": f"Bench-{secrets.token_hex(8)}",
            "BENCH_PASSWORD": f"Bench-{secrets.token_hex(8)}",
            "BENCH_ACCOUNT": account_password,
        }
        self.casemate("init", str(self.home), "--admin", "admin", "--listen", f"{HOST}:{self.port}")
        declared = folder / "bench.yaml"
        declared.write_text(yaml.safe_dump(self._declared(account)))
        self.casemate("apply", str(declared), "--config", str(self.home / "casemate.toml"))
        self.process = self._serve()

    def _declared(self, account: str) -> dict[str, Any]:
        return {
            "users": [{"name": PERSON, "roles": ["operator", "auditor"], "password": {"env": "BENCH_PASSWORD"}}],
            "databases": [{
                "name": "bench", "engine": "postgresql", "platform": "self-managed", "host": self._server.host,
                "port": self._server.port, "tls": {"mode": "disable"},
                "accounts": [{"name": account, "password": {"env": "BENCH_ACCOUNT"}}],
            }],
            "grants": [{"name": "bench", "to": [PERSON], "on": ["bench"], "accounts": ["*"]}],
        }  # fmt: skip

    def _serve(self) -> subprocess.Popen[bytes]:
        with (self.home / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                [*_program(), "serve", "--config", str(self.home / "casemate.toml")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment(),
            )
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline().decode() if ready else ""
        if "listening" not in line:
            process.kill()
            raise BenchmarkFailed(f"the bastion did not start: {(self.home / 'serve.log').read_text()[-1500:]}")
        return process

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CASEMATE_")}
        return {**kept, **self._passwords, "CASEMATE_KNOWN_HOSTS": str(self.known_hosts)}

    def casemate(self, *words: str) -> list[dict[str, Any]]:
        """A `casemate` command; the objects that it prints where it was asked for JSON."""
        environment = self._environment()
        if "--bastion" in words:
            environment["CASEMATE_PASSWORD"] = self._passwords["BENCH_PASSWORD"]
        done = subprocess.run(
            [*_program(), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkFailed(f"casemate {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()] if "--json" in words else []

    def asked(self, *words: str) -> list[dict[str, Any]]:
        """A command over SSH, as the person."""
        return self.casemate(*words, "--json", "--bastion", f"{PERSON}@{HOST}:{self.port}")

    @contextmanager
    def tunnel(self, cipher: str) -> Iterator[SshTunnel]:
        token = self.asked("token", "bench")[0]
        with ssh_tunnel(
            user=PERSON, token=token["token"], bastion=(HOST, self.port), known_hosts=self.known_hosts,
            to=(self._server.host, self._server.port), options=_client_options(cipher),
        ) as standing:  # fmt: skip
            yield standing

    def resident_megabytes(self) -> float:
        """The bastion process's memory now (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Sshd:
    """OpenSSH's sshd with a configuration of its own, for the same person's key."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None:
            raise BenchmarkFailed("sshd is not on this machine: install openssh-server")
        self._server = server
        self._user = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
        self.port = free_port()
        home = folder / "sshd"
        home.mkdir()
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
        shutil.copy(home / "client.pub", home / "authorized_keys")
        self._key = home / "client"
        self._known_hosts = home / "known_hosts"
        self._known_hosts.write_text(f"[{HOST}]:{self.port} {(home / 'host.pub').read_text()}")
        configuration = home / "sshd_config"
        configuration.write_text(
            f"Port {self.port}\nListenAddress {HOST}\nHostKey {home / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {home / 'authorized_keys'}\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowTcpForwarding yes\nCompression no\n"
            "MaxSessions 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = ServerProcess([program, "-D", "-e", "-f", configuration], home / "sshd.log")
        self.process.wait_until("sshd", lambda: "Server listening" in self.process.log.read_text())

    @contextmanager
    def tunnel(self, cipher: str) -> Iterator[SshTunnel]:
        options = {"IdentityFile": str(self._key), "IdentitiesOnly": "yes", "PubkeyAuthentication": "yes"}
        with ssh_tunnel(
            user=self._user, token="", bastion=(HOST, self.port), known_hosts=self._known_hosts,
            to=(self._server.host, self._server.port), options={**_client_options(cipher), **options},
        ) as standing:  # fmt: skip
            yield standing

    def stop(self) -> None:
        self.process.stop()


def _client_options(cipher: str) -> dict[str, str]:
    return {"Ciphers": cipher, "Compression": "no"}


def _program() -> list[str]:
    return [sys.executable, "-m", "bastion.program"]
