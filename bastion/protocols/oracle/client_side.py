"""Reads what the client sends after login: calls, with their notes ahead of their bytes.

A message is held until it is whole; where rows of binds follow a call, packets whose rows are read go on before the
last one is there. What is longer than LONG_CALL without its end (a text, a value, data for a LOB) is read as it passes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    TEXT_PART,
    Bind,
    DatabaseError,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementBegins,
    StatementEnds,
    StatementExtends,
    Transaction,
)
from bastion.protocols.uploads import UploadSample

from . import constants as c
from .attributes import Attributes
from .binds import LONG_ROW, BindRows
from .calls import (
    Call,
    ExecuteHead,
    NotCarried,
    Piggyback,
    execute_head,
    execute_rest,
    lob_head,
    read_call,
    read_header,
)
from .codec import Malformed, Reader, Short
from .exchange import Exchange, Waiting
from .framing import Packet, Packets
from .in_parts import Steps, Texts, byte_string, once_here, run
from .placeholders import order_of
from .refusal import call_refused_packets, not_carried, number_of
from .replies import Expected
from .statements import RE_EXECUTES, columns_of, executed, only_prepares, rows_of, text_of

_SETTINGS = frozenset((c.SET_SCHEMA, c.KEY_VALUES, c.SESSION_SWITCH, c.TPC_SWITCH))
"""Piggybacks without which what follows would mean something else."""

_NOT_YET = Expected(0)
"""Stands where `_complete` puts what is expected before anything else is read."""

MARKER_LENGTH = 11
"""Bytes of a marker's packet: eight of its head and three, of which the last says which marker it is."""

_LOGINS = (bytes((c.CALL, c.AUTH_PHASE_ONE)), bytes((c.CALL, c.AUTH_PHASE_TWO)))

UNREAD_LIMIT = 64 * 1024
"""Bytes of a message that are collected before it is tried to read them, where so much comes at once."""

LONG_CALL = 64 * 1024
"""Bytes of a call that may be there without its end: beyond it, its text or its data are read as they pass."""

UPLOAD_NOTE = 1024 * 1024
"""Bytes for a LOB that pass between two notes."""

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
        self._steps: Steps[None] | None = None
        """Reads a message, or a row of it, that passes."""
        self._passing = Reader(self._content, exchange.dialect)
        self._texts: Texts | None = None
        """Of a text that passes and is not over."""
        self._dropping = False
        """More comes of a message that was refused unread."""
        self._uploads = UploadSample()
        self._counted = 0
        self._attributes = Attributes()
        self._sets = False
        self._lost = False
        """A setting of the session was in front of a call that was refused, so the database has not been given it."""

    def still_ahead(self) -> bool:
        return False

    def sample_uploads(self, limit: int) -> None:
        self._uploads.limit = limit

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        for waiting in self._exchange.waiting:
            if waiting.number == piece.statement and waiting.error is None:
                waiting.error = self._refused(refusal, waiting.call.sequence)
                for each in waiting.pieces:
                    each.forward = False
                self._lost = self._lost or waiting.sets
                return

    def _refused(self, refusal: Refusal, sequence: int) -> bytes:
        exchange = self._exchange
        status = c.TRANSACTION_OPEN if exchange.transaction is Transaction.OPEN else 0
        return call_refused_packets(
            refusal, exchange.dialect, call=sequence, status=status, unit=exchange.unit, wide=exchange.wide
        )

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
        if self._dropping:
            self._dropping = not self._is_last(packet.data)
            pieces.append(Piece(packet.data, len(packet.data), "call", (), True, False))
            return
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

    def takes_back(self, behind: bytes) -> bool:
        """A break or interrupt. The database, which has not seen the call, answers it by itself: the client waits for
        that behind the answer of its call."""
        whole = not self._held and not self._content and self._rows is None and self._steps is None
        return (
            whole and len(behind) >= MARKER_LENGTH and behind[4] == c.MARKER
            and behind[MARKER_LENGTH - 1] in (c.BREAK, c.INTERRUPT)
        )  # fmt: skip

    def _marker(self, packet: Packet, pieces: list[Piece]) -> None:
        """A break or a reset goes on at once; what came before of rows that are not whole is void with it.

        What came of a call that could not be read yet has no record, so it cannot go on.
        """
        kind, current, notes = packet.data[-1], self._current, tuple[Note, ...]()
        self._dropping = False
        if self._held or self._rows is not None or self._steps is not None:
            if (self._rows is None and self._steps is None) or current is None:
                raise Malformed("a marker in the middle of a call")
            raw = b"".join(self._held)
            if self._texts is not None:
                self._text(self._texts.last(), complete=True, detail="broken off by the client before it was whole")
            self._clear()
            current.passed = True
            notes = tuple(self._taken())
            if raw:
                refused = current.error is not None
                name = "call that was broken off"
                pieces.append(Piece(raw, len(raw), name, notes, True, not refused, current.number))
                notes = ()
        if kind in (c.BREAK, c.INTERRUPT):
            self._exchange.break_due = True
            if self._exchange.running() is not None:
                self._exchange.breaking = True
        pieces.append(Piece(packet.data, len(packet.data), "marker", notes))

    def _clear(self) -> None:
        self._held.clear()
        self._ends.clear()
        self._content.clear()
        self._position = self._tried = self._again = 0
        self._rows = self._steps = self._texts = None
        self._exchange.sending = False

    # --------------------------------------------------------------------------------------------------------- reading

    def _read(self, pieces: list[Piece]) -> None:
        """As many calls and rows as are there; a message that ends with a packet goes on. Raises Malformed."""
        content = self._content
        while self._position < len(content):
            if self._rows is None and self._steps is None and not self._position:
                self._current = None
            reader = Reader(content, self._exchange.dialect, self._position)
            try:
                if self._steps is not None:
                    reader = self._passing
                    self._step(self._steps)
                elif self._rows is not None:
                    self._row(reader, self._rows)
                else:
                    self._call(reader)
            except Short:
                if self._steps is None and self._is_long():
                    continue
                self._again += len(content) - self._position
                if self._again > MOST_READ_AGAIN:
                    raise Malformed("a message in too many small packets") from None
                return
            except NotCarried as refused:
                self._refuse_unread(refused, reader.position, pieces)
                continue
            self._position, self._again = reader.position, 0
            if self._rows is None and self._steps is None:
                place = bisect_left(self._ends, self._position)
                if place < len(self._ends) and self._ends[place] == self._position:
                    self._release(pieces)

    def _row(self, reader: Reader, rows: BindRows) -> None:
        self._row_read(rows, rows.read(reader))

    def _row_read(self, rows: BindRows, values: tuple[Bind, ...]) -> None:
        current = self._current
        if values and current is not None and current.number is not None:
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
        self._complete(self._begin(found), found)
        if found.data:
            self._upload(found.data)

    # ---------------------------------------------------------------------------------------- what is read as it passes

    def _is_long(self) -> bool:
        """Whether what is there without its end is read as it passes from now on."""
        if len(self._content) - self._position <= (LONG_CALL if self._rows is None else LONG_ROW):
            return False
        reader = self._passing
        reader.position = self._position
        if self._rows is not None:
            self._steps = self._long_row(reader, self._rows)
            return True
        try:
            kind, function, sequence = read_header(reader)
            if kind == c.CALL and function == c.EXECUTE:
                head = execute_head(reader, function, sequence)
                if head.has_text:
                    self._steps = self._long_text(reader, head)
            elif kind == c.CALL and function == c.LOB_OPERATION:
                call = lob_head(reader, function, sequence)
                if call.operation == c.LOB_WRITE:
                    self._complete(self._begin(call), call)
                    self._steps = self._long_data(reader, has_amount=call.amount)
        except Short:
            return False
        if self._steps is None:
            return False
        self._position = reader.position
        return True

    def _step(self, steps: Steps[None]) -> None:
        """Raises Short for more, behind what was read."""
        reader = self._passing
        begin = reader.position = self._position
        try:
            next(steps)
        except StopIteration:
            self._steps = None
            return
        self._position = reader.position
        if reader.position > begin:
            self._again = 0
        raise Short

    def _long_row(self, reader: Reader, rows: BindRows) -> Steps[None]:
        self._row_read(rows, (yield from rows.in_parts(reader)))

    def _long_data(self, reader: Reader, *, has_amount: bool) -> Steps[None]:
        yield from byte_string(reader, self._upload)
        if has_amount:
            yield from once_here(reader, Reader.ub8)

    def _long_text(self, reader: Reader, head: ExecuteHead) -> Steps[None]:
        dialect = reader.dialect
        texts = self._texts = Texts(dialect.codec)
        call = Call(head.function, head.sequence, head.cursor, "", head.options)
        waiting: Waiting | None = None

        def take(data: bytes) -> None:
            nonlocal waiting
            text = texts.part(data)
            if waiting is None:
                waiting = self._begin(replace(call, text=text), complete=False)
            else:
                self._text(text)

        yield from byte_string(reader, take) if dialect.counted_texts else run(reader, head.length, take)
        self._texts = None
        if waiting is None:
            waiting = self._begin(call, complete=False)
        self._text(texts.last(), complete=True)
        rest = yield from once_here(reader, lambda each: execute_rest(each, head, ""))
        self._complete(waiting, replace(rest, text=waiting.text))

    def _text(self, text: str, *, complete: bool = False, detail: str = "") -> None:
        """More of the statement's text."""
        waiting = self._current
        if waiting is None or waiting.number is None or not (text or complete):
            return
        if len(waiting.text) <= TEXT_PART:
            waiting.text += text
        for start in range(0, len(text), TEXT_PART):
            self._notes.append(StatementExtends(waiting.number, text[start : start + TEXT_PART], complete=False))
        if complete:
            last = self._notes[-1] if text else None
            if not isinstance(last, StatementExtends):
                last = StatementExtends(waiting.number)
                self._notes.append(last)
            last.complete, last.detail = True, detail

    def _upload(self, data: bytes) -> None:
        """Data for a LOB: counted, and their beginning handed out."""
        number = 0 if self._current is None else self._current.number or 0
        self._counted += len(data)
        if self._uploads.room(number):
            self._notes.append(self._uploads.note(number, (data,)))

    # --------------------------------------------------------------------------------------------- what is not read

    def _is_last(self, packet: bytes) -> bool:
        """Whether a message ends with it: clients fill each packet before they begin another."""
        flags = int.from_bytes(packet[c.HEADER : c.HEADER + 2], "big")
        return len(packet) < self._exchange.unit or bool(flags & c.END_OF_REQUEST)

    def _refuse_unread(self, found: NotCarried, position: int, pieces: list[Piece]) -> None:
        """A call that cannot be read is answered by the bastion; none of its message goes on. Raises Malformed."""
        if not found.is_call or self._current is not None:
            raise Malformed(str(found)) from None
        exchange, refusal = self._exchange, not_carried(found.name)
        begin = bisect_left(self._ends, position)
        last = next((place for place in range(begin, len(self._held)) if self._is_last(self._held[place])), None)
        self._dropping = last is None
        count = len(self._held) if last is None else last + 1
        raw, read = b"".join(self._held[:count]), self._ends[count - 1]
        del self._held[:count]
        self._ends = [end - read for end in self._ends[count:]]
        del self._content[:read]
        self._position = self._tried = self._again = 0
        exchange.numbers += 1
        number = exchange.numbers
        call = Call(found.function, found.sequence)
        error = self._refused(refusal, found.sequence)
        exchange.waiting.append(Waiting(call, Expected(found.function), number, error=error))
        self._lost, self._sets = self._lost or self._sets, False
        exchange.sending = False
        said = DatabaseError(f"ORA-{number_of(refusal):05d}", refusal.message)
        begins = StatementBegins(number, "call", f"{found.name}, which does not pass the bastion")
        notes = (*self._taken(), begins, StatementEnds(number, None, said, "failed"))
        pieces.append(Piece(raw, len(raw), "call", notes, True, False, number))

    def _piggyback(self, found: Piggyback) -> None:
        for number in found.closed:
            self._exchange.forget(number)
        if found.schema is not None:
            self._notes.append(SessionChanged(schema=found.schema))
        self._attributes.set(found.attributes)
        self._sets = self._sets or found.function in _SETTINGS

    def _begin(self, call: Call, *, complete: bool = True) -> Waiting:
        """The call is on its way from here on, and on record where it is a statement. Raises Malformed."""
        exchange = self._exchange
        if call.function in (c.AUTH_PHASE_ONE, c.AUTH_PHASE_TWO):
            raise Malformed("a login, or a change of password, inside a session")
        if self._current is not None:
            raise Malformed("a second call in one message")
        if self._lost and call.function != c.LOG_OFF:
            raise Malformed("a setting of the session was lost with a call that was refused; connect again")
        cursor = exchange.cursor(call.cursor) if call.cursor else None
        if self.judging and cursor is None and call.text is None and call.function in (c.EXECUTE, *RE_EXECUTES):
            raise Malformed("an execution of a cursor whose text is not known, which nobody can judge")
        expected = _NOT_YET if complete else Expected(call.function)
        waiting = Waiting(call, expected, cursor=cursor, sets=self._sets)
        self._sets = False
        if exchange.running() is None:
            exchange.breaking = False
        exchange.waiting.append(waiting)
        self._current = waiting
        waiting.text = text_of(call, cursor)
        if waiting.text or not complete:
            exchange.numbers += 1
            number = waiting.number = exchange.numbers
            name, text = c.FUNCTIONS[call.function], waiting.text
            prepares = only_prepares(call, text)
            first = StatementBegins(
                number, name, text[:TEXT_PART], complete=complete and len(text) <= TEXT_PART, prepares=prepares
            )
            self._notes.append(first)
            for start in range(TEXT_PART, len(text), TEXT_PART):
                end = start + TEXT_PART
                more = StatementExtends(number, text[start:end], complete=complete and end >= len(text))
                self._notes.append(more)
            if self._attributes:
                self._notes.append(StatementExtends(number, complete=complete, detail=self._attributes.take()))
        return waiting

    def _complete(self, waiting: Waiting, call: Call) -> None:
        """All of the call is read but its rows."""
        known = waiting.cursor
        if call.function == c.EXECUTE:
            waiting.cursor = known = executed(call, known, waiting.number)
        waiting.call = replace(call, data=b"") if call.data else call
        binds = call.binds or (known.binds if known is not None else ())
        again = call.function in RE_EXECUTES
        expected = waiting.expected = Expected(
            call.function, columns=columns_of(call, known), binds=binds, counts_rows=call.counts_rows,
            locators=call.locators, operation=call.operation, amount=call.amount,
        )  # fmt: skip
        rows = rows_of(call, known) if binds else 0
        if known is not None and binds and call.function in (c.EXECUTE, *RE_EXECUTES):
            expected.returning = bool(known.given_back)
            expected.given = known.returned()
            expected.void()
            if again:
                expected.counts_rows = known.counts_rows
            places = known.sent(again=again)
            rows = rows if places else 0
            if rows:
                sent = tuple(binds[place] for place in places)
                order = order_of(sent, block=known.is_block, longest=self._exchange.dialect.longest_string)
                self._rows = BindRows(sent, rows, order)
        last = self._notes[-1] if self._notes else None
        if rows and isinstance(last, StatementBegins | StatementExtends) and last.number == waiting.number:
            last.binds = ()

    # --------------------------------------------------------------------------------------------------------- passing

    def _release(self, pieces: list[Piece]) -> None:
        """The packets that are read to their ends go on, behind their notes."""
        count = sum(1 for end in self._ends if end <= self._position)
        whole = self._position == len(self._content) and self._rows is None and self._steps is None
        self._exchange.sending = not whole
        if not count or (self._steps is not None and self._current is None):
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
        number = None if self._current is None else self._current.number
        if self._counted and (self._steps is None or self._counted >= UPLOAD_NOTE):
            if number is not None:
                notes.append(StatementExtends(number, data_bytes=self._counted))
            self._counted = 0
        if self._values and number is not None:
            binds, self._values = tuple(self._values), []
            last = notes[-1] if notes else None
            if isinstance(last, StatementBegins):
                last.binds = binds
            else:
                notes.append(StatementExtends(number, binds=binds))
        return notes
