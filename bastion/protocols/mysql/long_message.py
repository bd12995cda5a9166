"""Commands that are too long to be held whole: they pass in blocks, each with its notes ahead of it.

Blocks are cut at fixed places of the message, so what is recorded does not depend on how the bytes arrived.
"""

from __future__ import annotations

import codecs
from typing import Protocol

from bastion.protocols.contract import (
    TEXT_PART,
    DatabaseError,
    Leg,
    Note,
    ProtocolError,
    Refusal,
    StatementBegins,
    StatementEnds,
    StatementExtends,
)

from .codec import Malformed, Short
from .commands import (
    OPERATIONS,
    SPOILED_HANDLE,
    add_long_data,
    begin_execution,
    find_handle,
    read_attributes,
    refuse_unknown_handle,
    refused,
)
from .constants import MAX_PACKET_PAYLOAD, CommandCode
from .current_database import MADE_AT_RUN_TIME, other_database, watch_text
from .exchange import Answer, Command, Exchange, Handle
from .refusal import decode_error, error_for_statement
from .use_statements import UNREADABLE, TextReader

BLOCK = TEXT_PART
"""Bytes, headers included, that are held of a long message before they pass."""


class Content(Protocol):
    """Reads the payload of one long command, block by block."""

    code: int

    @property
    def command(self) -> Command | None: ...

    def read(self, data: bytes, *, last: bool) -> tuple[Note, ...]: ...


class LongText:
    """COM_QUERY and COM_STMT_PREPARE: the text in parts."""

    def __init__(self, exchange: Exchange, code: int) -> None:
        self.code = code
        self._exchange = exchange
        self._decoder = codecs.getincrementaldecoder(exchange.codec)("backslashreplace")
        prepares = code == CommandCode.STMT_PREPARE
        self.command: Command = Command(code, Answer.PREPARED if prepares else Answer.RESULT, exchange.number())
        self._begun = False
        self._uses = TextReader(backslash=exchange.backslash, dynamic=exchange.mariadb) if exchange.databases else None

    def read(self, data: bytes, *, last: bool) -> tuple[Note, ...]:
        command = self.command
        number = command.number or 0
        if self._begun:
            more = self._decoder.decode(data, last)
            refusal = self._judged(more, last=last)
            if refusal is not None:
                # Its beginning is with the database already, which runs nothing of a command that is not whole.
                raise Malformed(refusal.message)
            return (StatementExtends(number, more, last),)
        self._begun = True
        exchange = self._exchange
        prepares = command.answer is Answer.PREPARED
        start = 1
        attributes = None
        if exchange.query_attributes and not prepares:
            try:
                start, attributes = read_attributes(exchange, data, 1)
            except Short:
                raise Malformed("query attributes that are longer than a statement's first part") from None
        text = self._decoder.decode(data[start:], last)
        if prepares:
            command.text = f"{text}… (the whole text is that of statement {number})"
            command.text_is_cut = True
            exchange.last_prepared = command
        else:
            watch_text(exchange, command, text[:4096])
        begins = StatementBegins(number, OPERATIONS[command.code], text, last, attributes, prepares)
        refusal = self._judged(text, last=last)
        if refusal is None:
            return (begins,)
        command.error = error_for_statement(refusal)
        error = DatabaseError(decode_error(command.error).code, refusal.message)
        return (begins, StatementEnds(number, None, error, "failed"))

    def _judged(self, text: str, *, last: bool) -> Refusal | None:
        """Whether the text so far opens a database that it may not."""
        if self._uses is None:
            return None
        for each in self._uses.feed(text, last=last):
            if each.name == UNREADABLE:
                return MADE_AT_RUN_TIME
            if each.name not in self._exchange.databases:
                return other_database(self._exchange, each.name)
        return None


class LongExecution:
    """COM_STMT_EXECUTE and COM_STMT_BULK_EXECUTE: binds as they arrive, long ones by beginning, length and digest."""

    def __init__(self, exchange: Exchange, head: bytes) -> None:
        self.code = head[0]
        handle = find_handle(exchange, head)
        self._notes: tuple[Note, ...] = ()
        self._reader = None
        self._position = 0
        if handle is None or (isinstance(handle, Handle) and handle.spoiled):
            if handle is None:
                command, self._notes = refuse_unknown_handle(exchange, head)
            else:
                command, self._notes = refused(exchange, head[0], handle.text, SPOILED_HANDLE)
            assert command is not None
            self.command: Command = command
            return
        try:
            execution = begin_execution(exchange, head, handle)
        except Short:
            raise Malformed("the types of an execution's parameters are longer than they can be") from None
        if execution.rewritten is not None:
            raise Malformed("an execution without the types of its parameters")
        self.command = execution.command
        self._reader = execution.reader
        self._position = execution.position
        self._text = execution.text

    def read(self, data: bytes, *, last: bool) -> tuple[Note, ...]:
        if self._notes:
            notes, self._notes = self._notes, ()
            return notes
        command, reader = self.command, self._reader
        if command.error is not None and reader is None:
            return ()
        number = command.number or 0
        if reader is None:
            raise Malformed("bytes behind an execution without parameters")
        if self._position:
            reader.feed(data[self._position :], last=last)
            self._position = 0
            reader.detail.clear()
            return (StatementBegins(number, OPERATIONS[command.code], self._text, last, reader.taken()),)
        reader.feed(data, last=last)
        detail = "; ".join(reader.detail)
        reader.detail.clear()
        return (StatementExtends(number, "", last, reader.taken(), False, 0, detail),)


class LongValue:
    """COM_STMT_SEND_LONG_DATA: counted into the bind that it is for."""

    command: Command | None = None
    code: int = CommandCode.STMT_SEND_LONG_DATA

    def __init__(self, exchange: Exchange, head: bytes) -> None:
        self._exchange = exchange
        self._head = head[:7]
        self._position = 7

    def read(self, data: bytes, *, last: bool) -> tuple[Note, ...]:
        add_long_data(self._exchange, self._head, data[self._position :])
        self._position = 0
        return ()


def content_of(exchange: Exchange, head: bytes) -> Content:
    """The reader for a long command that begins with `head`. Raises Malformed for commands that are never long."""
    code = head[0]
    if code in (CommandCode.QUERY, CommandCode.STMT_PREPARE):
        return LongText(exchange, code)
    if code in (CommandCode.STMT_EXECUTE, CommandCode.STMT_BULK_EXECUTE):
        return LongExecution(exchange, head)
    if code == CommandCode.STMT_SEND_LONG_DATA:
        return LongValue(exchange, head)
    raise Malformed(f"a command of the kind {code:#04x} that is longer than any")


class Blocks:
    """Cuts one long message, continuation packets and all, into blocks."""

    __slots__ = ("content", "continued", "left", "sequence")

    def __init__(self) -> None:
        self.content: Content | None = None
        self.left = 0
        self.continued = True
        self.sequence = 0

    def next(self, data: bytes, start: int) -> tuple[int, bytes, bool] | int:
        """The end of the block at `start`, its payload, and whether it is the last one; or the bytes it needs at least.

        Raises ProtocolError for a wrong sequence id.
        """
        left, continued, sequence = self.left, self.continued, self.sequence
        position, available = start, len(data)
        parts = []
        while True:
            if left == 0:
                if not continued:
                    last = True
                    break
                if available - position < 4:
                    return position - start + 4
                length = int.from_bytes(data[position : position + 3], "little")
                if data[position + 3] != sequence:
                    raise ProtocolError(Leg.CLIENT, "a continued packet out of sequence", data[position : position + 4])
                sequence = (sequence + 1) & 0xFF
                continued = length == MAX_PACKET_PAYLOAD
                left = length
                position += 4
                continue
            room = BLOCK - (position - start)
            if room <= 0:
                last = False
                break
            take = min(left, room)
            if take > available - position:
                return position - start + take
            parts.append(data[position : position + take])
            position += take
            left -= take
        self.left, self.continued, self.sequence = left, continued, sequence
        return position, b"".join(parts), last
