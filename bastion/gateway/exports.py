"""The calls about exports that wait on the bastion. Each export and each time one is fetched is on record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bastion.access.export_files import FORMATS, KEPT_SECONDS, Kept, detail_of
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.audit.journal import now
from bastion.audit.records import Act

from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller

LOOKED_AT = 1000
"""Statements of the session that are compared with the one that is exported, the newest first."""


async def begin(parts: Parts, caller: Caller, params: methods.ExportBegin) -> m.ExportFile:
    """`export.begin`: for a result of one's own session."""
    user = caller.person.name
    if params.format not in FORMATS:
        raise Refused("invalid-params", method="export.begin", detail="the format is one of " + ", ".join(FORMATS))
    live = parts.sessions.live.get(params.session)
    if live is not None and live.visit.user == user:
        database = live.view().database
    else:
        await parts.audit.settle()
        found = await parts.audit.sessions(m.SessionFilter(id=params.session, user=user, limit=1))
        if not found:
            raise Refused("session-unknown", session=params.session[:64])
        database = found[0].database
    await parts.audit.settle()
    wanted = m.StatementFilter(session=params.session, user=user, newest=True, limit=LOOKED_AT)
    page = await parts.audit.statements(wanted)
    seq = next((s.seq for s in page.statements if s.text.strip() == params.statement.strip()), None)
    name = "".join(c for c in params.name if c.isprintable() and c not in '/\\:*?"<>|')[:100] or "result"
    files = parts.exports
    kept = await asyncio.to_thread(files.begin, caller.person.key, params.session, seq, database, params.format, name)
    return shown(kept)


async def part(parts: Parts, caller: Caller, params: methods.ExportPart) -> None:
    """`export.part`."""
    await asyncio.to_thread(parts.exports.part, caller.person.key, params.id, params.number, params.data)


async def finish(parts: Parts, caller: Caller, params: methods.ExportFinish) -> m.ExportFile:
    """`export.finish`: on record before anybody can fetch it."""
    files, user = parts.exports, caller.person.key
    kept = await asyncio.to_thread(files.finish, user, params.id, params.rows, params.digest)
    try:
        await _record(parts, caller, "result-exported", kept)
    except BaseException:
        await asyncio.to_thread(files.abandon, user, params.id)
        raise
    return shown(kept)


async def abandon(parts: Parts, caller: Caller, params: methods.ById) -> None:
    """`export.abandon`: given up, or no longer wanted."""
    await asyncio.to_thread(parts.exports.abandon, caller.person.key, params.id)


async def listing(parts: Parts, caller: Caller, _params: methods.Nothing) -> list[m.ExportFile]:
    """`export.list`."""
    return [shown(kept) for kept in await asyncio.to_thread(parts.exports.finished, caller.person.key)]


async def read(parts: Parts, caller: Caller, params: methods.ExportRead) -> m.ExportPiece:
    """`export.read`: on record before the first piece is given, wherever it lies; what follows it is of that time."""
    files = parts.exports
    kept = await asyncio.to_thread(files.find, caller.person.key, params.id)
    if not files.goes_on(kept, params.after):
        await _record(parts, caller, "export-fetched", kept)
    data, following = await asyncio.to_thread(files.read, kept, params.after)
    if following is not None:
        files.expect(kept, following)
    return m.ExportPiece(data=data, next=following)


async def _record(parts: Parts, caller: Caller, act: str, kept: Kept) -> None:
    await parts.record(
        Act(
            at=now(), user=caller.person.name, source=caller.source, act=act, subject=kept.id,
            detail=detail_of(kept),
        )
    )  # fmt: skip


def shown(kept: Kept) -> m.ExportFile:
    """As its owner sees it."""
    return m.ExportFile(
        id=kept.id, session=kept.session, seq=kept.seq, database=kept.database, format=kept.format, name=kept.name,
        rows=kept.rows, bytes=kept.bytes, digest=kept.digest, begun_at=_moment(kept.begun_at),
        until=_moment(kept.begun_at + KEPT_SECONDS),
    )  # fmt: skip


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
