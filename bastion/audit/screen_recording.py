"""The screen of a served workstation, kept as an asciicast (version 3) in a file like those of results.

https://docs.asciinema.org/manual/asciicast/v3/: a header line, then a line an event: seconds since the event before,
its kind (`o` output, `r` a size, `m` a mark, `x` the exit code) and its data. The file is a recording of
recording_file's form, chunked, encrypted and chained, whose engine is `asciicast`; the journal witnesses it.
"""

from __future__ import annotations

import secrets
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic, time

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.protocols.contract import Piece
from bastion.store import schema
from bastion.store.moments import from_text, to_text
from bastion.vault import Vault

from .recorder import Items, LeftOut, Recorder, Track
from .recording_file import RecordingDamaged, RecordingReader, path_of

ENGINE = "asciicast"
PREFIX = "screen-"

OPENED, RESUMED, LOST, ENDED = "workstation-opened", "workstation-resumed", "workstation-lost", "workstation-ended"
"""The acts of a served workstation in the journal; their subject is its id."""

OPENED_IN = "workstation-session"
"""The act that says in which workstation (`detail.screen`) a session, its subject, is being opened."""

AROUND = timedelta(minutes=2)
"""So far from a session's beginning its act is looked for: a tunnel is dialled half a minute after it was promised."""

MOST_SESSIONS = 5000
"""Of people's sessions while a workstation was open, so many are looked through for its own."""

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
    """One screen as an asciicast. `id` (see `new_id`) names its file, and its acts in the journal.

    Without a recorder nothing is kept: it is there for `listener` alone.

    position  bytes of its lines so far; `elapsed` the seconds that the events so far add up to
    unpainted bytes of output since the last whole picture
    listener  is told each line, the position and the seconds before it, and whether it is a whole picture
    """

    def __init__(
        self, recorder: Recorder | None, id: str, user: str, source: str, columns: int, lines: int, term: str
    ) -> None:
        self._recorder = recorder
        self.elapsed = 0.0
        self.unpainted = 0
        self.listener: Callable[[bytes, int, float, bool], None] | None = None
        self._track = Track(id, ENGINE)
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._lines = bytearray()
        self._total = 0
        self._left_out = 0
        self._last = monotonic()
        self.size = (columns, lines)
        self._over = False
        title = f"{user} from {source}"
        self._line(_encode(CastHeader(3, Term(columns, lines, term), int(time()), title)))

    def output(self, data: bytes) -> None:
        """What the terminal shows."""
        text = self._decode(data)
        if text:
            self.unpainted += len(data)
            self._event("o", text)

    def picture(self, data: bytes) -> None:
        """The whole screen, from which a replay can begin. The terminal shows it already."""
        self.unpainted = 0
        self._event("o", self._decode(data), picture=True)

    @property
    def kept(self) -> bool:
        """Whether it is written to a file."""
        return self._recorder is not None

    @property
    def position(self) -> int:
        """Bytes so far."""
        return self._total

    def resized(self, columns: int, lines: int) -> None:
        """The terminal has another size."""
        if (columns, lines) != self.size:
            self.size = (columns, lines)
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
        if self._recorder is not None:
            self._recorder.holding.pop(self, None)
            self._recorder.forget(self._track, self._total)

    async def settled(self) -> None:
        """What there is so far is in the file. Raises TimeoutError."""
        if self._recorder is not None and not self._over:
            self.flush()
            await self._recorder.settled(self._track)

    def flush(self) -> None:
        """Hands over what is held. What is not taken, because too much is waiting, is left out and counted."""
        if self._recorder is None:
            return
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
        assert self._recorder is not None
        # Each time as if a statement began: the limit of one statement's bytes is not for screens.
        return self._recorder.hand_over(self._track, items, weight, "utf-8", idle=True)

    def _event(self, kind: str, data: str, *, picture: bool = False) -> None:
        interval = round(max(monotonic() - self._last, 0.0), 3)
        before = self.elapsed
        # Added up as they are written: rounded ones would drift from the clock.
        self._last += interval
        self.elapsed += interval
        self._line(_encode([interval, kind, data]), before, picture=picture)

    def _line(self, line: bytes, before: float = 0.0, *, picture: bool = False) -> None:
        if self._over:
            return
        line += b"\n"
        if self.listener is not None:
            self.listener(line, self._total, before, picture)
        self._total += len(line)
        if self._recorder is None:
            return
        self._lines += line
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


def cast_from(folder: Path, vault: Vault, id: str, offset: int, most: int) -> tuple[bytes, int, bool]:
    """About `most` bytes of an asciicast from byte `offset` on; the number of the first one, and whether there is more.

    What the recording left out is stepped over. Raises as `cast`.
    """
    with RecordingReader(path_of(folder, id)) as reader:
        if reader.header.session != id or reader.header.engine != ENGINE:
            raise RecordingDamaged("it is no screen's recording of that name")
        reader.unlock(vault)
        parts: list[bytes] = []
        size, following = 0, offset
        for frame in reader.frames():
            if frame.end <= following:
                continue
            chunk = reader.chunk(frame)
            place = 0
            for start, length in chunk.runs:
                data = chunk.data[place : place + length]
                place += length
                if start + length <= following:
                    continue
                if start > following:
                    if parts:
                        return b"".join(parts), offset, True
                    offset = following = start
                if size >= most:
                    return b"".join(parts), offset, True
                part = data[following - start :]
                parts.append(part)
                size += len(part)
                following = start + length
        return b"".join(parts), offset, False


def screen_of(session: str, screen: str) -> Callable[[sa.Connection], tuple[m.Screen, list[str]] | None]:
    """A workstation, or the one that a session was opened in, with all its sessions; as work for the store."""

    def work(connection: sa.Connection) -> tuple[m.Screen, list[str]] | None:
        acts, sessions = schema.acts, schema.sessions
        id = screen
        if not id:
            row = connection.execute(
                sa.select(sessions.c.user, sessions.c.started_at).where(sessions.c.session == session)
            ).first()
            if row is None:
                return None
            began = from_text(row.started_at)
            since, until = to_text(began - AROUND), to_text(began + AROUND)
            opened = connection.execute(
                sa.select(acts.c.detail).where(
                    acts.c.user == row.user, acts.c.at.between(since, until), acts.c.act == OPENED_IN,
                    acts.c.subject == session,
                )
            ).first()  # fmt: skip
            if opened is None:
                return None
            id = str(opened.detail.get("screen", ""))
        found = next(iter(screens(None, 1, id)(connection)), None)
        if found is None:
            return None
        inside = sa.select(acts.c.subject, acts.c.detail).where(
            acts.c.user == found.user, acts.c.act == OPENED_IN, acts.c.at >= found.began_at
        )
        if found.ended_at is not None:
            inside = inside.where(acts.c.at <= found.ended_at)
        rows = connection.execute(inside.order_by(acts.c.at, acts.c.number).limit(MOST_SESSIONS))
        return found, [each.subject for each in rows if each.detail.get("screen") == id]

    return work


def _chunks(reader: RecordingReader) -> Iterator[tuple[int, bytes]]:
    for frame in reader.frames():
        yield frame.number, reader.chunk(frame).data


def screens(user: str | None, limit: int, id: str = "") -> Callable[[sa.Connection], list[m.Screen]]:
    """Workstations that were served, the newest first, as work for the store."""

    def work(connection: sa.Connection) -> list[m.Screen]:
        acts = schema.acts
        opened = sa.select(acts).where(acts.c.act == OPENED).order_by(acts.c.at.desc()).limit(limit)
        if user is not None:
            opened = opened.where(acts.c.user == user)
        if id:
            opened = opened.where(acts.c.subject == id)
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
