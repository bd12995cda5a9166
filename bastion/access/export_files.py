"""Results that people exported from a workstation that has no disk of its own: sealed files that wait to be fetched.

Each export has a key of its own; its parts are sealed with AES-256-GCM under it, their place authenticated; the key
and what is known of the export lie beside it, sealed with the vault. A person's exports are bounded together, and so
are everybody's; every one is gone after KEPT_SECONDS. One not finished after UNFINISHED_SECONDS is taken as given up.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastion.api.refusals import Refused
from bastion.vault import NotSealed, Vault

KEPT_SECONDS = 24 * 3600
UNFINISHED_SECONDS = 3600
MOST_PART = 1024 * 1024
"""Bytes of one part."""
MOST_EXPORTS = 200
"""Exports of one person at one time, finished or not."""
MOST_READERS = 1000
"""Readers whose next place is remembered."""
FORMATS = frozenset({"csv", "tsv", "json", "jsonl", "insert", "parquet"})
NONCE_BYTES = 12
_LENGTH = struct.Struct(">I")
_ID = re.compile(r"x-[0-9a-f]{16}")


class Kept(msgspec.Struct):
    """What is known of an export. `user`: the key of a `Person`.

    `parts` and `digest` (SHA-256, hexadecimal) hold once it is `finished`.
    """

    id: str
    user: str
    session: str
    seq: int | None
    database: str
    format: str
    name: str
    begun_at: float
    key: str
    rows: int = 0
    bytes: int = 0
    parts: int = 0
    digest: str = ""
    finished: bool = False


class _Writing:
    """An export that is on its way."""

    def __init__(self, kept: Kept, file: IO[bytes]) -> None:
        self.kept, self.file = kept, file
        self.sealing = AESGCM(base64.b64decode(kept.key))
        self.digest = hashlib.sha256()


class ExportFiles:
    """Every method but `goes_on` and `expect` blocks: called from threads."""

    def __init__(
        self, folder: Path, vault: Vault, quota: int, clock: Callable[[], float], *, total: int = 0, alone: bool = True
    ) -> None:
        """quota, total: bytes of one person's and of everybody's; a total of 0 is none."""
        self._folder, self._vault, self._quota, self._clock = folder, vault, quota, clock
        self._total = total
        self._known: dict[str, tuple[tuple[int, int], Kept | None]] = {}
        """What was read of each file, with the inode and time of when it was: only what has changed is opened again."""
        self._alone = alone
        """No other process writes exports: one that is unfinished and not ours was given up."""
        self._writing: dict[str, _Writing] = {}
        self._expected: dict[tuple[str, int], None] = {}
        self._guard = threading.RLock()

    def begin(self, user: str, session: str, seq: int | None, database: str, format: str, name: str) -> Kept:
        """A new export. Raises Refused."""
        with self._guard:
            self.sweep()
            if self._quota <= 0:
                raise Refused("exports-off")
            if len(self._all(user)) >= MOST_EXPORTS:
                raise Refused("exports-full", limit=MOST_EXPORTS)
            kept = Kept(
                id=f"x-{secrets.token_hex(8)}", user=user, session=session, seq=seq, database=database, format=format,
                name=name, begun_at=self._clock(), key=base64.b64encode(AESGCM.generate_key(256)).decode(),
            )  # fmt: skip
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._keep(kept)
            path = self._data(kept.id)
            path.touch(mode=0o600, exist_ok=False)
            self._writing[kept.id] = _Writing(kept, path.open("wb"))
            return kept

    def part(self, user: str, id: str, number: int, data: bytes) -> None:
        """The next part, counted from 0. Raises Refused; the export is gone then."""
        with self._guard:
            writing = self._mine(user, id)
            kept = writing.kept
            if number != kept.parts or not 0 < len(data) <= MOST_PART:
                self._remove(id)
                raise Refused("export-broken", id=id)
            if sum(other.bytes for other in self._everybodys() if other.user == user) + len(data) > self._quota:
                self._remove(id)
                raise Refused("export-quota", limit=self._quota)
            if self._total and sum(other.bytes for other in self._everybodys()) + len(data) > self._total:
                self._remove(id)
                raise Refused("exports-total", limit=self._total)
            nonce = secrets.token_bytes(NONCE_BYTES)
            sealed = nonce + writing.sealing.encrypt(nonce, data, f"{id}:{number}".encode())
            try:
                writing.file.write(_LENGTH.pack(len(sealed)) + sealed)
            except OSError:
                self._remove(id)  # half a part may be on the disk
                raise
            writing.digest.update(data)
            kept.parts += 1
            kept.bytes += len(data)

    def finish(self, user: str, id: str, rows: int, digest: str) -> Kept:
        """The export is whole; `digest` is the sender's SHA-256 of it. Raises Refused."""
        with self._guard:
            writing = self._mine(user, id)
            kept = writing.kept
            kept.rows, kept.digest = rows, writing.digest.hexdigest()
            if kept.digest != digest:
                self._remove(id)
                raise Refused("export-broken", id=id)
            writing.file.close()
            kept.finished = True
            self._keep(kept)
            del self._writing[id]
            return kept

    def abandon(self, user: str, id: str) -> None:
        """Gives up an export, or removes a finished one. Raises Refused where there is none of that id."""
        with self._guard:
            self.find(user, id, finished=False)
            self._remove(id)

    def finished(self, user: str) -> list[Kept]:
        """The person's finished exports, the newest first."""
        with self._guard:
            self.sweep()
            return sorted((k for k in self._all(user) if k.finished), key=lambda kept: kept.begun_at, reverse=True)

    def find(self, user: str, id: str, *, finished: bool = True) -> Kept:
        """One of the person's own. Raises Refused."""
        with self._guard:
            self.sweep()
            kept = self._of(id) if _ID.fullmatch(id) else None
            if kept is None or kept.user != user or (finished and not kept.finished):
                raise Refused("export-unknown", id=id[:40])
            return kept

    def read(self, kept: Kept, after: int) -> tuple[bytes, int | None]:
        """The part that begins at byte `after` of the file, and where the next one begins. Raises Refused."""
        cipher = AESGCM(base64.b64decode(kept.key))
        try:
            with self._data(kept.id).open("rb") as file:
                number, _rest = divmod(after, 1 << 48)
                file.seek(after % (1 << 48))
                head = file.read(_LENGTH.size)
                if number >= kept.parts:
                    return b"", None
                length = _LENGTH.unpack(head)[0]
                if length > MOST_PART + 64:
                    raise Refused("export-broken", id=kept.id)
                sealed = file.read(length)
                data = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], f"{kept.id}:{number}".encode())
                following = None if number + 1 >= kept.parts else ((number + 1) << 48) + file.tell()
                return data, following
        except (OSError, InvalidTag, struct.error) as error:
            raise Refused("export-broken", id=kept.id) from error

    def goes_on(self, kept: Kept, after: int) -> bool:
        """Whether a reader was told to go on there, and nobody has since; anything else begins to read anew.

        This and `expect` do not block: they are called on the event loop, and nowhere else.
        """
        return self._expected.pop((kept.id, after), self) is None

    def expect(self, kept: Kept, after: int) -> None:
        """A reader is told to go on there. Of very many the oldest is forgotten."""
        self._expected[kept.id, after] = None
        if len(self._expected) > MOST_READERS:
            del self._expected[next(iter(self._expected))]

    def sweep(self) -> None:
        """Removes what is too old, and what cannot be read. Never raises."""
        now = self._clock()
        with self._guard:
            self._look()
            for id in list(self._known):
                kept = self._of(id)
                if kept is None:
                    self._remove(id)
                elif now - kept.begun_at > (KEPT_SECONDS if kept.finished else UNFINISHED_SECONDS):
                    self._remove(kept.id)
                elif self._alone and not kept.finished and kept.id not in self._writing:
                    self._remove(kept.id)  # of a bastion that stopped meanwhile

    # -- inside

    def _mine(self, user: str, id: str) -> _Writing:
        writing = self._writing.get(id)
        if writing is None or writing.kept.user != user:
            raise Refused("export-unknown", id=id[:40])
        return writing

    def _all(self, user: str) -> list[Kept]:
        return [kept for kept in self._everybodys() if kept.user == user]

    def _everybodys(self) -> list[Kept]:
        return [kept for id in self._known if (kept := self._of(id)) is not None]

    def _of(self, id: str) -> Kept | None:
        """As it stands: of one that is on its way, so far."""
        writing = self._writing.get(id)
        return writing.kept if writing is not None else self._known.get(id, (None, None))[1]

    def _look(self) -> None:
        """What there is now; other processes of the bastion write and remove here too."""
        there: dict[str, tuple[int, int]] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                id, _dot, ending = entry.name.partition(".")
                if ending == "export" and _ID.fullmatch(id):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        there[id] = status.st_ino, status.st_mtime_ns
        for id in self._known.keys() - there.keys():
            del self._known[id]
        for id, state in there.items():
            if self._known.get(id, (None,))[0] != state:
                self._known[id] = state, self._read(id)

    def _data(self, id: str) -> Path:
        return self._folder / f"{id}.sealed"

    def _keep(self, kept: Kept) -> None:
        text = self._vault.seal(msgspec.json.encode(kept).decode(), f"export:{kept.id}")
        path = self._folder / f"{kept.id}.export"
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(text, encoding="ascii")
        status = part.stat()
        part.replace(path)
        self._known[kept.id] = (status.st_ino, status.st_mtime_ns), kept

    def _read(self, id: str) -> Kept | None:
        try:
            text = (self._folder / f"{id}.export").read_text(encoding="ascii")
            return msgspec.json.decode(self._vault.open(text, f"export:{id}"), type=Kept)
        except (OSError, NotSealed, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _remove(self, id: str) -> None:
        writing = self._writing.pop(id, None)
        self._known.pop(id, None)
        if writing is not None:
            with contextlib.suppress(OSError):
                writing.file.close()
        for path in (self._folder / f"{id}.export", self._data(id)):
            with contextlib.suppress(OSError):
                path.unlink()


def detail_of(kept: Kept) -> dict[str, Any]:
    """What goes on record about an export."""
    return {
        "session": kept.session, "seq": kept.seq, "database": kept.database, "format": kept.format, "name": kept.name,
        "rows": kept.rows, "bytes": kept.bytes, "sha256": kept.digest,
    }  # fmt: skip
