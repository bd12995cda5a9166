"""Live events for those who asked and may see them: sessions, statements and tokens, at a reader's own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from bastion.access.door import Access, Person
from bastion.api import live
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.journal import Journal
from bastion.audit.records import (
    AnyRecord,
    StatementDone,
    StatementExtended,
    StatementRefused,
    StatementSent,
    StorageAlarm,
)
from bastion.sessions.live import LiveSession
from bastion.sessions.registry import Sessions

CHANGES_EVERY = 0.25
"""Seconds between two `changed` events of one session to one subscriber."""

QUEUE = 1000
"""Events that wait for a slow reader; beyond it the oldest are dropped and counted."""

MAX_TOPICS = 32
OPEN_STATEMENTS = 10_000
"""Statements without outcome that are remembered for their `done` event."""

SHOWN_TEXT = 16 * 1024
"""Characters of a statement in an event; the whole text is in the record."""

TOPICS = frozenset({"sessions", "statements", "tokens", "notices", "storage"})

_SEES_ALL = frozenset({"auditor", "administrator"})


class Subscriber:
    """One control channel that asked for topics. `send` passes an event on; it is only called while not paused."""

    def __init__(self, person: Person, send: Callable[[m.Event], None]) -> None:
        self.person = person
        self.sees_all = bool(person.roles & _SEES_ALL)
        self._send = send
        self._topics: set[str] = set()
        self._statements_of: set[str] | None = set()
        self._queue: deque[m.Event] = deque()
        self._missed = 0
        self._paused = False
        self._changed: dict[str, LiveSession] = {}
        self._timer: asyncio.TimerHandle | None = None

    def choose(self, topics: list[str]) -> None:
        """Replaces the topics. Raises Refused for one that does not exist."""
        names: set[str] = set()
        sessions: set[str] = set()
        if len(topics) > MAX_TOPICS:
            raise Refused("invalid-params", method="subscribe", detail=f"more than {MAX_TOPICS} topics")
        for topic in topics:
            name, mark, session = topic.partition(":")
            narrowed = mark and (name != "statements" or not session)
            if name not in TOPICS or narrowed:
                raise Refused("invalid-params", method="subscribe", detail=f"there is no topic {topic[:64]!r}")
            names.add(name)
            if session:
                sessions.add(session)
        self._topics = names
        self._statements_of = None if "statements" in topics else sessions

    def wants(self, topic: str, user: str, session: str = "") -> bool:
        """Whether an event is asked for, and may be shown to this person."""
        own = user == self.person.name
        # What somebody is told is for nobody else, whatever they may see.
        if topic not in self._topics or not (own or (self.sees_all and topic != "notices")):
            return False
        return topic != "statements" or self._statements_of is None or session in self._statements_of

    def put(self, event: m.Event) -> None:
        """Sends an event, or keeps it for a slow reader."""
        if not self._paused:
            self._send(event)
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self._missed += 1
        self._queue.append(event)

    def session_changed(self, session: LiveSession) -> None:
        """Sends the session's figures, at most four times a second."""
        self._changed[session.id] = session
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHANGES_EVERY, self._send_changes)

    def session_closed(self, session: LiveSession) -> None:
        """Sends the last figures."""
        self._changed.pop(session.id, None)
        self.put(_event("sessions", "closed", session.view()))

    def _send_changes(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, {}
        for session in changed.values():
            self.put(_event("sessions", "changed", session.view()))

    def pause(self) -> None:
        """The reader is slow."""
        self._paused = True

    def resume(self) -> None:
        """The reader has caught up."""
        self._paused = False
        if self._missed:
            missed, self._missed = self._missed, 0
            self._send(m.Event(topic="missed", kind="missed", data={"count": missed}))
        while self._queue and not self._paused:
            self._send(self._queue.popleft())

    def close(self) -> None:
        """Nothing more is sent."""
        self._topics = set()
        self._queue.clear()
        self._changed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Subscriptions:
    """Hears of everything that happens on this node and tells the subscribers."""

    def __init__(self, sessions: Sessions, access: Access, journal: Journal) -> None:
        self._sessions = sessions
        self._journal = journal
        self._subscribers: set[Subscriber] = set()
        self._open: dict[tuple[str, int], m.Statement] = {}
        self._loop = asyncio.get_running_loop()
        sessions.listeners.append(self._session)
        access.on_token_change.append(self._token)
        journal.listeners.append(self._recorded)

    def add(self, subscriber: Subscriber) -> None:
        """From now on `subscriber` is told."""
        self._subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """And no longer."""
        subscriber.close()
        self._subscribers.discard(subscriber)
        if not self._subscribers:
            self._open.clear()

    def notice(self, user: str, notice: live.Notice) -> int:
        """Tells a person something in each of their workstations; how many there are."""
        told = [each for each in self._subscribers if each.wants("notices", user)]
        for subscriber in told:
            subscriber.put(_event("notices", "message", notice))
        return len(told)

    def _session(self, kind: str, session: LiveSession) -> None:
        for subscriber in list(self._subscribers):
            if subscriber.wants("sessions", session.visit.user):
                if kind == "changed":
                    subscriber.session_changed(session)
                elif kind == "closed":
                    subscriber.session_closed(session)
                else:
                    subscriber.put(_event("sessions", kind, session.view()))

    def _token(self, kind: str, token: m.TokenState, user: str) -> None:
        for subscriber in list(self._subscribers):
            if subscriber.wants("tokens", user):
                subscriber.put(_event("tokens", kind, token))

    def _recorded(self, record: AnyRecord) -> None:
        """Called by the journal in the thread that appended; statements are written on the event loop's."""
        if type(record) is StorageAlarm:
            self._loop.call_soon_threadsafe(self._storage, record)
            return
        if self._subscribers and isinstance(
            record, StatementSent | StatementDone | StatementRefused | StatementExtended
        ):
            session = self._sessions.live.get(record.session)
            if session is None:
                return
            # After the journal has returned: nothing that is told may hold up or break what is written.
            self._loop.call_soon_threadsafe(self._statement, record, session)

    def _storage(self, record: StorageAlarm) -> None:
        state = m.StorageState(
            folder=record.folder, used=record.used, total=record.total, percent=record.percent
        )  # fmt: skip
        for subscriber in list(self._subscribers):
            if subscriber.wants("storage", ""):
                subscriber.put(_event("storage", record.state, state))

    def _statement(self, record: AnyRecord, session: LiveSession) -> None:
        for subscriber in list(self._subscribers):
            if subscriber.wants("sessions", session.visit.user):
                subscriber.session_changed(session)
        told = [s for s in self._subscribers if s.wants("statements", session.visit.user, session.id)]
        if not told:
            return
        if isinstance(record, StatementSent):
            statement = _sent(record, session)
            if len(self._open) >= OPEN_STATEMENTS:
                self._open.pop(next(iter(self._open)))
            self._open[record.session, record.seq] = statement
            kind = "sent"
        elif isinstance(record, StatementDone):
            known = self._open.pop((record.session, record.seq), None)
            if known is None:
                return
            statement = msgspec.structs.replace(
                known,
                state=record.state,
                rows=record.rows,
                error=record.error,
                duration_ms=record.duration_ms,
                bytes_down=record.bytes_down,
            )
            kind = "done"
        elif isinstance(record, StatementRefused):
            statement = _refused(record, session)
            kind = "done"
        else:
            return
        event = _event("statements", kind, statement)
        for subscriber in told:
            subscriber.put(event)


def _event(topic: str, kind: str, data: Any) -> m.Event:
    return m.Event(topic=topic, kind=kind, data=msgspec.to_builtins(data))


def _sent(record: StatementSent, session: LiveSession) -> m.Statement:
    return m.Statement(
        session=record.session,
        seq=record.seq,
        at=record.at,
        user=session.visit.user,
        database=session.visit.database,
        account=session.visit.account,
        schema=record.schema,
        kind=record.statement_kind,
        text=record.text[:SHOWN_TEXT],
        binds=record.binds,
        verdict=record.verdict,
        tool=record.tool,
        state="sent",
        rows=None,
        error=None,
        duration_ms=None,
        bytes_down=0,
    )


def _refused(record: StatementRefused, session: LiveSession) -> m.Statement:
    return m.Statement(
        session=record.session,
        seq=record.seq,
        at=record.at,
        user=session.visit.user,
        database=session.visit.database,
        account=session.visit.account,
        schema=record.schema,
        kind=record.statement_kind,
        text=record.text[:SHOWN_TEXT],
        binds=record.binds,
        verdict=record.code,
        tool="",
        state="refused",
        rows=None,
        error=record.error,
        duration_ms=None,
        bytes_down=0,
    )
