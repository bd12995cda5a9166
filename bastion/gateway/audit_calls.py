"""The calls about the record: searches, counts, names, saved filters, results. Every look at others' is on record."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.audit import saved_filters
from bastion.audit.deleted_rows import recording_deleted
from bastion.audit.masking import mask
from bastion.audit.names import names, tables_named
from bastion.audit.search import check_bounds
from bastion.audit.shown_results import asked_for, shown
from bastion.store.interruption import Interrupted, Interruption

from .audit_exports import AuditExports
from .looks import Looks, act_of
from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller

PAGE_SECONDS = 25.0
"""Seconds that a page of a listing in view may take: its reader waits 30."""

SEARCH_SECONDS = 300.0
"""Seconds that any other search may take."""

LISTING = 1000
LONGEST_RECORDED = 8000
"""Characters of a filter in its record."""

LONGEST_REASON = 500
LEAST_REASON = 3
_NOT_RECORDED = ("limit", "after", "after_value", "stream")


class AuditCalls:
    """One for a gateway."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.looks = Looks(parts)
        self._at_work: dict[tuple[int, str], Interruption] = {}
        self._exports = AuditExports(parts)

    # ----------------------------------------------------------------------------------------------------- searches

    async def statements(self, caller: Caller, params: m.StatementFilter) -> m.StatementPage:
        """`audit.search`."""
        restrict(caller, params)
        await self._parts.audit.settle()
        async with self._interruptible(caller, params.stream) as interruption:
            page = await self._parts.audit.statements(params, interruption)
        await self._searched(caller, "statements", params)
        return page

    async def sessions(self, caller: Caller, params: m.SessionFilter) -> list[m.Session]:
        """`sessions.list`: those that are open, with their figures, or those on record."""
        restrict(caller, params)
        params.limit = min(params.limit, LISTING) if params.limit > 0 else LISTING
        live = {session.id: session for session in self._parts.sessions.views()}
        if params.live and not _narrowed(params):
            found = [session for session in live.values() if _matches(session, params)]
            found.sort(key=lambda session: session.started_at, reverse=params.newest)
            return found[: params.limit]
        await self._parts.audit.settle()
        stored = await self._parts.audit.sessions(params)
        await self._searched(caller, "sessions", params)
        return [live.get(session.id, session) for session in stored]

    async def count_statements(self, caller: Caller, params: m.StatementFilter) -> m.Count:
        """`audit.count`."""
        restrict(caller, params)
        async with self._interruptible(caller, params.stream) as interruption:
            count = await self._parts.audit.count_statements(params, interruption)
        await self._searched(caller, "statements", params)
        return count

    async def count_sessions(self, caller: Caller, params: m.SessionFilter) -> m.Count:
        """`sessions.count`."""
        restrict(caller, params)
        async with self._interruptible(caller, params.stream) as interruption:
            count = await self._parts.audit.count_sessions(params, interruption)
        await self._searched(caller, "sessions", params)
        return count

    async def names(self, caller: Caller, _params: methods.Nothing) -> m.AuditNames:
        """`audit.names`."""
        return await self._parts.store.read(names(None if caller.sees_all else caller.person.name))

    async def tables(self, caller: Caller, params: methods.ShowRequest) -> m.AuditNames:
        """`audit.tables`."""
        user = None if caller.sees_all else caller.person.name
        return await self._parts.store.read(tables_named(params.session, params.seq, user))

    @asynccontextmanager
    async def _interruptible(self, caller: Caller, stream: str) -> AsyncIterator[Interruption]:
        """A search that ends when its reader has begun another one of the same stream, or is gone."""
        interruption = Interruption(PAGE_SECONDS if stream else SEARCH_SECONDS)
        key = (id(caller), stream)
        if stream:
            before = self._at_work.get(key)
            if before is not None:
                before.stop()
            self._at_work[key] = interruption
        try:
            yield interruption
        except Interrupted as error:
            if error.late:
                seconds = PAGE_SECONDS if stream else SEARCH_SECONDS
                raise Refused("search-too-long", seconds=int(seconds)) from error
            raise Refused("search-replaced") from error
        except asyncio.CancelledError:
            interruption.stop()
            raise
        finally:
            if self._at_work.get(key) is interruption:
                del self._at_work[key]

    async def _searched(self, caller: Caller, what: str, wanted: m.StatementFilter | m.SessionFilter) -> None:
        """On record, before anything that was found is given to somebody who sees what others did."""
        if not caller.sees_all:
            return
        text = recorded(wanted)
        key = ("searched", caller.person.name, caller.source, what, text)
        await self.looks.note(key, act_of(caller.person.name, caller.source, "audit-searched", what, filter=text))

    # ------------------------------------------------------------------------------------------------- saved filters

    async def filters(self, caller: Caller, _params: methods.Nothing) -> list[m.SavedFilter]:
        """`audit.filters.list`."""
        return await self._parts.store.read(saved_filters.listed(caller.person.name))

    async def filter_save(self, caller: Caller, params: methods.SaveFilter) -> m.SavedFilter:
        """`audit.filters.save`."""
        owner = caller.person.name
        name = saved_filters.checked(params.name, params.text, params.what)
        wanted = m.SavedFilter(name=name, owner=owner, text=params.text, what=params.what, shared=params.shared)
        kept = await self._parts.store.run(saved_filters.save(owner, wanted))
        await self._parts.record(
            act_of(owner, caller.source, "filter-saved", name, text=kept.text, what=kept.what,
                   shared="yes" if kept.shared else "no")
        )  # fmt: skip
        return kept

    async def filter_remove(self, caller: Caller, params: methods.ByName) -> None:
        """`audit.filters.remove`."""
        await self._parts.store.run(saved_filters.remove(caller.person.name, params.name))
        await self._parts.record(act_of(caller.person.name, caller.source, "filter-removed", params.name))

    # ------------------------------------------------------------------------------------------------------- exports

    async def export_begin(self, caller: Caller, params: methods.AuditExportBegin) -> m.AuditExport:
        """`audit.export.begin`."""
        wanted = (params.statements if params.what == "statements" else params.sessions) or (
            m.StatementFilter() if params.what == "statements" else m.SessionFilter()
        )
        restrict(caller, wanted)
        return await self._exports.begin(caller, params, recorded(wanted))

    async def export_read(self, caller: Caller, params: methods.AuditExportRead) -> m.AuditExportPiece:
        """`audit.export.read`."""
        return await self._exports.read(caller, params.id)

    async def export_state(self, caller: Caller, params: methods.ById) -> m.AuditExport:
        """`audit.export.state`."""
        return self._exports.state(caller, params.id)

    async def export_cancel(self, caller: Caller, params: methods.ById) -> m.AuditExport:
        """`audit.export.cancel`."""
        return await self._exports.cancel(caller, params.id)

    # ------------------------------------------------------------------------------------------------------- results

    async def result(self, caller: Caller, params: methods.ShowRequest) -> m.StatementResult:
        """`audit.show`: on record before anything of it is given."""
        parts = self._parts
        live = parts.sessions.live.get(params.session)
        if live is not None:
            with contextlib.suppress(TimeoutError):  # then the answer is what the file has
                await live.settle_recording()
        await parts.audit.settle()
        asked = await parts.store.read(asked_for(params.session, params.seq))
        masked = await self.masks(params.unmask, params.reason)
        who, source, subject = caller.person.name, caller.source, params.session
        if params.unmask and not masked and params.reason.strip():
            reason = params.reason.strip()[:LONGEST_REASON]
            key = ("unmasked", who, source, subject, str(params.seq), reason)
            await self.looks.note(key, act_of(who, source, "result-unmasked", subject, seq=params.seq, reason=reason))
        key = ("shown", who, source, subject, str(params.seq), str(masked))
        detail: dict[str, str | int | None] = {"seq": params.seq, "from": params.after}
        if masked:
            detail["masked"] = "yes"
        await self.looks.note(key, act_of(who, source, "result-shown", subject, **detail))
        folder, node = parts.configuration.recordings_folder, parts.configuration.node
        answer = await asyncio.to_thread(shown, asked, folder, parts.vault, node, max(params.after, 0), params.limit)
        if answer.why in ("not-recorded", "died") and await parts.store.read(recording_deleted(subject)):
            answer.why = "deleted"
        return mask(answer) if masked else answer

    async def masks(self, unmask: bool, reason: str) -> bool:
        """Whether the values of results are to be masked. Raises Refused for an unmasking without a reason."""
        settings = await self._parts.access.settings()
        if not settings.audit.mask_results:
            return False
        if unmask and len(reason.strip()) < LEAST_REASON:
            raise Refused("results-masked")
        return not unmask


def restrict(caller: Caller, wanted: m.StatementFilter | m.SessionFilter) -> None:
    """Whoever does not see everything sees their own alone, whatever was asked for. Raises Refused for bad numbers."""
    if isinstance(wanted, m.StatementFilter):
        check_bounds(wanted)
    if not caller.sees_all:
        wanted.user = caller.person.name


def recorded(wanted: m.StatementFilter | m.SessionFilter) -> str:
    """What a filter asks for, as JSON: the same for the same question, on whichever page of its answer."""
    fields: dict[str, Any] = {}
    for each in msgspec.structs.fields(wanted):
        value = getattr(wanted, each.name)
        if each.name not in _NOT_RECORDED and value not in (None, False, "", [], {}):
            fields[each.name] = value
    return msgspec.json.encode(fields, order="sorted").decode()[:LONGEST_RECORDED]


def _narrowed(wanted: m.SessionFilter) -> bool:
    """Whether it asks for more than the figures of open sessions can tell."""
    return bool(
        wanted.words or wanted.any_of or wanted.none_of or wanted.order or wanted.after or wanted.account
        or wanted.source or wanted.client or wanted.token or wanted.state or wanted.since or wanted.until
        or wanted.unattributed is not None
    )  # fmt: skip


def _matches(session: m.Session, wanted: m.SessionFilter) -> bool:
    return (
        (wanted.user is None or session.user == wanted.user)
        and (wanted.database is None or session.database == wanted.database)
        and (wanted.id is None or session.id == wanted.id)
    )
