"""Reads what the client sends after login: one command after the other, each with its notes ahead of its bytes."""

from __future__ import annotations

from bastion.protocols.contract import (
    TEXT_PART,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    StatementEnds,
    StatementExtends,
)
from bastion.protocols.uploads import UploadSample

from .change_user import Conversation
from .codec import Malformed, Short, encode_packets
from .commands import OPERATIONS, READERS
from .constants import MAX_PACKET_PAYLOAD
from .exchange import Command, Exchange
from .long_message import Blocks, content_of
from .refusal import error_for_statement

MOST_AHEAD = 2_000
MOST_TEXT_AHEAD = 4 * 1024 * 1024
"""Commands, and characters of preparations, that may wait for answers before the client is not read for a while."""

UPLOAD_NOTE = 1024 * 1024
"""Bytes of a local file that pass between two notes."""


class MysqlClientSide:
    """The contract's ClientSide. Every command is a piece of its own, whether rules apply or not."""

    def __init__(self, exchange: Exchange) -> None:
        self.judging = False
        self.ahead = False
        self._exchange = exchange
        self._held = bytearray()
        self._need = 0
        self._blocks: Blocks | None = None
        self._pieces_of: list[Command] = []
        self._upload_left = 0
        self._upload_continued = False
        self._upload_counted = 0
        self._uploads = UploadSample()

    def still_ahead(self) -> bool:
        exchange = self._exchange
        exchange.texts_ahead = sum(len(command.text) for command in exchange.waiting)
        self.ahead = len(exchange.waiting) > MOST_AHEAD // 2 or exchange.texts_ahead > MOST_TEXT_AHEAD
        return self.ahead

    def sample_uploads(self, limit: int) -> None:
        self._uploads.limit = limit

    @property
    def in_message(self) -> bool:
        """Whether a command has been passed on in part."""
        return self._blocks is not None

    @property
    def leaving(self) -> bool:
        return self._exchange.leaving

    def feed(self, data: bytes) -> list[Piece]:
        exchange = self._exchange
        if not self._held and self._blocks is None and exchange.uploading is None:
            # One whole command and nothing else, as nearly every read is.
            size = len(data)
            if size > 4 and not data[3] and data[0] | data[1] << 8 | data[2] << 16 == size - 4 <= TEXT_PART:
                return [self._command(data, data[4:])]
        return self._feed(data)

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        command = self._exchange.find(piece.statement)
        if command is None or command.error is not None:
            return
        command.error = error_for_statement(refusal)
        conversation = self._exchange.conversation
        if conversation is not None and conversation.number == command.number:
            self._exchange.end_conversation()
        for later in command.pieces or ():
            later.forward = False
        handle = command.handle
        if handle is not None:
            handle.types_unsent = handle.types_unsent or command.new_types
            handle.spoiled = handle.spoiled or command.used_long_data
        self._refuse_what_rests_on(command)

    def _refuse_what_rests_on(self, preparation: Command) -> None:
        """Executions of "the last statement" behind a refused preparation would run the one before it."""
        exchange = self._exchange
        if exchange.last_prepared is preparation:
            exchange.last_prepared = None
        for command in exchange.waiting:
            if command.rests_on is preparation and command.error is None:
                command.error = preparation.error
                for piece in command.pieces or ():
                    piece.forward = False
                    piece.notes += (StatementEnds(command.number or 0, None, None, "skipped"),)

    # ------------------------------------------------------------------------------------------------ reading

    def _feed(self, data: bytes) -> list[Piece]:
        held = self._held
        if held:
            held += data
            if len(held) < self._need:
                return []
            data = bytes(held)
            held.clear()
        for command in self._pieces_of:
            command.pieces = None
        self._pieces_of.clear()
        pieces: list[Piece] = []
        position, end = 0, len(data)
        exchange = self._exchange
        while position < end:
            if exchange.uploading is not None and self._blocks is None:
                if exchange.conversation is not None:
                    pieces.append(self._converse(exchange.conversation, data[position:]))
                    break
                position = self._upload(data, position, pieces)
                if position < 0:
                    position = -position - 1
                    self._hold(data, position, 4)
                    break
                continue
            need = self._next(data, position, pieces)
            if need > 0:
                position += need
            else:
                self._hold(data, position, -need)
                break
        return pieces

    def _hold(self, data: bytes, position: int, need: int) -> None:
        self._held += data[position:]
        self._need = need

    def _next(self, data: bytes, position: int, pieces: list[Piece]) -> int:
        """Reads one command or block: the bytes that it took, or the negative of the bytes that it needs."""
        blocks = self._blocks
        if blocks is None:
            available = len(data) - position
            if available < 4:
                return -4
            length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            if data[position + 3] != 0:
                raise ProtocolError(Leg.CLIENT, "a command that does not begin with packet 0", data[position:])
            if length == 0:
                raise ProtocolError(Leg.CLIENT, "a command without a byte that says which", data[position:])
            if length <= TEXT_PART:
                if available < 4 + length:
                    return -(4 + length)
                raw = data[position : position + 4 + length]
                pieces.append(self._command(raw, raw[4:]))
                return 4 + length
            blocks = Blocks()
        found = blocks.next(data, position)
        if isinstance(found, int):
            return -found  # nothing of the block is decided yet: it begins anew with more bytes
        stop, payload, last = found
        self._blocks = None if last else blocks
        pieces.append(self._block(blocks, data[position:stop], payload, last=last))
        return stop - position

    def _command(self, raw: bytes, payload: bytes) -> Piece:
        exchange = self._exchange
        code = payload[0]
        read = READERS.get(code)
        if read is None:
            raise ProtocolError(Leg.CLIENT, f"a command of the unknown kind {code:#04x}", raw)
        try:
            command, notes = read(exchange, payload)
        except (Short, Malformed) as error:
            raise ProtocolError(Leg.CLIENT, str(error) or f"{OPERATIONS[code]} ends too early", raw) from None
        if command is None:
            return Piece(raw, len(raw), OPERATIONS[code])
        waiting = exchange.waiting
        waiting.append(command)
        if len(waiting) > MOST_AHEAD or exchange.texts_ahead > MOST_TEXT_AHEAD:
            self.still_ahead()
        piece = Piece(raw, len(raw), OPERATIONS[code], notes, True, command.error is None, command.number)
        if command.rewritten is not None:
            if exchange.conversation is not None:
                piece.data = exchange.conversation.given(Leg.SERVER)
            else:
                piece.data = encode_packets(0, command.rewritten)
                command.sequence = len(command.rewritten) // MAX_PACKET_PAYLOAD
        if command.rests_on is not None:
            command.pieces = [piece]
        return piece

    def _block(self, blocks: Blocks, raw: bytes, payload: bytes, *, last: bool) -> Piece:
        exchange = self._exchange
        content = blocks.content
        begins = content is None
        try:
            if content is None:
                content = blocks.content = content_of(exchange, payload)
            command = content.command
            # The rest of a refused command is dropped without a word: it was recorded as far as it was judged.
            dropped = not begins and command is not None and command.error is not None
            notes = () if dropped else content.read(payload, last=last)
        except (Short, Malformed) as error:
            raise ProtocolError(Leg.CLIENT, str(error) or "a long command ends too early", raw) from None
        kind = OPERATIONS.get(content.code, "")
        if command is None:
            return Piece(raw, len(raw), kind)
        if begins:
            exchange.waiting.append(command)
            exchange.texts_ahead += len(command.text)
            if len(exchange.waiting) > MOST_AHEAD or exchange.texts_ahead > MOST_TEXT_AHEAD:
                self.still_ahead()
        command.whole = last
        command.sequence = (blocks.sequence - 1) & 0xFF
        piece = Piece(raw, len(raw), kind, notes, True, command.error is None, command.number)
        if command.pieces is None:
            command.pieces = []
            self._pieces_of.append(command)
        command.pieces.append(piece)
        return piece

    @staticmethod
    def _converse(conversation: Conversation, data: bytes) -> Piece:
        """Bytes of an authentication: the server gets the bastion's own in their place."""
        conversation.feed(Leg.CLIENT, data)
        given = conversation.given(Leg.SERVER)
        return Piece(given, len(data), "authentication", statement=conversation.number)

    # ------------------------------------------------------------------------------------------- local files

    def _upload(self, data: bytes, position: int, pieces: list[Piece]) -> int:
        """Passes what is here of a local file; the new position, or minus it minus one where a header is cut."""
        exchange = self._exchange
        command = exchange.uploading
        assert command is not None
        start, end = position, len(data)
        number = command.number or 0
        room = self._uploads.room(number)
        sample: list[bytes] = []
        passed = 0
        cut = False
        done = False
        while position < end:
            if self._upload_left:
                take = min(self._upload_left, end - position)
                if passed < room:
                    sample.append(data[position : position + take])
                self._upload_left -= take
                passed += take
                position += take
                continue
            if end - position < 4:
                cut = True
                break
            length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            if data[position + 3] != exchange.upload_sequence:
                raise ProtocolError(
                    Leg.CLIENT, "a packet of a local file out of sequence", data[position : position + 4]
                )
            exchange.upload_sequence = (exchange.upload_sequence + 1) & 0xFF
            position += 4
            if length == 0 and not self._upload_continued:
                done = True
                break
            self._upload_continued = length == MAX_PACKET_PAYLOAD
            self._upload_left = length
        self._upload_counted += passed
        notes: tuple[Note, ...] = ()
        if done or self._upload_counted >= UPLOAD_NOTE:
            notes = (StatementExtends(number, data_bytes=self._upload_counted, detail="end of file" if done else ""),)
            self._upload_counted = 0
        if sample:
            notes += (self._uploads.note(number, sample),)
        if done:
            exchange.uploading = None
            command.sequence = (exchange.upload_sequence - 1) & 0xFF
        if position > start:
            pieces.append(Piece(data[start:position], position - start, "LOCAL INFILE data", notes, statement=number))
        return -position - 1 if cut else position
