"""Tombstones: what was deleted from the record by rule, said in the chain and signed. docs/journal-format.md.

A tombstone is itself a record. Its `statement` is JSON, signed as it stands, so that a verifier encodes nothing. The
newest one names every stretch of the journal that is not there any more, so that the older ones may go too.
"""

from __future__ import annotations

import base64
import struct
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from . import chain
from .records import Tombstone
from .segments import Line, segment_path, segments_of

TOMBSTONE = b"casemate.journal.tombstone.v1"
_TAG = b'{"kind":"tombstone"'


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records `first` to `last` of the journal, of which some or all were deleted.

    before, after  the hash of the record before the first, and of the last, in hexadecimal
    gone           the whole segment is; else each deleted record has its leaf there, and the others are shown
    kept           how many are shown, and `digest`: SHA-256 over their numbers as u64 BE, in hexadecimal
    """

    first: int
    last: int
    before: str
    after: str
    gone: bool = False
    kept: int = 0
    digest: str = ""


class Gone(msgspec.Struct, frozen=True):
    """A recording that was deleted: how many chunks it had, and the last link of its chain."""

    id: str
    chunks: int
    hash: str


class Deletion(msgspec.Struct, frozen=True):
    """What a tombstone states.

    rule       which rule asked for it, for people; `before`: what is older, '' where it is not by age
    records    of the journal that this deletion took away, of so many `sessions`
    ids        SHA-256 over the sorted ids of these sessions, each with a line feed behind it
    ranges     everything that is not in the journal any more, by this deletion or an earlier one
    recordings that this deletion took away, and whose sessions stay
    plan       SHA-256 of the file that says how it is carried out, while it is
    """

    rule: str
    before: str
    records: int
    sessions: int
    ids: str
    ranges: list[Range]
    recordings: list[Gone]
    plan: str


class Kept:
    """Counts the records that are shown in a range."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = sha256()

    def take(self, number: int) -> None:
        self.count += 1
        self._digest.update(struct.pack(">Q", number))

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


def _signed(node: str, at: str, statement: str) -> bytes:
    return b"".join(chain.field(part) for part in (TOMBSTONE, node.encode(), at.encode(), statement.encode()))


def tombstone(key: Ed25519PrivateKey, node: str, at: str, deletion: Deletion) -> Tombstone:
    """The record of a deletion."""
    statement = msgspec.json.encode(deletion).decode()
    return Tombstone(
        at=at,
        node=node,
        statement=statement,
        public_key=base64.b64encode(chain.public_bytes(key)).decode(),
        signature=base64.b64encode(key.sign(_signed(node, at, statement))).decode(),
    )


def deletion_of(record: Tombstone) -> Deletion:
    """What it states. Raises ValueError for what is no tombstone of ours."""
    return msgspec.json.decode(record.statement, type=Deletion)


def fault(record: Tombstone, node: str, key: bytes) -> str | None:
    """Why it is not one of the node with that key; None when its signature holds."""
    if record.node != node:
        return "it is of another node"
    try:
        signature = base64.b64decode(record.signature, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(node, record.at, record.statement))
        deletion_of(record)
    except InvalidSignature:
        return "its signature does not hold"
    except ValueError:
        return "it cannot be read"
    return None


def newest(folder: Path, node: str | None = None, key: bytes | None = None) -> tuple[int, Tombstone] | None:
    """The last tombstone of a journal's files with its number; with `key`, the last that is signed with it.

    Reads backwards, and whole segments: only asked where something is missing. Raises OSError.
    """
    for segment in reversed(segments_of(folder)):
        content = segment.path.read_bytes()
        end = len(content)
        while (found := content.rfind(_TAG, 0, end)) >= 0:
            end = found
            begin, stop = content.rfind(b"\n", 0, found) + 1, content.find(b"\n", found) + 1
            line = Line.parse(content[begin:stop]) if stop else None
            if line is None or not line.body.startswith(_TAG):
                continue
            try:
                record = chain.record_from(line.body)
            except ValueError:
                continue
            if isinstance(record, Tombstone) and (key is None or fault(record, node or record.node, key) is None):
                return line.number, record
    return None


def ranges(folder: Path) -> list[Range]:
    """What the journal's newest tombstone says is not there, in order; unchecked. Raises OSError."""
    found = newest(folder)
    if found is None:
        return []
    try:
        return sorted(deletion_of(found[1]).ranges, key=lambda one: one.first)
    except ValueError:
        return []


def following_segment(folder: Path, expected: int) -> Path | None:
    """The segment that goes on with record `expected`, or behind what was deleted from there on; None: there is none.

    Raises OSError.
    """
    path = segment_path(folder, expected)
    if path.exists():
        return path
    later = next((one for one in segments_of(folder) if one.first > expected), None)
    if later is None or not is_gone(ranges(folder), expected, later.first - 1):
        return None
    return later.path


def is_gone(known: list[Range], first: int, last: int) -> bool:
    """Whether records `first` to `last` are all of segments that were deleted."""
    for one in known:
        if one.gone and one.first <= first <= one.last:
            first = one.last + 1
    return first > last
