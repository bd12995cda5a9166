"""What a verifier makes of records that are not there: a signed tombstone must say so, stretch by stretch."""

from __future__ import annotations

from pathlib import Path

from bastion.api import messages as m

from . import tombstones
from .records import Tombstone
from .segments import Line
from .tombstones import Deletion, Gone, Kept, Range


class Uncovered(Exception):
    """No tombstone covers it, or not as it stands. The message says what is wrong."""


class Deleted:
    """Follows a walk along the journal. `node` is set once it is known.

    recordings  those that tombstones say were deleted, by their id
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self.node = ""
        self.recordings: dict[str, Gone] = {}
        self._folder = folder
        self._key = key
        self._found: tuple[int, Tombstone] | None = None
        self._looked = False
        self._ranges: list[Range] = []
        self._begins: dict[int, Range] = {}
        self._within: Range | None = None
        self._kept = Kept()
        self._leaves = 0
        self._stepped = 0
        self._records = 0
        self._last = 0
        self._heard: tuple[int, Tombstone, Deletion] | None = None

    def _look(self) -> list[Range]:
        """The stretches of the newest tombstone. It is looked for only where something is missing."""
        if not self._looked:
            self._looked = True
            self._found = tombstones.newest(self._folder, self.node, self._key)
            if self._found is not None:
                self._ranges = tombstones.deletion_of(self._found[1]).ranges
                self._begins = {one.first: one for one in self._ranges if not one.gone}
        return self._ranges

    def step_over(self, first: int, last: int, before: bytes) -> bytes:
        """The hash of record `last`, where the records from `first` on are of deleted segments. Raises Uncovered."""
        following, head = first, before.hex()
        while following <= last:
            covering = next((one for one in self._look() if one.gone and one.first == following), None)
            if covering is None or covering.last > last:
                raise Uncovered(
                    "" if self._found is None else f"; tombstone {self._found[0]} does not say that it was deleted"
                )
            if covering.before != head:
                raise Uncovered(f"; what the tombstone says was deleted did not follow from record {following - 1}")
            following, head = covering.last + 1, covering.after
        self._records += last - first + 1
        self._last = last
        return bytes.fromhex(head)

    @property
    def idle(self) -> bool:
        """Whether a record that is shown is nothing to it."""
        return self._within is None and not self._begins

    def take(self, line: Line, before: bytes) -> None:
        """The next line, `before` the hash of the one before it. Raises Uncovered."""
        if not line.shown and self._within is None:
            self._enter(line)
        elif self._within is None and line.number in self._begins:
            self._within, self._kept, self._leaves = self._begins[line.number], Kept(), 0
        within = self._within
        if within is None:
            return
        if line.number == within.first and within.before != before.hex():
            raise Uncovered(f"record {line.number} does not follow from the one that the tombstone names")
        if line.shown:
            self._kept.take(line.number)
        else:
            self._leaves += 1
        if line.number == within.last:
            self._leave(within, line)

    def _enter(self, line: Line) -> None:
        within = next((one for one in self._look() if not one.gone and one.first <= line.number <= one.last), None)
        if within is None:
            raise Uncovered(f"record {line.number} was removed: only its leaf is left, and no tombstone says why")
        self._within, self._kept, self._leaves = within, Kept(), 0
        for number in range(within.first, line.number):  # those before the first leaf are shown
            self._kept.take(number)

    def _leave(self, within: Range, line: Line) -> None:
        if within.after != line.hash.hex():
            raise Uncovered(f"record {line.number} is not the one that the tombstone names")
        # Without any leaf it is not carried out yet, or a copy from before it.
        if self._leaves and (self._kept.count, self._kept.digest) != (within.kept, within.digest):
            raise Uncovered(
                f"of the records {within.first} to {within.last} others are left than the {within.kept} that the "
                "tombstone says were kept"
            )
        self._records += self._leaves
        if self._leaves:
            self._last = max(self._last, within.last)
        self._within = None

    def heard(self, number: int, record: Tombstone) -> str | None:
        """A tombstone at its place in the chain; why it is not the node's, None where it is."""
        reason = tombstones.fault(record, self.node, self._key)
        if reason is None:
            deletion = tombstones.deletion_of(record)
            self._heard = number, record, deletion
            self.recordings.update((one.id, one) for one in deletion.recordings)
        return reason

    def tell(self, proof: m.Proof) -> None:
        """Says in the proof what is not there any more, and why."""
        proof.deleted = self._records
        proof.recordings_deleted = len(self.recordings)
        if self._heard is not None and (self._records or self.recordings):
            number, record, deletion = self._heard
            proof.tombstone, proof.deleted_at, proof.deleted_by = number, record.at, deletion.rule
            proof.deleted_to = self._last
