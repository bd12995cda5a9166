"""Reads the RPCs of one message as they come: each a statement, with its text and its values ([MS-TDS] 2.2.6.6)."""

from __future__ import annotations

from bastion.protocols.contract import Note, Refusal, StatementBegins, StatementExtends

from .codec import Malformed, Short, b_varchar, us_varchar
from .constants import PacketKind
from .exchange import Call, Effect, Exchange, Handle, Request
from .headers import read_headers
from .parameters import Input, KeptBinds, Steps, read_info, read_number, read_text, read_value, skip_value
from .procedures import BY_NUMBER, CURSOR_OPERATIONS, Procedure, known, place_of
from .type_info import TypeInfo

MOST_CALLS = 250_000
"""RPCs of one message; drivers put as many of them into one as a batch has rows."""

_BY_REFERENCE, _ENCRYPTED = 0x01, 0x08
_NO_EXECUTION = 0xFE


class _Statement:
    """One RPC on its way into the record."""

    __slots__ = ("binds", "has_values", "kept", "number", "operation", "parts", "prepares", "refusal", "taken", "whole")

    def __init__(self, operation: str, *, prepares: bool = False) -> None:
        self.operation = operation
        self.prepares = prepares
        self.parts: list[str] = []
        self.kept: list[str] = []
        """The text for its handle, where it makes one."""
        self.binds = KeptBinds()
        self.taken = 0
        self.number = 0
        self.whole = False
        self.refusal: Refusal | None = None
        self.has_values = False

    def note(self) -> Note:
        """What is new of it."""
        text = "".join(self.parts)
        self.parts.clear()
        values = self.binds.values[self.taken :]
        self.taken += len(values)
        binds = tuple(values) if values or (self.has_values and self.whole) else None
        if self.number:
            return StatementExtends(self.number, text, self.whole, binds)
        return StatementBegins(0, self.operation, text, self.whole, binds, self.prepares)


class Calls:
    """The content of an RPC message."""

    def __init__(self, exchange: Exchange) -> None:
        self.request = Request(PacketKind.RPC)
        self._exchange = exchange
        self._input = Input()
        self._statements: list[_Statement] = []
        self._steps = self._read()
        self._done = False
        self.refusal: tuple[int, Refusal] | None = None
        """The place among the notes taken last of one that is not sent, and why."""

    def feed(self, data: bytes, *, last: bool) -> None:
        """More data. Raises Malformed."""
        if self._done:
            raise Malformed("data behind the end of an RPC")
        self._input.feed(data, last=last)
        try:
            next(self._steps)
        except StopIteration:
            self._done = True
        if last and not self._done:
            raise Malformed("an RPC that ends too early")

    def take(self) -> list[Note]:
        """The notes of what was fed since; numbers are given here."""
        notes: list[Note] = []
        exchange, request = self._exchange, self.request
        self.refusal = None
        for statement in self._statements:
            note = statement.note()
            if isinstance(note, StatementBegins):
                statement.number = note.number = exchange.numbers = exchange.numbers + 1
                request.first = request.first or note.number
                request.count += 1
            if statement.refusal is not None and self.refusal is None:
                self.refusal = (len(notes), statement.refusal)
            notes.append(note)
        self._statements = [statement for statement in self._statements if not statement.whole]
        return notes

    # ------------------------------------------------------------------------------------------------- reading

    def _read(self) -> Steps[None]:
        source = self._input
        wide = self._exchange.wide
        if wide and source.here(read_headers) is None:
            yield from source.parsed(read_headers)
        separators = (0xFF, _NO_EXECUTION) if wide else (0x80, 0xFF, _NO_EXECUTION)
        for place in range(MOST_CALLS):
            if (yield from self._call(place, separators)):
                return
        raise Malformed(f"more than {MOST_CALLS} RPCs in one message")

    def _call(self, place: int, separators: tuple[int, ...]) -> Steps[bool]:
        """Reads one RPC; whether the message ends with it."""
        source = self._input
        number, name = source.here(_name) or (yield from source.parsed(_name))
        procedure = BY_NUMBER.get(number) if number is not None else known(name)
        if number is not None and procedure is None:
            raise Malformed(f"an RPC of the unknown number {number}")
        if procedure is None or (procedure.text is None and not procedure.runs):
            reader: _Ordinary | _Special = _Ordinary(
                self, place, name or (procedure.name if procedure else ""), procedure
            )
        else:
            reader = _Special(self, place, procedure)
        statement = reader.statement
        self._statements.append(statement)
        index = 0
        while source.left or not (yield from source.at_end()):
            if source.peek() in separators:
                yield from source.take(1)
                self._finish(reader)
                return False
            parameter, by_reference, info = source.here(_parameter) or (yield from source.parsed(_parameter))
            yield from reader.parameter(source, index, parameter, by_reference, info)
            index += 1
        self._finish(reader)
        return True

    def _finish(self, reader: _Ordinary | _Special) -> None:
        reader.finish()
        reader.statement.binds.finish()
        reader.statement.whole = True

    def handle(self, kept: dict[int, Handle], number: int | None) -> Handle | None:
        return None if number is None else kept.get(number)

    @property
    def exchange(self) -> Exchange:
        return self._exchange


class _Ordinary:
    """A procedure that runs nothing but itself: its name and its parameters are the text."""

    def __init__(self, calls: Calls, place: int, name: str, procedure: Procedure | None) -> None:
        self._procedure = procedure
        self._calls = calls
        self._place = place
        self._handle: int | None = None
        self.statement = _Statement(procedure.name if procedure is not None else "rpc")
        self.statement.has_values = True
        self.statement.parts.append(f"EXEC {name}")

    def parameter(self, source: Input, index: int, name: str, by_reference: bool, info: TypeInfo) -> Steps[None]:
        statement = self.statement
        mark = f"{name} = ?" if name else "?"
        statement.parts.append(f"{', ' if index else ' '}{mark}{' OUTPUT' if by_reference else ''}")
        before = len(statement.binds.values)
        yield from read_value(source, info, "", statement.binds)
        procedure = self._procedure
        if procedure is not None and procedure.effect is not None and place_of(procedure, index, name) == 0:
            said = statement.binds.values[before] if len(statement.binds.values) > before else None
            self._handle = int(said) if said is not None and said.lstrip("-").isdecimal() else None

    def finish(self) -> None:
        procedure = self._procedure
        if procedure is not None and procedure.effect is not None:
            self._calls.request.calls[self._place] = Call(procedure.effect, handle=self._handle)


class _Special:
    """A procedure that runs a text, given now or before."""

    def __init__(self, calls: Calls, place: int, procedure: Procedure) -> None:
        self._calls = calls
        self._place = place
        self._procedure = procedure
        self._source: Handle | None = None
        self._has_text = False
        self._operation: int | None = None
        self._row: int | None = None
        self._number: int | None = None
        self._kept = 0
        self.statement = _Statement(procedure.name, prepares=procedure.prepares)
        self.statement.has_values = not procedure.prepares

    def parameter(self, source: Input, index: int, name: str, by_reference: bool, info: TypeInfo) -> Steps[None]:
        procedure, statement = self._procedure, self.statement
        place = place_of(procedure, index, name)
        if place == procedure.text and not self._has_text:
            self._has_text = True
            yield from read_text(source, info, self._add_text)
        elif procedure.values is not None and place >= procedure.values:
            if not self._has_text:
                self._begin_text()
            yield from read_value(source, info, name, statement.binds)
        elif procedure.runs and place == procedure.handle:
            self._number = yield from read_number(source, info)
            if procedure.name != "sp_cursor":
                self._begin_text()
        elif procedure.name == "sp_cursor" and place in (1, 2):
            found = yield from read_number(source, info)
            if place == 1:
                self._operation = found
            else:
                self._row = found
                self._begin_text()
        else:
            yield from skip_value(source, info)

    def _add_text(self, text: str) -> None:
        self.statement.parts.append(text)
        if self._procedure.effect is not None and self._kept <= 1024 * 1024:
            self.statement.kept.append(text)
            self._kept += len(text)

    def _begin_text(self) -> None:
        """The text is that of a handle."""
        procedure = self._procedure
        if not procedure.runs:
            raise Malformed(f"{procedure.name} without a statement")
        self._has_text = True
        exchange = self._calls.exchange
        prepared = procedure.runs == "prepared"
        kept = exchange.prepared if prepared else exchange.cursors
        self._source = self._calls.handle(kept, self._number)
        if self._source is None:
            what = "prepared statement" if prepared else "cursor"
            self._add_text(f"(unknown {what} {self._number})")
            message = f"There is no {what} with the handle {self._number} in this session, as far as the bastion knows."
            self.statement.refusal = Refusal("statement-handle-unknown", message)
            return
        if procedure.name == "sp_cursor":
            self._add_text(self._positioned(self._source.text))
        else:
            self._add_text(self._source.text)

    def _positioned(self, text: str) -> str:
        """sp_cursor, which changes rows without any text, in words."""
        verbs = [verb for bit, verb in CURSOR_OPERATIONS if (self._operation or 0) & bit]
        verb = " ".join(verbs) or f"EXEC sp_cursor, operation {self._operation},"
        return f"{verb} row {self._row} of cursor {self._number}: {text}"

    def finish(self) -> None:
        procedure = self._procedure
        if not self._has_text:
            self._begin_text()
        text = "".join(self.statement.kept)
        if procedure.effect is not None or self._source is not None:
            effect: Effect | None = procedure.effect
            self._calls.request.calls[self._place] = Call(effect, text=text, handle=self._number, source=self._source)


def _name(data: bytes, position: int) -> tuple[tuple[int | None, str], int]:
    """A number or a name, and the flags behind it."""
    number: int | None = None
    name = ""
    if data[position : position + 2] == b"\xff\xff" and len(data) - position >= 4:
        number = data[position + 2] | data[position + 3] << 8
        position += 4
    else:
        name, position = us_varchar(data, position)
    if len(data) - position < 2:
        raise Short
    return (number, name), position + 2


def _parameter(data: bytes, position: int) -> tuple[tuple[str, bool, TypeInfo], int]:
    """What stands in front of a value: its name, whether it goes back, its type."""
    name, position = b_varchar(data, position)
    if position >= len(data):
        raise Short
    status = data[position]
    if status & _ENCRYPTED:
        raise Malformed("an encrypted parameter, which was not agreed on")
    info, position = read_info(data, position + 1)
    return (name, bool(status & _BY_REFERENCE), info), position
