"""The files of a journal: segments of lines, one record a line, named by the number of their first record.

A line is `number SP hash SP blind SP record LF`: the number in decimal without leading zeros, the hash in 64 lower-case
hex digits, 32 random ones, the record in its canonical bytes (JSON, so without a line break). Where a record is not
shown (it was deleted by retention, or it is another session's in a bundle of evidence) its leaf stands for it:
`number SP hash SP leaf LF`. Lines of format 1 have no blind. docs/journal-format.md.
"""

from __future__ import annotations

import contextlib
import os
import re
from binascii import unhexlify
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from . import chain
from .records import AnyRecord, Checkpoint, NodeStarted

SUFFIX = ".journal"
PUBLIC_KEY_FILE = "node.pub"

_READ_BYTES = 256 * 1024

MOST_BEFORE_CHECKPOINT = 10_000
_TELLS_NODE = (b'{"kind":"node-started"', b'{"kind":"checkpoint"')

_NAME = re.compile(r"(\d{20})\.journal")
_HEAD = re.compile(rb"([1-9]\d{0,19}) ([0-9a-f]{64}) (?:([0-9a-f]{32}) (?=\{)|(?=\{)|([0-9a-f]{64})$)", re.DOTALL)


class JournalUnreadable(Exception):
    """A record that is to be read back is not one: the file was changed, or a newer version wrote it."""


@dataclass(slots=True)
class Line:
    """One line as it stands in a segment. Nothing of it is checked but its form. Not to be changed.

    blind  32 hexadecimal digits that hide what a leaf is made of; empty in format 1
    leaf   where the record is not shown: what stands for it; then `body` is empty
    """

    number: int
    hash: bytes
    body: bytes
    blind: bytes = b""
    leaf: bytes = b""

    @classmethod
    def parse(cls, line: bytes) -> Line | None:
        """The parts of a line (with its LF); None if it has not the form of one."""
        head = _HEAD.match(line)
        if head is None or line[-1:] != b"\n":
            return None
        number, own, blind, leaf = head.groups()
        if leaf is not None:
            return cls(int(number), unhexlify(own), b"", leaf=unhexlify(leaf))
        return cls(int(number), unhexlify(own), line[head.end() : -1], blind or b"")

    @property
    def shown(self) -> bool:
        """Whether the record itself is here."""
        return not self.leaf

    @property
    def format(self) -> int:
        """The journal's format that the line is of."""
        return 2 if self.blind or self.leaf else 1

    def hash_after(self, previous: bytes) -> bytes:
        """The hash that the line must have behind a record with the hash `previous`."""
        if self.blind:  # as chain.leaf_of and chain.link have it: whole journals pass here
            leaf = sha256(b"\0%b %b" % (self.blind, self.body)).digest()
            return sha256(b"\1" + previous + leaf + self.number.to_bytes(8, "big")).digest()
        if self.leaf:
            return chain.link(previous, self.leaf, self.number)
        return chain.next_hash(previous, self.body, self.number)

    def written(self) -> bytes:
        """The line as it stands in a file."""
        head = b"%d %b " % (self.number, self.hash.hex().encode())
        if self.leaf:
            return head + self.leaf.hex().encode() + b"\n"
        return head + (self.blind + b" " if self.blind else b"") + self.body + b"\n"

    def withheld(self) -> Line:
        """The line with its leaf for its record. Only of format 2: a record of format 1 has none."""
        return Line(self.number, self.hash, b"", leaf=self.leaf or chain.leaf_of(self.blind, self.body))


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file of the journal that begins with record `first`."""

    first: int
    path: Path


def segment_path(folder: Path, first: int) -> Path:
    """Where the segment that begins with record `first` is."""
    return folder / f"{first:020d}{SUFFIX}"


def segments_of(folder: Path) -> list[Segment]:
    """The segments of a folder by their first numbers. Raises OSError."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(Segment(int(name[1]), path) for name, path in found if name)


def node_of(folder: Path) -> str | None:
    """The node to whom the journal belongs, by the first record that tells; None if none of the first few does."""
    segments = segments_of(folder)
    if not segments:
        return None
    with segments[0].path.open("rb") as file:
        # The first of a journal, the next checkpoint where the beginning was deleted by rule.
        for raw in islice(file, MOST_BEFORE_CHECKPOINT):
            line = Line.parse(raw)
            if line is None or not line.body.startswith(_TELLS_NODE):
                continue
            try:
                record = chain.record_from(line.body)
            except ValueError:
                continue  # not for this question to complain of
            if isinstance(record, NodeStarted | Checkpoint):
                return record.node
    return None


def last_line(segment: Segment) -> Line | None:
    """The last line of a segment, read from its end; None if there is none or it has not the form of one."""
    block = 1 << 20
    with segment.path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while True:
            start = max(0, size - block)
            file.seek(start)
            tail = file.read(size - start)
            begin = tail.rfind(b"\n", 0, len(tail) - 1)
            if begin >= 0 or start == 0:
                return Line.parse(tail[begin + 1 :])
            block *= 4


def last_number(folder: Path) -> int:
    """The number of the last whole record, as the files say; 0 if there is none. Raises OSError."""
    for segment in reversed(segments_of(folder)):
        content = segment.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        line = Line.parse(whole[whole.rfind(b"\n", 0, -1) + 1 :])
        if line is not None:
            return line.number
    return 0


def records_after(folder: Path, number: int, limit: int) -> Iterator[tuple[int, AnyRecord]]:
    """The records with numbers above `number` and up to `limit`, in order, from the files. See `SegmentReader`."""
    with contextlib.closing(SegmentReader(folder)) as reader:
        yield from reader.records_after(number, limit)


class SegmentReader:
    """Reads records from the files and remembers where it is, so that going on costs no search. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._following = 0

    def records_after(self, number: int, limit: int) -> Iterator[tuple[int, AnyRecord]]:
        """The records with numbers above `number` and up to `limit`, in order.

        Nothing beyond `limit` is looked at, so a record that is just being written is never read torn. Trusts the
        files' order but not their form. Raises OSError, and JournalUnreadable where one is missing or unreadable.
        """
        if number >= limit:
            return
        if self._file is None or self._following != number + 1:
            begin = self._begin(number + 1, limit)
            if begin is None:
                return
            self._open(begin)
        expected = number + 1
        while expected <= limit:
            raw = self._next_line(expected)
            line = Line.parse(raw)
            if line is None:
                raise self._unreadable(
                    f"{self._name} holds no readable record {expected}. Run `casemate audit verify`."
                )
            if line.number <= number:
                continue
            if line.number != expected and not self._was_deleted(expected, line.number - 1):
                raise self._unreadable(
                    f"Record {expected} is missing from {self._name} (found {line.number}). "
                    "Run `casemate audit verify`."
                )
            if line.number > limit:
                return
            expected = self._following = line.number + 1
            if not line.shown:
                continue
            try:
                record = chain.record_from(line.body)
            except ValueError as error:
                raise self._unreadable(
                    f"Record {line.number} in {self._name} is of no kind that this version knows ({error}). "
                    "Run the version that wrote it, or `casemate audit verify`."
                ) from error
            yield line.number, record

    def close(self) -> None:
        """Closes the file; the next question finds its place again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _name(self) -> str:
        return "" if self._file is None else self._file.name

    def _begin(self, first: int, limit: int) -> Path | None:
        """Where to begin; None where all of it was deleted by rule."""
        segments = [one for one in segments_of(self._folder) if one.first <= limit]
        if not segments:
            if self._was_deleted(first, limit):
                return None
            raise self._ended(first)
        return next((one.path for one in reversed(segments) if one.first <= first), segments[0].path)

    def _open(self, path: Path) -> BinaryIO:
        self.close()
        self._file = path.open("rb", buffering=_READ_BYTES)
        return self._file

    def _next_line(self, expected: int) -> bytes:
        """The next line, of the following segment where one ends."""
        while self._file is not None:
            raw = self._file.readline()
            if raw:
                return raw
            from .tombstones import following_segment  # which reads segments

            following = following_segment(self._folder, expected)
            if following is None or str(following) == self._file.name:
                break
            self._open(following)
        raise self._ended(expected)

    def _was_deleted(self, first: int, last: int) -> bool:
        """Whether these records were deleted by rule, as the newest tombstone has it."""
        from .tombstones import is_gone, ranges  # which reads segments

        return is_gone(ranges(self._folder), first, last)

    def _ended(self, expected: int) -> JournalUnreadable:
        return self._unreadable(f"{self._folder} ends before record {expected}. Run `casemate audit verify`.")

    def _unreadable(self, message: str) -> JournalUnreadable:
        self.close()
        return JournalUnreadable(message)
