"""What is outstanding between client and server: the answers that the server owes, the handles, the open statements.

The server answers strictly in order, so a queue of expected answers pairs every answer with its message: the rule that
keeps pipelines, paging and errors in the middle from shifting the record (documentation, "Extended Query").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from bastion.protocols.contract import Bind, DatabaseError, Piece, StatementEnds

REMEMBERED_TEXT = 64 * 1024
"""Characters of a prepared statement's text that are kept for its executions; the statement's own record has all of it."""

REMEMBERED_TOTAL = 64 * 1024 * 1024
"""Characters of all handles of a session. Beyond it a text is remembered by the number of its statement only."""


class Awaits(IntEnum):
    """What the server is expected to answer."""

    PARSE = 1
    BIND = 2
    DESCRIBE = 3
    EXECUTE = 4
    CLOSE = 5
    SYNC = 6
    QUERY = 7
    FUNCTION = 8
    OWN = 9
    """Not the server's: a refusal that the bastion gives in this place."""


@dataclass(slots=True)
class Prepared:
    """A prepared statement. `number` is the statement that its Parse began; `joinable` until its pipeline ends."""

    number: int
    text: str
    types: tuple[int, ...]
    joinable: bool = True


@dataclass(slots=True)
class Portal:
    """A bound statement; `number` is the statement of its first Execute."""

    prepared: Prepared | None
    binds: tuple[Bind, ...]
    number: int = 0
    started: bool = False


@dataclass(slots=True)
class Entry:
    """One expected answer."""

    awaits: Awaits
    number: int = 0
    portal: Portal | None = None
    prepared: Prepared | None = None
    parses: tuple[Prepared, ...] = ()
    """SYNC, QUERY: the parses of the pipeline, of which the ones that were never run end here."""
    answer: bytes = b""
    with_ready: bool = False
    piece: Piece | None = None
    rows: int | None = None
    error: DatabaseError | None = None


@dataclass(slots=True)
class Exchange:
    """Shared by the two sides of one session."""

    codec: str = "utf-8"
    queue: deque[Entry] = field(default_factory=deque)
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    pipeline: list[Prepared] = field(default_factory=list)
    open: dict[int, None] = field(default_factory=dict)
    late: list[StatementEnds] = field(default_factory=list)
    skipping: bool = False
    """The server throws away everything until the next Sync."""
    copying: int = 0
    """The statement whose data the client is sending."""
    number: int = 0
    remembered: int = 0

    def begin(self) -> int:
        """The number of a new statement."""
        self.number += 1
        self.open[self.number] = None
        return self.number

    def remember(self, name: bytes, text: str, number: int, types: tuple[int, ...]) -> Prepared:
        """Keeps a prepared statement under its name (b'' is the unnamed one)."""
        before = self.prepared.get(name)
        if before is not None:
            self.remembered -= len(before.text)
        if len(text) > REMEMBERED_TEXT:
            text = f"{text[:REMEMBERED_TEXT]}… (whole in statement {number})"
        if self.remembered + len(text) > REMEMBERED_TOTAL:
            text = f"(text in statement {number})"
        self.remembered += len(text)
        prepared = Prepared(number, text, types)
        self.prepared[name] = prepared
        self.pipeline.append(prepared)
        return prepared

    def forget(self, name: bytes) -> None:
        """A prepared statement was closed."""
        gone = self.prepared.pop(name, None)
        if gone is not None:
            self.remembered -= len(gone.text)

    def end_pipeline(self) -> tuple[Prepared, ...]:
        """Sync or a simple query: no later Execute joins a Parse of this pipeline."""
        if not self.pipeline:
            return ()
        parses = tuple(self.pipeline)
        self.pipeline.clear()
        for prepared in parses:
            prepared.joinable = False
        return parses

    def skip_to_sync(self, notes: list[StatementEnds]) -> None:
        """After an error of the extended protocol: what stands before the next Sync is never run."""
        queue = self.queue
        while queue and queue[0].awaits is not Awaits.SYNC:
            entry = queue.popleft()
            self.end(entry.number, notes, outcome="skipped")
        self.skipping = not queue

    def end(
        self,
        number: int,
        notes: list[StatementEnds],
        *,
        rows: int | None = None,
        error: DatabaseError | None = None,
        outcome: str = "done",
        bytes_down: int = 0,
    ) -> None:
        """Notes the outcome of a statement that has none yet."""
        if number in self.open:
            del self.open[number]
            notes.append(StatementEnds(number, rows, error, outcome, bytes_down))
