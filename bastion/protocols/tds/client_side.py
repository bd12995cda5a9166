"""Reads what the client sends after login: one message after the other, each with its notes ahead of its bytes.

A message is held until it is whole or TEXT_PART long, and passes in blocks of that size where it is longer. The
blocks end with packets, so what is recorded does not depend on how the bytes arrived.
"""

from __future__ import annotations

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    TEXT_PART,
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

from .calls import Calls
from .codec import Malformed, Short
from .commands import Batch, TransactionRequest
from .constants import HEADER, IGNORE, LAST, LONGEST_PACKET, RESETS, PacketKind
from .current_database import TOO_LONG, other_database
from .exchange import Attention, Exchange, Request
from .refusal import number_of, statement_refused

MOST_AHEAD = 200
"""Messages that may wait for answers before the client is not read for a while; clients send one at a time."""

UPLOAD_NOTE = 1024 * 1024
"""Bytes of bulk data that pass between two notes."""

KINDS = {
    PacketKind.BATCH: "batch",
    PacketKind.RPC: "rpc",
    PacketKind.TRANSACTION: "transaction-manager",
    PacketKind.BULK: "bulk data",
    PacketKind.ATTENTION: "attention",
}

Content = Batch | Calls | TransactionRequest


class TdsClientSide:
    """The contract's ClientSide. Every message is a piece of its own, whether rules apply or not."""

    leaving = False
    """The protocol has no goodbye: the connection is closed."""

    def __init__(self, exchange: Exchange) -> None:
        self.judging = False
        self.ahead = False
        self._exchange = exchange
        self._held = b""
        self._content: Content | None = None
        self._kind = 0
        self._raw: list[bytes] = []
        self._size = 0
        self._passed = False
        self._counted = 0
        self._uploads = UploadSample()
        self._owed_reset = 0
        """Bits of a reset that a refused message had: the next one that goes on has them."""

    def still_ahead(self) -> bool:
        self.ahead = len(self._exchange.waiting) > MOST_AHEAD // 2
        return self.ahead

    def sample_uploads(self, limit: int) -> None:
        self._uploads.limit = limit

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        request = self._exchange.find(piece.statement)
        if request is None or request.error is not None:
            return
        self._refuse(request, refusal)
        for each in request.pieces:
            each.forward = False
        # The other RPCs of the message are not sent either; whoever refuses knows of the first one only.
        error = DatabaseError(number_of(refusal), refusal.message)
        self._exchange.owed += [StatementEnds(number, None, error, "skipped") for number in request.numbers()[1:]]

    def _refuse(self, request: Request, refusal: Refusal) -> None:
        exchange = self._exchange
        calls = request.count if request.kind == PacketKind.RPC else 0
        in_transaction = exchange.transaction is Transaction.OPEN and not request.resets
        request.error = statement_refused(refusal, exchange.version, calls=calls, in_transaction=in_transaction)
        self._owed_reset |= request.resets

    # ------------------------------------------------------------------------------------------------ packets

    def feed(self, data: bytes) -> list[Piece]:
        if self._held:
            data = self._held + data
            self._held = b""
        sending = self._exchange.sending
        if sending is not None:
            sending.pieces.clear()
        pieces: list[Piece] = []
        position, end = 0, len(data)
        while end - position >= HEADER:
            kind = data[position]
            length = data[position + 2] << 8 | data[position + 3]
            if not HEADER <= length <= LONGEST_PACKET or kind not in KINDS or (self._kind and kind != self._kind):
                raise ProtocolError(Leg.CLIENT, self._why_not(kind, length), data[position : position + HEADER])
            if end - position < length:
                break
            packet = data[position : position + length]
            position += length
            try:
                self._packet(packet, kind, packet[1], pieces)
            except (Malformed, Short) as error:
                reason = str(error) or "a message that ends too early"
                raise ProtocolError(Leg.CLIENT, reason, packet) from None
        self._held = data[position:] if position else data
        if self._kind == PacketKind.BULK and self._raw:
            self._pass_bulk(pieces, last=False)
        return pieces

    @staticmethod
    def _why_not(kind: int, length: int) -> str:
        if kind == 0x53:
            return "frames of several sessions in one connection (MARS), which were not agreed on"
        if not HEADER <= length <= LONGEST_PACKET:
            return f"a packet of {length} bytes, which is shorter or longer than any"
        return f"a packet of the kind {kind:#04x} where there can be none"

    def _packet(self, packet: bytes, kind: int, status: int, pieces: list[Piece]) -> None:
        exchange = self._exchange
        if not self._kind:
            if kind == PacketKind.ATTENTION:
                self._attention(packet, pieces)
                return
            self._begin(kind, status)
        request = exchange.sending
        assert request is not None
        last = bool(status & LAST)
        if exchange.dropping or (request.error is not None and self._passed):
            # The rest of what was cancelled or refused: the server is not given it.
            pieces.append(Piece(b"", len(packet), KINDS[kind], (), True, False))
        elif last and status & IGNORE:
            self._give_up(packet, request, pieces)
        else:
            self._raw.append(packet)
            self._size += len(packet)
            if kind == PacketKind.BULK:
                if last:
                    self._pass_bulk(pieces, last=True)
            else:
                assert self._content is not None
                self._content.feed(packet[HEADER:], last=last)
                if last or self._size >= (MAX_HELD_MESSAGE if exchange.databases else TEXT_PART):
                    self._pass_block(pieces, last=last)
        if last:
            request.whole = True
            self._kind = 0
            self._content = None
            exchange.sending = None
            exchange.dropping = False

    def _begin(self, kind: int, status: int) -> None:
        exchange = self._exchange
        self._kind = kind
        self._raw.clear()
        self._size = 0
        self._passed = False
        if status & RESETS:
            exchange.forget_all()
        if kind == PacketKind.BULK:
            if not exchange.bulk:
                raise Malformed("bulk data that nothing has announced")
            self._content = None
            request = Request(kind)
            request.bulk, exchange.bulk = exchange.bulk, ""
            self._counted = 0
        else:
            exchange.bulk = ""
            if kind == PacketKind.BATCH:
                self._content = Batch(exchange)
            elif kind == PacketKind.RPC:
                self._content = Calls(exchange)
            else:
                self._content = TransactionRequest(exchange)
            request = self._content.request
        request.resets = status & RESETS
        exchange.sending = request

    def _wait_for(self, request: Request) -> None:
        """The request is on its way to the server: it is to be answered."""
        if not self._passed:
            self._passed = True
            waiting = self._exchange.waiting
            waiting.append(request)
            if len(waiting) > MOST_AHEAD:
                self.ahead = True

    # ----------------------------------------------------------------------------------------------- messages

    def _pass_block(self, pieces: list[Piece], *, last: bool) -> None:
        """What was held of the message goes on, behind its notes."""
        content = self._content
        assert content is not None
        request = content.request
        begins = not self._passed
        notes: list[Note] = content.take()
        refusal = self._refusal(content, notes, begins=begins, last=last)
        self._wait_for(request)
        if refusal is not None:
            if not begins:
                # Its beginning is with the server already, which runs nothing of a message that is not whole.
                raise Malformed(refusal[1].message)
            self._refuse(request, refusal[1])
            notes += _not_sent(notes, *refusal)
        elif begins and request.resets and self._exchange.database != self._exchange.login_database:
            self._exchange.database = self._exchange.login_database
            notes.insert(0, SessionChanged(schema=self._exchange.database, catalog=self._exchange.database))
        self._give(pieces, request, tuple(notes))

    def _refusal(self, content: Content, notes: list[Note], *, begins: bool, last: bool) -> tuple[int, Refusal] | None:
        """The place of the first note whose statement is not sent, and why."""
        if content.refusal is not None:
            return content.refusal
        if not self._exchange.databases or isinstance(content, TransactionRequest):
            return None
        for place, note in enumerate(notes):
            if isinstance(note, StatementBegins | StatementExtends):
                found = other_database(self._exchange, note.text)
                if found is None and not (begins and note.complete) and note.text:
                    found = TOO_LONG
                if found is not None:
                    return place, found
        return None

    def _give(self, pieces: list[Piece], request: Request, notes: tuple[Note, ...]) -> None:
        raw = self._raw[0] if len(self._raw) == 1 else b"".join(self._raw)
        size = len(raw)
        self._raw.clear()
        self._size = 0
        if self._owed_reset and request.error is None:
            raw = raw[:1] + bytes((raw[1] | self._owed_reset,)) + raw[2:]
            self._owed_reset = 0
        if self._exchange.owed:
            notes = (*self._exchange.take_owed(), *notes)
        number = request.first or None
        piece = Piece(raw, size, KINDS[request.kind], notes, True, request.error is None, number)
        request.pieces.append(piece)
        pieces.append(piece)

    def _give_up(self, packet: bytes, request: Request, pieces: list[Piece]) -> None:
        """The client takes back what it has sent of a message. What was not passed on was never a statement."""
        raw = b"".join([*self._raw, packet])
        kind = KINDS[request.kind]
        if not self._passed:
            self._owed_reset |= request.resets
            pieces.append(Piece(b"", len(raw), kind, (), True, False))
            return
        notes: list[Note] = []
        for number in request.numbers():
            error = DatabaseError("", "taken back by the client before it was whole")
            notes.append(StatementEnds(number, None, error, "skipped"))
        if request in self._exchange.waiting:
            self._exchange.waiting.remove(request)
        pieces.append(Piece(raw, len(raw), kind, tuple(notes), statement=request.first or None))

    def _pass_bulk(self, pieces: list[Piece], *, last: bool) -> None:
        """Bulk data that are here: counted, and on record from time to time."""
        exchange = self._exchange
        request = exchange.sending
        assert request is not None
        notes: list[Note] = []
        if not self._passed:
            exchange.numbers += 1
            request.first, request.count = exchange.numbers, 1
            notes.append(StatementBegins(request.first, "bulk-load", request.bulk))
            request.bulk = ""
        number = request.first
        data = [packet[HEADER:] for packet in self._raw]
        self._counted += sum(map(len, data))
        if self._counted and (last or self._counted >= UPLOAD_NOTE):
            detail = "end of data" if last else ""
            notes.append(StatementExtends(number, data_bytes=self._counted, detail=detail))
            self._counted = 0
        if self._uploads.room(number):
            notes.append(self._uploads.note(number, data))
        self._wait_for(request)
        self._give(pieces, request, tuple(notes))

    def takes_back(self, behind: bytes) -> bool:
        """An attention, which the database answers whatever it is at."""
        return not self._kind and not self._held and len(behind) >= HEADER and behind[0] == PacketKind.ATTENTION

    def _attention(self, packet: bytes, pieces: list[Piece]) -> None:
        """Goes on at once. Where the bastion has sent one itself, its confirmation is the client's."""
        exchange = self._exchange
        standing = exchange.attention()
        if standing is not None:
            standing.by_client = True
            pieces.append(Piece(b"", len(packet), "attention", (), True, False))
            return
        exchange.waiting.append(Attention(by_client=True))
        pieces.append(Piece(packet, len(packet), "attention"))


def _not_sent(notes: list[Note], place: int, refusal: Refusal) -> list[Note]:
    """The outcomes of a message of which nothing is sent as the statement at `place` may not be."""
    ends: list[Note] = []
    for index, note in enumerate(notes):
        if isinstance(note, StatementBegins):
            error = DatabaseError(number_of(refusal), refusal.message)
            outcome = "failed" if index == place else "skipped"
            ends.append(StatementEnds(note.number, None, error, outcome))
    return ends
