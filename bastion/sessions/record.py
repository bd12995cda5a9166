"""Turns what passes through a session into the journal's records, in the order in which the rules demand them."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic, time_ns
from typing import Protocol

import msgspec

from bastion.audit.records import (
    Act,
    AnyRecord,
    RawBytes,
    StatementDone,
    StatementExtended,
    StatementSent,
)
from bastion.protocols.contract import (
    ClientData,
    DatabaseError,
    Note,
    ProtocolError,
    SessionChanged,
    StatementBegins,
    StatementEnds,
    StatementExtends,
    Transaction,
)
from bastion.protocols.sql_text import Redacted, redact, statement_kind

from .credentials import StatementCredentials

SHORT_TEXT = 4096
"""Characters up to which what a text is gets remembered: the same statements come again and again."""

_NO_TEXT = re.compile(r"[^\t\n\r\x20-\x7e]")

RUNNING_TEXT = 200
"""Characters of the running statement that a listing shows."""

KEPT_TEXT = 4096
"""Characters of a running statement that are kept to judge it by."""


class Writer(Protocol):
    """The journal as the data path sees it. None: the records hold as the durability asks; else wait for the future."""

    def append(self, *records: AnyRecord) -> asyncio.Future[None] | None: ...
    def append_soon(self, *records: AnyRecord) -> None: ...


class Uploads(Protocol):
    """Who keeps the beginning of what is streamed into a statement, and how many bytes it was in all."""

    def sent_in(self, number: int, data: bytes, counted: int) -> None: ...


def now() -> str:
    """The time as records have it. Twice a statement, so the second's text is remembered."""
    seconds, microseconds = divmod(time_ns() // 1_000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class OpenStatement(msgspec.Struct, eq=False):
    """A statement without outcome: when it was sent (by the monotonic clock), its beginning, and what it is."""

    since: float
    text: str
    kind: str = ""
    cancelled: int = 0
    """Orders to cancel it that were taken, or are under way."""
    credentials: StatementCredentials | None = None
    """What there is to be kept out of the rest of its record; None for nearly every statement."""


class SessionRecord:
    """The statements of one session on their way into the journal."""

    def __init__(self, journal: Writer, session: str, engine: str, digest: Callable[[str], str]) -> None:
        self._journal = journal
        self._session = session
        self.engine = engine
        self._digest = digest
        self.schema = ""
        self.statements = 0
        self.errors = 0
        self.rows = 0
        """Of the statements that have ended."""
        self.transaction_since: float | None = None
        """When the open transaction began, by the monotonic clock, as the server tells it."""
        self.uploads: Uploads | None = None
        self.named: Callable[[str], None] | None = None
        """Is told what the client's program calls itself, where that changes."""
        self._open: dict[int, OpenStatement] = {}

    def before(self, notes: tuple[Note, ...]) -> asyncio.Future[None] | None:
        """Writes what must be in the journal before the client's bytes go on. Raises JournalFailed."""
        if len(notes) == 1 and type(notes[0]) is StatementBegins:
            return self._journal.append(self._begun(notes[0], now(), "allowed"))
        records: list[AnyRecord] = []
        at = now()
        refused = {note.number for note in notes if isinstance(note, StatementEnds) and note.outcome == "failed"}
        for note in notes:
            if isinstance(note, StatementBegins):
                records.append(self._begun(note, at, "refused" if note.number in refused else "allowed"))
            elif isinstance(note, StatementExtends):
                records.append(self._extended(note, at))
            elif isinstance(note, StatementEnds):
                records.append(self._not_sent(note, at))
            elif isinstance(note, SessionChanged) and note.schema is not None:
                self.schema = note.schema
        pending = self._journal.append(*records) if records else None
        if self.uploads is not None:
            self._keep_uploads(self.uploads, notes)
        return pending

    @staticmethod
    def _keep_uploads(uploads: Uploads, notes: tuple[Note, ...]) -> None:
        for note in notes:
            if isinstance(note, ClientData):
                uploads.sent_in(note.number, note.data, 0)
            elif isinstance(note, StatementExtends) and note.data_bytes:
                uploads.sent_in(note.number, b"", note.data_bytes)

    def after(self, notes: tuple[Note, ...]) -> None:
        """Writes the outcomes that the server's bytes bring. Raises JournalFailed."""
        if len(notes) == 1 and type(notes[0]) is StatementEnds:
            self._journal.append_soon(self._ended(notes[0], now()))
            return
        records: list[AnyRecord] = []
        at = ""
        for note in notes:
            if isinstance(note, StatementEnds):
                at = at or now()
                records.append(self._ended(note, at))
            elif isinstance(note, SessionChanged):
                if note.schema is not None:
                    self.schema = note.schema
                if note.client is not None and self.named is not None:
                    self.named(note.client)
                if note.transaction is not None:
                    self._transaction(note.transaction)
            elif isinstance(note, StatementExtends):
                at = at or now()
                records.append(self._extended(note, at))
        if records:
            self._journal.append_soon(*records)

    def _transaction(self, state: Transaction) -> None:
        if state not in (Transaction.OPEN, Transaction.FAILED):
            self.transaction_since = None
        elif self.transaction_since is None:
            self.transaction_since = monotonic()

    def held(
        self, notes: tuple[Note, ...], by: str, source: str, detail: dict[str, str | int | None]
    ) -> asyncio.Future[None] | None:
        """In the place of `before` where the notes' statement is not to be sent yet. Raises JournalFailed."""
        at = now()
        records: list[AnyRecord] = []
        for note in notes:
            if isinstance(note, StatementBegins):
                records.append(self._begun(note, at, "held"))
            elif isinstance(note, StatementExtends):
                records.append(self._extended(note, at))
        records.append(self._act("statement-held", by, source, detail, at))
        return self._journal.append(*records)

    def released(self, by: str, source: str, detail: dict[str, str | int | None]) -> asyncio.Future[None] | None:
        """A held statement may go. Raises JournalFailed."""
        return self._journal.append(self._act("statement-released", by, source, detail, now()))

    def refused(
        self, number: int, state: str, said: str, by: str, source: str, detail: dict[str, str | int | None]
    ) -> asyncio.Future[None] | None:
        """A held statement is not sent: `state` is refused or cancelled. Raises JournalFailed."""
        at = now()
        statement = self._open.pop(number, None)
        self.errors += 1
        done = StatementDone(
            at=at,
            session=self._session,
            seq=number,
            state=state,
            rows=None,
            error=said,
            duration_ms=0.0 if statement is None else round((monotonic() - statement.since) * 1000, 3),
            bytes_down=0,
        )
        return self._journal.append(done, self._act("statement-refused", by, source, detail, at))

    def _act(self, act: str, by: str, source: str, detail: dict[str, str | int | None], at: str) -> Act:
        return Act(at=at, user=by, source=source, act=act, subject=self._session, detail=detail)

    def cancelling(self) -> int | None:
        """The oldest statement without outcome is being cancelled by somebody; its failure counts as that.

        Its outcome may come before the order is confirmed, so it counts from now on.
        """
        for number, statement in self._open.items():
            statement.cancelled += 1
            return number
        return None

    def not_cancelled(self, number: int) -> None:
        """The database has not taken the order: a failure of the statement is its own, but for other orders."""
        statement = self._open.get(number)
        if statement is not None:
            statement.cancelled -= 1

    def not_passed_on(self, number: int, why: str = "the session ended before its record was safe") -> None:
        """Writes that a recorded statement will never be sent: its session ended first. Raises JournalFailed."""
        statement = self._open.pop(number, None)
        if statement is not None:
            self._journal.append_soon(
                StatementDone(
                    at=now(),
                    session=self._session,
                    seq=number,
                    state="skipped",
                    rows=None,
                    error=f"not passed on: {why}",
                    duration_ms=round((monotonic() - statement.since) * 1000, 3),
                    bytes_down=0,
                )
            )

    @property
    def running(self) -> str | None:
        """The beginning of the oldest statement without outcome."""
        for statement in self._open.values():
            return statement.text[:RUNNING_TEXT]
        return None

    def without_outcome(self, number: int) -> OpenStatement | None:
        """What is known of a statement that has no outcome yet."""
        return self._open.get(number)

    @property
    def running_seconds(self) -> float | None:
        """How long the oldest statement without outcome has been at work."""
        for statement in self._open.values():
            return monotonic() - statement.since
        return None

    def _begun(self, note: StatementBegins, at: str, verdict: str) -> StatementSent:
        kind, is_clean = _remembered(note.text, self.engine) if len(note.text) <= SHORT_TEXT else ("", False)
        if not is_clean or not note.complete:
            return self._begun_with_care(note, at, verdict)
        self.statements += 1
        kind = "prepare" if note.prepares else kind
        self._open[note.number] = OpenStatement(monotonic(), note.text[:KEPT_TEXT], kind)
        return StatementSent(
            at=at,
            session=self._session,
            seq=note.number,
            operation=note.operation,
            statement_kind=kind,
            schema=self.schema,
            text=note.text,
            complete=True,
            binds=None if note.binds is None else list(note.binds),
            verdict=verdict,
            tool="",
        )

    def _begun_with_care(self, note: StatementBegins, at: str, verdict: str) -> StatementSent:
        """A statement that is long, or has a credential in its text or among its binds."""
        credentials = StatementCredentials(self.engine)
        text, secrets = credentials.text(note.text, last=note.complete)
        binds, bound = credentials.binds(note.binds)
        self.statements += 1
        kept = credentials if credentials.matter else None
        kind = "prepare" if note.prepares else statement_kind(note.text, self.engine)
        self._open[note.number] = OpenStatement(monotonic(), text[:KEPT_TEXT], kind, credentials=kept)
        return StatementSent(
            at=at,
            session=self._session,
            seq=note.number,
            operation=note.operation,
            statement_kind=kind,
            schema=self.schema,
            text=text,
            complete=note.complete,
            binds=None if binds is None else list(binds),
            verdict=verdict,
            tool="",
            redacted=[self._digest(secret) for secret in secrets + bound],
        )

    def _extended(self, note: StatementExtends, at: str) -> StatementExtended:
        statement = self._open.get(note.number)
        kind = ""
        if note.runs and statement is not None:
            kind = statement.kind = _remembered(statement.text, self.engine)[0]
        text, binds = note.text, note.binds
        secrets: tuple[str, ...] = ()
        if statement is not None and statement.credentials is not None:
            text, secrets = statement.credentials.text(text, last=note.complete)
            binds, bound = statement.credentials.binds(binds)
            secrets += bound
        return StatementExtended(
            at=at,
            session=self._session,
            seq=note.number,
            text=text,
            complete=note.complete,
            binds=None if binds is None else list(binds),
            statement_kind=kind,
            data_bytes=note.data_bytes,
            detail=note.detail,
            redacted=[self._digest(secret) for secret in secrets],
        )

    def _not_sent(self, note: StatementEnds, at: str) -> StatementDone:
        """The protocol's reader answers it by itself: what it asks for is not possible, or not allowed, here."""
        ended = self._ended(note, at)
        return msgspec.structs.replace(ended, state="refused") if note.outcome == "failed" else ended

    def _ended(self, note: StatementEnds, at: str) -> StatementDone:
        statement = self._open.pop(note.number, None)
        state = note.outcome
        if note.rows:
            self.rows += note.rows
        if state == "failed":
            self.errors += 1
        if state == "failed" and statement is not None and statement.cancelled:
            state = "cancelled"
        return StatementDone(
            at=at,
            session=self._session,
            seq=note.number,
            state="done" if state == "suspended" else state,
            rows=note.rows,
            error=None if note.error is None else _said(note.error, statement),
            duration_ms=0.0 if statement is None else round((monotonic() - statement.since) * 1000, 3),
            bytes_down=note.bytes_down,
        )


def raw_bytes(session: str, error: ProtocolError, engine: str) -> RawBytes:
    """What could not be read, for the record. A statement may be in it all the same, and a credential in that.

    Then the bytes around it that are no text are blanks.
    """
    raw = error.raw
    redacted = redact(_NO_TEXT.sub(" ", raw.decode("latin-1")), engine)
    if redacted.secrets:
        raw = redacted.text.encode()
    return RawBytes(
        at=now(),
        session=session,
        leg=error.leg.value,
        reason=error.reason,
        data=base64.b64encode(raw).decode(),
        made="refused",
    )


def _said(error: DatabaseError, statement: OpenStatement | None) -> str:
    """The database's words. It repeats a part of the statement where that is wrong."""
    if statement is None or statement.credentials is None:
        return str(error)
    return statement.credentials.hidden(str(error))


@lru_cache(maxsize=512)
def _remembered(text: str, engine: str) -> tuple[str, bool]:
    """Kind, and whether no credential is in it or bound to it; what the credential is, is not remembered."""
    return statement_kind(text, engine), redact(text, engine) == Redacted(text)
