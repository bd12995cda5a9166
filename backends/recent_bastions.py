"""The bastions that were logged in to from this machine, in a file of the person's own: names only, the last first."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import platformdirs

from .link import Target

MOST = 20
LONGEST_FILE = 16 * 1024
"""Bytes that are read of it."""


def default_file() -> Path:
    """Beside what else the workstation remembers on this machine."""
    return Path(platformdirs.user_state_dir("casemate")) / "recent_bastions"


class RecentBastions:
    """`file` None: nothing is known and nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    def names(self) -> list[str]:
        """`user@host:port`, the last used first. What cannot be read is left out."""
        if self._file is None:
            return []
        try:
            with self._file.open("rb") as file:
                text = file.read(LONGEST_FILE).decode("utf-8", "replace")
        except OSError:
            return []
        found: list[str] = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                name = str(Target.parse(line.strip()))
                if name.isprintable() and name not in found:
                    found.append(name)
        return found[:MOST]

    def add(self, target: Target) -> None:
        """Puts it first. A home that cannot be written to is no reason not to work."""
        if self._file is None:
            return
        name = str(target)
        names = [name, *(other for other in self.names() if other != name)][:MOST]
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write("".join(f"{each}\n" for each in names))
            fresh.replace(self._file)
