"""The data path of one session: one loop for all protocols.

    client bytes -> ClientSide -> pieces -> their notes into the journal -> the database
    server bytes -> ServerSide -> pieces -> their outcomes into the journal -> the client

A client's piece is passed on only when its notes are in the journal as the durability asks. Where that takes time
(`synced`, `stored`) the pieces behind it wait in order and the client is not read. A full buffer on one leg stops
reading on the other, so a session holds no more than the transports' limits and one read. Data that are full of
statements are handled in slices, one in a turn of the event loop, so that others get theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from bastion.audit.journal import JournalFailed
from bastion.protocols.contract import (
    CancelsInBand,
    ClientSide,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    Reply,
    SaysNotices,
    ServerSide,
    StatementBegins,
    StatementExtends,
)
from bastion.protocols.contract import Leg as Side

from .legs import Leg
from .record import SessionRecord, Writer, raw_bytes
from .recording import SessionRecording

if TYPE_CHECKING:
    from .hold import Hold

DENSE_SLICE = 4 * 1024
"""Bytes of a client that are handled in one turn of the event loop, where they are full of statements."""

DENSE = 128
"""Bytes a statement below which data count as dense; each statement takes about 50 microseconds."""

DENSE_FOR = 64
"""Reads that are handled in slices after a dense one."""

MOST_UNREAD = 64 * 1024
"""Bytes that wait for their turn before the client is not read any more."""

NOT_SENT_HELD = "the session ended while it was held"

logger = logging.getLogger(__name__)


class Relay:
    """Passes bytes between the two legs of a logged-in session until one of them ends or it is told to stop.

    `ended(reason)` is called once: `client` or `database` closed, `not-understood`, `record-failed`, or `internal`
    (a defect of ours, whose details are in the log).
    """

    def __init__(
        self,
        session: str,
        legs: tuple[Leg, Leg],
        sides: tuple[ClientSide, ServerSide],
        record: SessionRecord,
        journal: Writer,
        ended: Callable[[str, str], None],
    ) -> None:
        self._session = session
        self.client, self.server = legs
        self.client_side, self.server_side = sides
        self.record = record
        self._journal = journal
        self._ended = ended
        self._waiting: deque[Piece] = deque()
        self._pending: asyncio.Future[None] | None = None
        self._over = False
        self._told = False
        self._idle: asyncio.Event | None = None
        self._awaited: int | None = None
        self._unsent: int | None = None
        self._unread = bytearray()
        self._turn_to_come = False
        self._dense = 0
        self._held_back = False
        self.bytes_up = 0
        self.bytes_down = 0
        self.unattributed = 0
        self._of_client: dict[str, int] = {}
        self._of_server: dict[str, int] = {}
        self.client_is_gone = False
        self.recording: SessionRecording | None = None
        self.hold: Hold | None = None
        """An auditor's order to hold the next statement, or one that is held."""

    def start(self, client_rest: bytes, server_rest: bytes) -> None:
        """Begins; the rests were read during login."""
        if server_rest:
            self._from_server(server_rest)
        if client_rest:
            self._from_client(client_rest)
        self.server.start_handling(self)
        self.client.start_handling(self)
        if self.client.blocked:
            self.server.pause_reading()
        if self._pending is not None or self.server.blocked or self._held_back:
            # The start has let the client be read, whatever the rest from its login has led to.
            self.client.pause_reading()

    # ------------------------------------------------------------------------------------- what the legs call (Handler)

    def data(self, side: Side, data: bytes) -> None:
        """Bytes of a leg."""
        try:
            if side is Side.SERVER:
                self._from_server(data)
            elif len(data) > DENSE_SLICE or self._unread:
                self._in_turns(data)
            else:
                self._from_client(data)
        except Exception:  # noqa: BLE001 - it is logged there
            self._failed()

    def _failed(self) -> None:
        """A defect must end this session, not the SSH connection, on which there may be others."""
        logger.exception("session %s failed", self._session)
        self._hear_no_more()
        self._end("internal", "")

    def closed(self, side: Side) -> None:
        """A leg has ended."""
        if side is Side.CLIENT:
            if self._unread and not self._over:
                # It had sent them before it left, and the database would have been given them.
                rest, self._unread = bytes(self._unread), bytearray()
                try:
                    self._from_client(rest)
                except Exception:  # noqa: BLE001 - the same
                    self._failed()
            self.client_is_gone = True
        elif self._idle is not None:
            self._idle.set()
        # A database closes too when its client says goodbye, and may be seen to do so first.
        by_client = side is Side.CLIENT or self.client_side.leaving
        self._end("client" if by_client else "database", "")

    def writable(self, side: Side, ready: bool) -> None:
        """A leg's buffer is full, or has room again: the other one pauses or goes on."""
        other = self.server if side is Side.CLIENT else self.client
        if not ready:
            if side is Side.CLIENT and self._idle is not None and self._awaited is not None:
                self.client_is_gone = True
                return
            other.pause_reading()
        elif side is Side.CLIENT:
            other.resume_reading()
        else:
            self._read_client_on()

    # ----------------------------------------------------------------------------------------------- the two directions

    def _in_turns(self, data: bytes) -> None:
        """Handles what is here of the client, or a slice of it where it is dense; the rest in turns of its own."""
        if self._unread:
            self._put_off(data)
            return
        part = data[:DENSE_SLICE] if self._dense else data
        begun = self.record.statements
        self._from_client(part)
        if (self.record.statements - begun) * DENSE > len(part):
            self._dense = DENSE_FOR
        elif self._dense:
            self._dense -= 1
        if len(part) < len(data) and not self._over:
            self._put_off(data[len(part) :])
            self._take_turn()

    def _next_turn(self) -> None:
        """The next slice, unless something stands against it; then it is taken up where that is over."""
        self._turn_to_come = False
        if self._over:
            self._unread.clear()
        elif self._unread and self._may_go_on():
            rest, self._unread = bytes(self._unread), bytearray()
            self.data(Side.CLIENT, rest)
            if not self._unread:
                self._read_client_on()

    def _may_go_on(self) -> bool:
        return not (self._over or self._held_back or self.server.blocked) and self._pending is None

    def _read_client_on(self) -> None:
        """Reads the client again, unless something stands against it."""
        if not self._may_go_on():
            return
        if self._unread:
            self._take_turn()
        else:
            self.client.resume_reading()

    def _put_off(self, data: bytes) -> None:
        self._unread += data
        if self.hold is not None:
            self.hold.heard(self._unread)
        if len(self._unread) > MOST_UNREAD:
            self.client.pause_reading()

    def _take_turn(self) -> None:
        if not self._turn_to_come:
            self._turn_to_come = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _from_client(self, data: bytes) -> None:
        if self._over:
            return
        try:
            pieces = self.client_side.feed(data)
        except ProtocolError as error:
            self._not_understood(error)
            return
        if self.client_side.ahead:
            self._held_back = True
            self.client.pause_reading()
        if self._pending is not None:
            self._waiting.extend(pieces)
            return
        for index, piece in enumerate(pieces):
            if piece.notes:
                try:
                    pending = self.record.before(piece.notes)
                except JournalFailed:
                    self._waiting.extend(pieces[index:])
                    self._end("record-failed", "")
                    return
                if pending is not None:
                    self._wait_for(pending, pieces[index:])
                    return
            self._to_server(piece)
        self._give_due()

    def _wait_for(self, pending: asyncio.Future[None], pieces: list[Piece]) -> None:
        """`pending` is the first piece's record; nothing of `pieces` goes on before it is durable."""
        self._pending = pending
        self._waiting.extend(pieces)
        self.client.pause_reading()
        pending.add_done_callback(self._durable)

    def _durable(self, pending: asyncio.Future[None]) -> None:
        self._pending = None
        if self._over:
            return
        if pending.cancelled() or pending.exception() is not None:
            self._end("record-failed", "")
            return
        self._to_server(self._waiting.popleft())
        while self._waiting:
            piece = self._waiting[0]
            if piece.notes:
                try:
                    following = self.record.before(piece.notes)
                except JournalFailed:
                    self._end("record-failed", "")
                    return
                if following is not None:
                    self._pending = following
                    following.add_done_callback(self._durable)
                    return
            self._to_server(self._waiting.popleft())
        self._give_due()
        self._read_client_on()

    def _to_server(self, piece: Piece) -> None:
        self.bytes_up += piece.size
        kinds, kind = self._of_client, piece.kind
        kinds[kind] = kinds.get(kind, 0) + 1
        if not piece.understood:
            self.unattributed += piece.size
        if piece.forward and piece.data:
            self.server.write(piece.data)

    def _from_server(self, data: bytes) -> None:
        unread: ProtocolError | None = None
        try:
            pieces = self.server_side.feed(data)
        except ProtocolError as error:
            pieces, unread = error.before, error
        kinds = self._of_server
        for piece in pieces:
            self.bytes_down += piece.size
            kinds[piece.kind] = kinds.get(piece.kind, 0) + 1
            if not piece.understood:
                self.unattributed += piece.size
            if piece.notes:
                try:
                    self.record.after(piece.notes)
                except JournalFailed:
                    self._hear_no_more()
                    self._end("record-failed", "")
                    return
            if piece.data:
                if not self.client_is_gone:
                    self.client.write(piece.data)
            elif isinstance(piece, Reply):
                self.server.write(piece.back)
            if self.recording is not None:
                self.recording.take(piece)
        if unread is not None:
            self._hear_no_more()
            self._not_understood(unread)
            return
        self._give_due()
        if self._held_back and not self.client_side.still_ahead():
            self._held_back = False
            self._read_client_on()
        if self._idle is not None:
            self._has_run()

    def _hear_no_more(self) -> None:
        """Something of the database was not passed on, so nothing behind it is: the client would take it for whole."""
        self._from_server = self._unheard  # type: ignore[method-assign]

    def _unheard(self, data: bytes) -> None:
        self.bytes_down += len(data)
        self.unattributed += len(data)

    def _give_due(self) -> None:
        due = self.server_side.due()
        if due and not self.client_is_gone:
            self.client.write(due)

    # ------------------------------------------------------------------------------------------- what an auditor does

    def waiting_notes(self) -> list[tuple[Note, ...]]:
        """The notes of the pieces that wait for their record."""
        return [piece.notes for piece in self._waiting]

    def keep_unread(self) -> None:
        """A statement is being held: what the client sends is not read, but taken in, so that its leaving is seen."""
        self._from_client = self._put_off  # type: ignore[method-assign]
        asyncio.get_running_loop().call_soon(self._take_in)

    def _take_in(self) -> None:
        if not self._over and self.hold is not None and len(self._unread) <= MOST_UNREAD:
            self.client.resume_reading()

    def read_again(self) -> None:
        """Nothing is held any more. What was taken in is read when the piece that waits has gone on."""
        self.__dict__.pop("_from_client", None)

    def refuse_waiting(self, number: int, refusal: Refusal) -> None:
        """The statement of the first piece that waits is not sent; the client is told in its place."""
        piece = self._waiting[0]
        self.client_side.refuse(piece, refusal)
        piece.forward = False
        for each in self._waiting:
            if each.statement == number:
                each.forward = False

    def cancel_in_band(self) -> bool:
        """Cancels what the database is at on this connection; whether the order has gone out, or had before."""
        side = self.server_side
        running = side.running
        if any(piece.statement == running for piece in self._waiting):
            return False  # it waits for its record, so the database has nothing to cancel
        order = side.cancel_in_band() if isinstance(side, CancelsInBand) else None
        if order:
            self.server.write(order)
        return order is not None

    def record_failed(self) -> None:
        """What happens to the session cannot be recorded."""
        self._end("record-failed", "")

    def say(self, text: str) -> bool:
        """Tells the client something, as soon as it can be said; whether its protocol has words for that."""
        side = self.server_side
        if self._over or self.client_is_gone or not isinstance(side, SaysNotices):
            return False
        said = side.notify(text)
        self._give_due()
        return said

    def messages(self) -> dict[str, dict[str, int]]:
        """How many of each type have passed, of the client and of the server; a run of messages counts as one."""
        return {"client": dict(self._of_client), "server": dict(self._of_server)}

    # ---------------------------------------------------------------------------------------------------------- endings

    async def until_idle(self, seconds: float) -> bool:
        """Waits until no statement is running; False when `seconds` were not enough."""
        return await self._until_over(None, seconds)

    async def until_over(self, number: int, seconds: float) -> bool:
        """Waits until that statement is not the running one (after a cancel); False when `seconds` were not enough.

        A client that has stopped reading is given no more: it must not keep the outcome from the record.
        """
        if self.client.blocked:
            self.client_is_gone = True
        return await self._until_over(number, seconds)

    async def _until_over(self, number: int | None, seconds: float) -> bool:
        self._awaited = number
        self._idle = asyncio.Event()
        if self.client_is_gone or not self.client.blocked:
            self.server.resume_reading()
        try:
            self._has_run()
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._idle = None
        return True

    def _has_run(self) -> None:
        running = self.at_work
        over = running is None or self.server.is_closed or (self._awaited is not None and running != self._awaited)
        if self._idle is not None and over:
            self._idle.set()

    @property
    def at_work(self) -> int | None:
        """The oldest statement that was passed on and has no outcome; None where the database owes nothing."""
        number = self.server_side.running
        return None if number is None or (self._unsent is not None and number >= self._unsent) else number

    def stop_reading_client(self) -> None:
        """Nothing more of the client goes on; what the database still says does."""
        self._over = True
        self._give_up_waiting()
        self.client.pause_reading()

    def say_farewell(self, refusal: Refusal) -> bool:
        """The client's last words in its own protocol, where they can be said; whether they were. Nothing follows."""
        if self.client_is_gone:
            return False
        words = self.server_side.farewell(refusal)
        if words:
            self.client.write(words)
            self.client_is_gone = True
        return bool(words)

    def close(self) -> None:
        """Closes both legs; what is buffered for a client that reads is still sent.

        To a database that is still at work nothing more is: what a killed session has sent ahead would be run after it.
        """
        self._over = True
        if self.client.blocked:
            self.client.abort()
        else:
            self.client.close()
        if self.at_work is None:
            self.server.close()
        else:
            self.server.abort()

    def _not_understood(self, error: ProtocolError) -> None:
        """Fail closed: recorded raw, nothing of it passed on, the session ends."""
        self.unattributed += len(error.raw)
        try:
            self._journal.append(raw_bytes(self._session, error, self.record.engine))
        except JournalFailed:
            self._end("record-failed", "")
            return
        self._end("not-understood", error.reason)

    def _end(self, reason: str, detail: str) -> None:
        if not self._over:
            self._over = True
            self._give_up_waiting()
        # The client may have been stopped before, for a last statement to finish: that does not outlast either leg.
        if not self._told:
            self._told = True
            self._ended(reason, detail)

    def _give_up_waiting(self) -> None:
        """What still waits for its record is never passed on; where it is on record by now, that is too."""
        hold = self.hold
        held = None if hold is None else hold.number
        if hold is not None:
            hold.abandon()
        for piece in self._waiting:
            for note in piece.notes:
                if isinstance(note, StatementBegins) or (isinstance(note, StatementExtends) and note.runs):
                    self._unsent = min(note.number, self._unsent or note.number)
                    why = (NOT_SENT_HELD,) if note.number == held else ()
                    try:
                        self.record.not_passed_on(note.number, *why)
                    except JournalFailed:
                        break  # nothing can be recorded any more: the session ends for that, and the log says so
        self._waiting.clear()
