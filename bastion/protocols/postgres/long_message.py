"""Messages that are longer than what is held: they pass in parts, each part on record before it goes."""

from __future__ import annotations

import codecs
import struct

from bastion.protocols.contract import Leg, Note, ProtocolError, StatementBegins, StatementExtends

from .binds import LONGEST_NAME, BindReader
from .exchange import REMEMBERED_TEXT, Awaits, Entry, Exchange


class LongMessage:
    """Reads along while the body passes. `feed` may note something for the journal with every part."""

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        """More of the body."""

    def finish(self, notes: list[Note]) -> None:
        """The body is complete."""


class LongCopyData(LongMessage):
    """COPY data of the client: counted."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        number = self._exchange.copying
        if number in self._exchange.open:
            notes.append(StatementExtends(number, data_bytes=len(chunk)))


class LongBind(LongMessage):
    """A Bind with large values."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reader = BindReader(exchange)

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        self._reader.feed(chunk)

    def finish(self, notes: list[Note]) -> None:
        name, portal = self._reader.finish()
        self._exchange.portals[name] = portal
        if not self._exchange.skipping:
            self._exchange.queue.append(Entry(Awaits.BIND, portal=portal))


class LongFunctionCall(LongMessage):
    """A function call with large arguments."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._head = b""
        self._number = 0

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        if self._number == 0:
            self._head += chunk[:4]
            if len(self._head) >= 4:
                self._number = self._exchange.begin()
                oid = struct.unpack_from(">I", self._head)[0]
                notes.append(StatementBegins(self._number, "function-call", f"function OID {oid}"))

    def finish(self, notes: list[Note]) -> None:
        self._exchange.queue.append(Entry(Awaits.FUNCTION, self._number, parses=self._exchange.end_pipeline()))


class LongText(LongMessage):
    """A Query, or a Parse (which has a name before the text and types behind it)."""

    def __init__(self, exchange: Exchange, *, parse: bool) -> None:
        self._exchange = exchange
        self._parse = parse
        self._decoder = codecs.getincrementaldecoder(exchange.codec)("backslashreplace")
        self._name: bytes | None = None if parse else b""
        self._head = b""
        self._number = 0
        self._text_over = False
        self._start = ""
        self._tail = b""

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        if self._name is None:
            self._head += chunk
            end = self._head.find(b"\0")
            if end < 0:
                if len(self._head) > LONGEST_NAME:
                    raise ProtocolError(Leg.CLIENT, "a Parse message with an endless name")
                return
            self._name, chunk, self._head = self._head[:end], self._head[end + 1 :], b""
        if self._text_over:
            self._tail += chunk
            return
        end = chunk.find(b"\0")
        if end >= 0:
            self._tail = chunk[end + 1 :]
            chunk, self._text_over = chunk[:end], True
        text = self._decoder.decode(chunk, final=self._text_over)
        if len(self._start) <= REMEMBERED_TEXT:
            self._start += text
        if self._number == 0:
            self._number = self._exchange.begin()
            operation = "parse" if self._parse else "query"
            notes.append(StatementBegins(self._number, operation, text, complete=self._text_over, prepares=self._parse))
        else:
            notes.append(StatementExtends(self._number, text=text, complete=self._text_over))

    def finish(self, notes: list[Note]) -> None:
        exchange = self._exchange
        if not self._text_over or self._name is None:
            raise ProtocolError(Leg.CLIENT, "a statement without its end")
        if not self._parse:
            exchange.queue.append(Entry(Awaits.QUERY, self._number, parses=exchange.end_pipeline()))
            return
        prepared = exchange.remember(self._name, self._start, self._number, parameter_types(self._tail))
        exchange.queue.append(Entry(Awaits.PARSE, self._number, prepared=prepared))


def parameter_types(tail: bytes) -> tuple[int, ...]:
    """The types behind a Parse's text. Raises ProtocolError."""
    try:
        count = struct.unpack_from(">H", tail)[0]
        return struct.unpack_from(f">{count}I", tail, 2)
    except struct.error as error:
        raise ProtocolError(Leg.CLIENT, "a Parse message that ends in the middle") from error
