"""Reads what the client sends after login (documentation, "Message Formats": the messages marked F)."""

from __future__ import annotations

import struct
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
    StatementEnds,
    StatementExtends,
)

from . import refusal as own_words
from .binds import read_bind
from .exchange import Awaits, Entry, Exchange
from .long_message import LongBind, LongCopyData, LongFunctionCall, LongMessage, LongText, parameter_types

_length = struct.Struct(">I")

LONGEST = 0x3FFFFFFF
"""Bytes of one message that PostgreSQL itself takes (MaxAllocSize)."""

QUERY, PARSE, BIND, EXECUTE, DESCRIBE, CLOSE, SYNC = b"QPBEDCS"
FLUSH, FUNCTION_CALL, COPY_DATA, COPY_DONE, COPY_FAIL, TERMINATE = b"HFdcfX"

STREAMED = frozenset((QUERY, PARSE, BIND, FUNCTION_CALL, COPY_DATA))
"""Kinds that may be longer than what is held; they pass in parts."""

EMPTY = frozenset((SYNC, FLUSH, COPY_DONE, TERMINATE))
"""Kinds without a body."""

NAMES = {
    QUERY: "Query", PARSE: "Parse", BIND: "Bind", EXECUTE: "Execute", DESCRIBE: "Describe", CLOSE: "Close",
    SYNC: "Sync", FLUSH: "Flush", FUNCTION_CALL: "FunctionCall", COPY_DATA: "CopyData", COPY_DONE: "CopyDone",
    COPY_FAIL: "CopyFail", TERMINATE: "Terminate",
}  # fmt: skip


@dataclass(slots=True)
class _Passing:
    """A message that passes in parts: its kind, what is left of its header and of all of it, and who reads along."""

    kind: int
    header: int
    left: int
    reader: LongMessage | None


class PostgresClientSide:
    """Implements contract.ClientSide."""

    def __init__(self, exchange: Exchange) -> None:
        self.judging = False
        self._exchange = exchange
        self._kept = b""
        self._passing: _Passing | None = None
        self._dropping = False
        self._handlers: dict[int, Callable[[bytes, list[Note]], None]] = {
            QUERY: self._query,
            PARSE: self._parse,
            BIND: self._bind,
            EXECUTE: self._execute,
            DESCRIBE: self._describe,
            CLOSE: self._close,
            SYNC: self._sync,
            FUNCTION_CALL: self._function_call,
            COPY_DATA: self._copy_data,
        }

    def feed(self, data: bytes) -> list[Piece]:
        """See contract.ClientSide."""
        if self._kept:
            data = self._kept + data
            self._kept = b""
        pieces: list[Piece] = []
        notes: list[Note] = []
        start = position = 0
        end = len(data)
        first = 0
        while position < end:
            if self._passing is not None:
                start = position = self._pass(self._passing, data, position, pieces)
                continue
            if end - position < 5:
                break
            kind = data[position]
            size = _length.unpack_from(data, position + 1)[0]
            self._check(kind, size, data, position)
            following = position + 1 + size
            if size > TEXT_PART and kind in STREAMED:
                self._emit(pieces, data, start, position, first, notes)
                notes, first = [], 0
                self._passing = _Passing(kind, 5, size + 1, None if self._dropping else self._reader(kind))
                continue
            if following > end:
                break
            if self._dropping:
                self._emit(pieces, data, start, position, first, notes)
                notes, first = [], 0
                start = position
                if kind != SYNC:
                    pieces.append(Piece(data[position:following], size + 1, NAMES[kind], forward=False))
                    start = position = following
                    continue
                self._dropping = False
            awaited = len(self._exchange.queue)
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(data[position + 5 : following], notes)
            first = first or kind
            position = following
            if self.judging:
                piece = self._emit(pieces, data, start, position, kind, notes)
                for index in range(awaited, len(self._exchange.queue)):
                    self._exchange.queue[index].piece = piece
                start, notes, first = position, [], 0
        self._emit(pieces, data, start, position, first, notes)
        if position < end:
            self._kept = data[position:]
        return pieces

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        """See contract.ClientSide. Everything of the pipeline behind it, up to its Sync, is dropped too."""
        exchange = self._exchange
        entries = list(exchange.queue)
        place = next((index for index, entry in enumerate(entries) if entry.piece is piece), None)
        if place is None:
            raise ValueError("only a piece that begins a statement, handed out while judging, can be refused")
        simple = entries[place].awaits in (Awaits.QUERY, Awaits.FUNCTION)
        sync = place + 1
        if not simple:
            while sync < len(entries) and entries[sync].awaits is not Awaits.SYNC:
                sync += 1
            self._dropping = sync == len(entries)
        for entry in entries[place:sync]:
            exchange.open.pop(entry.number, None)
            if entry.piece is not None:
                entry.piece.forward = False
        answer = Entry(Awaits.OWN, answer=own_words.error(refusal, fatal=False), with_ready=simple)
        exchange.queue.clear()
        exchange.queue.extend([*entries[:place], answer, *entries[sync:]])

    # ---------------------------------------------------------------------------------------------------------- framing

    def _check(self, kind: int, size: int, data: bytes, position: int) -> None:
        name = NAMES.get(kind)
        if name is None or not 4 <= size <= LONGEST or (size != 4 and kind in EMPTY):
            raise ProtocolError(Leg.CLIENT, f"no message of PostgreSQL: kind {kind}, length {size}", data[position:])
        if size > MAX_HELD_MESSAGE and kind not in STREAMED:
            raise ProtocolError(Leg.CLIENT, f"a {name} message of {size} bytes", data[position:])

    def _emit(
        self, pieces: list[Piece], data: bytes, start: int, position: int, kind: int, notes: list[Note]
    ) -> Piece | None:
        if position == start:
            return None
        whole = data if start == 0 and position == len(data) else data[start:position]
        piece = Piece(whole, position - start, NAMES.get(kind, "Query"), tuple(notes))
        pieces.append(piece)
        return piece

    def _reader(self, kind: int) -> LongMessage:
        exchange = self._exchange
        if kind == BIND:
            return LongBind(exchange)
        if kind == COPY_DATA:
            return LongCopyData(exchange)
        if kind == FUNCTION_CALL:
            return LongFunctionCall(exchange)
        return LongText(exchange, parse=kind == PARSE)

    def _pass(self, passing: _Passing, data: bytes, position: int, pieces: list[Piece]) -> int:
        """Passes one part of a long message; returns the position behind it."""
        upto = min(position + min(passing.left, TEXT_PART), len(data))
        chunk = data[position:upto]
        passing.left -= len(chunk)
        notes: list[Note] = []
        awaited = len(self._exchange.queue)
        if passing.reader is not None:
            body = chunk[passing.header :]
            if body:
                passing.reader.feed(body, notes)
            if not passing.left:
                passing.reader.finish(notes)
        passing.header -= min(passing.header, len(chunk))
        if not passing.left:
            self._passing = None
        piece = Piece(chunk, len(chunk), NAMES[passing.kind], tuple(notes), forward=passing.reader is not None)
        pieces.append(piece)
        for index in range(awaited, len(self._exchange.queue)):
            self._exchange.queue[index].piece = piece if self.judging else None
        return upto

    # --------------------------------------------------------------------------------------------------------- messages

    def _query(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        number = exchange.begin()
        text = body.rstrip(b"\0").decode(exchange.codec, "backslashreplace")
        notes.append(StatementBegins(number, "query", text))
        if exchange.skipping:
            exchange.late.append(_skipped(exchange, number))
            return
        exchange.queue.append(Entry(Awaits.QUERY, number, parses=exchange.end_pipeline()))

    def _parse(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        name_end = body.find(b"\0")
        text_end = body.find(b"\0", name_end + 1)
        if name_end < 0 or text_end < 0:
            raise ProtocolError(Leg.CLIENT, "a Parse message that cannot be read", body)
        text = body[name_end + 1 : text_end].decode(exchange.codec, "backslashreplace")
        types = parameter_types(body[text_end + 1 :])
        number = exchange.begin()
        notes.append(StatementBegins(number, "parse", text, prepares=True))
        prepared = exchange.remember(body[:name_end], text, number, types)
        self._await(Entry(Awaits.PARSE, number, prepared=prepared))

    def _bind(self, body: bytes, notes: list[Note]) -> None:
        name, portal = read_bind(body, self._exchange)
        self._exchange.portals[name] = portal
        self._await(Entry(Awaits.BIND, portal=portal))

    def _execute(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        name = body.partition(b"\0")[0]
        portal = exchange.portals.get(name)
        if portal is None:
            # A cursor that SQL has declared is a portal too; the server knows whether there is one.
            number = exchange.begin()
            text = f"portal {name.decode(exchange.codec, 'backslashreplace')}"
            notes.append(StatementBegins(number, "fetch", text))
            self._await(Entry(Awaits.EXECUTE, number))
            return
        prepared = portal.prepared
        if portal.started:
            number = exchange.begin()
            notes.append(StatementBegins(number, "fetch", prepared.text if prepared else "", binds=portal.binds))
        elif prepared is not None and prepared.joinable and prepared.number in exchange.open:
            number = prepared.number
            prepared.joinable = False
            notes.append(StatementExtends(number, binds=portal.binds, runs=True))
        else:
            number = exchange.begin()
            text = prepared.text if prepared is not None else "(a statement that was not prepared)"
            notes.append(StatementBegins(number, "execute", text, binds=portal.binds))
        portal.started = True
        portal.number = number
        self._await(Entry(Awaits.EXECUTE, number))

    def _describe(self, body: bytes, notes: list[Note]) -> None:
        prepared = None
        if body[:1] == b"S":
            prepared = self._exchange.prepared.get(body[1:].partition(b"\0")[0])
        self._await(Entry(Awaits.DESCRIBE, prepared=prepared))

    def _close(self, body: bytes, notes: list[Note]) -> None:
        name = body[1:].partition(b"\0")[0]
        if body[:1] == b"S":
            self._exchange.forget(name)
        else:
            self._exchange.portals.pop(name, None)
        self._await(Entry(Awaits.CLOSE))

    def _sync(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        exchange.skipping = False
        exchange.queue.append(Entry(Awaits.SYNC, parses=exchange.end_pipeline()))

    def _function_call(self, body: bytes, notes: list[Note]) -> None:
        exchange = self._exchange
        number = exchange.begin()
        oid = int.from_bytes(body[:4], "big")
        notes.append(StatementBegins(number, "function-call", f"function OID {oid}"))
        if exchange.skipping:
            exchange.late.append(_skipped(exchange, number))
            return
        exchange.queue.append(Entry(Awaits.FUNCTION, number, parses=exchange.end_pipeline()))

    def _copy_data(self, body: bytes, notes: list[Note]) -> None:
        number = self._exchange.copying
        if number not in self._exchange.open:
            return
        last = notes[-1] if notes else None
        if isinstance(last, StatementExtends) and last.number == number and last.data_bytes:
            # One note for a run of rows.
            notes[-1] = StatementExtends(number, data_bytes=last.data_bytes + len(body))
        else:
            notes.append(StatementExtends(number, data_bytes=len(body)))

    def _await(self, entry: Entry) -> None:
        """Expects an answer, unless the server is throwing everything away until the next Sync."""
        exchange = self._exchange
        if exchange.skipping:
            if entry.number in exchange.open:
                exchange.late.append(_skipped(exchange, entry.number))
            return
        exchange.queue.append(entry)


def _skipped(exchange: Exchange, number: int) -> StatementEnds:
    exchange.open.pop(number, None)
    return StatementEnds(number, None, None, "skipped")
