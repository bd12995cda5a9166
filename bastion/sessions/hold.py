"""An auditor's order to hold a session's next statement before it goes to the database.

It stands in the place where the relay writes ahead: the statement goes on record as `held`, and what the relay waits
for then is not that the record is safe alone but that somebody lets it go. So what holds for a record that takes long
holds here too: nothing of the statement or behind it is passed on, a session that ends meanwhile never sends it, and
what the database still answers reaches the client. A hold costs the data path nothing where there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bastion.api.live import Hold as Shown
from bastion.api.refusals import Refused
from bastion.audit.journal import JournalFailed
from bastion.protocols.contract import Note, Refusal, StatementBegins, StatementEnds, StatementExtends, TakesBack

from .record import SessionRecord
from .relay import Relay

MOST_LOOKED_AT = 64
"""Bytes behind a held statement that are looked at for an order to cancel it."""


def begins(notes: tuple[Note, ...]) -> int | None:
    """The statement that these notes begin or run; None where there is none, or the protocol answers it itself."""
    number: int | None = None
    for note in notes:
        if isinstance(note, StatementEnds):
            return None
        if number is None and (isinstance(note, StatementBegins) or (isinstance(note, StatementExtends) and note.runs)):
            number = note.number
    return number


class Hold:
    """Waits for the next statement and holds it. There is one of a session at a time; see `place`.

    number   the statement that waits; None while none has come
    person   whose session it is
    changed  is called when a statement has come, and when the hold is over
    """

    def __init__(
        self,
        relay: Relay,
        person: str,
        by: str,
        source: str,
        reason: str,
        seconds: float,
        changed: Callable[[], None],
    ) -> None:
        self.number: int | None = None
        self.by = by
        self.reason = reason
        self.over = False
        self._person = person
        self._source = source
        self._relay = relay
        self._record: SessionRecord = relay.record
        self._seconds = seconds
        self._changed = changed
        self._earlier: list[tuple[Note, ...]] = []
        self._not_again: int | None = None
        self._gate: asyncio.Future[None] | None = None
        self._at = datetime.now(UTC)
        self._until = self._at + timedelta(seconds=seconds)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_is_up)

    def place(self, behind: int | None = None) -> None:
        """The next statement is held. `behind`: a held statement that is let go; nothing of it is held again."""
        self._not_again = behind
        # What waits behind a held statement came in pieces of its own already; what came before the order did not.
        self._earlier = [] if behind is not None else self._relay.waiting_notes()
        # From now on each statement comes in a piece of its own. It stays so: what is refused has a rest to be dropped.
        self._relay.client_side.judging = True
        self._relay.hold = self
        self._record.before = self._before  # type: ignore[method-assign]

    def following(self, by: str, source: str, reason: str, changed: Callable[[], None]) -> Hold:
        """An order for the statement behind this one, to be placed once this one is over."""
        return Hold(self._relay, self._person, by, source, reason, self._seconds, changed)

    def shown(self) -> Shown:
        """As auditors see it."""
        return Shown(by=self.by, reason=self.reason, at=_text(self._at), until=_text(self._until), seq=self.number)

    def _before(self, notes: tuple[Note, ...]) -> asyncio.Future[None] | None:
        """Stands in for SessionRecord.before."""
        number = begins(notes)
        if number is None or number == self._not_again or any(notes is each for each in self._earlier):
            return SessionRecord.before(self._record, notes)
        self._unhook()
        self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._at = datetime.now(UTC)
        self._until = self._at + timedelta(seconds=self._seconds)
        detail: dict[str, str | int | None] = {"seq": number, "reason": self.reason, "until": _text(self._until)}
        self._record.held(notes, self.by, self._source, detail)
        self.number = number
        self._timer = loop.call_later(self._seconds, self._time_is_up)
        self._gate = gate = loop.create_future()
        self._relay.keep_unread()
        loop.call_soon(self._changed)
        return gate

    def _unhook(self) -> None:
        self._earlier = []
        self._record.__dict__.pop("before", None)

    def let_go(self, by: str, source: str, reason: str) -> None:
        """The statement goes to the database as soon as that is safely on record. Without one, the order is withdrawn.

        Raises Refused where the hold is over, and JournalFailed: then the session ends.
        """
        gate = self._ended()
        if gate is None:
            return
        try:
            pending = self._record.released(by, source, {"seq": self.number, "reason": reason})
        except JournalFailed:
            self._relay.record_failed()
            raise
        if pending is None:
            self._open(gate)
        else:
            pending.add_done_callback(lambda done: self._recorded(done, gate))

    def _recorded(self, done: asyncio.Future[None], gate: asyncio.Future[None]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._relay.record_failed()
        else:
            self._open(gate)

    def refuse(self, by: str, source: str, reason: str, refusal: Refusal, state: str = "refused") -> None:
        """The statement is not sent; its client is told so in the statement's place. Raises as `let_go`."""
        gate = self._ended()
        if gate is None or self.number is None:
            return
        detail: dict[str, str | int | None] = {"seq": self.number, "reason": reason}
        try:
            self._record.refused(self.number, state, refusal.message, by, source, detail)
        except JournalFailed:
            self._relay.record_failed()
            raise
        self._relay.refuse_waiting(self.number, refusal)
        self._open(gate)

    def give_up(self, by: str, reason: str) -> None:
        """It is cancelled before it has reached the database. Raises as `let_go`."""
        said = Refused("held-cancelled")
        self.refuse(by, "", reason, Refusal(said.code, str(said)), "cancelled")

    def heard(self, behind: bytearray) -> None:
        """What the client has sent behind it: where it cancels it by that, it is given up."""
        relay = self._relay
        side = relay.client_side
        if self.over or self.number is None or relay.server_side.running != self.number:
            return
        if isinstance(side, TakesBack) and side.takes_back(bytes(behind[:MOST_LOOKED_AT])):
            with contextlib.suppress(JournalFailed):  # then the session ends for that
                self.give_up(self._person, "the client asked")

    def _ended(self) -> asyncio.Future[None] | None:
        if self.over:
            raise Refused("nothing-held")
        self.over = True
        self._timer.cancel()
        self._unhook()
        if self._gate is None:
            self._relay.hold = None
            self._changed()
        return self._gate

    def _open(self, gate: asyncio.Future[None]) -> None:
        if self._relay.hold is self:
            self._relay.hold = None
        if not gate.done():
            self._relay.read_again()
            gate.set_result(None)
        self._changed()

    def abandon(self) -> None:
        """The session is over: what is held is never sent. Called by the relay, which says so in the record."""
        self.over = True
        self._timer.cancel()
        self._unhook()
        self._relay.hold = None
        if self._gate is not None and not self._gate.done():
            self._gate.cancel()

    def _time_is_up(self) -> None:
        if self.over:
            return
        if self._gate is None:
            self._ended()
            return
        said = Refused("hold-too-long", seconds=round(self._seconds), by=self.by, reason=self.reason)
        with contextlib.suppress(JournalFailed):  # then the session ends for that
            self.refuse("bastion", "", "nobody let it go in time", Refusal(said.code, str(said)))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
