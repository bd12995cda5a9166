"""The offline verifier: walks a journal's files with the public key alone and says where it does not hold.

What it proves, and what only an anchor (a checkpoint kept elsewhere) can prove, is in docs/journal-format.md.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bastion.api import messages as m

from . import chain
from .deleted import Deleted, Uncovered
from .recordings_proof import with_recordings
from .records import Checkpoint, Recording, Tombstone
from .recovery import tag_of
from .segments import PUBLIC_KEY_FILE, Line, Segment, node_of, segments_of

LONGEST_UNSIGNED = 10_000
"""Records that may follow each other without a checkpoint; a journal signs far more often (journal.CHECKPOINT_RECORDS).
Without this limit, taking out all checkpoints and computing the chain anew would leave a journal that looks young."""


ATTEMPTS = 3
"""Walks along a journal of which retention takes something away meanwhile."""


class NothingToVerify(Exception):
    """There is no journal to look at, or no key to look at it with."""


class _Break(Exception):
    """The first record that does not hold."""

    def __init__(self, number: int, path: Path | None, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.path = path
        self.reason = reason


def verify(
    folder: Path, public_key: bytes | None, anchor: Path | None = None, recordings: Path | None = None
) -> m.Proof:
    """Whether the journal in `folder` holds, and up to where it is proved; and the folder of recordings, if given.

    The key that must have signed it is `public_key` (raw, or as `node.pub` or PEM has it), else the anchor's, else the
    folder's own `node.pub`;
    the proof's `key_from` says which. A journal that is being written may be verified; a half-written last record is
    then no break.

    Raises NothingToVerify, AnchorUnreadable (also for an anchor that another key signed), KeyUnreadable, OSError.
    """
    if not folder.is_dir():
        raise NothingToVerify(f"{folder} is not a folder. Give the journal's folder.")
    anchors = chain.read_anchors(anchor) if anchor is not None else []
    key, key_from = _key(folder, public_key, anchors)
    for one in anchors:
        fault = chain.checkpoint_fault(one, key)
        if fault is not None:
            raise chain.AnchorUnreadable(
                f"The checkpoint of record {one.number} in {anchor} proves nothing: {fault}. "
                "Check that the anchor and the key belong to this node."
            )
    for _attempt in range(ATTEMPTS):
        walk = _Walk(folder, key, anchors)
        proof = _proof_of(walk, key_from)
        if not walk.disturbed():
            break
    if recordings is None:
        return proof
    return with_recordings(proof, walk.recordings, recordings, walk.deleted.recordings)


def _proof_of(walk: _Walk, key_from: str) -> m.Proof:
    proof = m.Proof(intact=True, records=0, proved_to=0, proved_at=None, unwitnessed=0, key_from=key_from)
    try:
        walk.run()
    except FileNotFoundError as gone:
        # Retention was faster; or somebody else, and then the next walk says so.
        proof.intact = False
        proof.broken_at, proof.file = walk.number + 1, gone.filename
        proof.reason = f"{gone.filename} was removed while it was to be read"
    except _Break as found:
        proof.intact = False
        proof.broken_at = found.number
        proof.file = str(found.path) if found.path is not None else None
        proof.reason = found.reason
    proof.records = walk.number
    proof.proved_to = walk.proved_to
    proof.proved_at = walk.proved_at
    proof.unwitnessed = walk.number - walk.proved_to
    proof.anchored_to = walk.anchored_to
    walk.deleted.tell(proof)
    return proof


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """The last checkpoint in the files, unchecked; what an auditor takes away as anchor. Raises OSError."""
    for segment in reversed(segments_of(folder)):
        found = None
        for raw in segment.path.read_bytes().split(b"\n"):
            line = Line.parse(raw + b"\n")
            if line is not None and tag_of(line.body) == b"checkpoint":
                found = line
        if found is not None:
            record = chain.record_from(found.body)
            return record if isinstance(record, Checkpoint) else None
    return None


def _key(folder: Path, given: bytes | None, anchors: list[Checkpoint]) -> tuple[bytes, str]:
    if given is not None:
        return chain.parse_public_key(given), "given"
    if anchors:
        try:
            return chain.decode_key(anchors[0].public_key), "anchor"
        except ValueError as error:
            raise chain.AnchorUnreadable("The anchor's public key is not readable. Give the key itself.") from error
    path = folder / PUBLIC_KEY_FILE
    if not path.exists():
        raise NothingToVerify(f"There is no {path}. Give the journal's public key or an anchor.")
    return chain.read_public_key(path), "folder"


class _Walk:
    """One pass over all segments."""

    def __init__(self, folder: Path, key: bytes, anchors: list[Checkpoint]) -> None:
        self._folder = folder
        self._key = key
        self._anchors = anchors
        self._hash = b""
        self._format = 1
        self._node: str | None = None
        self.number = 0
        self.recordings: dict[str, Recording] = {}
        self.proved_to = 0
        self.proved_at: str | None = None
        self.anchored_to: int | None = None
        self.deleted = Deleted(folder, key)
        self._unsigned = 0
        self._files: dict[Path, int] = {}

    def disturbed(self) -> bool:
        """Whether retention has deleted some of the files meanwhile."""
        try:
            return any(path.stat().st_ino != inode for path, inode in self._files.items())
        except FileNotFoundError:
            return True

    def run(self) -> None:
        """Raises _Break at the first record that does not hold."""
        written = _is_being_written(self._folder)
        segments = segments_of(self._folder)
        self._files = {one.path: one.path.stat().st_ino for one in segments}
        if not segments:
            raise _Break(1, None, "the folder holds no journal: all of it was removed, or this is the wrong folder")
        self._node = node_of(self._folder)
        if self._node is None:
            raise _Break(1, segments[0].path, "the first records do not say whose journal this is: they were changed")
        for one in self._anchors:
            if one.node != self._node:
                raise _Break(1, segments[0].path, f"this is the journal of {self._node}; the anchor is of {one.node}")
        self._hash = chain.genesis(self._node)
        self.deleted.node = self._node
        for index, segment in enumerate(segments):
            self._segment(segment, torn_is_fine=written and index == len(segments) - 1)
        if self._anchors and self._anchors[-1].number > self.number:
            witnessed = self._anchors[-1].number
            raise _Break(
                self.number + 1,
                segments[-1].path,
                f"the journal ends with record {self.number}, but the anchor witnessed record {witnessed}: "
                "the end was cut off",
            )

    def _segment(self, segment: Segment, torn_is_fine: bool) -> None:
        if segment.first > self.number + 1:
            self._step_over(segment)
        expected = self.number + 1
        if segment.first < expected:
            raise _Break(
                expected, segment.path,
                f"record {expected} should come next, but {segment.path.name} begins with {segment.first}: "
                "a segment was put in or renamed",
            )  # fmt: skip
        with segment.path.open("rb") as file:
            for raw in file:
                if raw[-1:] != b"\n":
                    if torn_is_fine:
                        return
                    raise _Break(
                        self.number + 1,
                        segment.path,
                        f"the file ends in the middle of record {self.number + 1}: the end was cut or changed, or the "
                        "bastion crashed as it wrote (its next start repairs that and records it)",
                    )
                self._line(raw, segment, file)

    def _step_over(self, segment: Segment) -> None:
        """Goes on behind segments that were deleted by rule."""
        expected = self.number + 1
        try:
            after = self.deleted.step_over(expected, segment.first - 1, self._hash)
        except Uncovered as uncovered:
            raise _Break(
                expected, segment.path,
                f"the segment that begins with record {expected} is missing; the next is {segment.path.name}"
                f"{uncovered}",
            ) from None  # fmt: skip
        self.number, self._hash = segment.first - 1, after
        self._witnesses(segment)

    def _line(self, raw: bytes, segment: Segment, rest: Iterator[bytes]) -> None:
        expected = self.number + 1
        line = Line.parse(raw)
        if line is None:
            raise _Break(expected, segment.path, f"record {expected} is not readable: it was changed")
        if line.number != expected:
            raise _Break(expected, segment.path, self._misplaced(line, expected, rest))
        if line.format < self._format or line.hash != line.hash_after(self._hash):
            raise _Break(
                expected, segment.path,
                f"record {expected} does not follow from the one before it: it was changed or put in",
            )  # fmt: skip
        self._format = line.format
        if line.leaf or not self.deleted.idle:
            try:
                self.deleted.take(line, self._hash)
            except Uncovered as uncovered:
                raise _Break(expected, segment.path, str(uncovered)) from None
        tag = tag_of(line.body)
        self._unsigned += not line.leaf
        if tag == b"checkpoint":
            self._checkpoint(line, segment)
            self._unsigned = 0
        elif self._unsigned > LONGEST_UNSIGNED:
            raise _Break(
                expected, segment.path,
                f"no checkpoint in the {LONGEST_UNSIGNED} records before record {expected}: they were taken out",
            )  # fmt: skip
        self.number, self._hash = expected, line.hash
        if tag == b"recording":
            self._recording(line.body)
        elif tag == b"tombstone":
            self._tombstone(line, segment)
        self._witnesses(segment)

    def _recording(self, body: bytes) -> None:
        record = chain.record_from(body)
        if isinstance(record, Recording):
            self.recordings[record.session] = record

    def _tombstone(self, line: Line, segment: Segment) -> None:
        try:
            record = chain.record_from(line.body)
        except ValueError:
            record = None
        reason = self.deleted.heard(line.number, record) if isinstance(record, Tombstone) else "it cannot be read"
        if reason is not None:
            raise _Break(line.number, segment.path, f"tombstone {line.number} is not the node's: {reason}")

    def _misplaced(self, line: Line, expected: int, rest: Iterator[bytes]) -> str:
        if line.hash == dataclasses.replace(line, number=expected).hash_after(self._hash):
            return f"the number of record {expected} was changed to {line.number}"
        if line.number < expected:
            return f"record {line.number} stands in the place of record {expected}: it was put in or moved"
        later = (Line.parse(raw) for raw in rest)
        if any(other is not None and other.number == expected for other in later):
            return f"record {expected} was moved: record {line.number} stands in its place"
        return f"record {expected} was removed: record {line.number} stands in its place"

    def _checkpoint(self, line: Line, segment: Segment) -> None:
        try:
            record = chain.record_from(line.body)
        except ValueError:
            record = None
        if not isinstance(record, Checkpoint):
            raise _Break(line.number, segment.path, f"checkpoint {line.number} is not readable: it was changed")
        fault = chain.checkpoint_fault(record, self._key)
        if fault is not None:
            raise _Break(line.number, segment.path, f"checkpoint {line.number} is not the node's: {fault}")
        if (record.node, record.number, record.hash) != (self._node, self.number, self._hash.hex()):
            raise _Break(
                line.number, segment.path,
                f"checkpoint {line.number} signed another record {record.number} than the one here: one of the records "
                f"{self.proved_to + 1} to {self.number} was changed and the chain computed anew",
            )  # fmt: skip
        self.proved_to = line.number
        self.proved_at = record.at

    def _witnesses(self, segment: Segment) -> None:
        for one in self._anchors:
            if one.number == self.number:
                if one.hash != self._hash.hex():
                    since = (self.anchored_to or 0) + 1
                    raise _Break(
                        self.number, segment.path,
                        f"record {self.number} is not the one that the anchor witnessed: one of the records {since} to "
                        f"{self.number} was changed, and the chain and its checkpoints made anew with the node's key",
                    )  # fmt: skip
                self.anchored_to = self.number


def _is_being_written(folder: Path) -> bool:
    """Whether a bastion holds the journal."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return False  # a copy, or somebody else's: taken as it is
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
