"""What is outstanding between client and server: the answers that the server owes, the handles, the open statements.

The server answers strictly in order, so a queue of expected answers pairs every answer with its message: the rule that
keeps pipelines, paging and errors in the middle from shifting the record (documentation, "Extended Query").

Handles (prepared statements, portals) are known when the client names them, before the server has agreed. A message
that the server then throws away has changed nothing there, so its change is taken back here: otherwise the record of a
later execution would show the text of a statement that was never prepared.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from bastion.protocols.contract import Bind, DatabaseError, Leg, Note, Piece, ProtocolError, StatementEnds
from bastion.protocols.contract import StatementExtends as Extends

REMEMBERED_TEXT = 64 * 1024
"""Characters of a prepared statement's text that are kept for its executions; its own record has all of it."""

REMEMBERED_TOTAL = 64 * 1024 * 1024
"""Characters of all handles of a session. Beyond it a text is remembered by the number of its statement only."""

MOST_HANDLES = 100_000
"""Prepared statements of a session that are remembered; beyond it the oldest is forgotten."""

HELD_BINDS = 64 * 1024 * 1024
"""Bytes of bind values that all portals of a session may keep."""

MOST_AHEAD = 20_000
"""Answers that the server may owe before the client is not read for a while.

The server keeps at most 8 KiB of answers to itself until a Sync, which are fewer than 2,000 of the shortest. So it
never waits for a client that is not read.
"""

LONGEST_PIPELINE = 100_000
"""Statements prepared in one pipeline, and messages that the server throws away up to a Sync: a client that sends more
is refused, since the server owes no answers that could be waited for."""


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


class Prepared(msgspec.Struct, eq=False):
    """A prepared statement.

    `number` is the statement that its Parse began; `joinable` until its pipeline ends; `skipped`: the server has thrown
    its Parse away; `described`: where the server described its columns (StatementEnds.described); `unsettled`: its
    pipeline has not ended, so its text counts there.
    """

    number: int
    text: str
    types: tuple[int, ...]
    joinable: bool = True
    skipped: bool = False
    described: int = 0
    unsettled: bool = True


class Portal(msgspec.Struct, eq=False):
    """A bound statement; `number` is the statement of its latest Execute, 0 before.

    `held` are the bytes that its values count for; `pipeline` is the one in which it was bound.
    """

    prepared: Prepared | None
    statement: bytes
    binds: tuple[Bind, ...] | None
    held: int = 0
    number: int = 0
    pipeline: int = 0
    described: int = 0
    formats: bytes = b""


Handles = dict[bytes, Prepared] | dict[bytes, Portal]


class Entry(msgspec.Struct, eq=False):
    """One expected answer.

    parses    SYNC, QUERY, FUNCTION: the parses of the pipeline, of which the ones that were never run end here
    pipeline  SYNC, QUERY, FUNCTION: the pipeline that ends here
    copies    how many COPYs the client had ended before
    describes what a Describe asks about
    changes   the handle that the message changes: in which dictionary, its name, and what stood there before
    pieces    while judging, the pieces that carry the message, as long as the relay has not let go of them
    commands  QUERY: how many of its statements are done
    text      QUERY: the statements, where they may be followed (session_settings)
    gone      the server never sees the message, or throws it away
    """

    awaits: Awaits
    number: int = 0
    portal: Portal | None = None
    prepared: Prepared | None = None
    parses: tuple[Prepared, ...] = ()
    pipeline: int = 0
    copies: int = 0
    changes: tuple[Handles, bytes, Prepared | Portal | None] | None = None
    answer: bytes = b""
    with_ready: bool = False
    pieces: list[weakref.ref[Piece]] | None = None
    gone: bool = False
    rows: int | None = None
    commands: int = 0
    text: str = ""
    error: DatabaseError | None = None
    describes: Prepared | Portal | None = None


@dataclass(slots=True)
class Exchange:
    """Shared by the two sides of one session."""

    codec: str = "utf-8"
    queue: deque[Entry] = field(default_factory=deque)
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    parses: list[Prepared] = field(default_factory=list)
    """The parses of the pipeline that the client is sending."""
    open: dict[int, None] = field(default_factory=dict)
    late: list[Note] = field(default_factory=list)
    """Notes that go out with the next piece of the server."""
    skipping: bool = False
    """The server throws away everything until the next Sync."""
    skipped: list[Entry] = field(default_factory=list)
    """What it throws away and what changed handles, until that Sync."""
    copying: int = 0
    """The statement whose data the client is sending."""
    copies: int = 0
    """COPYs that the client has ended."""
    refusals: int = 0
    """Answers of the bastion's own that are in the queue."""
    pipeline: int = 0
    number: int = 0
    remembered: int = 0
    unsettled: int = 0
    """Characters of texts in `parses` and in the pipelines that wait for their end, or more."""
    held: int = 0

    def begin(self) -> int:
        """The number of a new statement."""
        self.number += 1
        self.open[self.number] = None
        return self.number

    def expect(self, entry: Entry) -> None:
        """An answer that the server will give, unless it is throwing everything away until the next Sync."""
        if not self.skipping:
            self.queue.append(entry)
            return
        self._skip(entry, self.late, pending=True)
        if entry.changes is not None:
            self.skipped.append(entry)

    def _skip(self, entry: Entry, notes: list[Note], *, pending: bool) -> None:
        """The server throws `entry` away. `pending`: its pipeline goes on, so an Execute may still join a Parse."""
        entry.gone = True
        if entry.awaits is Awaits.OWN:
            self.refusals -= 1
        if entry.awaits is Awaits.PARSE and entry.prepared is not None:
            entry.prepared.skipped = True
            if pending and entry.prepared.joinable:
                return
        self.end(entry.number, notes, outcome="skipped")
        self.settle(entry.parses, notes)

    def settle(self, parses: Iterable[Prepared], notes: list[Note], error: DatabaseError | None = None) -> None:
        """A pipeline is over: what was prepared in it and never run has its outcome now."""
        for prepared in parses:
            if prepared.unsettled:
                prepared.unsettled = False
                self.unsettled -= len(prepared.text)
            if prepared.number in self.open:
                outcome = "skipped" if prepared.skipped else "done" if error is None else "failed"
                self.end(prepared.number, notes, error=None if prepared.skipped else error, outcome=outcome)

    # ---------------------------------------------------------------------------------------------------------- handles

    def remember(self, entry: Entry, name: bytes, text: str, types: tuple[int, ...]) -> None:
        """`entry` (a Parse) keeps a prepared statement under its name; b'' is the unnamed one."""
        number = entry.number
        if len(text) > REMEMBERED_TEXT:
            text = f"{text[:REMEMBERED_TEXT]}… (whole in statement {number})"
        if not self.queue and not self.parses:
            self.unsettled = 0
        if self.remembered + self.unsettled + len(text) > REMEMBERED_TOTAL:
            text = f"(text in statement {number})"
        self.unsettled += len(text)
        entry.prepared = prepared = Prepared(number, text, types)
        self.parses.append(prepared)
        entry.changes = (self.prepared, name, self.prepared.get(name))
        self._put_prepared(name, prepared)
        if len(self.prepared) > MOST_HANDLES:
            self._put_prepared(next(iter(self.prepared)), None)

    def bound(self, entry: Entry, name: bytes, portal: Portal) -> None:
        """`entry` (a Bind) makes a portal. Raises ProtocolError where all portals hold too much."""
        entry.portal = portal
        portal.pipeline = self.pipeline
        entry.changes = (self.portals, name, self.portals.get(name))
        self._put_portal(name, portal)
        if self.held > HELD_BINDS:
            raise ProtocolError(Leg.CLIENT, f"bind values of more than {HELD_BINDS} bytes in open portals")

    def close(self, entry: Entry, name: bytes, *, statement: bool) -> None:
        """`entry` closes a prepared statement or a portal."""
        if statement:
            entry.changes = (self.prepared, name, self.prepared.get(name))
            self._put_prepared(name, None)
        else:
            entry.changes = (self.portals, name, self.portals.get(name))
            self._put_portal(name, None)

    def forget_prepared(self, upto: int) -> None:
        """The server has thrown away all prepared statements (DEALLOCATE ALL, DISCARD ALL) up to a statement."""
        for name in [name for name, prepared in self.prepared.items() if prepared.number < upto]:
            self._put_prepared(name, None)

    def end_portals(self, pipeline: int) -> None:
        """A transaction has ended with `pipeline`, and its portals with it."""
        for name in [name for name, portal in self.portals.items() if portal.pipeline <= pipeline]:
            self._put_portal(name, None)

    def _put_prepared(self, name: bytes, prepared: Prepared | None) -> None:
        before = self.prepared.get(name)
        if before is not None:
            self.remembered -= len(before.text) + len(name)
        if prepared is not None:
            self.remembered += len(prepared.text) + len(name)
            self.prepared[name] = prepared
        elif before is not None:
            del self.prepared[name]

    def _put_portal(self, name: bytes, portal: Portal | None) -> None:
        before = self.portals.get(name)
        if before is not None and before is not portal:
            self.held -= before.held
            # Its values are on record where it was executed; nothing keeps them any longer.
            before.held, before.binds = 0, None
        if portal is not None:
            self.held += portal.held
            self.portals[name] = portal
        elif before is not None:
            del self.portals[name]

    def _take_back(self, entries: Sequence[Entry]) -> None:
        """The server has not seen these messages, or thrown them away: the handles are what they were before."""
        for entry in reversed(entries):
            if entry.changes is None:
                continue
            handles, name, before = entry.changes
            after = entry.prepared or entry.portal
            if handles.get(name) is after:
                if handles is self.prepared:
                    self._put_prepared(name, before if isinstance(before, Prepared) else None)
                else:
                    self._put_portal(name, before if isinstance(before, Portal) else None)
            self._correct(handles, name, after, before)

    def _correct(
        self, handles: Handles, name: bytes, wrong: Prepared | Portal | None, right: Prepared | Portal | None
    ) -> None:
        """Later pipelines may be on their way that took a handle for what it never became: the record says so."""
        for entry in self.queue:
            if entry.changes is not None and entry.changes[0] is handles and entry.changes[1] == name:
                if entry.changes[2] is wrong:
                    entry.changes = (handles, name, right)
                return
            portal = entry.portal
            if portal is None or wrong is None:
                continue
            if portal.prepared is wrong and isinstance(right, Prepared):
                ran = right
            elif portal is wrong and isinstance(right, Portal) and right.prepared is not None:
                ran = right.prepared
            else:
                continue
            if entry.awaits is Awaits.EXECUTE:
                detail = f"ran statement {ran.number}, not {portal.prepared.number if portal.prepared else 0}, "
                self.late.append(Extends(entry.number, detail=f"{detail}which was never prepared: {ran.text}"))

    # -------------------------------------------------------------------------------------------------------- pipelines

    def end_pipeline(self) -> tuple[Prepared, ...]:
        """Sync or a simple query: no later Execute joins a Parse of this pipeline."""
        self.pipeline += 1
        if not self.parses:
            return ()
        parses = tuple(self.parses)
        self.parses.clear()
        for prepared in parses:
            prepared.joinable = False
        return parses

    def ending(self, awaits: Awaits, number: int = 0) -> Entry:
        """The entry of a Sync, simple query or function call, which ends the pipeline."""
        pipeline = self.pipeline
        return Entry(awaits, number, parses=self.end_pipeline(), pipeline=pipeline, copies=self.copies)

    def sync(self) -> None:
        """The client sends Sync."""
        if self.skipping:
            self.skipping = False
            self._take_back(self.skipped)
            self.skipped.clear()
            self.settle((prepared for prepared in self.parses if prepared.skipped), self.late)
        if self.copying and self.copying in self.open:
            # The server ignores Sync while it takes in data (documentation, "COPY Operations").
            return
        self.queue.append(self.ending(Awaits.SYNC))

    def skip_to_sync(self, failed: Entry, notes: list[Note]) -> None:
        """After an error of the extended protocol: what stands before the next Sync is never run."""
        queue = self.queue
        if failed.awaits is Awaits.PARSE and failed.changes is not None and not failed.changes[1]:
            # The server lets go of the unnamed statement before it reads the new one.
            failed.changes = (failed.changes[0], b"", None)
        gone = [failed]
        while queue and queue[0].awaits is not Awaits.SYNC:
            gone.append(queue.popleft())
        self.never_run(gone, notes, pending=not queue)

    def never_run(self, entries: Iterable[Entry], notes: list[Note], *, pending: bool) -> None:
        """Messages of one pipeline that have no effect. `pending`: more of it, up to its Sync, is still to come."""
        entries = list(entries)
        for entry in entries:
            self._skip(entry, notes, pending=pending)
        if pending:
            # The rest of the pipeline is read with its own names; then they are taken back together.
            self.skipping = True
            self.skipped.extend(entry for entry in entries if entry.changes is not None)
        else:
            self._take_back(entries)

    def end(
        self,
        number: int,
        notes: list[Note],
        *,
        rows: int | None = None,
        error: DatabaseError | None = None,
        outcome: str = "done",
        bytes_down: int = 0,
        position: int = 0,
        portal: Portal | None = None,
    ) -> None:
        """Notes the outcome of a statement that has none yet."""
        if number in self.open:
            del self.open[number]
            if portal is None:
                notes.append(StatementEnds(number, rows, error, outcome, bytes_down, position))
                return
            described = portal.described
            if not described and portal.prepared is not None:
                described = portal.prepared.described
            notes.append(StatementEnds(number, rows, error, outcome, bytes_down, position, described, portal.formats))
