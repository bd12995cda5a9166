"""Harlequin, where it is installed in an environment of its own: what it does as the workstation does it.

It is never a dependency. It connects straight to the database, on a terminal of its own, with no limit of rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .databases import ACCOUNT, NAME, PostgresDatabase
from .processes import BenchmarkFailed
from .terminal import Terminal

CTRL_A = b"\x01"
CTRL_J = b"\n"


class Harlequin:
    """`environment` is a virtual environment that has harlequin and harlequin-postgres. Raises BenchmarkFailed."""

    def __init__(self, environment: Path, home: Path, database: PostgresDatabase) -> None:
        self._program = environment / "bin" / "harlequin"
        if not self._program.exists():
            raise BenchmarkFailed(f"{self._program} is not there: pip install harlequin harlequin-postgres")
        self._home, self._database = home, database
        home.mkdir(exist_ok=True)

    @contextmanager
    def opened(self) -> Iterator[Terminal]:
        """Connected, the cursor in its editor."""
        words = [
            str(self._program), "-P", "None", "-a", "postgres", "--viewer-max-rows", "-1", "-h", self._database.host,
            "-p", str(self._database.port), "-U", ACCOUNT, "-d", NAME,
        ]  # fmt: skip
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self._home), "TERM": "xterm-256color", "LANG": "C.UTF-8",
            "PGPASSWORD": self._database.password, "PGSSLMODE": "disable",
        }  # fmt: skip
        with Terminal(words, environment) as terminal:
            terminal.wait(lambda text: ("Query Editor" in text and "public" in text) or NAME in text)
            terminal.drain(1.0)
            yield terminal


def replace_text(terminal: Terminal, text: bytes) -> None:
    """In the place of what the editor has."""
    terminal.press(CTRL_A)
    terminal.drain()
    terminal.press(text)
    terminal.drain(0.3)
