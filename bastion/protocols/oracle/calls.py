"""What a client sends after its login: calls, the piggybacks in front of them, and rows of binds behind them.

No message has a length: what it is made of says where it ends. The fields are those of python-oracledb
(`messages/*.pyx`); where Oracle's own client library shows their widths, captures of SQL*Plus do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import constants as c
from .codec import Malformed, Reader
from .columns import Described, binds

MOST_CURSORS = 65_535
"""Cursors in one list to close at most."""


@dataclass(frozen=True, slots=True)
class Piggyback:
    """Something that goes along with the next call and gets no answer of its own."""

    function: int
    closed: tuple[int, ...] = ()
    schema: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A call, which is answered. `rows`: so many rows of binds follow it, of the kinds of `binds`.

    cursor    the number that the server gave to the statement; 0: a new one
    text      None: that of the cursor
    defines   the forms in which the client wants the columns, where it says so
    amount    an operation on a LOB says how much, and is told how much it was
    """

    function: int
    sequence: int
    cursor: int = 0
    text: str | None = None
    options: int = 0
    binds: tuple[Described, ...] | None = None
    defines: tuple[Described, ...] | None = None
    rows: int = 0
    is_query: bool = False
    counts_rows: bool = False
    operation: int = 0
    size: int = 0
    locators: int = 0
    amount: bool = False
    pairs: dict[str, str] = field(default_factory=dict)


def read_call(reader: Reader) -> Piggyback | Call:
    """The next call or piggyback, which begins with its type. Raises Short and Malformed."""
    kind = reader.ub1()
    if kind not in (c.CALL, c.PIGGYBACK):
        raise Malformed(f"a client's message of type {kind}")
    function, sequence = reader.ub1(), reader.ub1()
    if reader.dialect.has_token:
        reader.ub8()
    if kind == c.PIGGYBACK:
        read = _PIGGYBACKS.get(function)
        if read is None:
            raise Malformed(f"a piggyback of function {function:#x}")
        return read(reader)
    reader_of = _CALLS.get(function)
    if reader_of is None:
        raise Malformed(f"a call of function {function:#x}")
    return reader_of(reader, function, sequence)


# ------------------------------------------------------------------------------------------------------------ the calls


def _plain(_reader: Reader, function: int, sequence: int) -> Call:
    return Call(function, sequence)


def _execute(reader: Reader, function: int, sequence: int) -> Call:
    fields = reader.dialect.field_version
    options, cursor, has_text = reader.ub4(), reader.ub4(), reader.pointer()
    length = reader.ub4()
    reader.pointer()
    words = reader.ub4()
    reader.pointer()
    reader.pointer()
    for _ in range(3):
        reader.ub4()
    has_binds, bind_count = reader.pointer(), reader.ub4()
    for _ in range(5):
        reader.pointer()
    has_defines, define_count = reader.pointer(), reader.ub4()
    reader.ub4()
    for _ in range(3):
        reader.pointer()
    reader.ub4()
    reader.pointer()
    reader.ub4()
    reader.ub4()
    if fields >= 7:
        reader.pointer()
        reader.ub4()
        reader.pointer()
    if fields >= 8:
        reader.pointer()
        reader.ub4()
        reader.pointer()
        reader.ub4()
        reader.pointer()
    if fields >= 9:
        reader.pointer()
        reader.ub4()
    text = reader.text(_text(reader, length)) if has_text else None
    if words != c.WORDS_OF_EXECUTE:
        raise Malformed(f"an execution with {words} numbers")
    if (text is not None) != bool(options & c.OPTION_PARSE):
        raise Malformed("an execution whose text is not parsed, or that parses none")
    numbers = [reader.ub4() for _ in range(words)]
    if numbers[1] < 0:
        raise Malformed(f"{numbers[1]} executions")
    bound = binds(reader, bind_count) if has_binds else None
    defined = binds(reader, define_count) if has_defines else None
    is_query = numbers[7] == 1
    runs = bool(bound) and bool(options & c.OPTION_EXECUTE)
    return Call(
        function, sequence, cursor, text, options, bound, defined,
        rows=(1 if is_query else numbers[1]) if runs else 0,
        is_query=is_query, counts_rows=bool(numbers[9] & c.DML_ROW_COUNTS),
    )  # fmt: skip


def _re_execute(reader: Reader, function: int, sequence: int) -> Call:
    cursor, count = reader.ub4(), reader.ub4()
    options, more = reader.ub4(), reader.ub4()
    if count < 0:
        raise Malformed(f"{count} executions")
    commits = c.OPTION_COMMIT if more & 1 else 0
    return Call(function, sequence, cursor, options=options | commits | c.OPTION_EXECUTE, rows=count)


def _fetch(reader: Reader, function: int, sequence: int) -> Call:
    cursor = reader.ub4()
    reader.ub4()
    return Call(function, sequence, cursor)


def _version(reader: Reader, function: int, sequence: int) -> Call:
    reader.pointer()
    reader.ub4()
    reader.pointer()
    reader.pointer()
    reader.ub4()
    return Call(function, sequence)


def _authentication(reader: Reader, function: int, sequence: int) -> Call:
    reader.pointer()
    length = reader.ub4()
    options = reader.ub4()
    reader.pointer()
    count = reader.ub4()
    reader.pointer()
    reader.pointer()
    user = reader.text(_text(reader, length)) if length else ""
    if count > 1000:
        raise Malformed(f"an authentication with {count} values")
    pairs = {}
    for _ in range(count):
        key, value = reader.text(reader.counted()), reader.text(reader.counted())
        reader.ub4()
        pairs[key] = value
    return Call(function, sequence, text=user, options=options, pairs=pairs)


def _lob_operation(reader: Reader, function: int, sequence: int) -> Call:
    has_source, source = reader.pointer(), reader.ub4()
    has_target, target = reader.pointer(), reader.ub4()
    reader.ub4()
    reader.ub4()
    has_set = reader.pointer()
    reader.pointer()
    reader.pointer()
    operation = reader.ub4()
    reader.pointer()
    reader.skip(1)
    reader.ub8()
    reader.ub8()
    has_amount = reader.pointer()
    for _ in range(3):
        reader.raw(2)
    if has_source:
        reader.skip(source)
    if has_target:
        reader.skip(target)
    if has_set:
        reader.ub4()
    size = 0
    if operation == 0x40:
        if reader.ub1() != c.LOB_DATA:
            raise Malformed("a write to a LOB without data")
        size = len(reader.long_form())
    if has_amount:
        reader.ub8()
    return Call(
        function, sequence, operation=operation, size=size,
        locators=(source if has_source else 0) + (target if has_target else 0), amount=has_amount,
    )  # fmt: skip


def _text(reader: Reader, length: int) -> bytes:
    """A text of a call: counted by itself, or by the call's header."""
    return reader.long_form() if reader.dialect.counted_texts else reader.raw(length)


_CALLS: dict[int, Callable[[Reader, int, int], Call]] = {
    c.EXECUTE: _execute, c.RE_EXECUTE: _re_execute, c.RE_EXECUTE_AND_FETCH: _re_execute, c.FETCH: _fetch,
    c.COMMIT: _plain, c.ROLLBACK: _plain, c.LOG_OFF: _plain, c.PING: _plain, c.VERSION: _version,
    c.AUTH_PHASE_ONE: _authentication, c.AUTH_PHASE_TWO: _authentication, c.LOB_OPERATION: _lob_operation,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the piggybacks


def _close_cursors(reader: Reader) -> Piggyback:
    reader.pointer()
    count = reader.ub4()
    if count > MOST_CURSORS:
        raise Malformed(f"a list of {count} cursors")
    return Piggyback(c.CLOSE_CURSORS, closed=tuple(reader.ub4() for _ in range(count)))


def _set_schema(reader: Reader) -> Piggyback:
    reader.pointer()
    return Piggyback(c.SET_SCHEMA, schema=reader.text(reader.counted()))


def _session_state(reader: Reader) -> Piggyback:
    reader.ub8()
    return Piggyback(c.SESSION_STATE)


def _end_to_end(reader: Reader) -> Piggyback:
    fields = reader.dialect.field_version
    reader.pointer()
    reader.pointer()
    reader.ub4()
    lengths = []
    for _ in range(3):
        reader.pointer()
        lengths.append(reader.ub4())
    reader.pointer()
    reader.ub4()
    reader.skip(1)
    reader.ub4()
    for _ in range(3):
        reader.pointer()
        lengths.append(reader.ub4())
    if fields >= 7:
        reader.pointer()
        lengths.append(reader.ub2())
    names = ("client_identifier", "module", "action", "client_info")
    texts = []
    for length in lengths:
        texts.append(reader.text(_text(reader, length)) if length else "")
    return Piggyback(c.SET_END_TO_END, attributes=tuple(zip(names, texts[:4], strict=False)))


def _key_values(reader: Reader) -> Piggyback:
    reader.pointer()
    reader.ub4()
    reader.pointer()
    count = reader.ub4()
    reader.ub2()
    reader.byte_string()
    if count > 1000:
        raise Malformed(f"an application context of {count} values")
    found = []
    for _ in range(count):
        key, value = reader.text(reader.counted()), reader.text(reader.counted())
        reader.ub4()
        found.append((key, value))
    return Piggyback(c.KEY_VALUES, attributes=tuple(found))


def _switch_session(reader: Reader) -> Piggyback:
    for _ in range(3):
        reader.ub4()
    return Piggyback(c.SESSION_SWITCH)


def _cancel_cursors(reader: Reader) -> Piggyback:
    _close_cursors(reader)
    return Piggyback(c.CANCEL_CURSORS)


def _free_lobs(reader: Reader) -> Piggyback:
    """The locators of temporary LOBs that nobody uses any more, one behind the other."""
    reader.pointer()
    size = reader.ub4()
    reader.skip(1)
    for _ in range(3):
        reader.ub4()
    reader.skip(3)
    reader.ub4()
    reader.skip(1)
    reader.ub4()
    reader.ub8()
    reader.ub8()
    reader.skip(1)
    for _ in range(3):
        reader.skip(1)
        reader.ub4()
    reader.skip(size)
    return Piggyback(c.LOB_OPERATION)


def _client_figures(reader: Reader) -> Piggyback:
    """Seen of JDBC: four numbers with commas between them."""
    reader.pointer()
    length = reader.ub4()
    reader.skip(1)
    _text(reader, length)
    return Piggyback(c.CLIENT_FIGURES)


_PIGGYBACKS: dict[int, Callable[[Reader], Piggyback]] = {
    c.CLOSE_CURSORS: _close_cursors, c.SET_SCHEMA: _set_schema, c.SESSION_STATE: _session_state,
    c.SET_END_TO_END: _end_to_end, c.KEY_VALUES: _key_values, c.SESSION_SWITCH: _switch_session,
    c.CANCEL_CURSORS: _cancel_cursors, c.LOB_OPERATION: _free_lobs, c.CLIENT_FIGURES: _client_figures,
}  # fmt: skip
