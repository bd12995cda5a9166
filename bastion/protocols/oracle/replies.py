"""What a server answers to a call: descriptions, rows, parameters, and the end of the call.

No reply has a length: what it is made of says where it ends, and what it is made of depends on the call. The fields
are those of python-oracledb (`messages/base.pyx`); widths of Oracle's own client library were seen in captures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import constants as c
from .codec import ESCAPE_LENGTH, LONG_LENGTH, Malformed, Reader, Short
from .columns import MOST_COLUMNS, Described, columns
from .end_of_call import EndOfCall, end_of_call, status_of_call
from .in_parts import Steps, byte_string, counted, nobody, once_here
from .values import MOST_ELEMENTS, read_bind, read_column

OUT = 16
"""The bit of a bind's direction that says that the server gives it a value."""
MOST_PARAMETERS = 65_535

MOST_CURSORS = 5000
"""Cursors that come as values of one answer: those that came last are known."""

LONG_ROW = 64 * 1024
"""Bytes of a row that may be there without its end: beyond it, it is read as it passes."""


@dataclass
class Expected:
    """The call that a reply is for, and what has been learnt in it.

    columns   of the rows that come; `binds` of the call, for the values that the server gives back
    rows      that have come
    cursors   that came as values, or as results of their own, with their columns
    schema    the current one, where the server said that it changed
    given     the binds that come back, as far as that is known before the server says it; `out`: those that do
    only_out  places of the binds that have no value of the client's; `out_places`: of all that come back
    """

    function: int
    columns: tuple[Described, ...] = ()
    binds: tuple[Described, ...] = ()
    counts_rows: bool = False
    returning: bool = False
    locators: int = 0
    operation: int = 0
    amount: bool = True
    rows: int = 0
    described: bool = False
    schema: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    ended: EndOfCall | None = None
    cursors: dict[int, tuple[Described, ...]] = field(default_factory=dict)
    given: tuple[Described, ...] | None = None
    out: tuple[Described, ...] | None = None
    out_places: tuple[int, ...] | None = None
    only_out: frozenset[int] = frozenset()
    present: bytes | None = None

    def void(self) -> None:
        """What the server has said of the rows that follow does not hold, or no longer."""
        self.out = self.given
        self.present = None


Row = tuple[str | None, ...]


class ReplyReader:
    """Reads the reply to one call, a message at a time. `on_row`: is given each row, where somebody wants them."""

    def __init__(self, expected: Expected, on_row: Callable[[Row], None] | None = None) -> None:
        self.expected = expected
        self.over = False
        self._chunks_follow = False
        self._skipped = 0
        """Bytes of the data of a LOB that are still to come: they may be more than is held of a message."""
        self._on_row = on_row
        self._previous: Row = ()
        self._steps: Steps[None] | None = None
        """Reads a row that is not there as a whole."""
        self._passing: Reader | None = None

    def read(self, reader: Reader) -> int:
        """Reads the next message; its type. Raises Short (nothing has changed then) and Malformed.

        The data of a LOB, and of a row that is longer than LONG_ROW, are read in parts as they come: each counts as a
        message.
        """
        if self._chunks_follow or self._skipped:
            self._lob_part(reader)
            return c.LOB_DATA
        if self._steps is not None:
            self._row_part(reader, self._steps)
            return c.ROW_DATA
        begin = reader.position
        kind = reader.ub1()
        read = _READERS.get(kind)
        if read is None:
            raise Malformed(f"a server's message of type {kind}")
        try:
            read(self, reader)
        except Short:
            if kind != c.ROW_DATA or self._on_row is not None or len(reader.data) - begin <= LONG_ROW:
                raise
            self._begin_long_row(reader, begin + 1)
        return kind

    # ------------------------------------------------------------------------------------------------ the messages

    def _describe(self, reader: Reader) -> None:
        reader.skip(reader.ub4() if reader.dialect.native_ub4 else reader.ub1())
        found = columns(reader)
        self.expected.columns = found
        self.expected.described = True

    def _row_header(self, reader: Reader) -> None:
        reader.skip(1)
        reader.ub2()
        reader.ub4()
        reader.ub4()
        reader.ub2()
        present = None
        if size := reader.ub4():
            reader.skip(1)
            present = reader.raw(size)
        reader.counted()
        self.expected.present = present

    def _row(self, reader: Reader) -> None:
        expected = self.expected
        if expected.out is not None:
            self._out_row(reader, expected.out)
            return
        if self._on_row is None:
            self._skip_row(reader)
            return
        present, previous = expected.present, self._previous
        values: list[str | None] = []
        for index, column in enumerate(expected.columns):
            if present is not None and not _has(present, index):
                values.append(previous[index] if index < len(previous) else None)
            elif column.is_sent:
                values.append(_column(reader, column, expected.cursors))
            else:
                values.append(None)
        expected.present = None
        expected.rows += 1
        self._previous = tuple(values)
        self._on_row(self._previous)

    def _skip_row(self, reader: Reader) -> None:
        """As `_row`, where nobody wants the values: most of them are a length and as many bytes."""
        expected = self.expected
        present = expected.present
        cursors: dict[int, tuple[Described, ...]] | None = None
        data, at, end = reader.data, reader.position, len(reader.data)
        for index, column in enumerate(expected.columns):
            if present is not None and not _has(present, index):
                continue
            if not column.is_plain:
                if column.is_sent:
                    reader.position = at
                    if column.kind == c.REF_CURSOR:
                        cursors = {} if cursors is None else cursors
                        _cursor(reader, cursors)
                    else:
                        read_column(reader, column)
                    at = reader.position
                continue
            if at >= end:
                raise Short
            length = data[at]
            if length < 253:
                at += 1 + length
            else:
                reader.position = at
                reader.skip_byte_string()
                at = reader.position
        if at > end:
            raise Short
        reader.position = at
        expected.present = None
        expected.rows += 1
        if cursors:
            self._came(cursors)

    def _came(self, cursors: dict[int, tuple[Described, ...]]) -> None:
        """Cursors that came as values."""
        known = self.expected.cursors
        known |= cursors
        while len(known) > MOST_CURSORS:
            del known[next(iter(known))]

    # ------------------------------------------------------------------------------------------------- rows in parts

    def _begin_long_row(self, reader: Reader, position: int) -> None:
        """Reads what is there of a row behind its type."""
        passing = self._passing = Reader(reader.data, reader.dialect, position)
        out = self.expected.out
        self._steps = self._long_row(passing) if out is None else self._long_out_row(passing, out)
        self._row_part(reader, self._steps, position)

    def _row_part(self, reader: Reader, steps: Steps[None], position: int | None = None) -> None:
        passing = self._passing
        assert passing is not None
        begin = reader.position if position is None else position
        passing.data, passing.position = reader.data, begin
        try:
            next(steps)
        except StopIteration:
            self._steps = None
        else:
            if passing.position == begin and position is None:
                raise Short
        reader.position = passing.position

    def _long_row(self, reader: Reader) -> Steps[None]:
        expected = self.expected
        present, cursors = expected.present, dict[int, tuple[Described, ...]]()
        for index, column in enumerate(expected.columns):
            if column.is_sent and (present is None or _has(present, index)):
                yield from _passes(reader, column, cursors)
                if column.kind in (c.LONG, c.LONG_RAW):
                    yield from once_here(reader, Reader.sb4)
                    yield from once_here(reader, Reader.ub4)
        expected.present = None
        expected.rows += 1
        self._came(cursors)

    def _long_out_row(self, reader: Reader, out: tuple[Described, ...]) -> Steps[None]:
        cursors = dict[int, tuple[Described, ...]]()
        for bind in out:
            count = (yield from once_here(reader, _count)) if self.expected.returning or bind.array else 1
            one = Described(bind.kind, bind.size, False, bind.form)
            for _ in range(count):
                yield from _passes(reader, one, cursors, given_back=True)
                yield from once_here(reader, Reader.sb4)
        self._came(cursors)

    def _out_row(self, reader: Reader, out: tuple[Described, ...]) -> None:
        values: list[str | None] = []
        cursors: dict[int, tuple[Described, ...]] = {}
        for bind in out:
            count = _count(reader) if self.expected.returning or bind.array else 1
            one = Described(bind.kind, bind.size, False, bind.form)
            for _ in range(count):
                values.append(_given_back(reader, one, cursors))
                reader.sb4()
        self._came(cursors)
        if self._on_row is not None:
            self._on_row(tuple(values))

    def _bit_vector(self, reader: Reader) -> None:
        reader.ub2()
        self.expected.present = reader.raw((len(self.expected.columns) + 7) // 8)

    def _parameters(self, reader: Reader) -> None:
        function = self.expected.function
        if function in (c.AUTH_PHASE_ONE, c.AUTH_PHASE_TWO):
            self._login_parameters(reader)
        elif function == c.VERSION:
            length = reader.ub2()
            reader.long_form() if reader.dialect.counted_texts else reader.skip(length)
            reader.ub4()
        elif function == c.LOB_OPERATION:
            self._lob_parameters(reader)
        elif function in (c.TPC_SWITCH, c.TPC_CHANGE_STATE):
            self._transaction_parameters(reader)
        else:
            self._call_parameters(reader)

    def _login_parameters(self, reader: Reader) -> None:
        count = reader.ub2()
        found = {}
        for _ in range(count):
            key, value = reader.text(reader.counted()), reader.text(reader.counted())
            reader.ub4()
            found[key] = value
        self.expected.parameters.update(found)

    def _transaction_parameters(self, reader: Reader) -> None:
        reader.ub4()
        if self.expected.function == c.TPC_SWITCH:
            reader.skip(reader.ub2())

    def _call_parameters(self, reader: Reader) -> None:
        for _ in range(_bounded(reader.ub2())):
            reader.ub4()
        reader.skip(reader.ub2())
        schema = self._key_values(reader, reader.ub2())
        reader.skip(reader.ub4())
        if self.expected.counts_rows:
            for _ in range(reader.ub4()):
                reader.ub8()
        if schema is not None:
            self.expected.schema = schema

    def _lob_parameters(self, reader: Reader) -> None:
        expected = self.expected
        reader.skip(expected.locators)
        if expected.operation == 0x110:
            reader.ub2()
            reader.skip(1)
        if expected.amount:
            reader.ub8()
        if expected.operation in (0x400, 0x800, 0x11000):
            reader.skip(1)

    def _key_values(self, reader: Reader, count: int) -> str | None:
        schema = None
        for _ in range(_bounded(count)):
            text = reader.counted()
            binary = reader.counted()
            if reader.ub2() == c.SCHEMA_KEYWORD:
                schema = reader.text(text or binary)
        return schema

    def _io_vector(self, reader: Reader) -> None:
        reader.skip(1)
        low, high = reader.ub2(), reader.ub4()
        reader.ub4()
        reader.ub2()
        reader.skip(reader.ub4())
        reader.skip(reader.ub4())
        count = high * 256 + low
        if count > MOST_COLUMNS:
            raise Malformed(f"{count} binds")
        directions = reader.raw(count)
        binds = self.expected.binds
        if len(binds) < count:
            raise Malformed("directions of binds that the call has not described")
        places = tuple(place for place, direction in enumerate(directions) if direction & OUT)
        self.expected.out = tuple(binds[place] for place in places)
        self.expected.out_places = places
        self.expected.only_out = frozenset(place for place in places if directions[place] == OUT)

    def _lob_data(self, reader: Reader) -> None:
        length = reader.ub1()
        if length == LONG_LENGTH:
            self._chunks_follow = True
        elif length < ESCAPE_LENGTH:
            self._skipped = length
        elif length == ESCAPE_LENGTH:
            reader.skip(1)

    def _lob_part(self, reader: Reader) -> None:
        if not self._skipped:
            size = reader.chunk()
            self._chunks_follow = bool(size)
            self._skipped = size
            return
        here = min(self._skipped, len(reader.data) - reader.position)
        if not here:
            raise Short
        reader.skip(here)
        self._skipped -= here

    def void(self) -> None:
        """What has come of the message that is read is void: the server has broken it off."""
        self._chunks_follow, self._skipped, self._steps = False, 0, None
        self.expected.void()

    def _warning(self, reader: Reader) -> None:
        reader.ub2()
        length = reader.ub2()
        reader.ub2()
        reader.skip(length)

    def _server_piggyback(self, reader: Reader) -> None:
        operation = reader.ub1()
        schema = None
        if operation == 2:
            reader.ub2()
            reader.skip_byte_string()
        elif operation in (4, 5):
            reader.ub2()
            reader.skip(1)
            count = reader.ub4()
            if operation == 5 or count:
                reader.skip(1)
            schema = self._key_values(reader, count)
            reader.ub4()
            if operation == 4:
                reader.ub4()
                reader.ub2()
        elif operation == 7:
            reader.counted()
        elif operation == 8:
            reader.ub2()
            reader.skip(1)
            reader.ub4()
            reader.ub4()
            reader.skip(1)
            reader.counted()
        elif operation == 9:
            reader.ub2()
            reader.skip(1)
        elif operation == 10:
            reader.ub2()
            reader.skip(1)
            for _ in range(3):
                reader.ub8()
        elif operation not in (1, 3):
            raise Malformed(f"a server's piggyback of kind {operation}")
        if schema is not None:
            self.expected.schema = schema

    def _implicit_results(self, reader: Reader) -> None:
        for _ in range(_bounded(reader.ub4())):
            reader.skip(reader.ub1())
            found = columns(reader)
            self.expected.cursors[reader.ub2()] = found

    def _flush_out_binds(self, _reader: Reader) -> None:
        self.over = True

    def _token(self, reader: Reader) -> None:
        reader.ub8()

    def _error(self, reader: Reader) -> None:
        self.expected.ended = end_of_call(reader)
        self.over = not reader.dialect.end_of_reply

    def _status(self, reader: Reader) -> None:
        self.expected.ended = status_of_call(reader)
        self.over = not reader.dialect.end_of_reply

    def _end(self, _reader: Reader) -> None:
        self.over = True


def _given_back(reader: Reader, bind: Described, cursors: dict[int, tuple[Described, ...]]) -> str | None:
    if bind.kind in (c.CLOB, c.BLOB, c.BFILE, c.JSON, c.VECTOR):
        return read_column(reader, bind)
    if bind.kind == c.REF_CURSOR:
        return _cursor(reader, cursors)
    return read_bind(reader, bind)


def _column(reader: Reader, column: Described, cursors: dict[int, tuple[Described, ...]]) -> str | None:
    return _cursor(reader, cursors) if column.kind == c.REF_CURSOR else read_column(reader, column)


def _cursor(reader: Reader, cursors: dict[int, tuple[Described, ...]]) -> str:
    """A cursor as a value: a length that is always the same, its columns, its number."""
    reader.skip(1)
    found = columns(reader)
    number = reader.ub2()
    cursors[number] = found
    return f"cursor {number}"


def _passes(
    reader: Reader, value: Described, cursors: dict[int, tuple[Described, ...]], *, given_back: bool = False
) -> Steps[None]:
    """A value of which nobody wants the bytes."""
    kind = value.kind
    if kind in (c.JSON, c.VECTOR):
        if (yield from once_here(reader, Reader.ub4)):
            yield from once_here(reader, Reader.ub8)
            yield from once_here(reader, Reader.ub4)
            yield from byte_string(reader, nobody)
            yield from byte_string(reader, nobody)
    elif kind == c.OBJECT:
        for _ in range(3):
            yield from counted(reader, nobody)
        yield from once_here(reader, Reader.ub2)
        size = yield from once_here(reader, Reader.ub4)
        yield from once_here(reader, Reader.ub2)
        if size:
            yield from byte_string(reader, nobody)
    elif kind in (c.ROWID, c.ROWID_DESCRIPTOR, c.UROWID, c.CLOB, c.BLOB, c.BFILE, c.REF_CURSOR):
        read = _given_back if given_back else _column
        yield from once_here(reader, lambda each: read(each, value, cursors))
    else:
        yield from byte_string(reader, nobody)


def _count(reader: Reader) -> int:
    count = reader.ub4()
    if not 0 <= count <= MOST_ELEMENTS:
        raise Malformed(f"a bind with {count} values")
    return count


def _has(present: bytes, index: int) -> bool:
    return index >> 3 < len(present) and bool(present[index >> 3] & 1 << (index & 7))


def _bounded(count: int) -> int:
    if not 0 <= count <= MOST_PARAMETERS:
        raise Malformed(f"{count} parameters")
    return count


_READERS: dict[int, Callable[[ReplyReader, Reader], None]] = {
    c.DESCRIBE: ReplyReader._describe, c.ROW_HEADER: ReplyReader._row_header, c.ROW_DATA: ReplyReader._row,
    c.BIT_VECTOR: ReplyReader._bit_vector, c.PARAMETERS: ReplyReader._parameters, c.IO_VECTOR: ReplyReader._io_vector,
    c.LOB_DATA: ReplyReader._lob_data, c.WARNING: ReplyReader._warning,
    c.SERVER_PIGGYBACK: ReplyReader._server_piggyback, c.IMPLICIT_RESULTS: ReplyReader._implicit_results,
    c.FLUSH_OUT_BINDS: ReplyReader._flush_out_binds, c.TOKEN: ReplyReader._token, c.ERROR: ReplyReader._error,
    c.STATUS: ReplyReader._status, c.END_OF_REPLY: ReplyReader._end,
}  # fmt: skip
