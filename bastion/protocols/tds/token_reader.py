"""Reads the stream of tokens of one message as its data come, and what they say about the session ([MS-TDS] 2.2.7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bastion.protocols.contract import MAX_HELD_MESSAGE, Note, SessionChanged, Transaction

from .answer import RunningAnswer
from .codec import Malformed, Short, unpack_i32, unpack_u16, unpack_u32
from .constants import (
    DONE_COUNT,
    DONE_ERROR,
    DONE_IN_TRANSACTION,
    DONE_MORE,
    DONE_SERVER_ERROR,
    HIGHEST_INFORMATION,
    TRANSACTION_CHANGES,
    Change,
    Token,
)
from .exchange import Exchange
from .rows import WORTH_LOOKING, WORTH_MAKING, CutRow, PassRows, Shape, made_for, pass_rows, pass_rows_alike, shape_of
from .tokens import (
    DONES,
    LONG_LENGTH,
    SHORT_LENGTH,
    EnvChange,
    done_size,
    read_done,
    read_feature_acks,
    read_return_value,
    read_saying,
)
from .type_info import How, TypeInfo, read_column, read_type

NO_COLUMNS = 0xFFFF

DESCRIPTIONS = 4
LONGEST_KNOWN = 4096
"""Descriptions of columns that are remembered, and their bytes: the same results come again and again."""

OFTEN = 4
"""Times after which a description gets a loop of its own for its rows, however few they are."""

MANY_ROWS = 64
"""Rows of one result from which on the same holds, however short the reads are."""

MOST_COLUMNS = 32_768

_WHOLE_NUMBERS = frozenset((0x26, 0x30, 0x34, 0x38, 0x7F))


class _Known:
    """A description of columns, `data`, that has been read. `pass_rows` is made when it has come often enough."""

    __slots__ = ("columns", "data", "pass_rows", "shape", "times")

    def __init__(self, data: bytes, columns: tuple[TypeInfo, ...], shape: Shape) -> None:
        self.data = data
        self.columns = columns
        self.shape = shape
        self.pass_rows: PassRows | None = None
        self.times = 0

    def again(self) -> None:
        """It has come once more."""
        self.times += 1
        if self.times == OFTEN:
            self.pass_rows = made_for(self.shape)


class TokenReader:
    """`answer` is whose tokens they are; notes about the session are put behind those of its statements."""

    def __init__(self, exchange: Exchange, notes: list[Note]) -> None:
        self._exchange = exchange
        self._notes = notes
        self.answer: RunningAnswer
        self._done_size = done_size(exchange.version)
        self._wide = exchange.wide
        self._rest = b""
        self._data = b""
        self._columns: tuple[TypeInfo, ...] | None = None
        self._shape: Shape = ()
        self._new_columns: list[TypeInfo] | None = None
        self._awaited = 0
        self._pass_rows: PassRows | None = None
        self._rows_passed = 0
        self._look_for_alike = True
        self._known: deque[_Known] = deque(maxlen=DESCRIPTIONS)
        self._described_from = -1
        self._computed: dict[int, Shape] = {}
        self._cut: CutRow | None = None
        self.position = 0
        self.token_start = -1
        self.status = 0
        self.where: Callable[[int], tuple[int, int]] = lambda _: (0, 0)
        """The position in the session of a place in the data, and how much the packet has behind it."""

    @property
    def carried(self) -> int:
        """Bytes of a token that is not whole yet."""
        return len(self._rest)

    @property
    def may_confirm(self) -> bool:
        """Whether what is carried is the beginning of one of the DONE tokens."""
        return bool(self._rest) and self._rest[0] in DONES and self._cut is None and self._new_columns is None

    def begin(self, data: bytes) -> None:
        """More data of the message."""
        self._data = self._rest + data if self._rest else data
        self._rest = b""
        self._described_from = -1
        self.position = 0

    def end(self) -> None:
        """The message has ended. Raises Malformed where it did so within something."""
        self._columns = None
        self._shape = ()
        self._computed.clear()
        self._rest = b""
        if self._cut is not None or self._new_columns is not None:
            raise Malformed("an answer that ends within a row or a description")

    def next(self) -> int | None:
        """The next DONE token, `status` is its; None where more data are needed.

        Raises Malformed for what is no answer.
        """
        data, position = self._data, self.position
        end = len(data)
        try:
            while position < end:
                if self._cut is not None:
                    position, whole = self._cut.passed(data, position)
                    if not whole:
                        break
                    self._cut = None
                    continue
                if self._new_columns is not None:
                    position = self._describe(data, position)
                    continue
                token = data[position]
                if token == Token.ROW or token == Token.NBCROW:
                    position = self._rows(data, position)
                    continue
                if token in DONES:
                    following = position + self._done_size
                    if following > end:
                        break
                    self._done(token, position)
                    self.token_start = position
                    self.position = following
                    return token
                position = self._other(token, data, position)
        except Short:
            pass
        if end - position > MAX_HELD_MESSAGE:
            raise Malformed("a token that is longer than any")
        self._rest = data[position:]
        self._data = b""
        self.position = 0
        return None

    # -------------------------------------------------------------------------------------------------- tokens

    def _rows(self, data: bytes, position: int) -> int:
        if self._columns is None:
            self._take_known_columns()
        answer = self.answer
        answer.seen_rows = True
        if self._pass_rows is None and self._rows_passed >= MANY_ROWS:
            self._pass_rows = made_for(self._shape)
        if self._pass_rows is None:
            following, rows = pass_rows(self._shape, data, position)
        else:
            alike = 0
            following = position
            left = len(data) - position
            if self._look_for_alike and left >= WORTH_LOOKING:
                following, alike = pass_rows_alike(self._shape, data, position)
                self._look_for_alike = alike > 0 or left < WORTH_MAKING
            following, rows = self._pass_rows(data, following)
            rows += alike
        if following == len(data) or data[following] not in (Token.ROW, Token.NBCROW):
            answer.rows += rows
            self._rows_passed += rows
            return following
        # One that goes on in the next packets: its values are passed as they come.
        answer.rows += rows + 1
        self._rows_passed += rows + 1
        self._cut = CutRow(self._shape, with_bits=data[following] == Token.NBCROW)
        return following + 1

    def _take_known_columns(self) -> None:
        """Rows without a description: the client knows it from an earlier answer."""
        source = self.answer.source
        if source is None or source.columns is None:
            raise Malformed("rows of columns that were not described")
        self._set_columns(source.columns)
        self.answer.described, self.answer.described_left = source.described, source.described_left

    def _set_columns(self, columns: tuple[TypeInfo, ...]) -> None:
        self._columns = columns
        self._shape = shape_of(columns)
        self._pass_rows = None
        self._rows_passed = 0
        self._look_for_alike = True

    def _describe(self, data: bytes, position: int) -> int:
        """A column of the description that is being read. Raises Short."""
        assert self._new_columns is not None
        info, _, position = read_column(data, position, self._exchange.version)
        self._new_columns.append(info)
        if len(self._new_columns) == self._awaited:
            columns, self._new_columns = tuple(self._new_columns), None
            self._set_columns(columns)
            if self._described_from >= 0 and position - self._described_from <= LONGEST_KNOWN:
                self._known.appendleft(_Known(data[self._described_from : position], columns, self._shape))
            self.answer.describes(columns)
        return position

    def _done(self, token: int, position: int) -> None:
        status, _, count = read_done(self._data, position, self._exchange.version)
        self.status = status
        answer = self.answer
        if status & DONE_COUNT:
            answer.count(count, in_procedure=token == Token.DONEINPROC, ends_procedure=token == Token.DONEPROC)
        if status & (DONE_ERROR | DONE_SERVER_ERROR):
            answer.failed = True
        answer.finished = not status & DONE_MORE
        if not self._wide:
            # Before 7.2 nothing else tells of transactions.
            self._set_transaction(Transaction.OPEN if status & DONE_IN_TRANSACTION else Transaction.NONE)

    def _other(self, token: int, data: bytes, position: int) -> int:
        """Reads a token that is neither a row nor an end; the position behind it. Raises Short and Malformed."""
        end = len(data)
        if token == Token.COLMETADATA:
            return self._begin_description(data, position)
        if token == Token.RETURNSTATUS:
            if position + 5 > end:
                raise Short
            self.answer.return_status(unpack_i32(data, position + 1)[0])
            return position + 5
        if token in SHORT_LENGTH:
            if position + 3 > end:
                raise Short
            following: int = position + 3 + unpack_u16(data, position + 1)[0]
            if following > end:
                raise Short
            if token == Token.ENVCHANGE:
                self._change(data[position + 3 : following])
            elif token in (Token.ERROR, Token.INFO):
                self._say(data[position + 3 : following], is_error=token == Token.ERROR)
            elif token in (Token.LOGINACK, Token.SSPI):
                raise Malformed("a part of a login in the middle of a session")
            return following
        if token == Token.RETURNVALUE:
            return self._return_value(data, position)
        if token in LONG_LENGTH:
            if position + 5 > end:
                raise Short
            behind: int = position + 5 + unpack_u32(data, position + 1)[0]
            if behind > end:
                raise Short
            return behind
        if token == Token.FEATUREEXTACK:
            return read_feature_acks(data, position)
        if token == Token.ALTMETADATA:
            return self._describe_computed(data, position)
        if token == Token.ALTROW:
            if position + 3 > end:
                raise Short
            shape = self._computed.get(unpack_u16(data, position + 1)[0])
            if shape is None:
                raise Malformed("a computed row that was not described")
            self._cut = CutRow(shape)
            return position + 3
        raise Malformed(f"a token of the unknown kind {token:#04x}")

    def _begin_description(self, data: bytes, position: int) -> int:
        for known in self._known:
            if data.startswith(known.data, position):
                known.again()
                self._columns, self._shape, self._pass_rows = known.columns, known.shape, known.pass_rows
                self._rows_passed = 0
                self._look_for_alike = True
                answer = self.answer
                if answer.remembers_columns:
                    answer.new_description = self.where(position)
                answer.describes(known.columns)
                return position + len(known.data)
        if position + 3 > len(data):
            raise Short
        count = unpack_u16(data, position + 1)[0]
        self._described_from = position
        if count == NO_COLUMNS:
            self._columns = None
        elif count > MOST_COLUMNS:
            raise Malformed("a result with more columns than there can be")
        elif not count:
            self._set_columns(())
        else:
            self._new_columns, self._awaited = [], count
            if self.answer.remembers_columns:
                self.answer.new_description = self.where(position)
        return position + 3

    def _return_value(self, data: bytes, position: int) -> int:
        head, position = read_return_value(data, position, self._exchange.version)
        info = head.info
        if info.kind in _WHOLE_NUMBERS:
            if info.how == How.BYTE:
                if position >= len(data):
                    raise Short
                size, position = data[position], position + 1
            else:
                size = info.size
            if position + size > len(data):
                raise Short
            if size:
                self.answer.return_value(int.from_bytes(data[position : position + size], "little", signed=True))
            return position + size
        self._cut = CutRow(shape_of((info,)))
        return position

    def _describe_computed(self, data: bytes, position: int) -> int:
        """COMPUTE BY, which servers before 2012 know (2.2.7.1). Raises Short and Malformed."""
        if position + 6 > len(data):
            raise Short
        count, number = unpack_u16(data, position + 1)[0], unpack_u16(data, position + 3)[0]
        position += 6 + 2 * data[position + 5]
        columns: list[TypeInfo] = []
        for _ in range(count):
            info, position = read_type(data, position + 3 + (6 if self._exchange.wide else 4), of_parameter=False)
            if position >= len(data):
                raise Short
            position += 1 + 2 * data[position]
            columns.append(info)
        if position > len(data):
            raise Short
        self._computed[number] = shape_of(tuple(columns))
        return position

    # ----------------------------------------------------------------------------------------- what they say

    def _say(self, body: bytes, *, is_error: bool) -> None:
        saying = read_saying(body, self._exchange.version)
        if is_error and saying.level > HIGHEST_INFORMATION:
            self.answer.fail(saying.error)

    def _change(self, body: bytes) -> None:
        if not body:
            raise Malformed("a change of the session that says nothing")
        change = EnvChange(body[0], body[1:])
        exchange = self._exchange
        if change.kind == Change.DATABASE:
            self._set_database(change.text)
        elif change.kind in TRANSACTION_CHANGES:
            self._set_transaction(Transaction.OPEN if change.kind == Change.BEGIN else Transaction.NONE)
        elif change.kind == Change.RESET:
            self._set_transaction(Transaction.NONE)
        elif change.kind in (Change.ROUTING, Change.ENHANCED_ROUTING):
            raise Malformed("a redirect in the middle of a session")
        elif change.kind == Change.PACKET_SIZE and change.text.isdecimal():
            exchange.packet_size = min(max(int(change.text), 512), 32767)

    def _set_database(self, name: str) -> None:
        if name != self._exchange.database:
            self._exchange.database = name
            self._notes.append(SessionChanged(schema=name, catalog=name))

    def _set_transaction(self, transaction: Transaction) -> None:
        if transaction is not self._exchange.transaction:
            self._exchange.transaction = transaction
            self._notes.append(SessionChanged(transaction=transaction))
