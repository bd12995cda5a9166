"""Messages that are longer than what is held: they pass in parts, each part on record before it goes."""

from __future__ import annotations

import codecs

from bastion.protocols.contract import Leg, Note, ProtocolError, StatementBegins, StatementExtends
from bastion.protocols.uploads import UploadSample

from .binds import LONGEST_NAME, ArgumentReader, BindReader, parameter_types
from .exchange import REMEMBERED_TEXT, Awaits, Entry, Exchange

LONGEST_TYPES = 2 + 4 * 65_535
"""Bytes of the types behind a Parse's text: a count of two bytes, and four bytes a type."""


class LongMessage:
    """Reads along while the body passes.

    `begin` is called with the first part, before any byte of the message is passed on; it returns the answer that is
    expected, if any. `feed` may note something for the journal with every part.
    """

    def begin(self, start: bytes, notes: list[Note]) -> Entry | None:
        """`start` holds the first four bytes of the body at least; `feed` is given them again."""
        return None

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        """More of the body."""

    def finish(self, notes: list[Note]) -> None:
        """The body is complete."""


class LongCopyData(LongMessage):
    """COPY data of the client: counted, and its beginning handed out."""

    def __init__(self, exchange: Exchange, number: int, uploads: UploadSample) -> None:
        self._exchange = exchange
        self._number = number
        self._uploads = uploads

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        if self._number in self._exchange.open:
            notes.append(StatementExtends(self._number, data_bytes=len(chunk)))
            if self._uploads.room(self._number):
                notes.append(self._uploads.note(self._number, (chunk,)))


class LongBind(LongMessage):
    """A Bind with large values."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reader = BindReader(exchange)
        self._entry = Entry(Awaits.BIND)

    def begin(self, start: bytes, notes: list[Note]) -> Entry | None:
        self._exchange.expect(self._entry)
        return self._entry

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        self._reader.feed(chunk)

    def finish(self, notes: list[Note]) -> None:
        name, portal = self._reader.finish()
        self._exchange.bound(self._entry, name, portal)
        _if_gone(self._exchange, self._entry)


class LongFunctionCall(LongMessage):
    """A function call with large arguments, which are on record before the last part of the message goes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reader = ArgumentReader(exchange)
        self._number = 0

    def begin(self, start: bytes, notes: list[Note]) -> Entry | None:
        number = self._number = self._exchange.begin()
        oid = int.from_bytes(start[:4], "big")
        notes.append(StatementBegins(number, "function-call", f"function OID {oid}"))
        entry = self._exchange.ending(Awaits.FUNCTION, number)
        self._exchange.expect(entry)
        return entry

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        self._reader.feed(chunk)

    def finish(self, notes: list[Note]) -> None:
        notes.append(StatementExtends(self._number, binds=self._reader.arguments()))


class LongText(LongMessage):
    """A Query, or a Parse (which has a name before the text and types behind it)."""

    def __init__(self, exchange: Exchange, *, parse: bool) -> None:
        self._exchange = exchange
        self._parse = parse
        self._decoder = codecs.getincrementaldecoder(exchange.codec)("backslashreplace")
        self._name: bytes | None = None if parse else b""
        self._entry = Entry(Awaits.PARSE)
        self._head = b""
        self._begun = False
        self._text_over = False
        self._start = ""
        self._tail = b""

    def begin(self, start: bytes, notes: list[Note]) -> Entry | None:
        number = self._exchange.begin()
        self._entry = Entry(Awaits.PARSE, number) if self._parse else self._exchange.ending(Awaits.QUERY, number)
        self._exchange.expect(self._entry)
        return self._entry

    def feed(self, chunk: bytes, notes: list[Note]) -> None:
        was_over = self._text_over
        text = self._text(chunk)
        if not self._begun:
            self._begun = True
            operation = "parse" if self._parse else "query"
            notes.append(
                StatementBegins(self._entry.number, operation, text, complete=self._text_over, prepares=self._parse)
            )
        elif not was_over and (text or self._text_over):
            notes.append(StatementExtends(self._entry.number, text=text, complete=self._text_over))

    def _text(self, chunk: bytes) -> str:
        if self._text_over:
            self._tail += chunk
            if len(self._tail) > LONGEST_TYPES:
                raise ProtocolError(Leg.CLIENT, "a statement with an endless list of types")
            return ""
        if self._name is None:
            self._head += chunk
            end = self._head.find(b"\0")
            if end < 0:
                if len(self._head) > LONGEST_NAME:
                    raise ProtocolError(Leg.CLIENT, "a Parse message with an endless name")
                return ""
            self._name, chunk, self._head = self._head[:end], self._head[end + 1 :], b""
        end = chunk.find(b"\0")
        if end >= 0:
            self._tail = chunk[end + 1 :]
            chunk, self._text_over = chunk[:end], True
        text = self._decoder.decode(chunk, final=self._text_over)
        if len(self._start) <= REMEMBERED_TEXT:
            self._start += text
        return text

    def finish(self, notes: list[Note]) -> None:
        if not self._text_over or self._name is None:
            raise ProtocolError(Leg.CLIENT, "a statement without its end")
        if self._parse:
            self._exchange.remember(self._entry, self._name, self._start, parameter_types(self._tail))
            _if_gone(self._exchange, self._entry)
        elif self._tail:
            raise ProtocolError(Leg.CLIENT, "bytes behind the end of a statement")


def _if_gone(exchange: Exchange, entry: Entry) -> None:
    """The server began to throw messages away while this one was passing: its handle is taken back at Sync."""
    if entry.gone:
        exchange.skipped.append(entry)
