"""What a client sends after its login: calls, the piggybacks in front of them, and rows of binds behind them.

No message has a length: what it is made of says where it ends. The fields are those of python-oracledb
(`messages/*.pyx`); where Oracle's own client library shows their widths, captures of SQL*Plus do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
    data      what is written to a LOB
    said      what stands in the record, where it is no statement of SQL
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
    locators: int = 0
    amount: bool = False
    data: bytes = field(default=b"", repr=False)
    said: str = ""
    pairs: dict[str, str] = field(default_factory=dict)


class NotCarried(Exception):
    """A call that the bastion does not read: nobody knows where it ends. `is_call`: it would have an answer."""

    def __init__(self, function: int, sequence: int, *, is_call: bool) -> None:
        name = c.NOT_CARRIED.get(function, f"function {function:#x}")
        super().__init__(f"a {'call' if is_call else 'piggyback'} that does not pass the bastion: {name}")
        self.function, self.sequence, self.is_call = function, sequence, is_call
        self.name = name


def read_header(reader: Reader) -> tuple[int, int, int]:
    """Type, function and sequence number of the next call or piggyback. Raises Short and Malformed."""
    kind = reader.ub1()
    if kind not in (c.CALL, c.PIGGYBACK):
        raise Malformed(f"a client's message of type {kind}")
    function, sequence = reader.ub1(), reader.ub1()
    if reader.dialect.has_token:
        reader.ub8()
    return kind, function, sequence


def read_call(reader: Reader) -> Piggyback | Call:
    """The next call or piggyback, which begins with its type. Raises Short, Malformed and NotCarried."""
    kind, function, sequence = read_header(reader)
    if kind == c.PIGGYBACK:
        read = _PIGGYBACKS.get(function)
        if read is None:
            raise NotCarried(function, sequence, is_call=False)
        return read(reader)
    reader_of = _CALLS.get(function)
    if reader_of is None:
        raise NotCarried(function, sequence, is_call=True)
    return reader_of(reader, function, sequence)


# ------------------------------------------------------------------------------------------------------------ the calls


def _plain(_reader: Reader, function: int, sequence: int) -> Call:
    return Call(function, sequence)


@dataclass(frozen=True, slots=True)
class ExecuteHead:
    """The fields of an execution in front of its text. `length`: of the text, by the header."""

    function: int
    sequence: int
    options: int
    cursor: int
    has_text: bool
    length: int
    words: int
    binds: int | None
    defines: int | None


def execute_head(reader: Reader, function: int, sequence: int) -> ExecuteHead:
    """Raises Short and Malformed."""
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
    if words != c.WORDS_OF_EXECUTE:
        raise Malformed(f"an execution with {words} numbers")
    if has_text != bool(options & c.OPTION_PARSE):
        raise Malformed("an execution whose text is not parsed, or that parses none")
    return ExecuteHead(
        function, sequence, options, cursor, has_text, length, words,
        bind_count if has_binds else None, define_count if has_defines else None,
    )  # fmt: skip


def execute_rest(reader: Reader, head: ExecuteHead, text: str | None) -> Call:
    """The fields behind the text, with those in front of it. Raises Short and Malformed."""
    numbers = [reader.ub4() for _ in range(head.words)]
    if numbers[1] < 0:
        raise Malformed(f"{numbers[1]} executions")
    bound = None if head.binds is None else binds(reader, head.binds)
    defined = None if head.defines is None else binds(reader, head.defines)
    is_query = numbers[7] == 1
    runs = bool(bound) and bool(head.options & c.OPTION_EXECUTE)
    return Call(
        head.function, head.sequence, head.cursor, text, head.options, bound, defined,
        rows=(1 if is_query else numbers[1]) if runs else 0,
        is_query=is_query, counts_rows=bool(numbers[9] & c.DML_ROW_COUNTS),
    )  # fmt: skip


def _execute(reader: Reader, function: int, sequence: int) -> Call:
    head = execute_head(reader, function, sequence)
    text = reader.text(_text(reader, head.length)) if head.has_text else None
    return execute_rest(reader, head, text)


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


def lob_head(reader: Reader, function: int, sequence: int) -> Call:
    """A LOB operation up to its data. Raises Short and Malformed."""
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
    if operation == c.LOB_WRITE and reader.ub1() != c.LOB_DATA:
        raise Malformed("a write to a LOB without data")
    locators = (source if has_source else 0) + (target if has_target else 0)
    return Call(function, sequence, operation=operation, locators=locators, amount=has_amount)


def _lob_operation(reader: Reader, function: int, sequence: int) -> Call:
    call = lob_head(reader, function, sequence)
    if call.operation == c.LOB_WRITE:
        call = replace(call, data=reader.long_form())
    if call.amount:
        reader.ub8()
    return call


def _switch_transaction(reader: Reader, function: int, sequence: int) -> Call:
    """Begins, resumes or leaves a branch of a distributed transaction (`messages/tpc_switch.pyx`)."""
    operation = reader.ub4()
    has_context, context = reader.pointer(), reader.ub4()
    branch = _branch_head(reader)
    flags = reader.ub4()
    reader.ub4()  # how long to wait for it
    for _ in range(3):
        reader.pointer()
    names = [(reader.pointer(), reader.ub4()) for _ in range(2)]
    if has_context:
        reader.skip(context)
    branch_name = _branch(reader, branch)
    reader.ub4()
    for is_there, length in names:
        reader.skip(length if is_there else 0)
    words = {1: "TPC BEGIN", 2: "TPC END", 4: "TPC POST-DETACH"}.get(operation, f"TPC SWITCH {operation:#x}")
    if operation == 1 and flags & c.TPC_RESUME:
        words = "TPC RESUME"
    return Call(function, sequence, options=flags, operation=operation, said=f"{words}{branch_name}")


def _change_transaction(reader: Reader, function: int, sequence: int) -> Call:
    """Commits, gives up, prepares or forgets such a branch (`messages/tpc_change_state.pyx`)."""
    operation = reader.ub4()
    has_context, context = reader.pointer(), reader.ub4()
    branch = _branch_head(reader)
    reader.ub4()
    reader.ub4()
    reader.pointer()
    reader.ub4()
    if has_context:
        reader.skip(context)
    name = _branch(reader, branch)
    words = {1: "COMMIT", 2: "ROLLBACK", 3: "PREPARE", 4: "FORGET"}.get(operation, f"CHANGE {operation:#x}")
    return Call(function, sequence, operation=operation, said=f"TPC {words}{name}")


_Branch = tuple[int, int, int, int]


def _branch_head(reader: Reader) -> _Branch:
    """Format, and the lengths of the transaction's identifier, the branch's qualifier and of both as they are sent."""
    kind, transaction, branch = reader.ub4(), reader.ub4(), reader.ub4()
    is_there, length = reader.pointer(), reader.ub4()
    return kind, transaction, branch, length if is_there else 0


def _branch(reader: Reader, head: _Branch) -> str:
    kind, transaction, branch, length = head
    data = reader.raw(length)
    if not length:
        return ""
    if not 0 <= transaction <= length or not 0 <= branch <= length - transaction:
        raise Malformed("a transaction's identifier that is longer than itself")
    identifier, qualifier = data[:transaction], data[transaction : transaction + branch]
    return f" {kind}, {reader.text(identifier)}, {reader.text(qualifier)}"


def _text(reader: Reader, length: int) -> bytes:
    """A text of a call: counted by itself, or by the call's header."""
    return reader.long_form() if reader.dialect.counted_texts else reader.raw(length)


_CALLS: dict[int, Callable[[Reader, int, int], Call]] = {
    c.EXECUTE: _execute, c.RE_EXECUTE: _re_execute, c.RE_EXECUTE_AND_FETCH: _re_execute, c.FETCH: _fetch,
    c.COMMIT: _plain, c.ROLLBACK: _plain, c.LOG_OFF: _plain, c.PING: _plain, c.VERSION: _version,
    c.AUTH_PHASE_ONE: _authentication, c.AUTH_PHASE_TWO: _authentication, c.LOB_OPERATION: _lob_operation,
    c.TPC_SWITCH: _switch_transaction, c.TPC_CHANGE_STATE: _change_transaction,
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


_ATTRIBUTES = ("client_identifier", "module", "action", "client_info", "", "", "dbop")


def _end_to_end(reader: Reader) -> Piggyback:
    """Only those that have a pointer are set; an empty one is taken back."""
    fields = reader.dialect.field_version
    reader.pointer()
    reader.pointer()
    reader.ub4()
    given = [(reader.pointer(), reader.ub4()) for _ in range(3)]
    reader.pointer()
    reader.ub4()
    reader.skip(1)
    reader.ub4()
    given += [(reader.pointer(), reader.ub4()) for _ in range(3)]
    if fields >= 7:
        given.append((reader.pointer(), reader.ub2()))
    found = []
    for (is_there, length), name in zip(given, _ATTRIBUTES, strict=False):
        value = reader.text(_text(reader, length)) if length else ""
        if is_there and name:
            found.append((name, value))
    return Piggyback(c.SET_END_TO_END, attributes=tuple(found))


def _key_values(reader: Reader) -> Piggyback:
    reader.pointer()
    reader.ub4()
    reader.pointer()
    count = reader.ub4()
    reader.ub2()
    reader.pointer()
    namespace = reader.text(reader.long_form())
    if count > 1000:
        raise Malformed(f"an application context of {count} values")
    found = []
    for _ in range(count):
        key, value = reader.text(reader.counted()), reader.text(reader.counted())
        reader.ub4()
        found.append((f"{namespace}.{key}", value))
    if not found:
        found.append((namespace, "cleared"))
    return Piggyback(c.KEY_VALUES, attributes=tuple(found))


def _switch_session(reader: Reader) -> Piggyback:
    for _ in range(3):
        reader.ub4()
    return Piggyback(c.SESSION_SWITCH)


def _cancel_cursors(reader: Reader) -> Piggyback:
    _close_cursors(reader)
    return Piggyback(c.CANCEL_CURSORS)


def _free_lobs(reader: Reader) -> Piggyback:
    """Temporary LOBs that the client has done with (`messages/base.pyx`)."""
    reader.pointer()
    size = reader.ub4()
    reader.pointer()
    for _ in range(3):
        reader.ub4()
    for _ in range(3):
        reader.pointer()
    operation = reader.ub4()
    if operation != c.LOB_FREE | c.LOB_ARRAY:
        raise Malformed(f"a piggyback of the LOB operation {operation:#x}")
    reader.pointer()
    reader.ub4()
    reader.ub8()
    reader.ub8()
    reader.pointer()
    for _ in range(3):
        reader.pointer()
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


def _sessionless(reader: Reader) -> Piggyback:
    """A transaction that outlives the session is begun or resumed with the next call."""
    call = _switch_transaction(reader, c.TPC_SWITCH, 0)
    return Piggyback(c.TPC_SWITCH, attributes=(("transaction", call.said),))


_PIGGYBACKS: dict[int, Callable[[Reader], Piggyback]] = {
    c.CLOSE_CURSORS: _close_cursors, c.SET_SCHEMA: _set_schema, c.SESSION_STATE: _session_state,
    c.SET_END_TO_END: _end_to_end, c.KEY_VALUES: _key_values, c.SESSION_SWITCH: _switch_session,
    c.CANCEL_CURSORS: _cancel_cursors, c.LOB_OPERATION: _free_lobs, c.CLIENT_FIGURES: _client_figures,
    c.TPC_SWITCH: _sessionless,
}  # fmt: skip
