"""Watching a session: its statements as they happen, kept for a watcher until they are fetched, within bounds.

What a slow watcher was not given is counted and named, and is in the record. While nobody watches, nothing is done.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from bastion.api import live
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.journal import Journal, now
from bastion.audit.records import Act, AnyRecord, StatementDone, StatementExtended, StatementRefused, StatementSent
from bastion.sessions.figures import Look, figures, look
from bastion.sessions.live import LiveSession
from bastion.sessions.registry import Sessions

from .live_list import whole

if TYPE_CHECKING:
    from .caller import Caller
    from .calls import Calls

MOST_EVENTS = 2000
MOST_CHARACTERS = 2 * 1024 * 1024
"""What is kept for a watcher; beyond it the oldest are left out."""

AT_ONCE = 200
AT_ONCE_CHARACTERS = 512 * 1024
"""What one answer has at most."""

SHOWN_TEXT = 16 * 1024
"""Characters of a statement, or of its values, in an event."""

SETTLE = 0.1
"""Seconds after the first event in which others join it."""

MOST_WATCHES = 16
"""Watches of one channel."""

FORGOTTEN = 120.0
"""Seconds after which a watch that nobody asks is over."""


class Watch:
    """One watcher of one session."""

    def __init__(self, session: LiveSession) -> None:
        self.id = secrets.token_hex(8)
        self.session = session
        self.before = 0 if session.record is None else session.record.statements
        self.over: str | None = None
        self.begun = False
        self.asked_at = asyncio.get_running_loop().time()
        self.turn = asyncio.Lock()
        self._events: deque[tuple[live.WatchEvent, int]] = deque()
        self._characters = 0
        self._skipped: live.Skipped | None = None
        self._news = asyncio.Event()
        self._seen: Look | None = None

    def put(self, event: live.WatchEvent) -> None:
        """Keeps an event for the watcher."""
        size = len(event.text) + 200
        if event.statement is not None:
            size += len(event.statement.text) + sum(len(bind or "") for bind in event.statement.binds or ())
        size += sum(len(bind or "") for bind in event.binds or ())
        self._events.append((event, size))
        self._characters += size
        while len(self._events) > MOST_EVENTS or (self._characters > MOST_CHARACTERS and len(self._events) > 1):
            lost, taken = self._events.popleft()
            self._characters -= taken
            skipped = self._skipped
            if skipped is None:
                self._skipped = live.Skipped(events=1, first=lost.seq, last=lost.seq)
            else:
                skipped.events += 1
                skipped.first, skipped.last = min(skipped.first, lost.seq), max(skipped.last, lost.seq)
        self._news.set()

    def end(self, reason: str) -> None:
        """The session is over; what is kept is still given."""
        if self.over is None:
            self.over = reason
            self._news.set()

    async def news(self, seconds: float) -> None:
        """Waits until there is something to tell."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
                if self.over is None:
                    await asyncio.sleep(SETTLE)
        except TimeoutError:
            return

    def answer(self) -> live.Watched:
        """What there is, up to what one answer holds."""
        answer = live.Watched(watch=self.id, at=now(), skipped=self._skipped)
        if not self.begun:
            self.begun, answer.before = True, self.before
        self._skipped = None
        characters = 0
        while self._events and len(answer.events) < AT_ONCE and characters < AT_ONCE_CHARACTERS:
            event, size = self._events.popleft()
            self._characters -= size
            characters += size
            answer.events.append(event)
        if not self._events:
            if self.over is None:
                self._news.clear()
            else:
                answer.ended, answer.end_reason = True, self.over
        if self.over is None:
            self._seen = look(self.session, self._seen)
            answer.session = whole(self.session, figures(self.session, self._seen))
        return answer


class Watches:
    """Who watches what. Hears the journal only while somebody does."""

    def __init__(self, sessions: Sessions, journal: Journal) -> None:
        self._sessions = sessions
        self._journal = journal
        self._of: dict[str, WeakSet[Watch]] = {}
        self._loop = asyncio.get_running_loop()
        sessions.listeners.append(self._session)

    def begin(self, session: LiveSession) -> Watch:
        """A new watch of it, held by whoever asked."""
        watch = Watch(session)
        self._of.setdefault(session.id, WeakSet()).add(watch)
        if self._recorded not in self._journal.listeners:
            self._journal.listeners.append(self._recorded)
        return watch

    def forget(self, watch: Watch) -> None:
        """Nobody asks for it any more."""
        watchers = self._of.get(watch.session.id)
        if watchers is not None:
            watchers.discard(watch)
        self._tidy()

    def _tidy(self) -> None:
        for id in [id for id, watchers in self._of.items() if not watchers]:
            del self._of[id]
        if not self._of and self._recorded in self._journal.listeners:
            self._journal.listeners.remove(self._recorded)

    def _recorded(self, record: AnyRecord) -> None:
        """Called by the journal in the thread that appended."""
        session = record.subject if isinstance(record, Act) else getattr(record, "session", None)
        if session in self._of:
            self._loop.call_soon_threadsafe(self._tell, session, record)

    def _tell(self, id: str, record: AnyRecord) -> None:
        session = self._sessions.live.get(id)
        event = _event(record, session)
        for watch in list(self._of.get(id, ())):
            if self._loop.time() - watch.asked_at > FORGOTTEN:
                watch.end("nobody asked")
                self.forget(watch)
            elif event is not None:
                watch.put(event)

    def _session(self, kind: str, session: LiveSession) -> None:
        if kind == "closed" and session.id in self._of:
            # Behind the records that are still on their way to the watchers.
            self._loop.call_soon(self._over, session)

    def _over(self, session: LiveSession) -> None:
        reason = ""
        if session.ending.done():
            ending = session.ending.result()
            reason = f"{ending.reason} by {ending.by}" if ending.by else ending.reason
        for watch in list(self._of.pop(session.id, ())):
            watch.end(reason or session.state)
        self._tidy()


def _event(record: AnyRecord, session: LiveSession | None) -> live.WatchEvent | None:
    make = _EVENTS.get(type(record))
    if make is None or (session is None and isinstance(record, StatementSent | StatementRefused)):
        return None
    return make(record, session)


def _sent(record: StatementSent, session: LiveSession) -> live.WatchEvent:
    statement = _statement(record, session, record.verdict, "sent", None)
    return live.WatchEvent(
        kind="sent", seq=record.seq, at=record.at, statement=statement,
        cut=len(record.text) > SHOWN_TEXT or not record.complete,
    )  # fmt: skip


def _refused(record: StatementRefused, session: LiveSession) -> live.WatchEvent:
    statement = _statement(record, session, record.code, "refused", record.error)
    return live.WatchEvent(
        kind="done", seq=record.seq, at=record.at, statement=statement, state="refused", error=record.error,
        cut=len(record.text) > SHOWN_TEXT,
    )  # fmt: skip


def _statement(
    record: StatementSent | StatementRefused, session: LiveSession, verdict: str, state: str, error: str | None
) -> m.Statement:
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
        binds=_shortened(record.binds),
        verdict=verdict,
        tool="",
        state=state,
        rows=None,
        error=error,
        duration_ms=None,
        bytes_down=0,
    )


def _extended(record: StatementExtended, _session: LiveSession | None) -> live.WatchEvent:
    return live.WatchEvent(
        kind="extended", seq=record.seq, at=record.at, text=record.text[:SHOWN_TEXT],
        cut=len(record.text) > SHOWN_TEXT, binds=_shortened(record.binds), data_bytes=record.data_bytes,
    )  # fmt: skip


def _done(record: StatementDone, _session: LiveSession | None) -> live.WatchEvent:
    return live.WatchEvent(
        kind="done", seq=record.seq, at=record.at, state=record.state, rows=record.rows, error=record.error,
        duration_ms=record.duration_ms, bytes_down=record.bytes_down,
    )  # fmt: skip


def _acted(record: Act, _session: LiveSession | None) -> live.WatchEvent | None:
    kind = {"statement-held": "held", "statement-released": "released", "statement-refused": "refused"}.get(record.act)
    seq = record.detail.get("seq")
    if kind is None or not isinstance(seq, int):
        return None
    reason = str(record.detail.get("reason") or "")
    return live.WatchEvent(kind=kind, seq=seq, at=record.at, by=record.user, reason=reason)


_EVENTS: dict[type, Callable[..., live.WatchEvent | None]] = {
    StatementSent: _sent,
    StatementRefused: _refused,
    StatementExtended: _extended,
    StatementDone: _done,
    Act: _acted,
}


def _shortened(binds: list[str | None] | None) -> list[str | None] | None:
    """Values up to what an event shows of them together."""
    if binds is None:
        return None
    shown: list[str | None] = []
    room = SHOWN_TEXT
    for bind in binds:
        if bind is not None and len(bind) > room:
            shown.append(bind[:room] + "…")
            break
        shown.append(bind)
        room -= 0 if bind is None else len(bind)
    return shown


async def watch(calls: Calls, caller: Caller, params: live.WatchRequest) -> live.Watched:
    """`session.watch`: the first call is on record before anything is told."""
    if params.watch:
        found = caller.watches.get(params.watch)
        if found is None:
            raise Refused("watch-unknown")
    else:
        await calls.may_touch(caller, params.session)
        if len(caller.watches) >= MOST_WATCHES:
            raise Refused("too-many-watches", limit=MOST_WATCHES)
        session = calls.parts.sessions.find(params.session)
        detail: dict[str, str | int | None] = {"user": session.visit.user, "database": session.visit.database}
        await calls.parts.record(
            Act(
                at=now(), user=caller.person.name, source=caller.source, act="session-watched", subject=session.id,
                detail=detail,
            )
        )  # fmt: skip
        found = calls.watches.begin(calls.parts.sessions.find(params.session))
        caller.watches[found.id] = found
    found.asked_at = asyncio.get_running_loop().time()
    async with found.turn:
        if found.begun:
            await found.news(min(params.wait, live.LONGEST_WAIT))
        answer = found.answer()
    if answer.ended:
        caller.watches.pop(found.id, None)
    return answer


async def unwatch(calls: Calls, caller: Caller, params: live.WatchRequest) -> None:
    """`session.unwatch`."""
    found = caller.watches.pop(params.watch, None)
    if found is not None:
        calls.watches.forget(found)
