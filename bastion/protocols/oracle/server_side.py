"""Reads what the database answers. Whole packets go on as they come; on the side their contents are read as replies."""

from __future__ import annotations

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    DatabaseError,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementEnds,
    Transaction,
)

from . import constants as c
from .codec import Malformed, Reader, Short
from .end_of_call import EndOfCall
from .exchange import CURSOR_TEXT_BEGINNING, Cursor, Exchange, Waiting
from .framing import Packet, Packets, packet
from .replies import Expected, ReplyReader
from .results import formats_of

CANCELLED = 1013
"""ORA-01013, user requested cancel of current operation."""


class OracleServerSide:
    """The contract's ServerSide, and its CancelsInBand."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._packets = Packets(exchange.wide)
        self._content = bytearray()
        self._reply: ReplyReader | None = None
        self._position = 0
        """Bytes of the server so far, to the end of the packet that is read."""
        self._of_reply = 0
        self._described = 0
        self._packet_at = 0
        """Where the first packet stands whose contents are not read to their end."""
        self._notes: list[Note] = []
        self._status = 0
        self._marked = False
        """A marker has come since the last answer."""
        self._of_break = False
        """The answer that is read is that of a break alone."""

    # ---------------------------------------------------------------------------------------------------- the contract

    @property
    def transaction(self) -> Transaction:
        return self._exchange.transaction

    @property
    def codec(self) -> str:
        return self._exchange.dialect.codec

    @property
    def running(self) -> int | None:
        waiting = self._exchange.running()
        return None if waiting is None else waiting.number

    @property
    def rows(self) -> int:
        return 0 if self._reply is None else self._reply.expected.rows

    def open_statements(self) -> list[int]:
        return [
            each.number
            for each in self._exchange.waiting
            if each.number is not None and each.error is None and each.passed
        ]

    def due(self) -> bytes:
        waiting = self._exchange.waiting
        parts = []
        while waiting and waiting[0].error is not None:
            parts.append(waiting.popleft().error or b"")
        return b"".join(parts)

    def farewell(self, refusal: Refusal) -> bytes:
        """Nothing: no client expects an error that answers no call of its own."""
        return b""

    def cancel_in_band(self) -> bytes | None:
        """A break, where the server is at something: it announces the error as any other, and the client answers."""
        exchange = self._exchange
        if exchange.running() is None or exchange.sending:
            return None
        if exchange.breaking:
            return b""
        exchange.breaking = exchange.break_due = True
        return packet(c.MARKER, bytes((1, 0, c.BREAK)), wide=exchange.wide)

    # --------------------------------------------------------------------------------------------------------- packets

    def feed(self, data: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        self._packets.feed(data)
        try:
            while (found := self._packets.next()) is not None:
                self._packet(found, pieces)
        except Malformed as error:
            wrong = ProtocolError(Leg.SERVER, str(error), bytes(self._content[:4096]))
            wrong.before = pieces
            raise wrong from None
        return pieces

    def _packet(self, found: Packet, pieces: list[Piece]) -> None:
        exchange = self._exchange
        size = len(found.data)
        if not self._content:
            self._packet_at = self._position
        self._position += size
        self._of_reply += size
        current = exchange.running()
        number = None if current is None else current.number
        kind = found.name
        if found.kind == c.DATA:
            if found.data_flags & c.COMPRESSED:
                raise Malformed("compressed data, which were not agreed on")
            kind = "answer"
            self._content += found.content
            if found.content:
                self._read(current)
            if len(self._content) > MAX_HELD_MESSAGE:
                raise Malformed(f"more than {MAX_HELD_MESSAGE} bytes of which no part can be read by itself")
        elif found.kind == c.MARKER:
            # The reply as far as it has come is void; the client says reset, and the rest comes anew.
            self._content.clear()
            self._marked = True
            if self._reply is not None:
                self._reply.void()
        elif found.kind not in (c.CONTROL, c.NULL):
            raise Malformed(f"a packet {found.name} inside a session")
        notes, self._notes = tuple(self._notes), []
        pieces.append(Piece(found.data, size, kind, notes, True, True, number))

    def _read(self, current: Waiting | None) -> None:
        """As much as is there. Raises Malformed.

        A break that came when its call was answered already has an answer of its own, markers and an error, for which
        the client waits (python-oracledb's protocol.pyx, `_process_message`).
        """
        reply = self._reply
        if reply is None:
            self._of_break = current is None
            if current is None and not self._exchange.break_due:
                raise Malformed("an answer that nothing was asked for")
            reply = self._reply = ReplyReader(Expected(0) if current is None else current.expected)
        reader = Reader(self._content, self._exchange.dialect)
        read = 0
        try:
            while read < len(self._content):
                kind = reply.read(reader)
                read = reader.position
                if kind == c.DESCRIBE:
                    # 0 would say that there is none: the very first packet is told without its first byte, a 0.
                    self._described = self._packet_at or 1
                if reply.over:
                    if kind == c.FLUSH_OUT_BINDS:  # the client speaks, and the same answer goes on
                        reply.over = False
                        continue
                    if self._of_break or current is None:
                        self._end_of_break(reply)
                    else:
                        self._end(current, reply)
                    break
        except Short:
            pass
        if reply.over and read < len(self._content):
            raise Malformed("bytes behind the end of an answer")
        del self._content[:read]

    def _end_of_break(self, reply: ReplyReader) -> None:
        exchange, expected = self._exchange, reply.expected
        ended = expected.ended
        exchange.breaking = exchange.break_due = self._marked = False
        self._reply = None
        self._of_reply = 0
        if ended is None or not ended.failed or expected.described or expected.rows:
            raise Malformed("an answer that nothing was asked for")
        self._changes(ended, None)

    def _end(self, waiting: Waiting, reply: ReplyReader) -> None:
        exchange, expected = self._exchange, reply.expected
        if exchange.sending:
            raise Malformed("an answer before its call is whole")
        ended = expected.ended or EndOfCall(0)
        exchange.waiting.remove(waiting)
        exchange.breaking = False
        if self._marked or ended.error == CANCELLED:
            exchange.break_due = False
        self._marked = False
        self._reply = None
        cursor = waiting.cursor
        if cursor is not None and expected.described:
            cursor.columns, cursor.described = expected.columns, self._described
        if cursor is not None and expected.out_places is not None:
            cursor.out, cursor.only_out = expected.out_places, expected.only_out
        if cursor is not None and ended.cursor and waiting.call.function == c.EXECUTE:
            exchange.keep(ended.cursor, cursor, waiting.number)
        for number, columns in expected.cursors.items():
            text = waiting.text[:CURSOR_TEXT_BEGINNING]
            exchange.keep(number, Cursor(f"cursor {number} of: {text}", True, (), columns), waiting.number)
        if ended.status & c.SESSION_RELEASED:
            exchange.forget_all()
        self._changes(ended, expected.schema)
        if waiting.number is not None:
            self._notes.append(self._outcome(waiting, ended))
        self._of_reply = 0

    def _changes(self, ended: EndOfCall, schema: str | None) -> None:
        state = Transaction.OPEN if ended.transaction_open else Transaction.NONE
        changed = state is not self._exchange.transaction
        self._exchange.transaction = state
        if changed or schema is not None:
            self._notes.append(SessionChanged(schema=schema, transaction=state if changed else None))

    def _outcome(self, waiting: Waiting, ended: EndOfCall) -> StatementEnds:
        expected, cursor = waiting.expected, waiting.cursor
        error = DatabaseError(f"ORA-{ended.error:05d}", _words(ended), ended.position or None) if ended.failed else None
        is_query = bool(cursor and cursor.is_query)
        outcome = "failed" if error is not None else "done"
        if error is None and is_query and not ended.error:
            outcome = "suspended"
        return StatementEnds(
            waiting.number or 0,
            expected.rows if is_query else ended.rows,
            error,
            outcome,
            self._of_reply,
            self._position,
            0 if cursor is None else cursor.described,
            formats_of(self._exchange.dialect, expected),
        )


def _words(ended: EndOfCall) -> str:
    """What the server said, without the number in front, which stands by itself."""
    begin = f"ORA-{ended.error:05d}: "
    return ended.message.removeprefix(begin) or "no words of the server"
