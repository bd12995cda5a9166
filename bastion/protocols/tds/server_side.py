"""Reads what the database answers: packets, tokens, and runs of rows as one piece.

Whole packets go on as they come; on the side their data are put together and read as tokens. Of rows only the lengths
of their values are looked at.
"""

from __future__ import annotations

from bastion.protocols.contract import (
    DatabaseError,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    Transaction,
)

from . import refusal as own_words
from .answer import CANCELLED_BY_BASTION, CANCELLED_BY_CLIENT, RunningAnswer
from .codec import Malformed, Short, encode_message
from .constants import DONE_ATTENTION, DONE_MORE, HEADER, IGNORE, LAST, LONGEST_PACKET, PacketKind, Token
from .exchange import Attention, Exchange, Request
from .packets import NO_PACKETS, Packets, without_end
from .token_reader import TokenReader

ANSWER = PacketKind.ANSWER
NO_ANSWER = Packets(b"", [], NO_PACKETS, 0)


class TdsServerSide:
    """The contract's ServerSide, and its CancelsInBand."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._held = b""
        self._delayed = NO_PACKETS
        """Packets that end within what may be the confirmation of the bastion's own order."""
        self._base = 0
        self._notes: list[Note] = []
        self._reader = TokenReader(exchange, self._notes)
        self._answer: RunningAnswer | None = None
        self._packets = NO_ANSWER
        self._packets_from = 0
        """Those that are being read, and where in the session they begin."""
        self._reader.where = self._where
        self._confirms: Attention | None = None
        """The message that comes is the confirmation of this order, and nothing else."""
        self._middle = False

    # -------------------------------------------------------------------------------------------- the contract

    @property
    def transaction(self) -> Transaction:
        return self._exchange.transaction

    @property
    def codec(self) -> str:
        return "utf-16-le"

    @property
    def running(self) -> int | None:
        if self._answer is not None and self._answer.number is not None:
            return self._answer.number
        request = self._exchange.request()
        return None if request is None or not request.count else request.first

    @property
    def rows(self) -> int:
        return 0 if self._answer is None else self._answer.rows

    def open_statements(self) -> list[int]:
        numbers: list[int] = []
        for each in self._exchange.waiting:
            if isinstance(each, Request) and each.error is None:
                answered = self._answer.index if self._answer is not None and self._answer.request is each else 0
                numbers += each.numbers()[answered:]
        return numbers

    def due(self) -> bytes:
        waiting = self._exchange.waiting
        parts: list[bytes] = []
        while waiting and not self._middle:
            first = waiting[0]
            if not isinstance(first, Request) or first.error is None or not first.whole:
                break
            waiting.popleft()
            parts.append(self._own(first.error))
        return b"".join(parts)

    def farewell(self, refusal: Refusal) -> bytes:
        if self._middle or self._held:
            return b""
        return self._own(own_words.session_ended(refusal, self._exchange.version))

    def _own(self, data: bytes, *, first: int = 1) -> bytes:
        exchange = self._exchange
        return encode_message(PacketKind.ANSWER, data, size=exchange.packet_size, spid=exchange.spid, first=first)

    def cancel_in_band(self) -> bytes | None:
        """An attention, behind whatever the client has sent of a message: the rest of that is dropped."""
        exchange = self._exchange
        if exchange.attention() is not None:
            return b""
        request = exchange.request()
        if request is None:
            return None
        exchange.waiting.append(Attention(by_client=False))
        order = encode_message(PacketKind.ATTENTION, b"")
        if exchange.sending is not None and exchange.sending.error is None:
            # An order within a message would be read as a part of it.
            order = encode_message(exchange.sending.kind, b"", last=LAST | IGNORE) + order
            exchange.dropping = True
        return order

    # ------------------------------------------------------------------------------------------------- packets

    def feed(self, data: bytes) -> list[Piece]:
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[Piece] = []
        position, end = 0, len(data)
        try:
            if (
                end > HEADER
                and data[0] == ANSWER
                and data[1] & LAST
                and data[2] << 8 | data[3] == end <= LONGEST_PACKET
            ):
                # One packet that ends an answer: that is what most reads bring.
                self._segment(data, data[HEADER:], [end - HEADER], pieces, last=True)
                return pieces
            while True:
                begin = position
                parts: list[bytes] = []
                ends: list[int] = []
                total = 0
                status = 0
                while not status & LAST and end - position >= HEADER:
                    length = data[position + 2] << 8 | data[position + 3]
                    if data[position] != ANSWER or not HEADER <= length <= LONGEST_PACKET:
                        raise ProtocolError(
                            Leg.SERVER, "a packet that no server sends", data[position : position + HEADER]
                        )
                    if end - position < length:
                        break
                    status = data[position + 1]
                    parts.append(data[position + HEADER : position + length])
                    total += length - HEADER
                    ends.append(total)
                    position += length
                if not parts:
                    break
                raw = data if position - begin == end else data[begin:position]
                self._segment(raw, b"".join(parts), ends, pieces, last=bool(status & LAST))
        except ProtocolError as error:
            error.before = pieces
            raise
        self._held = data[position:] if position else data
        return pieces

    def _begin(self) -> None:
        """The first packet of a message has come."""
        waiting = self._exchange.waiting
        self._middle = True
        self._confirms = None
        if waiting and isinstance(waiting[0], Attention):
            self._confirms = waiting[0]
        request = waiting[0] if waiting and isinstance(waiting[0], Request) and waiting[0].error is None else None
        self._answer = self._reader.answer = RunningAnswer(self._exchange, request, self._notes, self._base)

    def _segment(self, raw: bytes, data: bytes, ends: list[int], pieces: list[Piece], *, last: bool) -> None:
        """Packets of one message, as they came, and their data; `ends` are the ends of these in `data`."""
        if not self._middle:
            self._begin()
        reader, answer = self._reader, self._answer
        assert answer is not None
        packets = self._packets = Packets(raw, ends, self._delayed, reader.carried)
        base = self._packets_from = self._base - len(self._delayed.raw)
        self._delayed = NO_PACKETS
        raw = packets.raw
        start = 0
        confirmed = False
        ours = self._is_ours()
        try:
            reader.begin(data)
            while (token := reader.next()) is not None:
                if token == Token.DONEPROC and reader.status & DONE_MORE and answer.more_calls:
                    stop, left = packets.place(reader.position)
                    number = answer.number
                    answer.next_call(base + stop, left)
                    if not ours:
                        self._give(pieces, raw[start:stop], number)
                        start = stop
                elif reader.status & DONE_ATTENTION:
                    confirmed = True
                    if ours:
                        stop, _ = packets.place(reader.token_start)
                        self._cut_off(pieces, raw, stop, base, answer, confirmed=True)
                        return
            if last and reader.carried:
                raise Malformed("an answer that ends within one of its tokens")
            if last and ours and answer.broken_off and answer.request is not None:
                # The bastion's order has cut it off, and is confirmed in a message of its own.
                stop = packets.place(reader.token_start)[0] if answer.finished else len(raw)
                self._cut_off(pieces, raw, stop, base, answer, confirmed=False)
                return
            if last:
                self._finish(pieces, raw[start:], base + len(raw), answer, confirmed=confirmed)
                return
        except (Short, Malformed) as error:
            raise ProtocolError(Leg.SERVER, str(error) or "an answer that ends too early", data[:4096]) from None
        self._base = base + len(raw)
        if ours and reader.may_confirm:
            self._delayed = packets.all()
        else:
            self._give(pieces, raw[start:], answer.number)

    def _where(self, at: int) -> tuple[int, int]:
        """For the reader of tokens: where in the session a place is, and how much its packet has behind it."""
        place, left = self._packets.place(at)
        return self._packets_from + place, left

    def _is_ours(self) -> bool:
        """Whether what is being answered was cancelled by the bastion, and not by its client too."""
        if self._confirms is not None:
            return False
        order = self._exchange.attention()
        return order is not None and not order.by_client

    def _cut_off(
        self,
        pieces: list[Piece],
        raw: bytes,
        stop: int,
        base: int,
        answer: RunningAnswer,
        *,
        confirmed: bool,
    ) -> None:
        """Ends the answer for the client with words of the bastion's own, in the place of what begins at `stop`."""
        exchange = self._exchange
        kept = without_end(raw, stop)
        words = own_words.cancelled(exchange.version, in_transaction=exchange.transaction is Transaction.OPEN)
        self._finish(pieces, raw, base + len(raw), answer, confirmed=confirmed)
        pieces[-1].data = kept + self._own(words)

    def _finish(self, pieces: list[Piece], raw: bytes, upto: int, answer: RunningAnswer, *, confirmed: bool) -> None:
        """The message has ended; `raw` is what is left of it. Raises Malformed."""
        waiting = self._exchange.waiting
        self._base = upto
        self._middle = False
        order, self._confirms = self._confirms, None
        self._answer = None
        self._reader.end()
        if order is not None:
            if not confirmed and not order.by_client:
                raise Malformed("an answer where the confirmation of a cancel was expected")
            if confirmed:
                waiting.popleft()
            pieces.append(Piece(raw if order.by_client else b"", len(raw), "attention", self._taken()))
            return
        number = answer.number
        if answer.request is not None:
            behind = waiting[1] if len(waiting) > 1 else None
            cancelled: DatabaseError | None = None
            if isinstance(behind, Attention) and (confirmed or answer.broken_off):
                cancelled = CANCELLED_BY_CLIENT if behind.by_client else CANCELLED_BY_BASTION
            answer.end(upto, cancelled)
            waiting.popleft()
            if confirmed and isinstance(behind, Attention):
                waiting.popleft()
        pieces.append(Piece(raw, len(raw), "answer", self._taken(), True, True, number))

    def _give(self, pieces: list[Piece], raw: bytes, number: int | None) -> None:
        order = self._confirms
        data = b"" if order is not None and not order.by_client else raw
        pieces.append(Piece(data, len(raw), "answer", self._taken(), True, True, number))

    def _taken(self) -> tuple[Note, ...]:
        if self._exchange.owed:
            self._notes[:0] = self._exchange.take_owed()
        if not self._notes:
            return ()
        notes = tuple(self._notes)
        self._notes.clear()
        return notes
