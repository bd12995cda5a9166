"""Where the demo keeps its bastion, its databases, and the passwords it made up (owner-only)."""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import shutil
from pathlib import Path
from typing import Any

import platformdirs

from .children import port_is_free

_LAYOUT = 1
"""Counts up when an older demo's folder cannot be used any more; it is then made anew."""


class DemoBusy(Exception):
    """Another demo runs in the same folder; `address` is where its bastion listens, '' if it is not up yet."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


def default_folder() -> Path:
    """`CASEMATE_DEMO_DIR`, else the user's state folder. Root's own is closed to database servers."""
    named = os.environ.get("CASEMATE_DEMO_DIR")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/casemate-demo")
    return platformdirs.user_state_path("casemate") / "demo"


class DemoFolder:
    """The folder, held by a lock while a demo runs. Raises DemoBusy where another one does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        # The account that runs the databases must pass through; what is in it has modes of its own.
        path.chmod(0o711)
        self._lock = (path / "lock").open("a")
        self._file = path / "demo.json"
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DemoBusy(self._read().get("address", "")) from None
        self._values = self._read()
        if self._values.get("layout") != _LAYOUT:
            self._start_over()

    def _read(self) -> dict[str, Any]:
        try:
            values = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _start_over(self) -> None:
        for name in ("bastion", "orders", "warehouse", "programs", "keys"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        self._values = {"layout": _LAYOUT}
        self._write()

    def _write(self) -> None:
        unfinished = self._file.with_suffix(".unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            json.dump(self._values, out, indent=1)
        unfinished.replace(self._file)

    def password(self, name: str) -> str:
        """The password made up for `name`, the same in every run. It has all four classes of characters."""
        return str(self._keep("passwords", name, lambda: f"Demo-{secrets.token_hex(10)}"))

    def port(self, name: str, preferred: int | None = None) -> int:
        """A free port for `name`: that of the last run where it is free, else `preferred`, else any below 32768."""
        ports = self._values.setdefault("ports", {})
        known = ports.get(name)
        taken = set(ports.values())
        for candidate in (known, preferred, *random.sample(range(20_000, 32_000), 100)):
            if candidate is not None and (candidate == known or candidate not in taken) and port_is_free(candidate):
                if candidate != known:
                    ports[name] = candidate
                    self._write()
                return int(candidate)
        raise OSError("no free port on 127.0.0.1 between 20000 and 32000")

    def remembered(self, name: str) -> str:
        """What was put down with `remember`; '' if nothing."""
        return str(self._values.get(name, ""))

    def remember(self, name: str, value: str) -> None:
        """Puts a fact down for the next run."""
        if self._values.get(name) != value:
            self._values[name] = value
            self._write()

    def _keep(self, table: str, name: str, make: Any) -> Any:
        values = self._values.setdefault(table, {})
        if name not in values:
            values[name] = make()
            self._write()
        return values[name]

    def close(self) -> None:
        """Lets go of the folder."""
        self._lock.close()
