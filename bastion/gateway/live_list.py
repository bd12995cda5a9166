"""The live list: what runs now, as often as somebody asks, and no more than what is new to them.

Nothing is computed between two questions. What cannot have changed (the counters say so) is passed over, and a long
list is gone through in slices, so that the sessions themselves never wait for those who look at them.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from bastion.api import live
from bastion.audit.usual import Asked, unusual
from bastion.sessions.figures import Look, figures, look
from bastion.sessions.live import LiveSession

if TYPE_CHECKING:
    from .caller import Caller
    from .calls import Calls

LOOK_EVERY = 0.25
"""Seconds between two looks while a call waits for a change."""

TURN = 0.002
"""Seconds of one turn of the event loop that a look takes, about; then others have theirs."""

MOST_VIEWS = 4
"""Lists of one channel; a new one takes the place of the oldest."""

RESTLESS = frozenset({"opening", "running", "streaming", "transaction", "held", "ending"})
"""States in which figures change without the counters."""

ASKED_AT_ONCE = 50
"""Sessions whose habits are looked up in one go."""


@dataclass(slots=True)
class Known:
    """A session as a reader knows it: what was sent, and by which counters."""

    session: LiveSession
    stamp: tuple[object, ...]
    seen: Look
    sent: live.Figures
    client: str


class LiveView:
    """One reader's list."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.turn = asyncio.Lock()
        self._known: dict[str, Known] = {}
        self._begun = False

    async def changes(self, sessions: dict[str, LiveSession], user: str | None) -> live.LiveChanges:
        """What is new since the last time; `user`: that person's sessions alone."""
        answer = live.LiveChanges(view=self.id, at=_now(), whole=not self._begun)
        self._begun = True
        until = monotonic() + TURN
        for session in list(sessions.values()):
            if monotonic() > until:
                await asyncio.sleep(0)
                until = monotonic() + TURN
            if user is None or session.visit.user == user:
                self._look_at(session, answer)
        for id in [id for id in self._known if id not in sessions]:
            answer.closed.append(live.ClosedSession(id=id, reason=_end_of(self._known.pop(id).session)))
        return answer

    def _look_at(self, session: LiveSession, answer: live.LiveChanges) -> None:
        known = self._known.get(session.id)
        stamp = _stamp(session)
        if known is None or known.client != session.client or known.sent.state == "opening":
            if len(answer.sessions) >= live.SESSIONS_AT_ONCE:
                answer.more = True
                return
            seen = look(session, None if known is None else known.seen)
            now = figures(session, seen)
            if known is not None and known.client == session.client and now == known.sent:
                return
            self._known[session.id] = Known(session, stamp, seen, now, session.client)
            answer.sessions.append(whole(session, now))
            return
        was = known.sent
        moving = was.rows_per_second or was.bytes_per_second
        if stamp == known.stamp and was.state not in RESTLESS and not moving:
            return
        known.stamp = stamp
        known.seen = look(session, known.seen)
        now = figures(session, known.seen)
        if now == was:
            return
        known.sent = now
        same = now.seq and now.seq == was.seq
        answer.changed[session.id] = msgspec.structs.replace(now, running=None) if same else now


def whole(session: LiveSession, now: live.Figures) -> live.LiveSession:
    """A live session with its figures."""
    visit = session.visit
    return live.LiveSession(
        id=session.id,
        user=visit.user,
        source=visit.source,
        client=session.client,
        database=visit.database,
        account=visit.account,
        login=session.login,
        engine=visit.engine,
        node=session.node,
        purpose=visit.purpose,
        production=session.production,
        started_at=session.started_at,
        figures=now,
        catalog=session.catalog,
        server_version=session.server_version,
        database_tls=session.database_tls,
    )


def _stamp(session: LiveSession) -> tuple[object, ...]:
    relay, record = session.relay, session.record
    if relay is None or record is None:
        return (session.ending.done(), session.unusual)
    hold = relay.hold
    return (
        relay.bytes_up, relay.bytes_down, record.statements, record.transaction_since, hold,
        None if hold is None else hold.number, session.ending.done(), session.unusual,
    )  # fmt: skip


def _end_of(session: LiveSession) -> str:
    if not session.ending.done():
        return ""
    ending = session.ending.result()
    return f"{ending.reason} by {ending.by}" if ending.by else ending.reason


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Habits:
    """Looks up what is unusual about sessions, in the background, once each."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """For all live sessions of which nobody knows it yet."""
        if self._task is None or self._task.done():
            waiting = [each for each in self._calls.parts.sessions.live.values() if each.unusual is None]
            if waiting:
                self._task = asyncio.get_running_loop().create_task(self._look_up(waiting))

    async def _look_up(self, sessions: list[LiveSession]) -> None:
        for start in range(0, len(sessions), ASKED_AT_ONCE):
            part = sessions[start : start + ASKED_AT_ONCE]
            asked = [
                Asked(each.id, each.visit.user, each.visit.database, each.visit.source, each.started_at)
                for each in part
            ]
            found = await self._calls.parts.store.read(unusual(asked))
            for each in part:
                each.unusual = found.get(each.id, ())


async def live_list(calls: Calls, caller: Caller, params: live.LiveRequest) -> live.LiveChanges:
    """`sessions.live`."""
    view = caller.views.get(params.view)
    if view is None:
        view = LiveView()
        while len(caller.views) >= MOST_VIEWS:
            caller.views.pop(next(iter(caller.views)))
        caller.views[view.id] = view
    user = None if caller.sees_all else caller.person.name
    loop = asyncio.get_running_loop()
    until = loop.time() + min(max(params.wait, 0.0), live.LONGEST_WAIT)
    calls.habits.ask()
    async with view.turn:
        while True:
            changes = await view.changes(calls.parts.sessions.live, user)
            if changes.whole or changes.sessions or changes.changed or changes.closed or loop.time() >= until:
                return changes
            await asyncio.sleep(min(LOOK_EVERY, max(until - loop.time(), 0.0)))
