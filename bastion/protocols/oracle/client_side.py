"""Reads what the client sends after login: calls, with their notes ahead of their bytes.

A message is held until it is whole; where rows of binds follow a call, packets whose rows are read go on before the
last one is there.
"""

from __future__ import annotations

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
_DEFINITIONS = ("CREATE", "ALTER", "DROP", "TRUNCATE", "GRANT", "REVOKE", "RENAME", "COMMENT", "PURGE", "FLASHBACK")
"""A statement that begins so is done when it is parsed."""


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
        self._owed = b""
        """Piggybacks of a refused message: they go on with the next one."""
        self._own_begin = 0

    def still_ahead(self) -> bool:
        return False

    def sample_uploads(self, limit: int) -> None:
        """Values are recorded as binds."""

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        exchange = self._exchange
        for waiting in exchange.waiting:
            if waiting.number == piece.statement and waiting.error is None:
                waiting.error = call_refused_packets(
                    refusal, exchange.dialect, call=waiting.call.sequence, status=0, unit=exchange.unit,
                    wide=exchange.wide,
                )  # fmt: skip
                for each in waiting.pieces:
                    each.forward = False
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
        except Malformed as error:
            raise ProtocolError(
                Leg.CLIENT, str(error), bytes(self._content[self._position : self._position + 4096])
            ) from None
        return pieces

    def _packet(self, packet: Packet, pieces: list[Piece]) -> None:
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
        self._read()
        self._release(pieces)
        if len(self._content) > MAX_HELD_MESSAGE:
            raise Malformed(f"more than {MAX_HELD_MESSAGE} bytes of which no part can be read by itself")

    def _marker(self, packet: Packet, pieces: list[Piece]) -> None:
        """A break or a reset goes on at once; what came before of a message that is not whole is void with it."""
        kind = packet.data[-1]
        if kind in (c.BREAK, c.INTERRUPT):
            self._exchange.breaking = True
        if self._held:
            raw = b"".join(self._held)
            self._clear()
            if self._current is not None:
                self._current.passed = True
            pieces.append(Piece(raw, len(raw), "call that was broken off", tuple(self._taken())))
        pieces.append(Piece(packet.data, len(packet.data), "marker"))

    def _clear(self) -> None:
        self._held.clear()
        self._ends.clear()
        self._content.clear()
        self._position = 0
        self._rows = None
        self._exchange.sending = False

    # --------------------------------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        """As many calls and rows as are there. Raises Malformed."""
        content = self._content
        while self._position < len(content):
            reader = Reader(content, self._exchange.dialect, self._position)
            try:
                if self._rows is not None:
                    self._row(reader)
                else:
                    self._call(reader)
            except Short:
                return
            self._position = reader.position

    def _row(self, reader: Reader) -> None:
        rows, current = self._rows, self._current
        assert rows is not None
        assert current is not None
        values = rows.read(reader)
        if values and current.number is not None:
            self._add_binds(current.number, values)
        if not rows.left:
            self._rows = None

    def _add_binds(self, number: int, values: tuple[Bind, ...]) -> None:
        last = self._notes[-1] if self._notes else None
        if isinstance(last, (StatementBegins, StatementExtends)) and last.number == number:
            last.binds = (last.binds or ()) + values
        else:
            self._notes.append(StatementExtends(number, binds=values))

    def _call(self, reader: Reader) -> None:
        begin = reader.position
        if reader.data[begin] == c.FLUSH_OUT_BINDS:  # goes on with the call that the server is at
            reader.skip(1)
            return
        found = read_call(reader)
        if isinstance(found, Piggyback):
            self._piggyback(found)
            return
        self._own_begin = begin
        self._begin(found)

    def _piggyback(self, found: Piggyback) -> None:
        for number in found.closed:
            self._exchange.forget(number)
        if found.schema is not None:
            self._notes.append(SessionChanged(schema=found.schema))

    def _begin(self, call: Call) -> None:
        exchange = self._exchange
        if call.function in (c.AUTH_PHASE_ONE, c.AUTH_PHASE_TWO):
            raise Malformed("a login, or a change of password, inside a session")
        cursor = exchange.cursor(call.cursor) if call.cursor else None
        if call.function == c.EXECUTE:
            cursor = _executed(call, cursor)
        binds = call.binds or (cursor.binds if cursor is not None else ())
        expected = Expected(
            call.function, columns=_columns(call, cursor), binds=binds, counts_rows=call.counts_rows,
            locators=call.locators, operation=call.operation,
        )  # fmt: skip
        waiting = Waiting(call, expected, cursor=cursor)
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
    return not text.lstrip().upper().startswith(_DEFINITIONS)
