"""A bastion for tests: made by `casemate init`, declared by `apply`, run by `serve`, asked by commands."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml

from .processes import ServerProcess, free_port, remove, wait_for

HOST = "127.0.0.1"
OPERATORS = ("alice", "bob")
AUDITOR = "auditor"
ADMINISTRATOR = "admin"


class CommandFailed(Exception):
    """A `casemate` command ended with another exit code than 0; the message is its standard error."""

    def __init__(self, words: Sequence[str], exit_code: int, said: str) -> None:
        super().__init__(f"casemate {' '.join(words)} ended with {exit_code}: {said}")
        self.exit_code = exit_code
        self.said = said


class Reachable(Protocol):
    """A database server (or what passes for one) that a bastion can be told of."""

    engine: str
    host: str
    port: int


class BastionProcess:
    """alice and bob are operators, auditor an auditor; databases and grants come with `declare_database`."""

    def __init__(self, folder: Path, *, workstation: bool = False) -> None:
        """`workstation`: served over SSH, which takes a second and 100 MB that most tests can do without."""
        self.folder = folder
        self.home = folder / "bastion"
        self.configuration = self.home / "casemate.toml"
        self.known_hosts = self.home / "known_hosts"
        self.log = folder / "serve.log"
        self.address = (HOST, free_port())
        self._passwords = {name: f"Test-{secrets.token_hex(8)}" for name in (*OPERATORS, AUDITOR, ADMINISTRATOR)}
        self._process: ServerProcess | None = None
        self.run("init", str(self.home), "--admin", ADMINISTRATOR, "--listen", f"{HOST}:{self.address[1]}",
                 environment={"CASEMATE_PASSWORD": self._passwords[ADMINISTRATOR]})  # fmt: skip
        if not workstation:
            text = self.configuration.read_text()
            self.configuration.write_text(text.replace('served = "on"', 'served = "off"'))
        users = [{"name": name, "roles": ["operator"], "password": {"env": f"P_{name}"}} for name in OPERATORS]
        users.append({"name": AUDITOR, "roles": ["auditor"], "password": {"env": f"P_{AUDITOR}"}})
        self.apply({"users": users}, {f"P_{name}": password for name, password in self._passwords.items()})
        self.start()

    # ------------------------------------------------------------------------------------------------ the process

    def start(self) -> None:
        """Starts it (again) and waits until it accepts connections."""
        before = self.log.stat().st_size if self.log.exists() else 0
        self._process = ServerProcess(
            [*program(), "serve", "--config", self.configuration], self.log, environment=self._environment({})
        )

        def listening() -> bool:
            with self.log.open("rb") as log:
                log.seek(before)
                return b"casemate: listening on " in log.read()

        self._process.wait_until("the bastion", listening)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.process.send_signal(signal.SIGKILL)
        self._process.process.wait(60)

    def stop(self) -> None:
        """SIGTERM, and waits."""
        if self._process is not None:
            self._process.stop(60)

    def remove(self) -> None:
        self.stop()
        remove(self.folder)

    def resident_bytes(self) -> int:
        """The memory of the process now (Linux)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS in /proc")

    # ------------------------------------------------------------------------------------------------ its commands

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "CASEMATE_KNOWN_HOSTS": str(self.known_hosts),
            **{name: value for name, value in os.environ.items() if name.startswith(("COVERAGE_", "COV_"))},
            **more,
        }

    def password_of(self, person: str) -> str:
        """The person's password."""
        return self._passwords[person]

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """A `casemate` command; what it printed. Raises CommandFailed."""
        done = subprocess.run(
            [*program(), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment(environment or {}),
            timeout=90,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(words, done.returncode, done.stderr)
        return done.stdout

    def casemate(self, person: str, *words: str) -> list[dict[str, Any]]:
        """A command over SSH as that person; the objects that it prints where `--json` is among the words."""
        where = ["--bastion", f"{person}@{HOST}:{self.address[1]}"]
        printed = self.run(*words, *where, environment={"CASEMATE_PASSWORD": self._passwords[person]})
        return [json.loads(line) for line in printed.splitlines()] if "--json" in words else []

    def apply(self, document: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        """`casemate apply` of a document; `environment` has the passwords that it names."""
        file = self.folder / f"declared-{secrets.token_hex(4)}.yaml"
        file.write_text(yaml.safe_dump(dict(document)))
        self.run("apply", str(file), "--config", str(self.configuration), environment=environment)

    def declare_database(
        self, name: str, server: Reachable, *, account: str, password: str, to: str, tls: str = "prefer"
    ) -> None:
        """A database with one hosted account, granted to one person."""
        self.apply(
            {
                "databases": [{
                    "name": name, "engine": server.engine, "platform": "self-managed", "host": server.host,
                    "port": server.port, "tls": {"mode": tls},
                    "accounts": [{"name": account, "password": {"env": "ACCOUNT_PASSWORD"}}],
                }],
                "grants": [{"name": f"{to}-{name}", "to": [to], "on": [name], "accounts": ["*"]}],
            },
            {"ACCOUNT_PASSWORD": password},
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------------- its record

    def sessions(self) -> list[dict[str, Any]]:
        """All sessions, oldest first."""
        return self.casemate(AUDITOR, "sessions", "--json")

    def statements(self, session: str) -> list[dict[str, Any]]:
        """The statements of a session, in order."""
        return self.casemate(AUDITOR, "audit", "statements", "--session", session, "--json")

    def journal(self) -> list[dict[str, Any]]:
        """Every record of the journal, in order, as it stands in its files."""
        lines = [
            line
            for file in sorted((self.home / "journal").rglob("*.journal"))
            for line in file.read_bytes().splitlines(keepends=True)
        ]
        # Behind the number, the hash and, from format 2 of the journal on, the blind.
        return [json.loads(line[line.index(b"{") :]) for line in lines if line.endswith(b"\n")]

    def mentions(self, text: str) -> bool:
        """Whether a text stands anywhere in the bastion's folder (record, store, keys) or in its log."""
        needle = text.encode()
        while True:
            files = [path for path in (*self.home.rglob("*"), self.log) if path.is_file()]
            try:
                return any(needle in path.read_bytes() for path in files)
            except FileNotFoundError:
                continue  # the bastion has put another one in its place meanwhile, which may have been read before

    def expire_token(self, token_id: str) -> None:
        """Puts a token's end into the past, in the store; no test waits the minute that one lives at least."""
        with sqlite3.connect(self.home / "state" / "casemate.sqlite3", timeout=60) as store:
            changed = store.execute(
                "UPDATE tokens SET expires_at = '2026-01-01T00:00:00.000000Z' WHERE id = ?", (token_id,)
            )
            assert changed.rowcount == 1
        store.close()

    def wait_for_sessions(self, what: str, condition: Any, limit: float = 60) -> Any:
        """What `condition` makes of the sessions, once it is something."""
        return wait_for(what, lambda: condition(self.sessions()), limit)


def program() -> list[str]:
    """The beginning of a command line that runs `casemate` of this environment."""
    return [sys.executable, "-m", "bastion.program"]
