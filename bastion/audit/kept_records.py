"""Which records of old segments stay: those of sessions that are held or not over, and what says whose they are.

A segment of which nothing stays goes as a whole. Of the others a new file is written, with leaves for what is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from . import chain
from .recovery import tag_of
from .screen_recording import ENDED, OPENED
from .screen_recording import PREFIX as SCREEN
from .segments import Line, Segment
from .tombstones import Deletion, Kept, Range

LINES = 500
"""Lines between two rests."""

_ACTS = frozenset({b"act", b"login", b"login-refused", b"cancel", b"raw-bytes", b"recording", b"node-started",
                   b"node-stopped", b"journal-repaired", b"tombstone", b"storage-alarm"})  # fmt: skip
"""Records that have a row among the acts; `rows` says which of them do."""


class _Of(msgspec.Struct):
    kind: str
    session: str = ""
    subject: str = ""
    act: str = ""
    state: str = ""
    statement: str = ""


_of = msgspec.json.Decoder(_Of).decode


@dataclass(slots=True)
class Found:
    """What is to be done.

    records    that are deleted; `sessions` all of whose records are, and `recordings` that go with them
    ranges     everything up to `last` that is not there then, of this deletion or an earlier one
    segments   with whether they go
    """

    last: int
    records: int = 0
    sessions: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    acts: list[int] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    segments: list[tuple[Segment, bool]] = field(default_factory=list)
    stays: Callable[[Line], bool] = lambda _line: True

    def rewritten(self, suffix: str) -> Iterator[Path]:
        """Writes the files that take the place of segments, beside them, each on the disk. Raises OSError."""
        for segment, gone in self.segments:
            if gone:
                continue
            path = segment.path.with_suffix(suffix)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file, segment.path.open("rb") as source:
                for raw in source:
                    line = Line.parse(raw)
                    assert line is not None
                    file.write(raw if not line.shown or self.stays(line) else line.withheld().written())
                file.flush()
                os.fsync(file.fileno())
            yield path


@dataclass(slots=True)
class _Looked:
    """A segment: what stays of it beside checkpoints, and those; what is deleted. `old`: it has lines of format 1."""

    first: int
    before: bytes
    head: bytes
    kept: Kept = field(default_factory=Kept)
    stay: int = 0
    checkpoints: int = 0
    deleted: int = 0
    old: bool = False
    acts: list[int] = field(default_factory=list)


class Keeping:
    """Looks through segments, with the number of the last record of each, in order."""

    def __init__(self, segments: list[tuple[Path, int]], held: frozenset[str], rest: Callable[[], None]) -> None:
        self._segments = segments
        self._held = held
        self._rest = rest
        self._sessions: set[str] = set()
        self._open: set[str] = set()
        self._seen: dict[str, int] = {}
        self._last_of: dict[str, int] = {}
        self._staying: set[str] = set()

    def look(self, node: str, before: list[Range]) -> Found:
        """What is to be done; `before` is what earlier deletions took away. Raises OSError, Stopped."""
        self._who_stays()
        found = Found(0, stays=self._stays)
        firsts = {int(path.stem) for path, _last in self._segments}
        ranges = [one for one in before if one.gone or one.first not in firsts]
        head = chain.genesis(node)
        for place, (path, last) in enumerate(self._segments):
            looked = self._segment(path, _after(ranges, int(path.stem), head))
            head = looked.head
            gone = not looked.stay and not self._in_span(looked.first, last)
            if looked.old and not gone:
                # Of format 1, in which a record cannot be left out. From here on everything stays.
                return Keeping(self._segments[:place], self._held, self._rest).look(node, before)
            if gone:
                looked.deleted += looked.checkpoints
                ranges.append(Range(looked.first, last, looked.before.hex(), head.hex(), gone=True))
            else:
                found.acts += looked.acts
                if looked.deleted or any(not one.gone and one.first == looked.first for one in before):
                    kept = looked.kept
                    ranges.append(
                        Range(looked.first, last, looked.before.hex(), head.hex(), kept=kept.count, digest=kept.digest)
                    )
            if gone or looked.deleted:
                found.segments.append((Segment(looked.first, path), gone))
            found.records += looked.deleted
            found.last = last
        found.ranges = _merged(ranges)
        over = self._sessions - self._staying
        found.sessions = sorted(one for one in over if not one.startswith(SCREEN))
        found.recordings = sorted(over)
        return found

    def _in_span(self, first: int, last: int) -> bool:
        """Whether these records lie between those of one that stays: a bundle of it needs the chain between them."""
        end = self._segments[-1][1]
        return any(
            self._seen[one] <= last and first <= (end if one in self._open else self._last_of[one])
            for one in self._staying
        )

    def _who_stays(self) -> None:
        """Sessions and screens that are held, or that have not ended in these segments."""
        checkpoint = 0
        recent: set[str] = set()
        for _path, line in self._lines():
            if not line.shown:
                continue
            tag = tag_of(line.body)
            if tag == b"checkpoint":
                checkpoint = line.number
                self._last_of.update(dict.fromkeys(recent, line.number))
                recent.clear()
                continue
            record = _of(line.body)
            if tag == b"node-started":
                self._open.clear()  # whatever was open ended with the process before
                continue
            who = _whose(record)
            if not who:
                continue
            if tag == b"session-opened" or record.act == OPENED:
                self._open.add(who)
                self._sessions.add(who)
            if who not in self._seen:
                # From the checkpoint before it to the one behind it, for whoever makes a bundle of it.
                self._seen[who] = checkpoint or line.number
            self._last_of[who] = line.number
            recent.add(who)
            if tag in (b"session-closed", b"session-refused") or record.act == ENDED:
                self._open.discard(who)
        self._staying = {one for one in self._seen if one in self._held or one in self._open}

    def _stays(self, line: Line) -> bool:
        tag = tag_of(line.body)
        if tag == b"checkpoint":
            return True
        record = _of(line.body)
        if tag == b"tombstone":
            deletion = msgspec.json.decode(record.statement, type=Deletion)
            return any(one.id in self._staying for one in deletion.recordings)
        return _whose(record) in self._staying

    def _segment(self, path: Path, before: bytes) -> _Looked:
        looked = _Looked(int(path.stem), before, before)
        for line in self._lines_of(path):
            looked.head = line.hash
            looked.old = looked.old or line.format == 1
            if not line.shown:
                continue
            if not self._stays(line):
                looked.deleted += 1
                continue
            looked.kept.take(line.number)
            tag = tag_of(line.body)
            if tag == b"checkpoint":
                looked.checkpoints += 1
                continue
            looked.stay += 1
            if tag in _ACTS:
                looked.acts.append(line.number)
        return looked

    def _lines(self) -> Iterator[tuple[Path, Line]]:
        for path, _last in self._segments:
            for line in self._lines_of(path):
                yield path, line

    def _lines_of(self, path: Path) -> Iterator[Line]:
        with path.open("rb") as file:
            for index, raw in enumerate(file):
                if index % LINES == 0:
                    self._rest()
                line = Line.parse(raw)
                if line is None:
                    raise OSError(0, f"{path} holds a line that is no record. Run `casemate audit verify`")
                yield line


def _whose(record: _Of) -> str:
    """The session or screen that a record is of; the subject of an act may be something else, which is never held."""
    return record.session or record.subject


def _after(ranges: list[Range], first: int, head: bytes) -> bytes:
    """The hash before record `first`, where segments before it were deleted."""
    covering = next((one for one in ranges if one.gone and one.last == first - 1), None)
    return head if covering is None else bytes.fromhex(covering.after)


def _merged(ranges: list[Range]) -> list[Range]:
    """In order, with deleted segments that follow each other as one."""
    merged: list[Range] = []
    for one in sorted(ranges, key=lambda each: each.first):
        last = merged[-1] if merged else None
        if last is not None and last.gone and one.gone and last.last + 1 == one.first:
            merged[-1] = Range(last.first, one.last, last.before, one.after, gone=True)
        else:
            merged.append(one)
    return merged
