"""What the two sides of a session share: calls that have no whole answer yet, cursors, the transaction.

The client side appends what it reads, the server side takes it off as it reads the answers, so both agree on what the
bytes in between mean. Calls and answers alternate: pipelining is not agreed on.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from bastion.protocols.contract import Piece, Transaction

from .calls import Call
from .codec import Dialect
from .columns import Described
from .replies import Expected

MOST_CURSORS = 5000
"""Cursors of a session that are known; the one that was used longest ago is forgotten first."""

CURSOR_TEXTS_LIMIT = 16 * 1024 * 1024
"""Characters of text that a session's cursors may keep; beyond it only beginnings are."""

CURSOR_TEXT_BEGINNING = 1024


@dataclass(slots=True)
class Cursor:
    """A statement that the server has parsed.

    described    where the server told its columns
    is_block     it is PL/SQL
    given_back   so many of its binds, the last ones, are behind RETURNING … INTO
    only_out     places of the binds of which the server has said that it only gives them back
    out          places of those that it gives back, None where it has not said so
    counts_rows  it was executed so that the server counts the rows of each of its executions
    """

    text: str
    is_query: bool = False
    binds: tuple[Described, ...] = ()
    columns: tuple[Described, ...] = ()
    described: int = 0
    is_block: bool = False
    given_back: int = 0
    only_out: frozenset[int] = frozenset()
    out: tuple[int, ...] | None = None
    counts_rows: bool = False

    def sent(self, *, again: bool) -> tuple[int, ...]:
        """Places of the binds that a row has. `again`: for an execution that describes none."""
        places = range(len(self.binds) - self.given_back)
        if not (again and self.only_out):
            return tuple(places)
        return tuple(place for place in places if not (again and place in self.only_out))

    def returned(self) -> tuple[Described, ...] | None:
        """The binds whose values come back, as far as that is known before the answer."""
        if self.given_back:
            return self.binds[len(self.binds) - self.given_back :]
        if self.out is None or self.out[-1:] >= (len(self.binds),):
            return None
        return tuple(self.binds[place] for place in self.out)


@dataclass(slots=True)
class Waiting:
    """A call that has not been answered whole.

    number    of its statement, None where it is none
    cursor    what is known of the cursor that it uses
    error     the bastion's answer in place of the server's: it was refused
    passed    the beginning of it, or more, has been given to whoever passes it on
    sets      something of the session is set by what stands in front of it
    """

    call: Call
    expected: Expected
    number: int | None = None
    text: str = ""
    cursor: Cursor | None = None
    error: bytes | None = None
    passed: bool = False
    sets: bool = False
    pieces: list[Piece] = field(default_factory=list)


class Exchange:
    """The state of one session that both of its sides read and change."""

    def __init__(self, dialect: Dialect, *, unit: int = 8192, wide: bool = True) -> None:
        self.dialect = dialect
        self.unit = unit
        self.wide = wide
        self.transaction = Transaction.NONE
        self.waiting: deque[Waiting] = deque()
        self.numbers = 0
        self.breaking = False
        """A break is under way: the server has been told, and has not ended the call."""
        self.break_due = False
        """The server owes a break its answer. Where the answer of the call outran it, that comes by itself."""
        self.sending = False
        """The client has sent a part of a message that is not whole."""
        self._cursors: OrderedDict[int, Cursor] = OrderedDict()
        self._kept = 0

    def running(self) -> Waiting | None:
        """What the server is at work on."""
        for each in self.waiting:
            if each.error is None and each.passed:
                return each
        return None

    def cursor(self, number: int) -> Cursor | None:
        """The cursor of that number, where it is known."""
        found = self._cursors.get(number)
        if found is not None:
            self._cursors.move_to_end(number)
        return found

    def keep(self, number: int, cursor: Cursor, statement: int | None) -> None:
        """The server has given that number to the cursor."""
        if self._cursors.get(number) is cursor:
            return
        self.forget(number)
        if self._kept + len(cursor.text) > CURSOR_TEXTS_LIMIT and len(cursor.text) > CURSOR_TEXT_BEGINNING:
            cursor.text = f"{cursor.text[:CURSOR_TEXT_BEGINNING]}… (the whole text is that of statement {statement})"
        self._cursors[number] = cursor
        self._kept += len(cursor.text)
        if len(self._cursors) > MOST_CURSORS:
            _, oldest = self._cursors.popitem(last=False)
            self._kept -= len(oldest.text)

    def forget(self, number: int) -> None:
        """The cursor is closed."""
        cursor = self._cursors.pop(number, None)
        if cursor is not None:
            self._kept -= len(cursor.text)

    def forget_all(self) -> None:
        """The session went back to a pool: nothing of it holds any more."""
        self._cursors.clear()
        self._kept = 0
