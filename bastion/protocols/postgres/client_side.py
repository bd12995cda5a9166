"""Reads what the client sends after login (documentation, "Message Formats": the messages marked F)."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from bastion.protocols.contract import (
    MAX_HELD_MESSAGE,
    TEXT_PART,
    Leg,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    StatementBegins,
    StatementExtends,
)
from bastion.protocols.uploads import UploadSample

from . import refusal as own_words
from .binds import ArgumentReader, parameter_types, read_bind
from .exchange import LONGEST_PIPELINE, MOST_AHEAD, Awaits, Entry, Exchange
from .long_message import LongBind, LongCopyData, LongFunctionCall, LongMessage, LongText
from .session_settings import LONGEST_TEXT, MOST_WAITING

_head = struct.Struct(">BI")

LONGEST = 0x3FFFFFFF
"""Bytes of one message that PostgreSQL itself takes (MaxAllocSize)."""

QUERY, PARSE, BIND, EXECUTE, DESCRIBE, CLOSE, SYNC = b"QPBEDCS"
FLUSH, FUNCTION_CALL, COPY_DATA, COPY_DONE, COPY_FAIL, TERMINATE = b"HFdcfX"

STREAMED = frozenset((QUERY, PARSE, BIND, FUNCTION_CALL, COPY_DATA))
"""Kinds that may be longer than what is held; they pass in parts."""

EMPTY = frozenset((SYNC, FLUSH, COPY_DONE, TERMINATE))
"""Kinds without a body."""

LONG_HEAD = 9
"""Bytes of a long message before its first part passes: its header and a function's OID."""

NAMES = {
    QUERY: "Query", PARSE: "Parse", BIND: "Bind", EXECUTE: "Execute", DESCRIBE: "Describe", CLOSE: "Close",
    SYNC: "Sync", FLUSH: "Flush", FUNCTION_CALL: "FunctionCall", COPY_DATA: "CopyData", COPY_DONE: "CopyDone",
    COPY_FAIL: "CopyFail", TERMINATE: "Terminate",
}  # fmt: skip

AT_ONCE = {kind: 4 if kind in EMPTY else TEXT_PART for kind in NAMES}
"""Lengths up to which a message needs no closer look at its length."""


@dataclass(slots=True)
class _Passing:
    """A message that passes in parts: its kind, what is left of its header and of all of it, and who reads along."""

    kind: int
    header: int
    left: int
    reader: LongMessage
    forward: bool
    entry: Entry | None = None
    begun: bool = False


class PostgresClientSide:
    """Implements contract.ClientSide."""

    def __init__(self, exchange: Exchange) -> None:
        self.judging = False
        self.leaving = False
        self.ahead = False
        self._exchange = exchange
        self._kept = bytearray()
        self._needed = 0
        self._passing: _Passing | None = None
        self._dropping = False
        self._uploads = UploadSample()
        self._handlers: dict[int, Callable[[bytes, list[Note]], None]] = {
            QUERY: self._query,
            PARSE: self._parse,
            BIND: self._bind,
            EXECUTE: self._execute,
            DESCRIBE: self._describe,
            CLOSE: self._close,
            SYNC: self._sync,
            FUNCTION_CALL: self._function_call,
            COPY_DONE: self._copy_end,
            COPY_FAIL: self._copy_end,
            TERMINATE: self._terminate,
        }

    def sample_uploads(self, limit: int) -> None:
        """See contract.ClientSide."""
        self._uploads.limit = limit

    def feed(self, data: bytes) -> list[Piece]:
        """See contract.ClientSide."""
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return []
            data = bytes(self._kept)
            self._kept.clear()
        pieces: list[Piece] = []
        notes: list[Note] = []
        start = position = 0
        end = len(data)
        first = needed = 0
        queue, handlers, unpack = self._exchange.queue, self._handlers, _head.unpack_from
        while position < end:
            if self._passing is not None:
                start = position = self._pass(self._passing, data, position, pieces)
                continue
            if end - position < 5:
                needed = 5
                break
            kind, size = unpack(data, position)
            if not 4 <= size <= AT_ONCE.get(kind, 0):
                self._check(kind, size, data, position)
            following = position + 1 + size
            if size > TEXT_PART and kind in STREAMED:
                if end - position < LONG_HEAD:
                    needed = LONG_HEAD
                    break
                self._emit(pieces, data, start, position, first, notes)
                notes, first = [], 0
                self._passing = _Passing(kind, 5, size + 1, self._reader(kind), not self._dropping)
                continue
            if following > end:
                needed = size + 1
                break
            awaited = len(queue)
            handler = handlers.get(kind)
            if handler is not None:
                handler(data[position + 5 : following], notes)
            elif kind == COPY_DATA:
                following = self._copy_data(data, position, notes)
            first = first or kind
            position = following
            if self.judging:
                piece = self._emit(pieces, data, start, position, kind, notes)
                if kind in (SYNC, TERMINATE):
                    self._dropping = False
                piece.forward = not self._dropping
                for index in range(awaited, len(queue)):
                    queue[index].pieces = [weakref.ref(piece)]
                start, notes, first = position, [], 0
        if position > start:
            self._emit(pieces, data, start, position, first, notes)
        if position < end:
            self._kept += data[position:]
            self._needed = needed
        if len(queue) > MOST_AHEAD:
            self.ahead = True
        if len(self._exchange.parses) > LONGEST_PIPELINE or len(self._exchange.skipped) > LONGEST_PIPELINE:
            raise ProtocolError(Leg.CLIENT, f"more than {LONGEST_PIPELINE} messages of one pipeline without a Sync")
        return pieces

    def still_ahead(self) -> bool:
        """See contract.ClientSide."""
        self.ahead = len(self._exchange.queue) > MOST_AHEAD // 2
        return self.ahead

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        """See contract.ClientSide. Everything of the pipeline behind it, up to its Sync, is dropped too."""
        exchange = self._exchange
        entries = list(exchange.queue)
        place = next((at for at, entry in enumerate(entries) if entry.pieces and entry.pieces[0]() is piece), None)
        if place is None:
            raise ValueError("only a piece that begins a message, handed out while judging, can be refused")
        refused = entries[place]
        simple = refused.awaits in (Awaits.QUERY, Awaits.FUNCTION)
        sync = place + 1
        if not simple:
            while sync < len(entries) and entries[sync].awaits is not Awaits.SYNC:
                sync += 1
        gone = entries[place:sync]
        answer = Entry(Awaits.OWN, answer=own_words.error(refusal, fatal=False), with_ready=simple)
        # Whoever refuses a statement records that; the others of its pipeline are skipped.
        exchange.open.pop(refused.number, None)
        if simple:
            answer.parses, refused.parses = refused.parses, ()
        exchange.refusals += 1
        exchange.queue.clear()
        exchange.queue.extend([*entries[:place], answer, *entries[sync:]])
        for entry in gone:
            for reference in entry.pieces or ():
                part = reference()
                if part is not None:
                    part.forward = False
            if self._passing is not None and self._passing.entry is entry:
                self._passing.forward = False
        self._dropping = not simple and sync == len(entries)
        exchange.never_run(gone, exchange.late, pending=self._dropping)

    # ---------------------------------------------------------------------------------------------------------- framing

    def _check(self, kind: int, size: int, data: bytes, position: int) -> None:
        name = NAMES.get(kind)
        if name is None or not 4 <= size <= (4 if kind in EMPTY else LONGEST):
            raise ProtocolError(Leg.CLIENT, f"no message of PostgreSQL: kind {kind}, length {size}", data[position:])
        if size > MAX_HELD_MESSAGE and kind not in STREAMED:
            raise ProtocolError(Leg.CLIENT, f"a {name} message of {size} bytes", data[position:])

    def _emit(self, pieces: list[Piece], data: bytes, start: int, position: int, kind: int, notes: list[Note]) -> Piece:
        whole = data if start == 0 and position == len(data) else data[start:position]
        piece = Piece(whole, position - start, NAMES.get(kind, ""), tuple(notes))
        if position > start:
            pieces.append(piece)
        return piece

    def _reader(self, kind: int) -> LongMessage:
        exchange = self._exchange
        if kind == BIND:
            return LongBind(exchange)
        if kind == COPY_DATA:
            return LongCopyData(exchange, self._copy_statement(), self._uploads)
        if kind == FUNCTION_CALL:
            return LongFunctionCall(exchange)
        return LongText(exchange, parse=kind == PARSE)

    def _pass(self, passing: _Passing, data: bytes, position: int, pieces: list[Piece]) -> int:
        """Passes one part of a long message; returns the position behind it."""
        upto = min(position + min(passing.left, TEXT_PART), len(data))
        chunk = data[position:upto]
        passing.left -= len(chunk)
        notes: list[Note] = []
        body = chunk[passing.header :]
        if not passing.begun:
            passing.begun, passing.header = True, 0
            passing.entry = passing.reader.begin(body, notes)
            if self.judging and passing.entry is not None:
                passing.entry.pieces = []
        passing.reader.feed(body, notes)
        if not passing.left:
            passing.reader.finish(notes)
            self._passing = None
        piece = Piece(chunk, len(chunk), NAMES[passing.kind], tuple(notes), forward=passing.forward)
        if passing.entry is not None and passing.entry.pieces is not None:
            passing.entry.pieces.append(weakref.ref(piece))
        pieces.append(piece)
        return upto

    # --------------------------------------------------------------------------------------------------------- messages

    def _query(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        if not 0 <= body.find(b"\0") == len(body) - 1:
            raise ProtocolError(Leg.CLIENT, "a Query message that does not end where its text does", body)
        number = exchange.begin()
        text = body[:-1].decode(exchange.codec, "backslashreplace")
        notes.append(StatementBegins(number, "query", text))
        entry = exchange.ending(Awaits.QUERY, number)
        if len(text) <= LONGEST_TEXT and len(exchange.queue) < MOST_WAITING:
            entry.text = text
        exchange.expect(entry)

    def _parse(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        name_end = body.find(b"\0")
        text_end = body.find(b"\0", name_end + 1)
        if name_end < 0 or text_end < 0:
            raise ProtocolError(Leg.CLIENT, "a Parse message that cannot be read", body)
        text = body[name_end + 1 : text_end].decode(exchange.codec, "backslashreplace")
        types = parameter_types(body[text_end + 1 :])
        entry = Entry(Awaits.PARSE, exchange.begin())
        notes.append(StatementBegins(entry.number, "parse", text, prepares=True))
        exchange.remember(entry, body[:name_end], text, types)
        exchange.expect(entry)

    def _bind(self, body: bytes, notes: list[Note]) -> None:
        entry = Entry(Awaits.BIND)
        name, portal = read_bind(body, self._exchange)
        self._exchange.bound(entry, name, portal)
        self._exchange.expect(entry)

    def _execute(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        name, end, limit = body.partition(b"\0")
        if not end or len(limit) != 4:
            raise ProtocolError(Leg.CLIENT, "an Execute message that cannot be read", body)
        portal = exchange.portals.get(name)
        prepared = None if portal is None else portal.prepared
        if portal is None:
            # A cursor that SQL has declared is a portal too; the server knows whether there is one.
            number = exchange.begin()
            notes.append(StatementBegins(number, "fetch", f"portal {_name(exchange, name)}"))
        elif prepared is not None and prepared.joinable and not portal.number and prepared.number in exchange.open:
            number = prepared.number
            prepared.joinable = False
            notes.append(StatementExtends(number, binds=portal.binds, runs=True))
        else:
            operation = "fetch" if portal.number else "execute"
            number = exchange.begin()
            if prepared is not None:
                text = prepared.text
            else:
                text = f"(statement {_name(exchange, portal.statement)}, which SQL has prepared, or nobody)"
            notes.append(StatementBegins(number, operation, text, binds=portal.binds))
        if portal is not None:
            portal.number = number
        exchange.expect(Entry(Awaits.EXECUTE, number, portal, copies=exchange.copies))

    def _describe(self, body: bytes, notes: list[Note]) -> None:
        self._target(body)
        if body[:1] == b"S":
            prepared = self._exchange.prepared.get(body[1:-1])
            self._exchange.expect(Entry(Awaits.DESCRIBE, prepared=prepared, describes=prepared))
        else:
            portal = self._exchange.portals.get(body[1:-1])
            self._exchange.expect(Entry(Awaits.DESCRIBE, portal=portal, describes=portal))

    def _close(self, body: bytes, notes: list[Note]) -> None:
        self._target(body)
        entry = Entry(Awaits.CLOSE)
        self._exchange.close(entry, body[1:-1], statement=body[:1] == b"S")
        self._exchange.expect(entry)

    def _target(self, body: bytes) -> None:
        """Describe and Close name a statement or a portal."""
        if body[:1] not in (b"S", b"P") or body.find(b"\0") != len(body) - 1:
            raise ProtocolError(Leg.CLIENT, "a Describe or Close message that cannot be read", body)

    def _sync(self, body: bytes, notes: list[Note]) -> None:
        self._exchange.sync()

    def _function_call(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        number = exchange.begin()
        oid = int.from_bytes(body[:4], "big")
        reader = ArgumentReader(exchange)
        reader.feed(body)
        notes.append(StatementBegins(number, "function-call", f"function OID {oid}", binds=reader.arguments()))
        exchange.expect(exchange.ending(Awaits.FUNCTION, number))

    def _copy_data(self, data: bytes, position: int, notes: list[Note]) -> int:
        """A run of CopyData from `position` on, with one note; returns the position behind it."""
        unpack, last, count = _head.unpack_from, len(data) - 5, 0
        number = self._copy_statement()
        room = self._uploads.room(number)
        sample: list[bytes] = []
        while position <= last:
            kind, size = unpack(data, position)
            following = position + 1 + size
            if kind != COPY_DATA or not 4 <= size <= TEXT_PART or following > len(data):
                break
            count += size - 4
            if room > 0:
                sample.append(data[position + 5 : following])
                room -= size - 4
            position = following
        if number in self._exchange.open:
            notes.append(StatementExtends(number, data_bytes=count))
            if sample:
                notes.append(self._uploads.note(number, sample))
        return position

    def _copy_statement(self) -> int:
        """Whose data this is; the client need not wait for the server's word that it may send."""
        if self._exchange.copying:
            return self._exchange.copying
        for entry in reversed(self._exchange.queue):
            if entry.awaits in (Awaits.QUERY, Awaits.EXECUTE):
                return entry.number
        return 0

    def _terminate(self, body: bytes, notes: list[Note]) -> None:
        self.leaving = True

    def _copy_end(self, body: bytes, notes: list[Note]) -> None:
        self._exchange.copying = 0
        self._exchange.copies += 1


def _name(exchange: Exchange, name: bytes) -> str:
    return name.decode(exchange.codec, "backslashreplace") or "without a name"
