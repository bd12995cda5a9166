"""What an auditor does: speak to a person, hold a statement, let it go, end a session, lock a person. All on record.

Each act wants a reason. It is on record with it before it takes effect, but for a hold and a release: there the record
is part of the session's own, in its place among the statements.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from bastion.api import live, methods
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.journal import now
from bastion.audit.records import Act
from bastion.sessions import supervision
from bastion.store import moments

if TYPE_CHECKING:
    from .caller import Caller
    from .calls import Calls

SHORTEST_LOCK = 60
LONGEST_LOCK = 366 * 24 * 3600
"""Seconds that a person can be locked for."""


def _reason(text: str) -> str:
    """A reason that was given. Raises Refused."""
    return _words(text, "reason-needed")


def _words(text: str, missing: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise Refused(missing)
    if len(words) > live.LONGEST_WORDS:
        raise Refused("words-too-long", length=len(words), limit=live.LONGEST_WORDS)
    return words


async def _act(calls: Calls, caller: Caller, act: str, subject: str, **detail: str | int | None) -> None:
    await calls.parts.record(
        Act(at=now(), user=caller.person.name, source=caller.source, act=act, subject=subject, detail=detail)
    )


async def message(calls: Calls, caller: Caller, params: live.MessageRequest) -> live.Delivered:
    """`session.message`."""
    reason, text = _reason(params.reason), _words(params.text, "message-empty")
    await calls.may_touch(caller, params.id)
    session = calls.parts.sessions.find(params.id)
    user, database = session.visit.user, session.visit.database
    await _act(calls, caller, "message-sent", session.id, to=user, database=database, text=text, reason=reason)
    notice = live.Notice(at=now(), by=caller.person.name, session=session.id, database=database, text=text)
    workstations = calls.tell_person(user, notice)
    by_protocol, by_ssh = supervision.say(session, caller.person.name, text)
    return live.Delivered(workstations=workstations, protocol=by_protocol, ssh=by_ssh)


async def hold(calls: Calls, caller: Caller, params: live.HoldRequest) -> live.Hold:
    """`session.hold`."""
    reason = _reason(params.reason)
    if not 1 <= params.seconds <= live.HELD_AT_MOST:
        raise Refused("hold-time", limit=live.HELD_AT_MOST)
    await calls.may_touch(caller, params.id)
    sessions = calls.parts.sessions
    relay = sessions.find(params.id).relay
    if relay is not None and relay.hold is not None:
        raise Refused("already-held", by=relay.hold.by)
    await _act(calls, caller, "hold-ordered", params.id, reason=reason, seconds=params.seconds)
    session = sessions.find(params.id)
    changed = partial(sessions.changed, session)
    return supervision.hold(session, caller.person.name, caller.source, reason, params.seconds, changed)


async def release(calls: Calls, caller: Caller, params: live.ReleaseRequest) -> live.Hold:
    """`session.release`."""
    reason = _reason(params.reason)
    await calls.may_touch(caller, params.id)
    sessions = calls.parts.sessions
    session = sessions.find(params.id)
    shown = supervision.release(
        session, caller.person.name, caller.source, reason, partial(sessions.changed, session),
        refuse=params.refuse, again=params.again,
    )  # fmt: skip
    if shown.seq is None:
        await _act(calls, caller, "hold-withdrawn", session.id, reason=reason)
    return shown


async def end(calls: Calls, caller: Caller, params: methods.ById) -> m.Session:
    """`session.end`: one's own, or as auditor or administrator anybody's; then with a reason."""
    await calls.may_touch(caller, params.id)
    session = calls.parts.sessions.find(params.id)
    name = caller.person.name
    if session.visit.user == name:
        return await calls.parts.sessions.end(params.id, name, params.reason[: live.LONGEST_WORDS])
    reason = _reason(params.reason)
    await _act(calls, caller, "session-end-ordered", params.id, user=session.visit.user, reason=reason)
    code = "session-ended-by-auditor" if "auditor" in caller.person.roles else "session-ended"
    return await calls.parts.sessions.end(params.id, name, reason, code)


async def lock(calls: Calls, caller: Caller, params: live.LockRequest) -> live.Lock:
    """`user.lock`."""
    reason = _reason(params.reason)
    if not SHORTEST_LOCK <= params.seconds <= LONGEST_LOCK:
        raise Refused("lock-time", limit=LONGEST_LOCK // 86400)
    if params.user == caller.person.name:
        raise Refused("not-yourself")
    sessions = sum(1 for each in calls.parts.sessions.live.values() if each.visit.user == params.user)
    until = moments.now() + timedelta(seconds=params.seconds)
    await calls.parts.access.lock(params.user, until, caller.person, caller.source, reason)
    await calls.parts.sessions.reconsider()
    return live.Lock(
        user=params.user, until=moments.to_text(until), by=caller.person.name, reason=reason, at=now(),
        sessions=sessions,
    )  # fmt: skip


async def unlock(calls: Calls, caller: Caller, params: live.UnlockRequest) -> None:
    """`user.unlock`."""
    reason = _reason(params.reason)
    if not any(row.name == params.user for row in await calls.parts.access.locks()):
        raise Refused("not-locked", user=params.user[:128])
    await calls.parts.access.lock(params.user, None, caller.person, caller.source, reason)


async def locks(calls: Calls, _caller: Caller, _params: methods.Nothing) -> list[live.Lock]:
    """`user.locks`."""
    return [
        live.Lock(user=row.name, until=row.until, by=row.by, reason=row.reason, at=row.at)
        for row in await calls.parts.access.locks()
    ]
