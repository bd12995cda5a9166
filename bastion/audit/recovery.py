"""What the opening of a journal finds in the files: where the chain goes on, a torn tail, sessions left open.

A crash can leave the last write half on disk. What is cut off is kept beside the journal (`….torn`), never deleted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from . import chain
from .records import (
    Checkpoint,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    StatementRefused,
    StatementSent,
)
from .segments import JournalUnreadable, Line, Segment, last_line, segments_of

OPEN_SESSIONS_SUFFIX = ".open"

_FOLLOWED = {b"session-opened", b"session-closed", b"session-refused", b"statement-sent", b"statement-refused"}
_NODE_STARTED = {b"node-started"}
_CHECKPOINT = {b"checkpoint"}
_TAG = b'{"kind":"'


@dataclass(slots=True)
class OpenSessions:
    """The sessions that have begun and not ended, each with the number of its last statement."""

    last_statement: dict[str, int] = field(default_factory=dict)

    def follow(self, record: object) -> None:
        """Takes a record of the journal in account."""
        kind = type(record)
        if kind is StatementSent or kind is StatementRefused:
            if record.session in self.last_statement:  # type: ignore[attr-defined]
                self.last_statement[record.session] = record.seq  # type: ignore[attr-defined]
        elif kind is SessionOpened:
            self.last_statement[record.session] = 0  # type: ignore[attr-defined]
        elif kind is SessionClosed or kind is SessionRefused:
            self.last_statement.pop(record.session, None)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Found:
    """Where the journal goes on.

    number, hash      of the last record; 0 and the genesis if there is none
    segment           the file to go on with; None: begin one
    size              bytes of it that are whole records
    torn              bytes after them, which are no whole record
    open_sessions     as of the last record
    checkpoint        the last one in the part that was read
    """

    number: int
    hash: bytes
    segment: Segment | None
    size: int
    torn: bytes
    open_sessions: OpenSessions
    checkpoint: Checkpoint | None


def tag_of(body: bytes) -> bytes:
    """The record's kind by its first bytes, without decoding it."""
    if not body.startswith(_TAG):
        return b""
    return body[len(_TAG) : body.find(b'"', len(_TAG))]


def find_end(folder: Path, node: str) -> Found:
    """Reads the last segment, and earlier ones only where it needs them to know the open sessions.

    The tail is torn from the last record that follows from the one before it. Damage further up stays as it is, for
    `verify` to find: cutting there would destroy good records.
    """
    segments = segments_of(folder)
    if not segments:
        return Found(0, chain.genesis(node), None, 0, b"", OpenSessions(), None)
    last = segments[-1]
    content = last.path.read_bytes()
    before = last_line(segments[-2]) if len(segments) > 1 else None
    previous = before.hash if before else chain.genesis(node)
    number, head, size = last.first - 1, previous, 0
    position = 0
    while position < len(content):
        end = content.find(b"\n", position) + 1
        if not end:
            break
        line = Line.parse(content[position:end])
        if line is not None:
            if line.hash == line.hash_after(previous):
                number, head, size = line.number, line.hash, end
            previous = line.hash
        position = end
    sessions, checkpoint = _open_sessions(segments, content[:size])
    return Found(number, head, last, size, content[size:], sessions, checkpoint)


def keep_torn(segment: Segment, torn: bytes) -> Path:
    """Writes the bytes that are about to be cut off to a file beside the segment, synced, and returns it."""
    for attempt in range(10_000):
        path = segment.path.with_suffix(f".{attempt}.torn")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(torn)
            file.flush()
            os.fsync(file.fileno())
        return path
    raise JournalUnreadable(f"{segment.path} has been torn ten thousand times. Check the disk and the file system.")


def write_open_sessions(segment: Path, sessions: OpenSessions) -> None:
    """Notes beside a new segment which sessions were open when it began, so that opening need not read earlier ones."""
    path = segment.with_suffix(OPEN_SESSIONS_SUFFIX)
    path.write_bytes(msgspec.json.encode(sessions.last_statement))
    for old in segment.parent.glob("*" + OPEN_SESSIONS_SUFFIX):
        if old != path:
            old.unlink(missing_ok=True)


def _open_sessions(segments: list[Segment], last_content: bytes) -> tuple[OpenSessions, Checkpoint | None]:
    """Open sessions at the end of `last_content`: from the note beside a segment, or since the node's last start."""
    contents = [last_content]
    sessions = _noted(segments[-1])
    for segment in reversed(segments[:-1]):
        if sessions is not None or _tagged(contents[-1], _NODE_STARTED):
            break
        contents.append(segment.path.read_bytes())
        sessions = _noted(segment)
    if sessions is None:
        sessions = OpenSessions()
    checkpoint = None
    for content in reversed(contents):
        for line in _tagged(content, _FOLLOWED | _CHECKPOINT):
            try:
                record = chain.record_from(line.body)
            except ValueError:
                continue  # damaged: `verify` says so; here it only cannot tell of a session
            if isinstance(record, Checkpoint):
                checkpoint = record
            sessions.follow(record)
    return sessions, checkpoint


def _noted(segment: Segment) -> OpenSessions | None:
    try:
        content = segment.path.with_suffix(OPEN_SESSIONS_SUFFIX).read_bytes()
        return OpenSessions(msgspec.json.decode(content, type=dict[str, int]))
    except (OSError, msgspec.MsgspecError):
        return None  # not there or torn by the same crash: the segments themselves tell


def _tagged(content: bytes, tags: set[bytes]) -> list[Line]:
    lines = (Line.parse(raw + b"\n") for raw in content.split(b"\n") if raw)
    return [line for line in lines if line is not None and tag_of(line.body) in tags]
