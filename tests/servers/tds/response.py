"""A response on its way to the client: tokens gathered into packets, the last DONE held back until it is known to be
it.

What it can hold is one packet and the row that is added to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import tokens
from .encoding import Value, row_maker
from .packets import END_OF_MESSAGE, HEADER, PacketType
from .sql_types import ResultColumn, column_metadata, narrowed
from .versions import Version

SELECT, INSERT, DELETE, UPDATE = 0xC1, 0xC3, 0xC4, 0xC5


class Cancelled(Exception):
    """The client sent an attention."""


class Response:
    """One message of tokens. `in_transaction` tells what each DONE says."""

    def __init__(self, send: Callable[[bytes], None], version: Version, packet_size: int, spid: int,
                 attention: threading.Event, in_transaction: Callable[[], bool]) -> None:  # fmt: skip
        self.version = version
        self.inside_procedure = 0
        """How many procedures deep: their statements end with DONEINPROC."""
        self.failed = False
        """Whether an error was sent since this was last set to False."""
        self.bare_metadata = False
        """The client has the metadata of this statement: an empty one is sent instead."""
        self.started = False
        """Whether anything was said."""
        self._send, self._room, self._spid = send, packet_size - HEADER.size, spid
        self._attention, self._in_transaction = attention, in_transaction
        self._buffer = bytearray()
        self._number = 0
        self._held: tuple[int, int, int, int] | None = None
        self._make_row: Callable[[tuple[Value, ...]], bytes] | None = None

    # -- what statements say

    def columns(self, columns: list[ResultColumn]) -> None:
        """A result begins."""
        known = [narrowed(column, self.version) for column in columns]
        self.add(b"\x81\xff\xff" if self.bare_metadata else column_metadata(known, self.version))
        types = [column.type for column in known]
        self._make_row = row_maker(types, with_bitmap=self.version >= Version.V7_3B)

    def row(self, row: tuple[Value, ...]) -> None:
        """A row of the result that began last. Raises Cancelled, Unfit."""
        if self._attention.is_set():
            raise Cancelled
        assert self._make_row is not None
        self.add(self._make_row(row))

    def message(self, number: int, state: int, severity: int, text: str, line: int = 1, procedure: str = "") -> None:
        """What PRINT, RAISERROR and errors say."""
        if severity > 10:
            self.failed = True
        self.add(tokens.message(number, state, severity, text, self.version, procedure=procedure, line=line))

    def statement_done(self, count: int | None, command: int = 0) -> None:
        """A statement is over; `count` None where nothing is counted."""
        status = tokens.COUNT if count is not None else 0
        if self.failed:
            status = tokens.ERROR
        self.failed = False
        self.done(tokens.DONEINPROC if self.inside_procedure else tokens.DONE, status, count or 0, command)

    def procedure_done(self, status: int | None) -> None:
        """A procedure is over; with its return status, where it has one."""
        if status is not None:
            self.add(tokens.return_status(status))
        flag = tokens.ERROR if self.failed else 0
        self.failed = False
        self.done(tokens.DONEPROC, flag, 0)

    def check(self) -> None:
        """Raises Cancelled after an attention."""
        if self._attention.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Raises Cancelled as soon as an attention comes."""
        if self._attention.wait(min(seconds, 60)):
            raise Cancelled

    # -- tokens and packets

    def add(self, data: bytes) -> None:
        """Whole tokens."""
        self.started = True
        self._release(more=True)
        self._buffer += data
        if len(self._buffer) > self._room:
            self._send_full()

    def done(self, token: int, status: int, count: int, command: int = 0) -> None:
        """Held back until more comes or the message ends."""
        self.started = True
        self._release(more=True)
        self._held = (token, status, count, command)

    def _release(self, *, more: bool) -> None:
        if self._held is None:
            return
        token, status, count, command = self._held
        self._held = None
        status |= (tokens.MORE if more else 0) | (tokens.IN_TRANSACTION if self._in_transaction() else 0)
        self._buffer += tokens.done(token, status, count, self.version, command)

    def _send_full(self) -> None:
        """All but the last packet, which may be the message's last."""
        whole = (len(self._buffer) - 1) // self._room * self._room
        view = memoryview(bytes(self._buffer[:whole]))
        del self._buffer[:whole]
        parts: list[bytes | memoryview] = []
        held = 0
        for start in range(0, whole, self._room):
            parts += [self._header(self._room, 0), view[start : start + self._room]]
            held += self._room
            if held >= 1 << 20:
                self._send(b"".join(parts))
                parts, held = [], 0
        if parts:
            self._send(b"".join(parts))

    def _header(self, size: int, status: int) -> bytes:
        self._number += 1
        return HEADER.pack(PacketType.RESPONSE, status, size + HEADER.size, self._spid, self._number & 0xFF, 0)

    def finish(self) -> None:
        """Ends the message."""
        self._release(more=False)
        if len(self._buffer) > self._room:
            self._send_full()
        self._send(self._header(len(self._buffer), END_OF_MESSAGE) + bytes(self._buffer))
        self._buffer.clear()

    def finish_cancelled(self) -> None:
        """Ends the message where it is. The attention is acknowledged in one of its own: tedious reads no other."""
        self._release(more=True)
        self._buffer += tokens.done(tokens.DONE, tokens.ERROR, 0, self.version)
        self.finish()

    def acknowledge(self) -> None:
        """A message that answers an attention."""
        self._buffer += tokens.done(tokens.DONE, tokens.ATTENTION, 0, self.version)
        self.finish()
