"""Reads what the database answers: the response grammar of every command, runs of rows as one piece.

In the middle of rows only the packet headers and their first bytes are looked at, in one tight loop; bodies pass as
they come. Packets that say something (OK, ERR, EOF, counts) are held until they are whole.

What ends a result set is told apart from a row by the first byte and the length: 0xFF is an error always; 0xFE is an
end, unless the packet is of the length that only a value of 16 MiB and more in the first column can have.
"""

from __future__ import annotations

import struct
from typing import Final

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    DatabaseError,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    Reply,
    StatementEnds,
    StatementExtends,
    Transaction,
)

from .change_user import Conversation
from .codec import Malformed, Short, encode_packets, lenenc_int
from .constants import MAX_PACKET_PAYLOAD, Capability, CommandCode, Status
from .exchange import Answer, Command, Exchange
from .refusal import PROGRESS_REPORT, decode_error, error_at_end
from .session_status import SessionStatus
from .use_statements import UNREADABLE

_HEAD: Final = struct.Struct("<IB").unpack_from
"""A packet's header and its first byte: length and sequence id in the integer."""

SLICE = 8 * 1024 * 1024
"""Longer reads are taken in parts, so that no packet of the greatest length lies whole within one."""

# Where the reader is within the answer to the first waiting command.
START, DEFINITIONS, DEFINITIONS_END, ROWS, FIELDS, STREAM = range(6)


class MysqlServerSide:
    """The contract's ServerSide."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._held = bytearray()
        self._need = 0
        self._left = 0
        self._base = 0
        self._continued = False
        self._state = START
        self._groups: list[int] = []
        self._after_groups = ROWS
        self._sequence = -1
        self._notes: list[Note] = []
        self._session = SessionStatus(exchange, self._notes)
        self._ended: tuple[int | None, DatabaseError | None, str] | None = None
        # An end of rows is shorter than this: 9 bytes for an EOF packet, any packet that is not continued for an OK.
        self._end_limit = MAX_PACKET_PAYLOAD if exchange.deprecate_eof else 9

    # -------------------------------------------------------------------------------------------- the contract

    @property
    def transaction(self) -> Transaction:
        return self._session.transaction

    @property
    def codec(self) -> str:
        return self._exchange.codec

    @property
    def running(self) -> int | None:
        for command in self._exchange.waiting:
            if command.error is None:
                return command.number
        return None

    @property
    def rows(self) -> int:
        waiting = self._exchange.waiting
        return waiting[0].rows if waiting else 0

    def open_statements(self) -> list[int]:
        return [
            command.number for command in self._exchange.waiting if command.number is not None and command.error is None
        ]

    def due(self) -> bytes:
        waiting = self._exchange.waiting
        if not waiting:
            return b""
        if waiting[0].error is None:
            conversation = self._exchange.conversation
            return b"" if conversation is None else conversation.given(Leg.CLIENT)
        parts = []
        while waiting and waiting[0].error is not None and waiting[0].whole:
            command = waiting.popleft()
            parts.append(encode_packets(command.sequence + 1, command.error or b""))
        return b"".join(parts)

    def farewell(self, refusal: Refusal) -> bytes:
        if self._left or self._continued or self._held:
            return b""
        waiting = self._exchange.waiting
        sequence = 0
        if self._exchange.conversation is not None:
            sequence = self._exchange.conversation.client.sequence
        elif waiting:
            begun = self._state != START or self._sequence >= 0
            sequence = self._sequence + 1 if begun else waiting[0].sequence + 1
        return encode_packets(sequence, error_at_end(refusal, mariadb=self._exchange.mariadb))

    def feed(self, data: bytes) -> list[Piece]:
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return []
            data = bytes(self._held)
            self._held.clear()
        if self._exchange.conversation is not None:
            return self._converse(self._exchange.conversation, data)
        pieces: list[Piece] = []
        if len(data) <= SLICE:
            self._read(data, pieces)
            return pieces
        for start in range(0, len(data), SLICE):
            part = data[start : start + SLICE]
            if self._held:
                part = bytes(self._held) + part
                self._held.clear()
            self._read(part, pieces)
        return pieces

    def logged_in(self, ok: bytes) -> None:
        """Takes what the OK packet that ends the login says about the session."""
        try:
            self._session.read_ok(ok, None)
        except (Short, Malformed) as error:
            raise ProtocolError(Leg.SERVER, str(error) or "the OK packet of the login ends too early") from None
        self._notes.clear()

    def _converse(self, conversation: Conversation, data: bytes) -> list[Piece]:
        """Bytes of an authentication (COM_CHANGE_USER): the client gets its own part of it in their place."""
        command = self._exchange.waiting[0]
        conversation.feed(Leg.SERVER, data)
        self._base += len(data)
        command.bytes_down += len(data)
        piece = Piece(conversation.given(Leg.CLIENT), len(data), "authentication", statement=command.number)
        pieces = [piece]
        back = conversation.given(Leg.SERVER)
        if back:
            pieces.append(Reply(b"", 0, "authentication", statement=command.number, back=back))
        if conversation.result is not None:
            self._authenticated(conversation.result, command)
            if command.number is not None and self._ended is not None:
                _, failure, outcome = self._ended
                end = StatementEnds(command.number, None, failure, outcome, command.bytes_down, self._base)
                self._notes.append(end)
            self._ended = None
            piece.notes = tuple(self._notes)
            self._notes.clear()
        return pieces

    def _authenticated(self, last: bytes, command: Command) -> None:
        """COM_CHANGE_USER is answered. The server has cleared the session for it, whether it succeeded or not."""
        exchange = self._exchange
        exchange.end_conversation()
        exchange.close_all_handles()
        exchange.last_prepared = None
        try:
            if last[:1] == b"\xff":
                self._fail(command, decode_error(last, exchange.codec))
                self._session.set_transaction(Transaction.NONE)
            else:
                self._session.read_ok(last, command)
                self._end(command, None, "done")
        except (Short, Malformed) as error:
            raise ProtocolError(Leg.SERVER, str(error) or "the end of an authentication ends too early") from None

    # ------------------------------------------------------------------------------------------------- reading

    def _read(self, data: bytes, pieces: list[Piece]) -> None:
        waiting = self._exchange.waiting
        end = len(data)
        start = position = 0
        need = 0
        kind = ""
        try:
            while position < end:
                if self._left:
                    taken = min(self._left, end - position)
                    self._left -= taken
                    position += taken
                    kind = kind or "Row"
                    continue
                need = 4 if self._continued else 5
                if end - position < need:
                    break
                if self._continued:
                    self._left = data[position] | data[position + 1] << 8 | data[position + 2] << 16
                    self._continued = self._left == MAX_PACKET_PAYLOAD
                    self._sequence = data[position + 3]
                    position += 4
                    kind = kind or "Row"
                    continue
                if self._state == START:
                    if waiting and waiting[0].error is not None and waiting[0].whole:
                        pieces.append(Piece(self.due(), 0, "ERR"))
                    if waiting and waiting[0].error is None and data[position + 4] != 0xFF:
                        self._state = _STATE_OF_ANSWER.get(waiting[0].answer, START)
                before = position
                if self._state in (ROWS, STREAM):
                    position = self._pass_rows(data, position, waiting[0])
                elif self._state in (DEFINITIONS, FIELDS):
                    position = self._pass_definitions(data, position)
                if position != before:
                    kind = kind or "Row"
                    continue
                word, first = _HEAD(data, position)
                length = word & MAX_PACKET_PAYLOAD
                if not 0 < length <= MAX_HELD_MESSAGE:
                    raise ProtocolError(
                        Leg.SERVER, f"a control packet of {length} bytes", data[position : position + 64]
                    )
                need = 4 + length
                if end - position < need:
                    break
                self._sequence = word >> 24
                command = waiting[0] if waiting and waiting[0].error is None else None
                stop = position + need
                try:
                    name = self._control(data[position + 4 : stop], first, command)
                except (Short, Malformed) as error:
                    reason = str(error) or "a packet ends too early"
                    raise ProtocolError(Leg.SERVER, reason, data[position:stop]) from None
                position = stop
                kind = kind or name
                ended = self._ended
                if ended is not None and command is not None:
                    # The answer is complete and its piece ends here, so bytes are told apart by their statement.
                    self._ended = None
                    if command.number is not None:
                        rows, failure, outcome = ended
                        total = command.bytes_down + position - start
                        upto = self._base + position
                        cursor = command.cursor
                        if cursor is not None:
                            self._notes.append(
                                StatementEnds(command.number, rows, failure, outcome, total, upto, cursor.described)
                            )
                        else:
                            if outcome == "suspended" and command.handle is not None:
                                command.handle.described = upto - total
                            self._notes.append(StatementEnds(command.number, rows, failure, outcome, total, upto))
                    self._give(pieces, data, start, position, kind, command)
                    start, kind = position, ""
        except ProtocolError as error:
            if position > start:
                self._give(pieces, data, start, position, kind, waiting[0] if waiting else None)
            error.before = pieces
            raise
        if position < end:
            self._held += data[position:]
            self._need = need
        self._base += position
        if position > start:
            self._give(pieces, data, start, position, kind, waiting[0] if waiting else None)

    def _give(
        self, pieces: list[Piece], data: bytes, start: int, stop: int, kind: str, command: Command | None
    ) -> None:
        size = stop - start
        number = None
        if command is not None:
            command.bytes_down += size
            number = command.number
        notes: tuple[Note, ...] = ()
        if self._notes:
            notes = tuple(self._notes)
            self._notes.clear()
        part = data if size == len(data) else data[start:stop]
        pieces.append(Piece(part, size, kind, notes, True, True, number))

    def _pass_rows(self, data: bytes, position: int, command: Command) -> int:
        """Passes all rows that begin here; the position of what is no row, or the end."""
        head, mask = _HEAD, MAX_PACKET_PAYLOAD
        limit = self._end_limit if self._state == ROWS else 9
        end = len(data)
        stop = end - 4
        rows = 0
        word = 0
        while position < stop:
            following, first = head(data, position)
            length = following & mask
            if first >= 0xFE and (first == 0xFF or length < limit):
                break
            word = following
            position += length + 4
            rows += 1
        if rows:
            command.rows += rows
            command.counted = True
            position = self._behind(word, position, end)
        return position

    def _behind(self, word: int, position: int, end: int) -> int:
        """Notes what is still to come of the packet with this header, which ends at `position`."""
        self._sequence = word >> 24
        self._continued = word & MAX_PACKET_PAYLOAD == MAX_PACKET_PAYLOAD
        if position > end:
            self._left = position - end
            return end
        return position

    def _pass_definitions(self, data: bytes, position: int) -> int:
        """Passes the column definitions that begin here, but for the last one that ends an answer."""
        head, mask = _HEAD, MAX_PACKET_PAYLOAD
        end = len(data)
        stop = end - 4
        groups = self._groups
        while position < stop:
            word, first = head(data, position)
            length = word & mask
            if first >= 0xFE and (first == 0xFF or length < self._end_limit):
                break
            if self._state == DEFINITIONS:
                if groups[0] == 1 and len(groups) == 1 and self._after_groups == START and self._exchange.deprecate_eof:
                    break
                groups[0] -= 1
            position = self._behind(word, position + length + 4, end)
            if self._state == DEFINITIONS and not groups[0]:
                self._group_passed()
                if self._state != DEFINITIONS:
                    break
        return position

    def _group_passed(self) -> None:
        """All definitions of a group have come: an EOF follows, or the next group, or what comes behind the groups."""
        if self._exchange.deprecate_eof:
            self._next_group()
        else:
            self._state = DEFINITIONS_END

    def _next_group(self) -> None:
        self._groups.pop(0)
        self._state = DEFINITIONS if self._groups else self._after_groups

    # ---------------------------------------------------------------------------------------- control packets

    def _control(self, payload: bytes, first: int, command: Command | None) -> str:
        """Reads a packet that says something; returns its name. Raises Short and Malformed."""
        if first == 0xFF:
            error = decode_error(payload, self._exchange.codec)
            if int.from_bytes(payload[1:3], "little") == PROGRESS_REPORT:
                return "PROGRESS"
            if command is not None:
                self._fail(command, error)
            return "ERR"
        if command is None:
            raise Malformed("an answer where no command waits for one")
        state = self._state
        if state == START:
            return self._begin(payload, first, command)
        if state == DEFINITIONS:
            self._end(command, None, "done")
            return "ColumnDefinition"
        if first == 0x00 and state == DEFINITIONS_END and command.code == CommandCode.STMT_EXECUTE:
            # MySQL 9.7 says OK and sends no rows where a statement that had a cursor is run again without one.
            return self._succeed(payload, command)
        if first != 0xFE:
            raise Malformed("something else where the end of a list was expected")
        status = self._session.read_ok(payload, command)
        if status & Status.OUT_PARAMETERS or command.followed:
            status = self._follow_rows(status, command)
        if state == DEFINITIONS_END:
            self._next_group()
            if self._state == START:
                self._end(command, None, "done")
            elif command.code == CommandCode.STMT_EXECUTE and status & Status.CURSOR_EXISTS:
                self._end(command, command.rows, "suspended")
        elif status & Status.MORE_RESULTS:
            self._state = START
        elif command.code == CommandCode.STMT_FETCH:
            self._end(command, command.rows, "done" if status & Status.LAST_ROW_SENT else "suspended")
        elif command.code == CommandCode.STMT_EXECUTE and status & Status.CURSOR_EXISTS and not command.rows:
            self._end(command, command.rows, "suspended")
        else:
            self._end(command, command.rows if state == ROWS else None, "done")
        return "EOF"

    def _begin(self, payload: bytes, first: int, command: Command) -> str:
        """The first packet of an answer, or of another result of it."""
        answer = command.answer
        if answer is Answer.RESULT:
            if first == 0x00:
                return self._succeed(payload, command)
            if first == 0xFB:
                return self._ask_for_file(payload, command)
            count, behind = lenenc_int(payload, 0)
            if behind != len(payload) or not 0 < count <= 0xFFFF:
                raise Malformed("an answer that is neither OK nor an error nor a count of columns")
            self._groups, self._after_groups = [count], ROWS
            self._state = DEFINITIONS
            command.counted = True
            return "ColumnCount"
        if answer is Answer.TEXT:
            self._end(command, None, "done")
            return "STATISTICS"
        if answer is Answer.PREPARED:
            if first != 0x00 or len(payload) < 12:
                raise Malformed("an answer to a preparation that is neither OK nor an error")
            columns, parameters = payload[5] | payload[6] << 8, payload[7] | payload[8] << 8
            self._exchange.keep_handle(int.from_bytes(payload[1:5], "little"), command, parameters)
            self._groups = [count for count in (parameters, columns) if count]
            self._after_groups = START
            if self._groups:
                self._state = DEFINITIONS
            else:
                self._end(command, None, "done")
            return "PREPARE_OK"
        if first not in (0x00, 0xFE):
            raise Malformed("an answer that is neither OK nor an error")
        return self._succeed(payload, command)

    def _succeed(self, payload: bytes, command: Command) -> str:
        status = self._session.read_ok(payload, command)
        if command.followed:
            self._follow(command, status)
        if status & Status.MORE_RESULTS and command.answer is Answer.RESULT:
            return "OK"
        if command.code == CommandCode.RESET_CONNECTION:
            self._exchange.close_all_handles()
        self._end(command, command.rows if command.counted else None, "done")
        return "OK"

    def _follow_rows(self, status: int, command: Command) -> int:
        """The end of a list, of definitions or of rows, where more than its rows is to be known; the status to go by.

        The values of a procedure's OUT parameters come as a result of one row, which is counted with none. Its flag
        stands at the end of the definitions and of the rows, or (MySQL 9.7 without CLIENT_DEPRECATE_EOF) at the first
        of the two only, where the second does not say either that the procedure's own OK follows.
        """
        if self._state != ROWS:
            if status & Status.OUT_PARAMETERS:
                command.followed = command.in_out_parameters = True
            return status
        if status & Status.OUT_PARAMETERS or command.in_out_parameters:
            command.rows -= 1
            command.in_out_parameters = False
            return status | Status.MORE_RESULTS
        self._follow(command, status)
        return status

    def _follow(self, command: Command, status: int) -> None:
        """A result of a text that opens databases has been answered: what its statement opened is open now."""
        for each in command.opens:
            reached = not status & Status.MORE_RESULTS if each.calls else each.statement == command.results
            if reached and each.name != UNREADABLE:
                self._session.set_schema(each.name)
        command.results += 1

    def _ask_for_file(self, payload: bytes, command: Command) -> str:
        exchange = self._exchange
        if not exchange.capabilities & Capability.LOCAL_FILES:
            raise Malformed("a request for a local file that the client did not agree to")
        if len(exchange.waiting) > 1:
            # What was sent ahead was read as commands; the server now takes it for the file.
            raise Malformed("a request for a local file with commands sent ahead behind it")
        exchange.uploading = command
        exchange.upload_sequence = (self._sequence + 1) & 0xFF
        name = payload[1:].decode(exchange.codec, "backslashreplace")
        self._notes.append(StatementExtends(command.number or 0, detail=f"LOCAL INFILE {name!r:.1024}"))
        return "LOCAL INFILE"

    def _fail(self, command: Command, error: DatabaseError) -> None:
        exchange = self._exchange
        if exchange.last_prepared is command:
            exchange.last_prepared = None
        self._end(command, command.rows if command.counted else None, "failed", error)

    def _end(self, command: Command, rows: int | None, outcome: str, error: DatabaseError | None = None) -> None:
        self._exchange.waiting.popleft()
        self._state = START
        self._sequence = -1
        self._groups = []
        self._ended = (rows, error, outcome)


_STATE_OF_ANSWER: Final = {Answer.ROWS: ROWS, Answer.FIELDS: FIELDS, Answer.STREAM: STREAM}
