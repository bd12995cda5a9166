"""Calls about the screens of served workstations: from the recording, and as they are now. Each look is on record."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from bastion.api.refusals import Refused
from bastion.api.screens import (
    PIECE,
    ScreenFollowRequest,
    ScreenOfRequest,
    ScreenPiece,
    ScreenReadRequest,
    ScreenSessions,
)
from bastion.audit import screen_recording
from bastion.audit.journal import now
from bastion.audit.recording_file import RecordingDamaged
from bastion.audit.records import Act

from .audit_calls import LEAST_REASON, LONGEST_REASON
from .parts import Parts
from .screen_watch import pack

if TYPE_CHECKING:
    from .caller import Caller

SHOWN, WATCHED = "screen-shown", "screen-watched"
"""The acts of looking at a recording, and at a screen as it is; their subject is the screen."""

SAME_LOOK = 60.0
"""Seconds within which another call belongs to the same look."""

MOST_LOOKS = 200


async def note_session(parts: Parts, caller: Caller, session: str, database: str) -> None:
    """A session is being opened in a served workstation: on record, so that its screen is found."""
    if caller.workstation:
        await parts.record(
            Act(
                at=now(), user=caller.person.name, source=caller.source, act=screen_recording.OPENED_IN,
                subject=session, detail={"screen": caller.workstation, "database": database},
            )
        )  # fmt: skip


async def screen_of(parts: Parts, _caller: Caller, params: ScreenOfRequest) -> ScreenSessions | None:
    """The workstation of a session, or by its id."""
    if not params.session and not params.id:
        raise Refused("invalid-params", method="screen.of", detail="session or id")
    await parts.audit.settle()
    found = await parts.store.read(screen_recording.screen_of(params.session, params.id))
    return None if found is None else ScreenSessions(screen=found[0], sessions=found[1])


async def read(parts: Parts, caller: Caller, params: ScreenReadRequest) -> ScreenPiece:
    """A piece of the recording."""
    await look(parts, caller, SHOWN, params.id, params.reason, anew=params.viewing)
    live = parts.workstations.named(params.id) if parts.workstations is not None else None
    if live is not None and live.recording is not None:
        with contextlib.suppress(TimeoutError):  # then the answer is what the file has
            await live.recording.settled()
    try:
        data, offset, more, packed = await asyncio.to_thread(_read, parts, params.id, max(params.offset, 0))
    except (FileNotFoundError, ValueError):
        if live is None:
            raise Refused("screen-unknown", screen=params.id[:64]) from None
        data, offset, more, packed = b"", max(params.offset, 0), False, b""
    except RecordingDamaged as damaged:
        raise Refused("screen-damaged", screen=params.id[:64], detail=str(damaged)) from damaged
    return ScreenPiece(data=packed, offset=offset, next=offset + len(data), live=live is not None, more=more)


def _read(parts: Parts, id: str, offset: int) -> tuple[bytes, int, bool, bytes]:
    folder = parts.configuration.recordings_folder
    data, begins, more = screen_recording.cast_from(folder, parts.vault, id, offset, PIECE)
    return data, begins, more, pack(data) if data else b""


async def follow(parts: Parts, caller: Caller, params: ScreenFollowRequest) -> ScreenPiece:
    """A piece of what comes now."""
    session = parts.workstations.named(params.id) if parts.workstations is not None else None
    if session is None:
        if params.after is not None and caller.looks.get((WATCHED, params.id)) is not None:
            # Its end: what came last is in the recording.
            return ScreenPiece(data=b"", offset=params.after, next=params.after, live=False)
        raise Refused("screen-not-live", screen=params.id[:64])
    await look(parts, caller, WATCHED, params.id, params.reason)
    return await session.watched().piece(params.after, params.wait)


async def look(parts: Parts, caller: Caller, act: str, id: str, reason: str, *, anew: bool = False) -> None:
    """On record once a look, before anything of it is given. Raises Refused where a reason is missing: where results
    are masked, screens are too, since they show them."""
    moment, last = monotonic(), caller.looks.get((act, id))
    if last is None or anew or moment - last > SAME_LOOK:
        settings = await parts.access.settings()
        reason = reason.strip()[:LONGEST_REASON]
        if settings.audit.mask_results and len(reason) < LEAST_REASON:
            raise Refused("results-masked")
        detail: dict[str, str | int | None] = {"reason": reason} if reason else {}
        await parts.record(
            Act(at=now(), user=caller.person.name, source=caller.source, act=act, subject=id[:64], detail=detail)
        )
    if len(caller.looks) >= MOST_LOOKS:
        caller.looks.pop(next(iter(caller.looks)))
    caller.looks[act, id] = moment
