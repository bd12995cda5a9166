"""What the two sides of a session share: the requests that have no whole answer yet, handles, the current database.

The client side appends what it reads, the server side takes it off as it reads the answers, so both agree on what the
bytes in between mean.
"""

from __future__ import annotations

import enum
from collections import deque

from bastion.protocols.contract import Piece, StatementEnds, Transaction

from .constants import FIRST_PACKET_SIZE, TDS8, TDS74
from .type_info import TypeInfo

HANDLE_TEXTS_LIMIT = 16 * 1024 * 1024
"""Bytes (about) that a session's prepared statements and cursors may keep; beyond it only beginnings of texts are."""

HANDLE_TEXT_BEGINNING = 1024

HANDLE_COST = 256
"""Bytes that a handle takes beside its text, about."""


class Handle:
    """A prepared statement or a cursor of the server: its text, and the columns that were told of it last.

    `described` is where the server told them (StatementEnds.described), `described_left` the data that the packet had
    left there.
    """

    __slots__ = ("columns", "described", "described_left", "number", "text")

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.columns: tuple[TypeInfo, ...] | None = None
        self.described = 0
        self.described_left = 0


class Effect(enum.IntEnum):
    """What an RPC makes or ends, when it succeeds."""

    PREPARES = 0
    """Its first return value is the handle of a prepared statement."""
    OPENS = 1
    """The same of a cursor."""
    PREPARES_AND_OPENS = 2
    """The first of a prepared statement, the second of a cursor."""
    UNPREPARES = 3
    CLOSES = 4


class Call:
    """An RPC that is more than its text: what it makes, and whose columns hold for its rows.

    `handle` is the number that it ends, `source` what it executes or fetches from.
    """

    __slots__ = ("effect", "handle", "returned", "source", "text")

    def __init__(
        self, effect: Effect | None, *, text: str = "", handle: int | None = None, source: Handle | None = None
    ) -> None:
        self.effect = effect
        self.text = text
        self.handle = handle
        self.source = source
        self.returned: list[int] = []


class Request:
    """A message of the client that has not been answered whole.

    kind       of packet
    first      number of its first statement, 0 where it has none; `count`: how many there are so far
    calls      RPCs that are more than their text, by their place
    whole      the client has sent all of it
    error      the bastion's answer in place of the server's: it was refused
    pieces     of it that may not have been passed on yet, for taking them back
    bulk       text of a batch that announces bulk data
    resets     bits of a session's reset that its first packet has
    """

    __slots__ = ("bulk", "calls", "count", "error", "first", "kind", "pieces", "resets", "whole")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.first = 0
        self.count = 0
        self.calls: dict[int, Call] = {}
        self.whole = False
        self.error: bytes | None = None
        self.pieces: list[Piece] = []
        self.bulk = ""
        self.resets = 0

    def numbers(self) -> range:
        """The numbers of its statements."""
        return range(self.first, self.first + self.count)


class Attention:
    """An order to cancel that the server has not confirmed. `by_client`: the client waits for its confirmation."""

    __slots__ = ("by_client",)

    def __init__(self, *, by_client: bool) -> None:
        self.by_client = by_client


class Exchange:
    """The state of one session that both of its sides read and change."""

    def __init__(
        self,
        *,
        version: int = TDS74,
        database: str = "",
        databases: tuple[str, ...] = (),
        packet_size: int = FIRST_PACKET_SIZE,
        spid: int = 0,
    ) -> None:
        self.version = TDS74 if version == TDS8 else version
        """As the server agreed to it; TDS 8.0 is laid out as 7.4 is."""
        self.database = database
        self.login_database = database
        self.databases = databases
        self.packet_size = packet_size
        self.spid = spid
        self.transaction = Transaction.NONE
        self.waiting: deque[Request | Attention] = deque()
        self.numbers = 0
        self.prepared: dict[int, Handle] = {}
        self.cursors: dict[int, Handle] = {}
        self.kept = 0
        """Bytes of handles, about."""
        self.bulk = ""
        """The batch that has announced the bulk data that come next."""
        self.owed: list[StatementEnds] = []
        """Outcomes that go with the next piece, of either side."""
        self.sending: Request | None = None
        """The request of which the client has sent a part."""
        self.dropping = False
        """The rest of that is dropped: it was cancelled by the bastion meanwhile."""

    @property
    def wide(self) -> bool:
        """Whether the answers have the fields of TDS 7.2 and later."""
        return self.version >= 0x72000000

    def take_owed(self) -> list[StatementEnds]:
        """The outcomes that are owed, once."""
        owed, self.owed = self.owed, []
        return owed

    def request(self) -> Request | None:
        """What the server is at work on, or will be next."""
        for each in self.waiting:
            if isinstance(each, Request) and each.error is None:
                return each
        return None

    def attention(self) -> Attention | None:
        """The order to cancel that is not confirmed."""
        for each in self.waiting:
            if isinstance(each, Attention):
                return each
        return None

    def find(self, number: int | None) -> Request | None:
        """The waiting request with that statement."""
        if number is None:
            return None
        for each in reversed(self.waiting):
            if isinstance(each, Request) and number in each.numbers():
                return each
        return None

    def keep(self, kept: dict[int, Handle], number: int, statement: int, text: str) -> None:
        """The server has made a handle of that number."""
        self.forget(kept, number)
        if self.kept + len(text) > HANDLE_TEXTS_LIMIT and len(text) > HANDLE_TEXT_BEGINNING:
            text = f"{text[:HANDLE_TEXT_BEGINNING]}… (the whole text is that of statement {statement})"
        self.kept += len(text) + HANDLE_COST
        kept[number] = Handle(statement, text)

    def forget(self, kept: dict[int, Handle], number: int) -> None:
        handle = kept.pop(number, None)
        if handle is not None:
            self.kept -= len(handle.text) + HANDLE_COST

    def forget_all(self) -> None:
        """The session was reset: prepared statements and cursors are gone."""
        self.prepared.clear()
        self.cursors.clear()
        self.kept = 0
        self.bulk = ""
