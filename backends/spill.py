"""Rows that do not fit into memory, kept in encrypted files of this run of the workstation.

A folder (0700) per process, under `CASEMATE_SPILL` or the user's cache folder. Each result set has a file of its own:
Arrow IPC record batch messages, compressed, each sealed with AES-256-GCM under a key that is only in this process's
memory; its number in the file is authenticated with it. On POSIX a file is unlinked as soon as it is open, so nothing
is left when the process dies; folders of processes that are gone are removed at the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from platformdirs import user_cache_path

QUOTA = 2 * 1024 * 1024 * 1024
"""Bytes on disk that all results of one workstation may take together; `CASEMATE_SPILL_QUOTA` overrides it."""
COMPRESSION = "lz4"
NONCE_BYTES = 12
LOCK = "in-use"
PREFIX, NEW_PREFIX = "run-", "new-"


class SpillFull(Exception):
    """The quota is used up, or the disk takes no more."""


class SpillBroken(Exception):
    """What is read back is not what was written."""

    def __init__(self) -> None:
        super().__init__("The rows that were put aside on disk cannot be read back. Run the statement again.")


class SpillFile:
    """The record batches of one result set, by number. Used under the lock of its store."""

    def __init__(self, folder: SpillFolder, file: IO[bytes], name: str, schema: Any) -> None:
        self._folder, self._file, self._name, self._schema = folder, file, name, schema
        self._sealing = AESGCM(folder.key)
        self._places: list[tuple[int, int, int]] = []
        self.bytes = 0

    def append(self, batch: pa.RecordBatch) -> int:
        """Writes a batch and gives its number. Raises SpillFull; what was written before stays readable."""
        plain = batch.serialize()
        packed = pa.compress(plain, codec=COMPRESSION, asbytes=True)
        number = len(self._places)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._sealing.encrypt(nonce, packed, self._context(number))
        self._folder.take(len(sealed))
        try:
            self._file.seek(self.bytes)
            self._file.write(sealed)
            self._file.flush()
        except OSError as error:
            self._folder.give_back(len(sealed))
            raise SpillFull(error.strerror or "") from error
        self._places.append((self.bytes, len(sealed), plain.size))
        self.bytes += len(sealed)
        return number

    def read(self, number: int) -> pa.RecordBatch:
        """Raises SpillBroken."""
        start, length, plain = self._places[number]
        try:
            self._file.seek(start)
            sealed = self._file.read(length)
            packed = self._sealing.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._context(number))
            return pa.ipc.read_record_batch(pa.decompress(packed, plain, codec=COMPRESSION), self._schema)
        except (OSError, InvalidTag, ValueError, pa.ArrowException) as error:
            raise SpillBroken from error

    def close(self) -> None:
        """Gives the room back. Never raises."""
        with contextlib.suppress(OSError):
            self._file.close()
        if os.name == "nt":
            self._folder.forget(self._name)
        self._folder.give_back(self.bytes)
        self.bytes = 0
        self._places = []

    def _context(self, number: int) -> bytes:
        return f"{self._name}:{number}".encode()


class SpillFolder:
    """Where one process puts its rows aside. Thread-safe."""

    def __init__(self, above: Path | None = None, quota: int | None = None) -> None:
        self._above = above or _default_folder()
        self._path: Path | None = None
        self._lock_file: IO[bytes] | None = None
        self._guard = threading.Lock()
        self._next = 0
        self.key = AESGCM.generate_key(256)
        self.quota = _default_quota() if quota is None else quota
        self.used = 0

    def open(self, schema: Any) -> SpillFile:
        """A new file. Raises SpillFull where none can be made."""
        try:
            with self._guard:
                path = self._ready()
                name = f"rows-{self._next}"
                self._next += 1
            descriptor = os.open(path / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            file = os.fdopen(descriptor, "w+b")
            if os.name != "nt":
                (path / name).unlink()
        except OSError as error:
            raise SpillFull(error.strerror or "") from error
        return SpillFile(self, file, name, schema)

    def take(self, count: int) -> None:
        """Raises SpillFull where the quota does not allow `count` bytes more."""
        with self._guard:
            if self.used + count > self.quota:
                raise SpillFull
            self.used += count

    def give_back(self, count: int) -> None:
        """Room that is free again."""
        with self._guard:
            self.used -= count

    def forget(self, name: str) -> None:
        """Removes a file where an open one cannot be unlinked."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                (self._path / name).unlink()

    def remove(self) -> None:
        """Away with the folder; never raises. Files that are still open keep working."""
        with self._guard:
            path, self._path = self._path, None
            lock, self._lock_file = self._lock_file, None
        if lock is not None:
            lock.close()
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)

    def _ready(self) -> Path:
        if self._path is None:
            self._above.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_left_behind(self._above)
            # Locked before it has the name that others look for: nobody takes it for one that was left behind.
            made = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=self._above))
            self._lock_file = (made / LOCK).open("wb")
            _lock(self._lock_file)
            self._path = made.rename(made.with_name(PREFIX + made.name.removeprefix(NEW_PREFIX)))
        return self._path


def remove_left_behind(above: Path) -> int:
    """Removes the folders of processes that are gone; gives their number. Never raises."""
    gone = 0
    for path in above.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (path / LOCK).open("r+b") as file:
            if _lock(file):
                shutil.rmtree(path, ignore_errors=True)
                gone += 1
    return gone


def _lock(file: IO[bytes]) -> bool:
    """Takes the lock that says that a process lives. It goes with the process."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _default_folder() -> Path:
    chosen = os.environ.get("CASEMATE_SPILL")
    return Path(chosen) if chosen else user_cache_path("casemate") / "rows"


def _default_quota() -> int:
    chosen = os.environ.get("CASEMATE_SPILL_QUOTA", "")
    return int(chosen) if chosen.isascii() and chosen.isdigit() else QUOTA
