"""Reads what the server answers (documentation, "Message Formats": the messages marked B)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    DatabaseError,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementExtends,
    Transaction,
)

from . import refusal as own_words
from .character_sets import codec_for
from .codec import database_error, is_fatal
from .exchange import Awaits, Entry, Exchange, Portal
from .session_settings import TAGS, SessionSettings

_head = struct.Struct(">BI")

LONGEST = 0x3FFFFFFF
"""Bytes of one message that PostgreSQL itself sends (MaxAllocSize)."""

LONG_ERROR = 64 * 1024
"""Bytes that are read of an error beyond MAX_HELD_MESSAGE; the rest passes. The fields that count come first."""

DATA_ROW, COPY_DATA = ROWS = b"Dd"
"""DataRow and CopyData: only counted."""
ERROR, NOTICE, FUNCTION_RESULT = b"ENV"
PASSING = frozenset((ERROR, NOTICE, FUNCTION_RESULT))

REPORTED = (b"search_path", b"session_authorization")
"""Parameters of which the session's schema and role are read."""

ALL_FORGOTTEN = (b"DEALLOCATE ALL\0", b"DISCARD ALL\0")
"""Commands that end all prepared statements."""

TRANSACTIONS = {b"I": Transaction.NONE, b"T": Transaction.OPEN, b"E": Transaction.FAILED}


class PostgresServerSide:
    """Implements contract.ServerSide."""

    def __init__(self, exchange: Exchange, settings: SessionSettings | None = None) -> None:
        self.transaction = Transaction.NONE
        self._settings = settings or SessionSettings()
        self._failed = False
        self.rows = 0
        self._exchange = exchange
        self._kept = bytearray()
        self._needed = 0
        self._passing = 0
        self._read = 0
        self._mark = 0
        self._position = 0
        self._notes: list[Note] = []
        self._notices = b""
        self._handlers: dict[int, Callable[[bytes], None]] = {
            0x31: lambda body: self._answered(Awaits.PARSE, body),
            0x32: lambda body: self._answered(Awaits.BIND, body),
            0x33: lambda body: self._answered(Awaits.CLOSE, body),
            0x74: self._parameter_description,
            0x54: self._row_description,
            0x6E: lambda body: self._answered(Awaits.DESCRIBE, body),
            0x43: self._command_complete,
            0x49: self._empty_query,
            0x73: self._portal_suspended,
            0x45: self._error,
            0x5A: self._ready,
            0x53: self._parameter_status,
            0x47: self._copy_in,
            0x48: self._part_of_answer,
            0x57: self._copy_in,
            0x63: self._part_of_answer,
            0x56: self._part_of_answer,
            0x41: self._nothing,
            0x4E: self._nothing,
            0x4B: self._nothing,
        }

    def feed(self, data: bytes) -> list[Piece]:
        """See contract.ServerSide."""
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return []
            data = bytes(self._kept)
            self._kept.clear()
        base = self._read
        end = len(data)
        pieces: list[Piece] = []
        queue, handlers, unpack = self._exchange.queue, self._handlers, _head.unpack_from
        start = position = needed = 0
        if self._passing:
            position = min(self._passing, end)
            self._passing -= position
        try:
            while end - position >= 5:
                kind, size = unpack(data, position)
                if kind in ROWS:
                    if not queue:
                        raise ProtocolError(Leg.SERVER, "rows that nothing asked for", data[position:])
                    position = self._pass_rows(data, position)
                    continue
                following = position + 1 + size
                handler = handlers.get(kind)
                if handler is None or not 4 <= size <= MAX_HELD_MESSAGE:
                    handler = self._long(kind, size, data, position)
                if following > end:
                    needed = min(size + 1, LONG_ERROR) if size > MAX_HELD_MESSAGE else size + 1
                    if end - position < needed:
                        break
                # The end of a message that passes without being held counts too, however the bytes are cut.
                self._position = base + following
                if following > end:
                    self._passing = following - end
                    following = end
                if not queue:
                    # What comes between statements belongs to none.
                    self._mark = self._position
                handler(data[position + 5 : following])
                position = following
                if self._exchange.refusals and queue and queue[0].awaits is Awaits.OWN and not self._passing:
                    self._emit(pieces, data, start, position)
                    start = position
                    pieces.append(Piece(self.due(), 0, "Refusal"))
        except ProtocolError as error:
            self._emit(pieces, data, start, position)
            error.before = pieces
            raise
        self._emit(pieces, data, start, position)
        self._read = base + position
        if position < end:
            self._kept += data[position:]
            self._needed = needed if end - position >= 5 else 5
        return pieces

    def due(self) -> bytes:
        """See contract.ServerSide."""
        queue = self._exchange.queue
        out = b""
        if self._notices and not self._passing:
            out, self._notices = self._notices, b""
        while queue and queue[0].awaits is Awaits.OWN and not self._passing:
            entry = queue.popleft()
            self._exchange.refusals -= 1
            out += entry.answer
            if entry.with_ready:
                out += own_words.ready(self._status())
            self._exchange.settle(entry.parses, self._exchange.late)
        return out

    def notify(self, text: str) -> bool:
        """See contract.SaysNotices. In a session's own encoding, which what cannot be written in it is shown as."""
        self._notices += own_words.notice(text, self._exchange.codec)
        return True

    @property
    def codec(self) -> str:
        """See contract.ServerSide."""
        return self._exchange.codec

    @property
    def running(self) -> int | None:
        """See contract.ServerSide."""
        return next(iter(self._exchange.open), None)

    def farewell(self, refusal: Refusal) -> bytes:
        """See contract.ServerSide."""
        if self._passing:
            return b""
        return own_words.error(refusal, fatal=True)

    def open_statements(self) -> list[int]:
        """See contract.ServerSide."""
        return list(self._exchange.open)

    # ---------------------------------------------------------------------------------------------------------- framing

    def _long(self, kind: int, size: int, data: bytes, position: int) -> Callable[[bytes], None]:
        """The handler of a message that may be longer than what is held. Raises ProtocolError for any other."""
        handler = self._handlers.get(kind)
        if handler is None or not 4 <= size <= LONGEST:
            raise ProtocolError(Leg.SERVER, f"no message of PostgreSQL: kind {kind}, length {size}", data[position:])
        if kind not in PASSING:
            raise ProtocolError(Leg.SERVER, f"a message of {size} bytes of kind {kind}", data[position:])
        return handler

    def _pass_rows(self, data: bytes, position: int) -> int:
        """Counts a run of rows from `position` on; returns the position behind it. The hot loop of every result."""
        unpack, end, rows = _head.unpack_from, len(data), 0
        last = end - 5
        while position <= last:
            kind, size = unpack(data, position)
            if kind != DATA_ROW and kind != COPY_DATA:
                break
            if not 4 <= size <= LONGEST:
                raise ProtocolError(Leg.SERVER, f"a row of length {size}", data[position:])
            position += size + 1
            rows += 1
        self.rows += rows
        if position > end:
            self._passing = position - end
            position = end
        return position

    def _emit(self, pieces: list[Piece], data: bytes, start: int, position: int) -> None:
        if position == start:
            return
        whole = data if start == 0 and position == len(data) else data[start:position]
        notes: tuple[Note, ...] = ()
        if self._exchange.late:
            self._notes.extend(self._exchange.late)
            self._exchange.late.clear()
        if self._notes:
            notes = tuple(self._notes)
            self._notes.clear()
        pieces.append(Piece(whole, position - start, "answers", notes))

    def _head(self, body: bytes) -> Entry:
        queue = self._exchange.queue
        if not queue:
            raise ProtocolError(Leg.SERVER, "an answer that nothing asked for", body)
        return queue[0]

    def _bytes(self) -> int:
        """Bytes of the server since the last outcome."""
        count, self._mark = self._position - self._mark, self._position
        return count

    def _end(
        self,
        number: int,
        rows: int | None = None,
        error: DatabaseError | None = None,
        outcome: str = "done",
        portal: Portal | None = None,
    ) -> None:
        if number in self._exchange.open:
            self._exchange.end(
                number, self._notes, rows=rows, error=error, outcome=outcome, bytes_down=self._bytes(),
                position=self._position, portal=portal,
            )  # fmt: skip
        self.rows = 0

    def _status(self) -> bytes:
        return next((status for status, state in TRANSACTIONS.items() if state is self.transaction), b"I")

    # --------------------------------------------------------------------------------------------------------- messages

    def _nothing(self, body: bytes) -> None:
        """Passed on; nothing of it is for the record."""

    def _part_of_answer(self, body: bytes) -> None:
        """Passed on, where something was asked for."""
        self._head(body)

    def _answered(self, awaits: Awaits, body: bytes) -> None:
        if self._head(body).awaits is not awaits:
            raise ProtocolError(Leg.SERVER, f"the answer to {awaits.name.lower()} out of its order", body)
        self._exchange.queue.popleft()

    def _parameter_description(self, body: bytes) -> None:
        head = self._head(body)
        if head.prepared is not None and len(body) >= 2:
            count = struct.unpack_from(">H", body)[0]
            if len(body) >= 2 + 4 * count:
                head.prepared.types = struct.unpack_from(f">{count}I", body, 2)

    def _row_description(self, body: bytes) -> None:
        head = self._head(body)
        if head.awaits is Awaits.DESCRIBE:
            if head.describes is not None:
                head.describes.described = self._position - len(body) - 5
            self._exchange.queue.popleft()

    def _command_complete(self, body: bytes) -> None:
        head = self._head(body)
        count = _count(body)
        if count is None and self.rows:
            # SHOW, EXPLAIN and old servers: a tag without a count behind rows that were.
            count = self.rows
        if body in TAGS:
            self._follow(body, head)
        if head.awaits is Awaits.EXECUTE:
            self._exchange.queue.popleft()
            self._end(head.number, count, portal=head.portal)
        elif head.awaits is not Awaits.QUERY:
            raise ProtocolError(Leg.SERVER, f"the end of a command instead of {head.awaits.name.lower()}", body)
        else:
            head.commands += 1
            if count is not None:
                head.rows = (head.rows or 0) + count
        self.rows = 0

    def _follow(self, tag: bytes, head: Entry) -> None:
        """A command that changes what the session is, or forgets what was prepared."""
        if tag in ALL_FORGOTTEN:
            self._exchange.forget_prepared(head.number)
        text = head.text
        if head.portal is not None and head.portal.prepared is not None:
            text = head.portal.prepared.text
        before = self._settings.schema, self._settings.role
        self._settings.completed(tag, text, head.commands)
        self._note_settings(before, head.number)

    def _note_settings(self, before: tuple[str, str], number: int) -> None:
        """Puts on record what is different now; `number` is the statement that did it."""
        schema, role = self._settings.schema, self._settings.role
        if schema != before[0]:
            self._notes.append(SessionChanged(schema=schema))
        if role != before[1]:
            self._notes.append(SessionChanged(role=role))
            if number in self._exchange.open:
                now = f"the role is now {role}" if role else "the role is the account's own again"
                self._notes.append(StatementExtends(number, detail=now))

    def _empty_query(self, body: bytes) -> None:
        head = self._head(body)
        if head.awaits is Awaits.EXECUTE:
            self._exchange.queue.popleft()
            self._end(head.number)

    def _portal_suspended(self, body: bytes) -> None:
        head = self._head(body)
        self._answered(Awaits.EXECUTE, body)
        self._end(head.number, self.rows, outcome="suspended", portal=head.portal)

    def _error(self, body: bytes) -> None:
        exchange = self._exchange
        if not exchange.queue:
            # Between statements: the server ends the session (57P01) or says why it will.
            return
        head = exchange.queue[0]
        exchange.copying = 0
        self._failed = True
        if self._passing or len(body) > MAX_HELD_MESSAGE:
            # What is read of a long one does not depend on how much of it happens to be here.
            body = body[: LONG_ERROR - _head.size]
        error = database_error(body)
        if head.awaits in (Awaits.QUERY, Awaits.FUNCTION, Awaits.SYNC):
            # ReadyForQuery follows. At a Sync: a deferred constraint, or the commit of the implicit transaction.
            head.error = error
            if is_fatal(body):
                # The server hangs up, so what would end the statement does not come.
                self._end(head.number, head.rows, error, "failed")
                exchange.settle(head.parses, self._notes, error)
            return
        exchange.queue.popleft()
        self._end(self._statement_of(head), error=error, outcome="failed", portal=head.portal)
        exchange.skip_to_sync(head, self._notes)

    def _statement_of(self, entry: Entry) -> int:
        """The statement that an entry belongs to: a portal's is that of its next Execute, else of its Parse."""
        if entry.number:
            return entry.number
        portal = entry.portal
        if portal is not None:
            if portal.number:
                queue = self._exchange.queue
                return next((one.number for one in queue if one.portal is portal and one.number), portal.number)
            if portal.prepared is not None:
                return portal.prepared.number
        return entry.prepared.number if entry.prepared is not None else 0

    def _ready(self, body: bytes) -> None:
        head = self._head(body)
        if head.awaits not in (Awaits.SYNC, Awaits.QUERY, Awaits.FUNCTION):
            raise ProtocolError(Leg.SERVER, "ReadyForQuery while an answer is outstanding", body)
        exchange = self._exchange
        exchange.queue.popleft()
        exchange.copying = 0
        outcome = "done" if head.error is None else "failed"
        if body == b"I" and self._settings.open:
            before = self._settings.schema, self._settings.role
            self._settings.ended(rolled_back=self._failed)
            self._note_settings(before, head.number)
        self._failed = False
        if head.number:
            self._end(head.number, head.rows, head.error, outcome)
        if head.parses:
            exchange.settle(head.parses, self._notes, head.error)
        self._mark = self._position
        if body == b"I" and exchange.portals:
            exchange.end_portals(head.pipeline)
        state = TRANSACTIONS.get(body, Transaction.UNKNOWN)
        if state is not self.transaction:
            self.transaction = state
            self._notes.append(SessionChanged(transaction=state))

    def _parameter_status(self, body: bytes) -> None:
        name, _, value = body.rstrip(b"\0").partition(b"\0")
        if name in REPORTED:
            before = self._settings.schema, self._settings.role
            self._settings.report(name, value.decode("utf-8", "backslashreplace"))
            self._note_settings(before, self.running or 0)
        elif name == b"client_encoding":
            self._exchange.codec = codec_for(value.decode("ascii", "replace"))
        elif name == b"application_name":
            self._notes.append(SessionChanged(client=value.decode("utf-8", "backslashreplace")[:256]))

    def _copy_in(self, body: bytes) -> None:
        """The client sends data now, or has sent it already without waiting for this."""
        head, exchange = self._head(body), self._exchange
        if head.awaits is Awaits.EXECUTE:
            # A Sync that is under way before the data is ignored (documentation, "COPY Operations"); libpq sends one.
            while len(exchange.queue) > 1:
                sync = exchange.queue[1]
                if sync.awaits is not Awaits.SYNC or sync.copies != head.copies:
                    break
                del exchange.queue[1]
                exchange.settle((one for one in sync.parses if one.number != head.number), self._notes)
        if exchange.copies == head.copies:
            exchange.copying = head.number
        head.copies += 1


def _count(body: bytes) -> int | None:
    """The count at the end of a command tag (`SELECT 5`, `INSERT 0 1`); None where it has none."""
    last = body.rstrip(b"\0").rpartition(b" ")[2]
    return int(last) if last.isdigit() else None
