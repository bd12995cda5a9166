"""One live session: what is known of it, and how it is cancelled and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from bastion.api import messages as m
from bastion.audit.records import CancelSent
from bastion.protocols.contract import CancelKey, Refusal

from .record import SessionRecord, Writer, now
from .relay import Relay


@dataclass(frozen=True, slots=True)
class Visit:
    """Who opens a session, through which token, to what. Known before the store or the database is asked.

    purpose: `client` (a stock client's tunnel), `console`, or `catalog` (a side connection of the workstation)
    session: its id where it was promised beforehand (`tunnel.open`), else None
    """

    user: str
    token: str
    source: str
    database: str
    account: str
    engine: str
    purpose: str = "client"
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ends: a stable reason for the record and, where the client is to be told, the refusal to say.

    `detail` stands behind the reason in the record.
    """

    reason: str
    by: str = ""
    refusal: Refusal | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in the text of the statement `seq`, so that it is looked at once."""

    seq: int
    without_where: bool


@dataclass(slots=True)
class LiveSession:
    """A session from its first record to its last.

    `cancel_running` is set once both legs are logged in: it orders the database to stop what this connection is
    running and returns whether the order was taken.
    """

    id: str
    visit: Visit
    node: str
    journal: Writer
    started_at: str = field(default_factory=now)
    state: str = "opening"
    login: str = ""
    client: str = ""
    catalog: str = ""
    server_version: str = ""
    database_tls: str = ""
    cancel_key: CancelKey | None = None
    replication: bool = False
    expires_at: datetime | None = None
    production: bool = False
    tell_by_ssh: Callable[[str], bool] | None = None
    """Tells the client's side of the SSH connection something, where that is possible."""
    unusual: tuple[str, ...] | None = None
    """What is out of the ordinary about it (codes of risk.UNUSUAL); None while nobody has looked."""
    judged: Judged | None = None
    record: SessionRecord | None = None
    relay: Relay | None = None
    cancel_running: Callable[[], Awaitable[bool]] | None = None
    ending: asyncio.Future[Ending] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, ending: Ending) -> bool:
        """Asks the session to end; False when it is ending already."""
        if self.ending.done():
            return False
        self.ending.set_result(ending)
        return True

    async def cancel(self, by: str, reason: str, send: Callable[[], Awaitable[bool]] | None = None) -> bool:
        """Cancels the running statement on the database, on record. False when none runs or the order was not taken.

        `send` replaces the session's own way of sending the order (a client's cancel connection already stands).
        """
        order = send or self.cancel_running
        if self.record is None or order is None:
            return False
        if self._cancel_held(by, reason):
            return True
        number = self.record.cancelling()
        if number is None and send is None:
            return False
        confirmed = False
        try:
            confirmed = await order()
        finally:
            if not confirmed and number is not None:
                self.record.not_cancelled(number)
        self.journal.append(
            CancelSent(at=now(), session=self.id, seq=number, by=by, reason=reason, confirmed=confirmed)
        )
        return confirmed

    def _cancel_held(self, by: str, reason: str) -> bool:
        """A statement that is held has not reached the database: it is given up here. Raises JournalFailed."""
        hold = None if self.relay is None else self.relay.hold
        if hold is None or hold.number is None or hold.over or self.relay is None:
            return False
        if self.relay.server_side.running != hold.number:
            return False
        hold.give_up(by, reason)
        return True

    async def settle_recording(self) -> None:
        """What has come of its results so far is in the recording's file. Raises TimeoutError."""
        if self.relay is not None and self.relay.recording is not None:
            await self.relay.recording.settled()

    def view(self) -> m.Session:
        """The session as a listing shows it."""
        relay, record = self.relay, self.record
        return m.Session(
            id=self.id,
            user=self.visit.user,
            source=self.visit.source,
            client=self.client,
            token=self.visit.token,
            database=self.visit.database,
            account=self.visit.account,
            login=self.login,
            engine=self.visit.engine,
            node=self.node,
            state=self.state,
            started_at=self.started_at,
            ended_at=None,
            end_reason=None,
            statements=0 if record is None else record.statements,
            bytes_up=0 if relay is None else relay.bytes_up,
            bytes_down=0 if relay is None else relay.bytes_down,
            unattributed_bytes=0 if relay is None else relay.unattributed,
            messages=None if relay is None else relay.messages(),
            catalog=self.catalog,
            server_version=self.server_version,
            database_tls=self.database_tls,
            running=None if record is None else record.running,
        )
