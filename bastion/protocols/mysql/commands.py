"""What a whole command of the client is: the statement it begins, and what the session must remember of it.

Each reader gets the exchange and the payload and returns the command and its notes. Commands that get no answer from
the server return no command. Commands that may be longer than what is held whole are read by `long_message`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bastion.protocols.contract import (
    Bind,
    DatabaseError,
    Note,
    Refusal,
    StatementBegins,
    StatementEnds,
)
from bastion.protocols.sql_scanner import Kind, dialect_of, tokens

from .change_user import converse, decode_change_user
from .character_sets import codec_of_collation
from .codec import Malformed, Short, lenenc_int, unpack_u32
from .constants import CommandCode
from .current_database import other_database, other_database_in, schema_of, watch_text
from .exchange import Answer, Command, Exchange, Handle
from .refusal import decode_error, error_for_statement
from .values import BindReader, decode_block, decode_value, named_bind

Reading = tuple[Command | None, tuple[Note, ...]]

PARAMETER_COUNT_AVAILABLE = 0x08
MAX_PARAMETERS = 65535
BULK_SEND_TYPES = 128


def _statement(
    exchange: Exchange, code: int, answer: Answer, text: str, binds: tuple[Bind, ...] | None = None
) -> tuple[Command, tuple[Note, ...]]:
    number = exchange.number()
    command = Command(code, answer, number)
    return command, (StatementBegins(number, OPERATIONS[code], text, True, binds),)


def refused(exchange: Exchange, code: int, text: str, refusal: Refusal) -> Reading:
    """A statement that the bastion answers by itself: it begins and ends here, and nothing of it goes on."""
    command, notes = _statement(exchange, code, Answer.SIMPLE, text)
    command.error = error_for_statement(refusal)
    error = decode_error(command.error)
    number = command.number or 0
    return command, (*notes, StatementEnds(number, None, DatabaseError(error.code, refusal.message), "failed"))


def read_attributes(exchange: Exchange, payload: bytes, position: int) -> tuple[int, tuple[Bind, ...] | None]:
    """The position of a query's text behind its attributes, and these as `name=value`. Raises Short and Malformed."""
    count, position = lenenc_int(payload, position)
    _, position = lenenc_int(payload, position)
    if not count:
        return position, None
    if count > MAX_PARAMETERS:
        raise Malformed("more query attributes than there can be")
    block = decode_block(payload, position, count, named=True)
    if block.types is None:
        raise Malformed("query attributes without types")
    position = block.position
    attributes: list[Bind] = []
    for index, kind in enumerate(block.types):
        value: Bind = None
        if not block.nulls[index >> 3] >> (index & 7) & 1:
            value, position = decode_value(kind, payload, position, exchange.codec)
        attributes.append(named_bind(block.names[index], value, exchange.codec))
    return position, tuple(attributes)


def _query(exchange: Exchange, payload: bytes) -> Reading:
    attributes = None
    start = 1
    if exchange.query_attributes:
        start, attributes = read_attributes(exchange, payload, 1)
    text = payload[start:].decode(exchange.codec, "backslashreplace")
    if exchange.databases:
        refusal = other_database_in(exchange, text)
        if refusal is not None:
            return refused(exchange, CommandCode.QUERY, text, refusal)
    number = exchange.numbers = exchange.numbers + 1
    command = Command(CommandCode.QUERY, Answer.RESULT, number)
    if text[:1] in _WATCHED or ";" in text:
        watch_text(exchange, command, text)
    if attributes is not None:
        return command, (StatementBegins(number, "COM_QUERY", text, True, attributes),)
    return command, (StatementBegins(number, "COM_QUERY", text),)


_WATCHED = frozenset("uUsSeE/-# \t\r\n\f\v")


def _prepare(exchange: Exchange, payload: bytes) -> Reading:
    text = payload[1:].decode(exchange.codec, "backslashreplace")
    if exchange.databases:
        refusal = other_database_in(exchange, text)
        if refusal is not None:
            return refused(exchange, CommandCode.STMT_PREPARE, text, refusal)
    number = exchange.number()
    command = Command(CommandCode.STMT_PREPARE, Answer.PREPARED, number)
    command.text = text
    exchange.texts_ahead += len(text)
    if text[:1] in _WATCHED:
        command.schema = schema_of(text)
    exchange.last_prepared = command
    return command, (StatementBegins(number, "COM_STMT_PREPARE", text, True, None, True),)


class Execution:
    """An execution read as far as its values: the command, its text, and the reader of what follows at `position`."""

    __slots__ = ("command", "position", "reader", "rewritten", "text")

    def __init__(self, command: Command, text: str, reader: BindReader | None, position: int) -> None:
        self.command = command
        self.text = text
        self.reader = reader
        self.position = position
        self.rewritten: bytes | None = None
        """The payload up to `position` as the server must get it: with types that it was never told."""


UNKNOWN_HANDLE = Refusal("statement-handle-unknown", "Unknown prepared statement handler given to EXECUTE")
SPOILED_HANDLE = Refusal(
    "statement-handle-spoiled",
    "The last execution of this statement was refused after its long data had gone to the database. "
    "Reset or prepare the statement again.",
)


def find_handle(exchange: Exchange, payload: bytes) -> Handle | Command | None:
    if len(payload) < 5:
        raise Short
    return exchange.handle(unpack_u32(payload, 1)[0])


def begin_execution(exchange: Exchange, payload: bytes, handle: Handle | Command) -> Execution:
    """COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE up to its values. Raises Short and Malformed."""
    if payload[0] == CommandCode.STMT_BULK_EXECUTE:
        return _begin_bulk(exchange, payload, handle)
    if len(payload) < 10:
        raise Short
    flags = payload[5]
    position = 10
    rewritten: bytes | None = None
    known = handle.parameters if isinstance(handle, Handle) else _parameters_of(exchange, handle)
    count = known or 0
    own = count
    if exchange.query_attributes and (count or flags & PARAMETER_COUNT_AVAILABLE):
        count, position = lenenc_int(payload, position)
        if count > MAX_PARAMETERS:
            raise Malformed("more parameters than there can be")
        known = count
    command = Command(CommandCode.STMT_EXECUTE, Answer.RESULT, exchange.numbers + 1)
    reader = None
    if known is None:
        count, block_reader, position = _guess_parameters(exchange, payload, position)
        reader = block_reader
    elif count:
        block = decode_block(payload, position, count, named=exchange.query_attributes)
        position = block.position
        long_data = handle.long_data if isinstance(handle, Handle) else {}
        types = block.types or (handle.types if isinstance(handle, Handle) else None)
        if types is None or len(types) != count:
            raise Malformed("an execution without the types of its parameters")
        reader = BindReader(types, block.nulls, long_data, exchange.codec)
        if count > own and block.names:
            reader.names = {index: block.names[index] for index in range(own, count)}
        if isinstance(handle, Handle):
            command.new_types = block.types is not None
            if block.types is not None:
                handle.types, handle.types_unsent = types[:own], False
            elif handle.types_unsent:
                rewritten = _with_types(payload[: position - 1], types, named=exchange.query_attributes)
                handle.types_unsent, command.new_types = False, True
    if isinstance(handle, Handle):
        command.used_long_data = bool(handle.long_data)
        command.schema = handle.schema
        exchange.forget_long_data(handle)
        command.handle = handle
    else:
        command.rests_on = handle
    exchange.numbers += 1
    execution = Execution(command, handle.text, reader, position)
    execution.rewritten = rewritten
    return execution


def _with_types(head: bytes, types: list[int], *, named: bool) -> bytes:
    """The head of an execution with the types put in that the client takes for known."""
    end = b"\0" if named else b""
    return head + b"\x01" + b"".join(kind.to_bytes(2, "little") + end for kind in types)


def _parameters_of(exchange: Exchange, preparation: Command) -> int | None:
    """How many parameters a statement has whose preparation is not answered yet; None where its text is not whole."""
    if preparation.text_is_cut:
        return None
    dialect = replace(dialect_of("mysql"), backslash=exchange.backslash)
    text = preparation.text
    return sum(token.kind is Kind.MARK and text[token.start] == "?" for token in tokens(text, dialect))


def _guess_parameters(exchange: Exchange, payload: bytes, position: int) -> tuple[int, BindReader | None, int]:
    """How many parameters an execution has whose preparation is not answered yet: the count that fits exactly.

    Raises Malformed where none does, or more than one: what is run is then not readable.
    """
    if position == len(payload):
        return 0, None, position
    fitting: list[tuple[int, BindReader, int]] = []
    for count in range(1, len(payload) - position):
        try:
            block = decode_block(payload, position, count, named=False)
        except Short:
            break
        except Malformed:
            continue
        if block.types is None:
            continue
        reader = BindReader(block.types, block.nulls, {}, exchange.codec)
        try:
            reader.feed(payload[block.position :], last=True)
        except Malformed:
            continue
        fitting.append((count, BindReader(block.types, block.nulls, {}, exchange.codec), block.position))
        if len(fitting) > 1:
            break
    if len(fitting) != 1:
        raise Malformed("an execution of a statement whose preparation is not answered yet, with unreadable parameters")
    return fitting[0]


def _begin_bulk(exchange: Exchange, payload: bytes, handle: Handle | Command) -> Execution:
    if len(payload) < 7:
        raise Short
    flags = payload[5] | payload[6] << 8
    position = 7
    types = handle.types if isinstance(handle, Handle) else None
    if flags & BULK_SEND_TYPES:
        count = handle.parameters if isinstance(handle, Handle) else _parameters_of(exchange, handle)
        if count is None:
            raise Malformed("a bulk execution of a statement whose preparation is not answered yet")
        if position + 2 * count > len(payload):
            raise Short
        types = [payload[position + 2 * index] | payload[position + 2 * index + 1] << 8 for index in range(count)]
        position += 2 * count
    if not types:
        raise Malformed("a bulk execution without the types of its parameters")
    command = Command(CommandCode.STMT_BULK_EXECUTE, Answer.RESULT, exchange.number())
    if isinstance(handle, Handle):
        command.new_types = bool(flags & BULK_SEND_TYPES)
        if command.new_types:
            handle.types, handle.types_unsent = types, False
        elif handle.types_unsent:
            raise Malformed("a bulk execution without the types of its parameters")
        command.handle = handle
    else:
        command.rests_on = handle
    return Execution(command, handle.text, BindReader(types, b"", {}, exchange.codec, row=len(types)), position)


def _execute(exchange: Exchange, payload: bytes) -> Reading:
    handle = find_handle(exchange, payload)
    if handle is None:
        return refuse_unknown_handle(exchange, payload)
    if isinstance(handle, Handle) and handle.spoiled:
        return refused(exchange, payload[0], handle.text, SPOILED_HANDLE)
    execution = begin_execution(exchange, payload, handle)
    reader = execution.reader
    if reader is not None:
        reader.feed(payload[execution.position :], last=True)
    binds = reader.taken() if reader is not None else ()
    command = execution.command
    if execution.rewritten is not None:
        command.rewritten = execution.rewritten + payload[execution.position :]
    return command, (StatementBegins(command.number or 0, OPERATIONS[payload[0]], execution.text, True, binds),)


def refuse_unknown_handle(exchange: Exchange, payload: bytes) -> Reading:
    """An execution whose text is not known is not passed on: the server has no such statement either."""
    identifier = unpack_u32(payload, 1)[0]
    return refused(exchange, payload[0], f"(unknown prepared statement {identifier})", UNKNOWN_HANDLE)


def _long_data(exchange: Exchange, payload: bytes) -> Reading:
    add_long_data(exchange, payload, payload[7:])
    return None, ()


def add_long_data(exchange: Exchange, head: bytes, data: bytes) -> None:
    """Counts data for a bind value; `head` is the packet's beginning. Raises Short.

    Data for statements and parameters that are not there are ignored, as the server does.
    """
    if len(head) < 7:
        raise Short
    handle = find_handle(exchange, head)
    index = head[5] | head[6] << 8
    if isinstance(handle, Handle) and index < (handle.parameters or 0):
        exchange.add_long_data(handle, index, data)


def _close(exchange: Exchange, payload: bytes) -> Reading:
    if len(payload) < 5:
        raise Short
    exchange.close_handle(unpack_u32(payload, 1)[0])
    return None, ()


def _reset(exchange: Exchange, payload: bytes) -> Reading:
    handle = find_handle(exchange, payload)
    if isinstance(handle, Handle):
        exchange.forget_long_data(handle)
        handle.spoiled = False
    return Command(CommandCode.STMT_RESET, Answer.SIMPLE, None), ()


def _fetch(exchange: Exchange, payload: bytes) -> Reading:
    handle = find_handle(exchange, payload)
    if handle is None:
        return refuse_unknown_handle(exchange, payload)
    command, notes = _statement(exchange, CommandCode.STMT_FETCH, Answer.ROWS, handle.text)
    command.cursor = handle if isinstance(handle, Handle) else None
    return command, notes


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _init_db(exchange: Exchange, payload: bytes) -> Reading:
    name = payload[1:].decode(exchange.codec, "backslashreplace")
    text = f"USE {_quoted(name)}"
    if exchange.databases and name not in exchange.databases:
        return refused(exchange, CommandCode.INIT_DB, text, other_database(exchange, name))
    command, notes = _statement(exchange, CommandCode.INIT_DB, Answer.SIMPLE, text)
    command.schema = name
    return command, notes


def _field_list(exchange: Exchange, payload: bytes) -> Reading:
    table, _, wild = payload[1:].partition(b"\0")
    text = "SHOW FIELDS FROM `" + table.decode(exchange.codec, "backslashreplace").replace("`", "``") + "`"
    if wild.strip(b"\0"):
        text += f" LIKE '{wild.decode(exchange.codec, 'backslashreplace')}'"
    return _statement(exchange, CommandCode.FIELD_LIST, Answer.FIELDS, text)


def _process_kill(exchange: Exchange, payload: bytes) -> Reading:
    if len(payload) < 5:
        raise Short
    return _statement(exchange, CommandCode.PROCESS_KILL, Answer.SIMPLE, f"KILL {unpack_u32(payload, 1)[0]}")


def _change_user(exchange: Exchange, payload: bytes) -> Reading:
    asked = decode_change_user(payload, exchange.capabilities)
    user = asked.user.decode(exchange.codec, "backslashreplace")
    name = (asked.database or b"").decode(exchange.codec, "backslashreplace")
    text = f"CHANGE USER '{user:.256}'"
    if name:
        text += f" DATABASE {_quoted(name)}"
    if name and exchange.databases and name not in exchange.databases:
        return refused(exchange, CommandCode.CHANGE_USER, text, other_database(exchange, name))
    if exchange.terms is None or exchange.waiting:
        message = "COM_CHANGE_USER is possible only when all commands before it have been answered."
        return refused(exchange, CommandCode.CHANGE_USER, text, Refusal("change-user-not-possible", message))
    command, notes = _statement(exchange, CommandCode.CHANGE_USER, Answer.SIMPLE, text)
    command.schema = name
    command.codec = codec_of_collation(asked.collation) if asked.collation else None
    command.rewritten = b""
    exchange.start_conversation(command, converse(exchange.terms, asked, command.number))
    return command, notes


def _replication(exchange: Exchange, payload: bytes) -> Reading:
    code = CommandCode(payload[0])
    text = OPERATIONS[code].removeprefix("COM_").replace("_", " ")
    if not exchange.allow_replication:
        message = "Replication connections to this database are not granted. Ask an administrator."
        return refused(exchange, code, text, Refusal("replication-not-allowed", message))
    if exchange.databases:
        message = "A binary log holds every database of the server, and only some may be opened here: it is not sent."
        return refused(exchange, code, text, Refusal("replication-not-allowed", message))
    answer = Answer.SIMPLE if code is CommandCode.REGISTER_SLAVE else Answer.STREAM
    return _statement(exchange, code, answer, text)


def _worded(code: CommandCode, answer: Answer, text: str) -> Callable[[Exchange, bytes], Reading]:
    def read(exchange: Exchange, payload: bytes) -> Reading:
        return _statement(exchange, code, answer, text)

    return read


def _plain(code: CommandCode, answer: Answer) -> Callable[[Exchange, bytes], Reading]:
    def read(exchange: Exchange, payload: bytes) -> Reading:
        return Command(code, answer, None), ()

    return read


def _reset_connection(exchange: Exchange, payload: bytes) -> Reading:
    command, notes = _statement(exchange, CommandCode.RESET_CONNECTION, Answer.SIMPLE, "RESET CONNECTION")
    command.codec = exchange.codec_at_reset
    return command, notes


def _quit(exchange: Exchange, payload: bytes) -> Reading:
    exchange.leaving = True
    return None, ()


OPERATIONS: dict[int, str] = {code: f"COM_{code.name}" for code in CommandCode}
"""The protocol's own word for a command."""

READERS: dict[int, Callable[[Exchange, bytes], Reading]] = {
    CommandCode.QUIT: _quit,
    CommandCode.INIT_DB: _init_db,
    CommandCode.QUERY: _query,
    CommandCode.FIELD_LIST: _field_list,
    CommandCode.REFRESH: _worded(CommandCode.REFRESH, Answer.SIMPLE, "FLUSH (COM_REFRESH)"),
    CommandCode.SHUTDOWN: _worded(CommandCode.SHUTDOWN, Answer.SIMPLE, "SHUTDOWN"),
    CommandCode.STATISTICS: _plain(CommandCode.STATISTICS, Answer.TEXT),
    CommandCode.PROCESS_INFO: _worded(CommandCode.PROCESS_INFO, Answer.RESULT, "SHOW PROCESSLIST"),
    CommandCode.PROCESS_KILL: _process_kill,
    CommandCode.DEBUG: _worded(CommandCode.DEBUG, Answer.SIMPLE, "DEBUG"),
    CommandCode.PING: _plain(CommandCode.PING, Answer.SIMPLE),
    CommandCode.CHANGE_USER: _change_user,
    CommandCode.BINLOG_DUMP: _replication,
    CommandCode.BINLOG_DUMP_GTID: _replication,
    CommandCode.REGISTER_SLAVE: _replication,
    CommandCode.STMT_PREPARE: _prepare,
    CommandCode.STMT_EXECUTE: _execute,
    CommandCode.STMT_BULK_EXECUTE: _execute,
    CommandCode.STMT_SEND_LONG_DATA: _long_data,
    CommandCode.STMT_CLOSE: _close,
    CommandCode.STMT_RESET: _reset,
    CommandCode.SET_OPTION: _plain(CommandCode.SET_OPTION, Answer.SIMPLE),
    CommandCode.STMT_FETCH: _fetch,
    CommandCode.RESET_CONNECTION: _reset_connection,
}
"""Commands that are read. Whatever is not here is refused: COM_SLEEP, COM_CONNECT, COM_TIME, COM_CLONE, …"""
