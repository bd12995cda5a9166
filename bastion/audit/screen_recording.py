"""The screen of a served workstation, kept as an asciicast (version 3) in a file like those of results.

https://docs.asciinema.org/manual/asciicast/v3/: a header line, then a line an event: seconds since the event before,
its kind (`o` output, `r` a size, `m` a mark, `x` the exit code) and its data. The file is a recording of
recording_file's form, chunked, encrypted and chained, whose engine is `asciicast`; the journal witnesses it.
"""

from __future__ import annotations

import secrets
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, time

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.protocols.contract import Piece
from bastion.store import schema
from bastion.vault import Vault

from .recorder import Items, LeftOut, Recorder, Track
from .recording_file import RecordingDamaged, RecordingReader, path_of

ENGINE = "asciicast"
PREFIX = "screen-"

OPENED, RESUMED, LOST, ENDED = "workstation-opened", "workstation-resumed", "workstation-lost", "workstation-ended"
"""The acts of a served workstation in the journal; their subject is its id."""

HELD = 128 * 1024
"""Bytes of lines that a recording holds before it hands them over; it does so every two seconds in any case."""

_encode = msgspec.json.Encoder().encode


class Term(msgspec.Struct):
    """Of the header: columns, lines, type."""

    cols: int
    rows: int
    type: str


class CastHeader(msgspec.Struct):
    """The first line."""

    version: int
    term: Term
    timestamp: int
    title: str


class ScreenRecording:
    """One screen being recorded. `id` (see `new_id`) names its file, and its acts in the journal."""

    def __init__(
        self, recorder: Recorder, id: str, user: str, source: str, columns: int, lines: int, term: str
    ) -> None:
        self._recorder = recorder
        self._track = Track(id, ENGINE)
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._lines = bytearray()
        self._total = 0
        self._left_out = 0
        self._last = monotonic()
        self._size = (columns, lines)
        self._over = False
        title = f"{user} from {source}"
        self._line(_encode(CastHeader(3, Term(columns, lines, term), int(time()), title)))

    def output(self, data: bytes) -> None:
        """What the terminal shows."""
        text = self._decode(data)
        if text:
            self._event("o", text)

    def resized(self, columns: int, lines: int) -> None:
        """The terminal has another size."""
        if (columns, lines) != self._size:
            self._size = (columns, lines)
            self._event("r", f"{columns}x{lines}")

    def mark(self, text: str) -> None:
        """Something that happened, at its place: the connection was lost, somebody is back."""
        self._event("m", text)

    def close(self, code: int) -> None:
        """The end. The last record follows by itself."""
        if self._over:
            return
        self._event("x", str(code))
        self.flush()
        self._over = True
        self._recorder.holding.pop(self, None)
        self._recorder.forget(self._track, self._total)

    def flush(self) -> None:
        """Hands over what is held. What is not taken, because too much is waiting, is left out and counted."""
        self._recorder.holding.pop(self, None)
        if not self._lines:
            return
        data = bytes(self._lines)
        self._lines.clear()
        if self._left_out and self._hand_over([LeftOut(self._left_out, "behind")], 0):
            self._left_out = 0
        if self._left_out or not self._hand_over([Piece(data=data, size=len(data), kind="screen")], len(data)):
            self._left_out += len(data)

    def _hand_over(self, items: Items, weight: int) -> bool:
        # Each time as if a statement began: the limit of one statement's bytes is not for screens.
        return self._recorder.hand_over(self._track, items, weight, "utf-8", idle=True)

    def _event(self, kind: str, data: str) -> None:
        moment = monotonic()
        self._line(_encode([round(moment - self._last, 3), kind, data]))
        self._last = moment

    def _line(self, line: bytes) -> None:
        if self._over:
            return
        self._lines += line + b"\n"
        self._total += len(line) + 1
        self._recorder.holding[self] = None
        if len(self._lines) >= HELD:
            self.flush()


def new_id() -> str:
    """For a workstation that begins."""
    return PREFIX + secrets.token_hex(10)


def cast(folder: Path, vault: Vault, id: str, after: int = 0, most: int = 256 * 1024) -> tuple[bytes, int | None]:
    """Chunks of an asciicast behind number `after`, of about `most` bytes; and after which to go on, None at the end.

    Raises FileNotFoundError, RecordingDamaged, OSError, ValueError for what is no id.
    """
    with RecordingReader(path_of(folder, id)) as reader:
        if reader.header.session != id or reader.header.engine != ENGINE:
            raise RecordingDamaged("it is no screen's recording of that name")
        reader.unlock(vault)
        parts: list[bytes] = []
        size = 0
        for number, data in _chunks(reader):
            if number <= after:
                continue
            if parts and size + len(data) > most:
                return b"".join(parts), number - 1
            parts.append(data)
            size += len(data)
        return b"".join(parts), None


def _chunks(reader: RecordingReader) -> Iterator[tuple[int, bytes]]:
    for frame in reader.frames():
        yield frame.number, reader.chunk(frame).data


def screens(user: str | None, limit: int) -> Callable[[sa.Connection], list[m.Screen]]:
    """Workstations that were served, the newest first, as work for the store."""

    def work(connection: sa.Connection) -> list[m.Screen]:
        acts = schema.acts
        opened = sa.select(acts).where(acts.c.act == OPENED).order_by(acts.c.at.desc()).limit(limit)
        if user is not None:
            opened = opened.where(acts.c.user == user)
        found = {
            row.subject: m.Screen(
                id=row.subject,
                user=row.user,
                source=row.source,
                terminal=str(row.detail.get("terminal", "")),
                recorded=row.detail.get("recorded") == "yes",
                began_at=row.at,
            )
            for row in connection.execute(opened)
        }
        ended = sa.select(acts.c.subject, acts.c.at).where(acts.c.act == ENDED, acts.c.subject.in_(list(found)))
        for row in connection.execute(ended):
            found[row.subject].ended_at = row.at
        return list(found.values())

    return work
