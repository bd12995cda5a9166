"""The calls about evidence: bundles of a session. What is given away is on record before its first byte is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.api.reports import Report, ReportRequest
from bastion.audit import legal_holds as holds
from bastion.audit.bundle import BundleImpossible, BundleMaker, Wanted
from bastion.audit.journal import JournalFailed, now
from bastion.audit.records import Act
from bastion.audit.report import report as reported
from bastion.audit.retention import Stopped
from bastion.audit.segments import JournalUnreadable
from bastion.audit.storage import shown, usages
from bastion.store import schema

from . import exports
from .parts import Parts

if TYPE_CHECKING:
    from bastion.access.export_files import Kept

    from .caller import Caller

LONGEST_REASON = 500


async def bundle(parts: Parts, caller: Caller, params: methods.BundleRequest) -> m.ExportFile:
    """`audit.bundle`: made, sealed and on record before anybody can fetch it."""
    user, owner = caller.person.name, caller.person.key
    reason = params.reason.strip()[:LONGEST_REASON]
    if not reason:
        raise Refused("evidence-reason")
    live = parts.sessions.live.get(params.session)
    if live is not None:
        with contextlib.suppress(TimeoutError):  # then the bundle has what the file has
            await live.settle_recording()
    await parts.audit.settle()
    parts.journal.checkpoint()
    wanted = Wanted(params.session, user, params.results, params.screens, parts.journal.number)
    files = parts.exports
    kept = await asyncio.to_thread(
        files.begin, owner, params.session, None, "", "bundle", f"evidence-{params.session[:40]}.zip"
    )
    try:
        digest = await asyncio.to_thread(_fill, parts, kept, wanted)
        kept = await asyncio.to_thread(files.finish, owner, kept.id, 0, digest)
        detail: dict[str, str | int | None] = {
            "reason": reason, "bytes": kept.bytes, "sha256": kept.digest,
            "results": "yes" if params.results else "no", "screens": "yes" if params.screens else "no",
        }  # fmt: skip
        act = "evidence-bundled"
        await parts.record(
            Act(at=now(), user=user, source=caller.source, act=act, subject=params.session, detail=detail)
        )
    except BaseException as error:
        with contextlib.suppress(Refused):
            await asyncio.to_thread(files.abandon, owner, kept.id)
        if isinstance(error, BundleImpossible):
            raise Refused("bundle-impossible", session=params.session[:64], detail=str(error)) from error
        raise
    return exports.shown(kept)


async def read(parts: Parts, caller: Caller, params: methods.ExportRead) -> m.ExportPiece:
    """`audit.bundle.read`: the next piece; fetching it is on record like that of an export."""
    return await exports.read(parts, caller, params)


async def remove(parts: Parts, caller: Caller, params: methods.ById) -> None:
    """`audit.bundle.remove`: fetched, or no longer wanted."""
    await exports.abandon(parts, caller, params)


def alarms(parts: Parts) -> list[m.StorageState]:
    """Disks of the record that are nearly full."""
    return [] if parts.housekeeping is None else parts.housekeeping.storage.alarms


async def legal_holds(parts: Parts, _caller: Caller, _params: methods.Nothing) -> list[m.LegalHold]:
    """`legal-hold.list`."""
    return await parts.store.read(holds.holds)


async def legal_hold_add(parts: Parts, caller: Caller, params: methods.ById) -> m.LegalHold:
    """`legal-hold.add`: in force before it is on record, so that nothing goes meanwhile; taken back where it is not."""
    reason = params.reason.strip()[:LONGEST_REASON]
    if not reason:
        raise Refused("evidence-reason")
    await parts.audit.settle()
    held = await parts.store.run(holds.add(params.id, reason, caller.person.name, now()))
    try:
        await _held(parts, caller, "legal-hold-added", held, reason)
    except BaseException:
        await parts.store.run(holds.remove(params.id))
        raise
    return held


async def legal_hold_remove(parts: Parts, caller: Caller, params: methods.ById) -> m.LegalHold:
    """`legal-hold.remove`: on record before it holds no more."""
    reason = params.reason.strip()[:LONGEST_REASON]
    if not reason:
        raise Refused("evidence-reason")
    held = next((one for one in await parts.store.read(holds.holds) if one.session == params.id), None)
    if held is None:
        raise Refused("hold-unknown", session=params.id[:64])
    await _held(parts, caller, "legal-hold-removed", held, reason)
    return await parts.store.run(holds.remove(params.id))


async def _held(parts: Parts, caller: Caller, act: str, held: m.LegalHold, reason: str) -> None:
    detail: dict[str, str | int | None] = {"reason": reason, "screen": held.screen}
    await parts.record(
        Act(
            at=now(), user=caller.person.name, source=caller.source, act=act, subject=held.session, detail=detail
        )
    )  # fmt: skip


async def report(
    parts: Parts, caller: Caller, params: ReportRequest, prove: Callable[[], Awaitable[m.Proof]]
) -> Report:
    """`audit.report`: on record before it is given."""
    await parts.audit.settle()
    user = caller.person.name
    made = await parts.store.read(reported(params, user, now(), parts.configuration.node))
    if params.prove:
        made.proof = await prove()
    detail: dict[str, str | int | None] = {
        "user": params.user, "database": params.database, "since": made.since, "until": made.until,
    }  # fmt: skip
    await parts.record(
        Act(at=now(), user=user, source=caller.source, act="report-made", subject="", detail=detail)
    )  # fmt: skip
    return made


async def retention(parts: Parts, _caller: Caller, _params: methods.Nothing) -> m.RetentionState:
    """`audit.retention`: the rules, and how full the disks are."""
    settings, configuration = parts.configuration.retention, parts.configuration
    await parts.audit.settle()

    def last(connection: sa.Connection) -> tuple[int, Any]:
        acts = schema.acts
        query = sa.select(acts.c.at, acts.c.subject).where(acts.c.kind == "tombstone").order_by(acts.c.at.desc())
        return len(holds.holds(connection)), connection.execute(query.limit(1)).first()

    count, found = await parts.store.read(last)
    disks = await asyncio.to_thread(
        lambda: [shown(one) for one in usages([configuration.journal_folder, configuration.recordings_folder])]
    )
    return m.RetentionState(
        records=settings.records, recordings=settings.recordings, screens=settings.screens,
        recordings_bytes=settings.recordings_bytes, alarm=settings.alarm, holds=count,
        deleted_at=None if found is None else found.at, rule="" if found is None else found.subject, disks=disks,
    )  # fmt: skip


async def retention_run(parts: Parts, caller: Caller, params: methods.RetentionRequest) -> m.RetentionRun:
    """`audit.retention.run`: the order is on record before anything goes; what went, a tombstone says."""
    if parts.housekeeping is None:
        raise Refused("retention-failed", detail="this bastion does not serve")
    reason = params.reason.strip()[:LONGEST_REASON]
    if not params.dry:
        if not reason:
            raise Refused("evidence-reason")
        act, detail = "retention-ordered", {"reason": reason}
        await parts.record(
            Act(at=now(), user=caller.person.name, source=caller.source, act=act, subject="", detail={**detail})
        )
    try:
        outcome = await (parts.housekeeping.foresee() if params.dry else parts.housekeeping.retain(thorough=True))
    except (JournalFailed, JournalUnreadable, OSError, Stopped) as error:
        raise Refused("retention-failed", detail=str(error) or "the bastion stops") from error
    return m.RetentionRun(
        dry=params.dry, records=outcome.records, sessions=outcome.sessions, recordings=outcome.recordings,
        bytes=outcome.bytes,
    )  # fmt: skip


def _fill(parts: Parts, kept: Kept, wanted: Wanted) -> str:
    """Makes the bundle and seals its pieces; SHA-256 of all of it."""
    configuration = parts.configuration
    maker = BundleMaker(
        parts.store, parts.vault, parts.journal.signing_key, configuration.node, configuration.journal_folder,
        configuration.recordings_folder, configuration.state_folder, wanted,
    )  # fmt: skip
    digest = sha256()
    for number, piece in enumerate(maker.parts()):
        parts.exports.part(kept.user, kept.id, number, piece)
        digest.update(piece)
    return digest.hexdigest()
