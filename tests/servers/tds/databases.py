"""The databases of the server: a file of SQLite each, and the logins."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import apsw

from . import functions

SYSTEM_DATABASES = ("master", "tempdb", "model", "msdb")
_NAME = re.compile(r"[\w $#@.-]{1,100}")


class NoSuchDatabase(Exception):
    """There is none of that name."""


class Databases:
    """Names are compared without regard to case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self.logins: dict[str, str] = {}
        """Passwords by login, in lower case."""
        for name in SYSTEM_DATABASES:
            self.create(name)
        for file in sorted(folder.glob("*.db")):
            self._names.setdefault(file.stem.lower(), file.stem)

    def names(self) -> list[str]:
        """The server's own first."""
        return list(self._names.values())

    def by_lower_name(self) -> dict[str, str]:
        """Lower case to the real name."""
        return dict(self._names)

    def real_name(self, name: str) -> str:
        """Raises NoSuchDatabase."""
        try:
            return self._names[name.lower()]
        except KeyError:
            raise NoSuchDatabase(name) from None

    def path(self, name: str) -> Path:
        return self.folder / f"{self.real_name(name)}.db"

    def number(self, name: str) -> int:
        """Its database_id."""
        return list(self._names).index(name.lower()) + 1

    def create(self, name: str) -> None:
        """A new one; ValueError where the name is taken or cannot be a file's."""
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        with self._lock:
            if name.lower() in self._names:
                raise ValueError(name)
            self._names[name.lower()] = name
        connection = self.open(name)
        connection.execute("CREATE TABLE IF NOT EXISTS tsql_modules (name TEXT PRIMARY KEY COLLATE NOCASE, kind TEXT, "
                           "arguments TEXT, text TEXT, body TEXT)")  # fmt: skip
        connection.execute("CREATE TABLE IF NOT EXISTS tsql_schemas (name TEXT PRIMARY KEY COLLATE NOCASE)")
        connection.close()

    def drop(self, name: str) -> None:
        """Raises NoSuchDatabase."""
        path = self.path(name)
        with self._lock:
            self._names.pop(name.lower(), None)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    def open(self, name: str) -> apsw.Connection:
        """A connection to it, with Transact-SQL's functions."""
        connection = apsw.Connection(str(self.path(name)))
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON")
        functions.register(connection)
        return connection
