"""The calls about evidence: bundles of a session. What is given away is on record before its first byte is."""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.audit.bundle import BundleImpossible, BundleMaker, Wanted
from bastion.audit.journal import now
from bastion.audit.records import Act

from . import exports
from .parts import Parts

if TYPE_CHECKING:
    from bastion.access.export_files import Kept

    from .calls import Caller

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
