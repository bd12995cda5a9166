"""Reads a journal's files as they grow, from a number on.

The journal hands each line to the kernel in one write, so what ends in a line break is a record. A line that is not
whole yet is looked at again; a torn one that a crash has left is cut off by the journal's next start.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from bastion.audit.segments import JournalUnreadable, Line, segments_of
from bastion.audit.tombstones import following_segment, is_gone, ranges

READ = 1024 * 1024


class Follower:
    """The lines of a journal after a number."""

    def __init__(self, folder: Path, after: int) -> None:
        self._folder = folder
        self._expected = after + 1
        self._file: BinaryIO | None = None
        self._held = b""

    def lines(self, most: int) -> list[Line]:
        """The next lines, `most` at most; none where the journal goes no further for now.

        Raises OSError, and JournalUnreadable where a record is missing or is none.
        """
        found: list[Line] = []
        while len(found) < most:
            raw = self._next()
            if raw is None:
                break
            line = Line.parse(raw)
            if line is None:
                raise self._lost(f"holds no readable record {self._expected}")
            if line.number < self._expected:
                continue
            if line.number > self._expected and not is_gone(ranges(self._folder), self._expected, line.number - 1):
                raise self._lost(f"lacks record {self._expected}")
            self._expected = line.number + 1
            if line.shown:
                found.append(line)
        return found

    def close(self) -> None:
        """Closes the file; the next question finds its place again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._held = b""

    def _lost(self, what: str) -> JournalUnreadable:
        name = "" if self._file is None else self._file.name
        self.close()
        return JournalUnreadable(f"{name or self._folder} {what}. Run `casemate audit verify`.")

    def _next(self) -> bytes | None:
        if self._file is None and not self._open():
            return None
        while self._file is not None:
            raw = self._file.readline()
            if raw.endswith(b"\n"):
                whole, self._held = self._held + raw, b""
                return whole
            self._held += raw
            if self._held:
                return None
            following = following_segment(self._folder, self._expected)
            if following is None or str(following) == self._file.name:
                return None
            self._file.close()
            self._file = following.open("rb", buffering=READ)
        return None

    def _open(self) -> bool:
        segments = segments_of(self._folder)
        if not segments:
            return False
        # Where the beginning was deleted by rule, with what is there.
        begin = next((one for one in reversed(segments) if one.first <= self._expected), segments[0])
        self._file = begin.path.open("rb", buffering=READ)
        return True
