"""The answer to one message of the client while it comes: its statements one after the other, rows, errors, ends."""

from __future__ import annotations

import struct

from bastion.protocols.contract import DatabaseError, Note, StatementEnds, StatementExtends

from .constants import PacketKind
from .exchange import Effect, Exchange, Handle, Request
from .type_info import TypeInfo

_FORMATS = struct.Struct("<IHH")


def formats_of(version: int, left: int, described_left: int) -> bytes:
    """What a decoder of kept bytes has to know that they do not say (StatementEnds.formats).

    left            data that are left of the packet in which the answer begins, 0 where it begins with a packet
    described_left  the same of the description
    """
    return _FORMATS.pack(version, left, described_left)


def read_formats(formats: bytes) -> tuple[int, int, int] | None:
    """The three back again; None where they were not kept."""
    return _FORMATS.unpack(formats) if len(formats) == _FORMATS.size else None


CANCELLED_BY_CLIENT = DatabaseError("", "cancelled by the client (attention)")
CANCELLED_BY_BASTION = DatabaseError("", "cancelled by the bastion (attention)")
NOT_ANSWERED = DatabaseError("", "the database's answer ended before it came to this statement")


class RunningAnswer:
    """Counts what the server says until a statement has an outcome.

    begun  bytes of the server before the first one of the statement that is being answered; `left`: of what packet
    """

    __slots__ = (
        "_columns", "_counted", "_error", "_exchange", "_in_procedure", "_notes", "begun", "described",
        "described_left", "failed", "finished", "index", "left", "new_description", "request", "rows", "seen_rows",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, request: Request | None, notes: list[Note], begun: int) -> None:
        self._exchange = exchange
        self._notes = notes
        self.request = request
        self.index = 0
        self.finished = False
        """Its last DONE has come."""
        self.left = 0
        self.begun = begun
        self._clear()

    def _clear(self) -> None:
        self.rows = 0
        self._counted: int | None = None
        self._in_procedure = False
        self._error: DatabaseError | None = None
        self.failed = False
        self.seen_rows = False
        """There is a result, of as many rows as come, unless the server counts them."""
        self.described = 0
        self.described_left = 0
        self.new_description = (0, 0)
        """Where the columns are told that come now, and what the packet has behind it."""
        self._columns: tuple[TypeInfo, ...] | None = None

    @property
    def remembers_columns(self) -> bool:
        """Whether later answers may lean on the columns of this one."""
        return self.request is not None and self.index in self.request.calls

    def describes(self, columns: tuple[TypeInfo, ...]) -> None:
        """The columns of the rows that follow."""
        self.seen_rows = True
        if self.remembers_columns:
            self._columns = columns
            source = self.source
            if source is not None:
                self._tell(source)

    def _tell(self, handle: Handle) -> None:
        handle.columns = self._columns
        handle.described, handle.described_left = self.new_description

    @property
    def number(self) -> int | None:
        """The statement that is being answered."""
        request = self.request
        if request is None or not request.count:
            return None
        return request.first + min(self.index, request.count - 1)

    @property
    def source(self) -> Handle | None:
        """The handle whose columns hold where the answer does not tell them."""
        call = None if self.request is None else self.request.calls.get(self.index)
        return None if call is None else call.source

    def count(self, count: int, *, in_procedure: bool, ends_procedure: bool) -> None:
        """A DONE with a count."""
        if ends_procedure and self._in_procedure:
            return  # it says again what its statements have said
        self._in_procedure = self._in_procedure or in_procedure
        self._counted = (self._counted or 0) + count

    def fail(self, error: DatabaseError) -> None:
        """The first error is the statement's."""
        self.failed = True
        self._error = self._error or error

    def return_value(self, number: int) -> None:
        """A whole number that an RPC gives back: a handle, where it makes one."""
        call = None if self.request is None else self.request.calls.get(self.index)
        if call is not None:
            call.returned.append(number)

    def return_status(self, status: int) -> None:
        """What a procedure returns; 0 where all is well."""
        number = self.number
        if status and number is not None:
            self._notes.append(StatementExtends(number, detail=f"return status {status}"))

    @property
    def broken_off(self) -> bool:
        """Whether it has no proper end: as one has that is answered after an order to cancel."""
        return not self.finished or (self.failed and self._error is None)

    @property
    def more_calls(self) -> bool:
        """Whether RPCs follow behind the one that is being answered."""
        request = self.request
        return request is not None and request.kind == PacketKind.RPC and self.index + 1 < request.count

    def next_call(self, position: int, left: int) -> None:
        """The RPC is answered; what follows belongs to the next one."""
        self._end_one(position, None)
        self.index += 1
        self.begun, self.left = position, left
        self._clear()

    def end(self, position: int, cancelled: DatabaseError | None) -> None:
        """The whole message is answered; `cancelled` where that was by an order."""
        request = self.request
        if request is None or not request.count:
            return
        if cancelled is not None:
            self.failed, self._error = True, self._error or cancelled
        self._end_one(position, None)
        version = self._exchange.version
        for number in range(request.first + self.index + 1, request.first + request.count):
            formats = formats_of(version, 0, 0)
            self._notes.append(StatementEnds(number, None, NOT_ANSWERED, "skipped", 0, position, 0, formats))
        if request.bulk and not self.failed:
            self._exchange.bulk = request.bulk

    def _end_one(self, position: int, error: DatabaseError | None) -> None:
        number = self.number
        if number is None:
            return
        rows = self._counted if self._counted is not None else self.rows if self.seen_rows else None
        outcome = "failed" if self.failed else "done"
        said = self._error
        if self.failed and said is None:
            said = DatabaseError("", "the database says that it failed, and not why")
        formats = formats_of(self._exchange.version, self.left, self.described_left)
        size = position - self.begun
        self._notes.append(StatementEnds(number, rows, said, outcome, size, position, self.described, formats))
        self._apply(number)

    def _apply(self, number: int) -> None:
        """What an RPC makes or ends."""
        assert self.request is not None
        call = self.request.calls.get(self.index)
        if call is None or call.effect is None:
            return
        exchange = self._exchange
        if call.effect is Effect.UNPREPARES and call.handle is not None:
            exchange.forget(exchange.prepared, call.handle)
        elif call.effect is Effect.CLOSES and call.handle is not None:
            exchange.forget(exchange.cursors, call.handle)
        elif call.returned:
            # A preparation that fails returns no handle; one whose execution fails does.
            made: list[tuple[dict[int, Handle], int]] = []
            if call.effect is Effect.OPENS:
                made.append((exchange.cursors, call.returned[0]))
            else:
                made.append((exchange.prepared, call.returned[0]))
                if call.effect is Effect.PREPARES_AND_OPENS and len(call.returned) > 1:
                    made.append((exchange.cursors, call.returned[1]))
            for kept, handle in made:
                exchange.keep(kept, handle, number, call.text)
                self._tell(kept[handle])
