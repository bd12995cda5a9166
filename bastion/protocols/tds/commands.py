"""What the client's messages are, but for RPCs: batches, requests about transactions, bulk data ([MS-TDS] 2.2.6)."""

from __future__ import annotations

import codecs
import re

from bastion.protocols.contract import Note, Refusal, StatementBegins, StatementExtends

from .codec import Malformed, Short, text, unpack_u16
from .constants import PacketKind
from .exchange import Exchange, Request
from .headers import read_headers

_ANNOUNCES_BULK = re.compile(r"\b(?:insert|writetext|updatetext)\s+bulk\b", re.IGNORECASE)

LONGEST_ANNOUNCEMENT = 64 * 1024
"""Characters of a batch in which an announcement of bulk data is looked for."""

_ISOLATION = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}


class Batch:
    """A batch of SQL: its text, in parts where it is long (2.2.6.7)."""

    refusal: tuple[int, Refusal] | None = None

    def __init__(self, exchange: Exchange) -> None:
        self.request = Request(PacketKind.BATCH)
        self._exchange = exchange
        self._decoder: codecs.IncrementalDecoder | None = None
        self._data = b""
        self._headers = exchange.wide
        self._size = 0
        self._last = False
        self._number = 0

    def feed(self, data: bytes, *, last: bool) -> None:
        """More data. Raises Malformed."""
        self._data += data
        self._last = last
        if self._headers:
            try:
                _, start = read_headers(self._data, 0)
            except Short:
                if last:
                    raise Malformed("a batch that ends within its headers") from None
                return
            self._headers = False
            self._data = self._data[start:]
            self._size += len(self._data)
        else:
            self._size += len(data)
        if last and self._size & 1:
            raise Malformed("a batch that ends with half a character")

    def take(self) -> list[Note]:
        """The notes of what was fed since."""
        data, self._data = self._data, (self._data if self._headers else b"")
        part = "" if self._headers else self._decoded(data)
        if self._number:
            return [StatementExtends(self._number, part, self._last)]
        exchange = self._exchange
        number = self._number = exchange.numbers = exchange.numbers + 1
        self.request.first, self.request.count = number, 1
        beginning = part[:LONGEST_ANNOUNCEMENT]
        if "bulk" in beginning.lower() and _ANNOUNCES_BULK.search(beginning) is not None:
            self.request.bulk = beginning
        return [StatementBegins(number, "batch", part, self._last)]

    def _decoded(self, data: bytes) -> str:
        if self._decoder is None:
            if self._last:
                return data.decode("utf-16-le", "backslashreplace")
            self._decoder = codecs.getincrementaldecoder("utf-16-le")("backslashreplace")
        return self._decoder.decode(data, self._last)


class TransactionRequest:
    """Begin, commit, roll back, save: what drivers send in the place of statements (2.2.6.9)."""

    refusal: tuple[int, Refusal] | None = None

    def __init__(self, exchange: Exchange) -> None:
        self.request = Request(PacketKind.TRANSACTION)
        self._exchange = exchange
        self._data = b""
        self._text = ""

    def feed(self, data: bytes, *, last: bool) -> None:
        """More data; read when it is whole. Raises Malformed."""
        self._data += data
        if len(self._data) > 64 * 1024:
            raise Malformed("a request about a transaction that is longer than any")
        if last:
            try:
                _, position = read_headers(self._data, 0) if self._exchange.wide else (None, 0)
                self._text = transaction_text(self._data[position:])
            except (Short, IndexError):
                raise Malformed("a request about a transaction that ends too early") from None

    def take(self) -> list[Note]:
        exchange = self._exchange
        number = exchange.numbers = exchange.numbers + 1
        self.request.first, self.request.count = number, 1
        return [StatementBegins(number, "transaction-manager", self._text)]


def transaction_text(data: bytes) -> str:
    """What a request asks for, as Transact-SQL would say it. Raises Short and IndexError."""
    if len(data) < 2:
        raise Short
    kind = unpack_u16(data)[0]
    if kind == 5:
        name, _ = _name(data, 3)
        isolation = f" -- isolation level {_ISOLATION[data[2]]}" if data[2] in _ISOLATION else ""
        return f"BEGIN TRANSACTION{name}{isolation}"
    if kind in (7, 8):
        name, position = _name(data, 2)
        said = ("COMMIT TRANSACTION" if kind == 7 else "ROLLBACK TRANSACTION") + name
        if data[position] & 1:
            following, _ = _name(data, position + 2)
            said += f"; BEGIN TRANSACTION{following}"
            if data[position + 1] in _ISOLATION:
                said += f" -- isolation level {_ISOLATION[data[position + 1]]}"
        return said
    if kind == 9:
        return "SAVE TRANSACTION" + _name(data, 2)[0]
    words = {0: "get the address of the coordinator", 1: "join a distributed one", 6: "make it a distributed one"}
    return f"(distributed transaction: {words.get(kind, f'request {kind}')})"


def _name(data: bytes, position: int) -> tuple[str, int]:
    """A name with a blank in front, and the position behind it; its length is in bytes."""
    end = position + 1 + data[position]
    if end > len(data):
        raise Short
    name = text(data[position + 1 : end])
    return (f" {name}" if name else ""), end
