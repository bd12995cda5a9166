"""Reads what the client sends after login: calls, with their notes ahead of their bytes.

A message is held until it is whole; where rows of binds follow a call, packets whose rows are read go on before the
last one is there.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    Bind,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementBegins,
    StatementExtends,
    Transaction,
)

from . import constants as c
from .binds import BindRows
from .calls import Call, Piggyback, read_call
from .codec import Malformed, Reader, Short
from .columns import Described
from .exchange import Cursor, Exchange, Waiting
from .framing import Packet, Packets
from .refusal import call_refused_packets
from .replies import Expected

_LOB_OPERATIONS = {
    0x1: "length", 0x2: "read", 0x20: "trim", 0x40: "write", 0x100: "open BFILE", 0x200: "close BFILE",
    0x110: "create temporary", 0x111: "free temporary", 0x8000: "open", 0x10000: "close",
}  # fmt: skip
_FETCHES = (c.FETCH,)
_RE_EXECUTES = (c.RE_EXECUTE, c.RE_EXECUTE_AND_FETCH)
_PARSED_ONLY = frozenset((
    "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN", "DECLARE", "CALL", "EXPLAIN",
))  # fmt: skip
"""Statements that parsing does not do. A definition is done when it is parsed, and whatever else may be."""
_FIRST_WORD = re.compile(r"(?:[\s(]+|--[^\n]*+(?:\n|\Z)|/\*.*?\*/)*+([A-Za-z]*)", re.S)

_SETTINGS = frozenset((c.SET_SCHEMA, c.KEY_VALUES, c.SESSION_SWITCH))
"""Piggybacks without which what follows would mean something else."""

_LOGINS = (bytes((c.CALL, c.AUTH_PHASE_ONE)), bytes((c.CALL, c.AUTH_PHASE_TWO)))

UNREAD_LIMIT = 64 * 1024
"""Bytes of a message that are collected before it is tried to read them, where so much comes at once."""

MOST_READ_AGAIN = 64 * 1024 * 1024
"""Bytes of one message that are read again because it was not whole yet: beyond it, it comes in crumbs on purpose."""


class OracleClientSide:
    """The contract's ClientSide. Every message is a piece of its own, whether rules apply or not."""

    def __init__(self, exchange: Exchange) -> None:
        self.judging = False
        self.ahead = False
        self.leaving = False
        self._exchange = exchange
        self._packets = Packets(exchange.wide)
        self._held: list[bytes] = []
        self._ends: list[int] = []
        """Where the content of each held packet ends in `_content`."""
        self._content = bytearray()
        self._position = 0
        self._notes: list[Note] = []
        self._rows: BindRows | None = None
        self._current: Waiting | None = None
        self._values: list[Bind] = []
        """Of the call that is read; they join its note when that is taken."""
        self._tried = 0
        """So much of `_content` has been tried to read."""
        self._again = 0
        self._sets = False
        self._lost = False
        """A setting of the session was in front of a call that was refused, so the database has not been given it."""

    def still_ahead(self) -> bool:
        return False

    def sample_uploads(self, limit: int) -> None:
        """Values are recorded as binds."""

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        exchange = self._exchange
        status = c.TRANSACTION_OPEN if exchange.transaction is Transaction.OPEN else 0
        for waiting in exchange.waiting:
            if waiting.number == piece.statement and waiting.error is None:
                waiting.error = call_refused_packets(
                    refusal, exchange.dialect, call=waiting.call.sequence, status=status, unit=exchange.unit,
                    wide=exchange.wide,
                )  # fmt: skip
                for each in waiting.pieces:
                    each.forward = False
                self._lost = self._lost or waiting.sets
                return

    # -------------------------------------------------------------------------------------------------------- packets

    def feed(self, data: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        if self._current is not None:
            self._current.pieces.clear()
        self._packets.feed(data)
        try:
            while (packet := self._packets.next()) is not None:
                self._packet(packet, pieces)
            self._read_on(pieces)
        except Malformed as error:
            raw = bytes(self._content[self._position : self._position + 4096])
            if raw[:2] in _LOGINS:
                raw = b""
            raise ProtocolError(Leg.CLIENT, str(error), raw) from None
        return pieces

    def _packet(self, packet: Packet, pieces: list[Piece]) -> None:
        if packet.kind != c.DATA or not packet.content:
            self._read_on(pieces)
        if packet.kind == c.MARKER:
            self._marker(packet, pieces)
            return
        if packet.kind != c.DATA:
            if packet.kind not in (c.CONTROL, c.NULL) or self._held:
                raise Malformed(f"a packet {packet.name} where a call should be, or go on")
            pieces.append(Piece(packet.data, len(packet.data), packet.name))
            return
        if packet.data_flags & (c.COMPRESSED | c.BEGIN_PIPELINE):
            raise Malformed("compressed data or a pipeline, which were not agreed on")
        content = packet.content
        if not content:
            if self._held:
                raise Malformed("nothing where a call should go on")
            self.leaving = self.leaving or bool(packet.data_flags & c.END_OF_FILE)
            pieces.append(Piece(packet.data, len(packet.data), "end of file"))
            return
        self._content += content
        self._held.append(packet.data)
        self._ends.append(len(self._content))
        if len(self._content) - self._tried > UNREAD_LIMIT:
            self._read_on(pieces)

    def _read_on(self, pieces: list[Piece]) -> None:
        """Reads what has come since. Raises Malformed."""
        if len(self._content) == self._tried:
            return
        self._read(pieces)
        self._release(pieces)
        self._tried = len(self._content)
        if len(self._content) > MAX_HELD_MESSAGE:
            raise Malformed(f"more than {MAX_HELD_MESSAGE} bytes of which no part can be read by itself")

    def _marker(self, packet: Packet, pieces: list[Piece]) -> None:
        """A break or a reset goes on at once; what came before of rows that are not whole is void with it.

        What came of a call that could not be read yet has no record, so it cannot go on.
        """
        kind, current = packet.data[-1], self._current
        if self._held or self._rows is not None:
            if self._rows is None or current is None:
                raise Malformed("a marker in the middle of a call")
            raw = b"".join(self._held)
            self._clear()
            current.passed = True
            if raw:
                refused = current.error is not None
                name = "call that was broken off"
                pieces.append(Piece(raw, len(raw), name, tuple(self._taken()), True, not refused, current.number))
        if kind in (c.BREAK, c.INTERRUPT) and self._exchange.running() is not None:
            self._exchange.breaking = True
        pieces.append(Piece(packet.data, len(packet.data), "marker"))

    def _clear(self) -> None:
        self._held.clear()
        self._ends.clear()
        self._content.clear()
        self._position = self._tried = self._again = 0
        self._rows = None
        self._exchange.sending = False

    # --------------------------------------------------------------------------------------------------------- reading

    def _read(self, pieces: list[Piece]) -> None:
        """As many calls and rows as are there; a message that ends with a packet goes on. Raises Malformed."""
        content = self._content
        while self._position < len(content):
            if self._rows is None and not self._position:
                self._current = None
            reader = Reader(content, self._exchange.dialect, self._position)
            try:
                if self._rows is not None:
                    self._row(reader)
                else:
                    self._call(reader)
            except Short:
                self._again += len(content) - self._position
                if self._again > MOST_READ_AGAIN:
                    raise Malformed("a message in too many small packets") from None
                return
            self._position, self._again = reader.position, 0
            if self._rows is None:
                place = bisect_left(self._ends, self._position)
                if place < len(self._ends) and self._ends[place] == self._position:
                    self._release(pieces)

    def _row(self, reader: Reader) -> None:
        rows, current = self._rows, self._current
        assert rows is not None
        assert current is not None
        values = rows.read(reader)
        if values and current.number is not None:
            self._values += values
        if not rows.left:
            self._rows = None

    def _call(self, reader: Reader) -> None:
        if reader.data[reader.position] == c.FLUSH_OUT_BINDS:  # goes on with the call that the server is at
            reader.skip(1)
            return
        found = read_call(reader)
        if isinstance(found, Piggyback):
            self._piggyback(found)
            return
        self._begin(found)

    def _piggyback(self, found: Piggyback) -> None:
        for number in found.closed:
            self._exchange.forget(number)
        if found.schema is not None:
            self._notes.append(SessionChanged(schema=found.schema))
        self._sets = self._sets or found.function in _SETTINGS

    def _begin(self, call: Call) -> None:
        exchange = self._exchange
        if call.function in (c.AUTH_PHASE_ONE, c.AUTH_PHASE_TWO):
            raise Malformed("a login, or a change of password, inside a session")
        if self._current is not None:
            raise Malformed("a second call in one message")
        if self._lost and call.function != c.LOG_OFF:
            raise Malformed("a setting of the session was lost with a call that was refused; connect again")
        cursor = exchange.cursor(call.cursor) if call.cursor else None
        if self.judging and cursor is None and call.text is None and call.function in (c.EXECUTE, *_RE_EXECUTES):
            raise Malformed("an execution of a cursor whose text is not known, which nobody can judge")
        if call.function == c.EXECUTE:
            cursor = _executed(call, cursor)
        binds = call.binds or (cursor.binds if cursor is not None else ())
        expected = Expected(
            call.function, columns=_columns(call, cursor), binds=binds, counts_rows=call.counts_rows,
            locators=call.locators, operation=call.operation, amount=call.amount,
        )  # fmt: skip
        waiting = Waiting(call, expected, cursor=cursor, sets=self._sets)
        self._sets = False
        if exchange.running() is None:
            exchange.breaking = False
        exchange.waiting.append(waiting)
        self._current = waiting
        waiting.text = _text_of(call, cursor)
        rows = _rows_of(call, cursor) if binds else 0
        if waiting.text:
            exchange.numbers += 1
            waiting.number = exchange.numbers
            name = c.FUNCTIONS[call.function]
            prepares = _only_prepares(call, waiting.text)
            bound = () if rows else None
            self._notes.append(StatementBegins(exchange.numbers, name, waiting.text, binds=bound, prepares=prepares))
        if rows:
            self._rows = BindRows(binds, rows)

    # --------------------------------------------------------------------------------------------------------- passing

    def _release(self, pieces: list[Piece]) -> None:
        """The packets that are read to their ends go on, behind their notes."""
        count = sum(1 for end in self._ends if end <= self._position)
        whole = self._position == len(self._content) and self._rows is None
        self._exchange.sending = not whole
        if not count:
            return
        raw = b"".join(self._held[:count])
        read = self._ends[count - 1]
        del self._held[:count]
        self._ends = [end - read for end in self._ends[count:]]
        del self._content[:read]
        self._position -= read
        self._tried = max(0, self._tried - read)
        current = self._current
        number = None if current is None else current.number
        kind = "call" if current is None else c.FUNCTIONS.get(current.call.function, "call")
        notes = tuple(self._taken())
        refused = current is not None and current.error is not None
        piece = Piece(raw, len(raw), kind, notes, True, not refused, number)
        if current is not None:
            current.passed = True
            current.pieces.append(piece)
        pieces.append(piece)

    def _taken(self) -> list[Note]:
        notes, self._notes = self._notes, []
        if self._values and self._current is not None and self._current.number is not None:
            binds, self._values = tuple(self._values), []
            last = notes[-1] if notes else None
            if isinstance(last, StatementBegins):
                last.binds = binds
            else:
                notes.append(StatementExtends(self._current.number, binds=binds))
        return notes


def _executed(call: Call, known: Cursor | None) -> Cursor:
    """The cursor that an execution makes or uses."""
    if call.text is not None:
        return Cursor(call.text, call.is_query, call.binds or ())
    if known is None:
        return Cursor(f"cursor {call.cursor}, whose text is not known", call.is_query, call.binds or ())
    if call.binds:
        known.binds = call.binds
    return known


def _columns(call: Call, cursor: Cursor | None) -> tuple[Described, ...]:
    if cursor is None:
        return ()
    if call.defines and len(call.defines) == len(cursor.columns):
        cursor.columns = call.defines
    return cursor.columns


def _rows_of(call: Call, cursor: Cursor | None) -> int:
    if call.function in _RE_EXECUTES:
        return 1 if cursor is not None and cursor.is_query else call.rows
    return call.rows


def _text_of(call: Call, cursor: Cursor | None) -> str:
    """What stands in the record; '' for a call that is no statement."""
    if call.function == c.COMMIT:
        return "COMMIT"
    if call.function == c.ROLLBACK:
        return "ROLLBACK"
    if call.function == c.LOB_OPERATION:
        name = _LOB_OPERATIONS.get(call.operation, f"operation {call.operation:#x}")
        return f"LOB {name}" + (f", {call.size} bytes" if call.size else "")
    if call.function in (c.EXECUTE, *_RE_EXECUTES, *_FETCHES):
        return cursor.text if cursor is not None else f"cursor {call.cursor}, whose text is not known"
    return ""


def _only_prepares(call: Call, text: str) -> bool:
    if call.function != c.EXECUTE or call.options & c.OPTION_EXECUTE:
        return False
    word = _FIRST_WORD.match(text)
    return word is not None and word[1].upper() in _PARSED_ONLY
