"""The demo's bastion: made with `casemate init` and `apply`, run with `casemate serve`, like any other."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import asyncssh

from .children import Child, ChildFailed
from .databases import ACCOUNT, DemoDatabase
from .declared import ADMINISTRATOR, AUDITOR, OPERATOR, document, password_variable
from .folder import DemoFolder

HOST = "127.0.0.1"
PREFERRED_PORT = 60022


def program() -> list[str]:
    """The beginning of a command line that runs this very installation of `casemate`."""
    return [sys.executable, "-m", "bastion.program"]


class DemoBastion:
    """`key` signs the operator in; `known_hosts` holds the bastion's host key."""

    def __init__(self, folder: DemoFolder) -> None:
        self._folder = folder
        self._home = folder.path / "bastion"
        self.configuration = self._home / "casemate.toml"
        self.known_hosts = self._home / "known_hosts"
        self.key = folder.path / "keys" / "demo_ed25519"
        self.port = folder.port("bastion", preferred=PREFERRED_PORT)
        self._child: Child | None = None

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for `casemate` commands: nothing of the user's own bastions is read or changed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CASEMATE_")}
        state = str(self._folder.path / "state")
        return {**kept, "CASEMATE_KNOWN_HOSTS": str(self.known_hosts), "XDG_STATE_HOME": state, **(more or {})}

    def make_key(self) -> str:
        """The operator's public key, made in the first run."""
        public = self.key.with_suffix(".pub")
        if not public.exists():
            self.key.parent.mkdir(mode=0o700, exist_ok=True)
            pair = asyncssh.generate_private_key("ssh-ed25519", comment="casemate demo")
            self.key.touch(mode=0o600)
            self.key.write_bytes(pair.export_private_key())
            public.write_bytes(pair.export_public_key())
        return public.read_text().strip()

    def start(self, databases: Sequence[DemoDatabase]) -> None:
        """Sets up what changed since the last run, and starts to serve. Raises ChildFailed."""
        if not self._folder.remembered("bastion_made"):
            self._init()
        self._apply(databases)
        self._child = Child(
            "The bastion",
            [*program(), "serve", "--config", self.configuration, "--listen", f"{HOST}:{self.port}"],
            self._folder.path / "bastion.log",
            environment=self.environment(),
            pipe_output=True,
        )

    def finish(self) -> None:
        """Waits until it accepts connections. Raises ChildFailed."""
        if self._child is None:
            raise ValueError("not started")
        line = self._child.first_line()
        if not line.endswith(f":{self.port}"):
            raise ChildFailed(f"the bastion said {line!r} instead of its address {HOST}:{self.port}")
        self._folder.remember("address", f"{HOST}:{self.port}")

    def check(self) -> None:
        """Raises ChildFailed where it has ended."""
        if self._child is not None:
            self._child.check()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._folder.remember("address", "")

    def _init(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        self._run(
            ["init", str(self._home), "--admin", ADMINISTRATOR, "--listen", f"{HOST}:{self.port}"],
            {"CASEMATE_PASSWORD": self._folder.password(ADMINISTRATOR)},
        )
        self._folder.remember("applied", "")
        self._folder.remember("bastion_port", str(self.port))
        self._folder.remember("bastion_made", "yes")

    def _apply(self, databases: Sequence[DemoDatabase]) -> None:
        if self._folder.remembered("bastion_port") != str(self.port):
            self._move()
        text = document(databases, self.make_key())
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._folder.remembered("applied") == digest:
            return
        file = self._folder.path / "demo.yaml"
        file.write_text(text)
        names = [OPERATOR, AUDITOR, *(f"{database.name}/{ACCOUNT}" for database in databases)]
        passwords = {password_variable(name): self._folder.password(name) for name in names}
        self._run(["apply", str(file), "--config", str(self.configuration)], passwords)
        self._folder.remember("applied", digest)

    def _move(self) -> None:
        """The port of the last run is taken: the file that names it, and the host key's entry for it, follow."""
        before = self._folder.remembered("bastion_port")
        for file in (self.configuration, self.known_hosts):
            text = file.read_text()
            for old, new in ((f"port = {before}", f"port = {self.port}"), (f"]:{before} ", f"]:{self.port} ")):
                text = text.replace(old, new)
            file.write_text(text)
        self._folder.remember("bastion_port", str(self.port))

    def _run(self, words: list[str], secrets: Mapping[str, str]) -> None:
        done = subprocess.run(
            [*program(), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(secrets),
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ChildFailed(f"`casemate {words[0]}` failed: {(done.stderr or done.stdout).strip()[-1500:]}")
