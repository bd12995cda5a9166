"""What each call of the control API does. The same table answers the control channel, `exec`, and the local socket."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from bastion import __version__
from bastion.api import live, methods
from bastion.api import messages as m
from bastion.api.methods import Method
from bastion.api.refusals import Refused
from bastion.api.reports import Report, ReportRequest
from bastion.audit import screen_recording
from bastion.audit.chain import AnchorUnreadable, KeyUnreadable, read_public_key
from bastion.audit.comparison import with_store
from bastion.audit.journal import JournalFailed
from bastion.audit.recording_file import RecordingDamaged
from bastion.audit.verify import NothingToVerify, verify

from . import evidence, explain, exports, personal, screens, supervision, watches, witness
from .audit_calls import AuditCalls
from .caller import Caller
from .live_list import Habits, live_list
from .parts import Parts
from .state import apply_state, export_state
from .watches import Watches

logger = logging.getLogger(__name__)

LISTING = 1000
"""Sessions of one listing."""

Handler = Callable[["Calls", Caller, Any], Awaitable[Any]]


class Calls:
    """Answers calls. Every no is a Refused; what fails unexpectedly is logged and told as `internal`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._verifying = asyncio.Lock()
        self.audit = AuditCalls(parts)
        self.habits = Habits(self)
        self.tell_person: Callable[[str, live.Notice], int] = lambda user, notice: 0
        """Tells somebody's workstations; how many there were."""

    @property
    def parts(self) -> Parts:
        """What the calls stand on."""
        return self._parts

    @cached_property
    def watches(self) -> Watches:
        """Who watches which session."""
        return Watches(self._parts.sessions, self._parts.journal)

    async def answer(self, caller: Caller, name: str, params: dict[str, Any]) -> Any:
        """The result of one call, ready to be encoded. Raises Refused."""
        method = methods.BY_NAME.get(name)
        handler = _HANDLERS.get(name)
        if method is None or handler is None:
            raise Refused("unknown-method", method=name[:64])
        try:
            converted = msgspec.convert(params, method.params)
        except msgspec.ValidationError as error:
            raise Refused("invalid-params", method=name, detail=str(error)) from error
        return await self.call(caller, method, converted)

    async def call(self, caller: Caller, method: Method, params: Any) -> Any:
        """The same with typed params."""
        try:
            if not caller.local:
                # Roles and locks hold from the moment they are set, not from the next login on.
                caller.person = await self._parts.access.person(caller.person.name)
            if method.roles and not method.roles & caller.person.roles:
                raise Refused("role-missing", role=" or ".join(sorted(method.roles)), user=caller.person.name)
            return await _HANDLERS[method.name](self, caller, params)
        except JournalFailed as error:
            raise Refused("record-failed") from error
        except Refused:
            raise
        except Exception as error:
            reference = secrets.token_hex(4)
            logger.exception("the call %s failed; reference %s", method.name, reference)
            raise Refused("internal", reference=reference) from error

    # ----------------------------------------------------------------------------------------------- the person's own

    async def hello(self, caller: Caller, _params: methods.Nothing) -> m.Hello:
        settings = await self._parts.access.settings()
        declared = settings.advertise
        return m.Hello(
            user=caller.person.name,
            roles=sorted(caller.person.roles),
            version=__version__,
            bastion=self._parts.advertise if declared is None else m.Address(host=declared.host, port=declared.port),
            node=self._parts.configuration.node,
            ask=await self._parts.access.administrators(),
            token_validity=settings.token.validity,
            token_longest=settings.token.longest,
            alarms=evidence.alarms(self._parts) if caller.sees_all else [],
        )

    async def databases(self, caller: Caller, params: methods.DatabaseList) -> list[m.Database]:
        return await self._parts.access.databases(caller.person, params)

    async def token_request(self, caller: Caller, params: methods.TokenRequest) -> m.Token:
        return await self._parts.access.request_token(caller.person, params, caller.source)

    async def token_show(self, caller: Caller, params: methods.ById) -> m.Token:
        return await self._parts.access.show_token(caller.person, params.id, caller.source)

    async def tokens(self, caller: Caller, _params: methods.Nothing) -> list[m.TokenState]:
        return await self._parts.access.tokens(caller.person)

    async def token_renew(self, caller: Caller, params: methods.ById) -> m.Token:
        return await self._parts.access.renew_token(caller.person, params.id, caller.source)

    async def token_revoke(self, caller: Caller, params: methods.ById) -> m.TokenState:
        return await self._parts.access.revoke_token(caller.person, params.id, params.reason, caller.source)

    async def tunnel_open(self, caller: Caller, params: methods.TunnelRequest) -> m.Tunnel:
        if caller.promises is None:
            raise Refused("tunnel-not-open")
        if params.purpose not in ("console", "client", "catalog"):
            raise Refused("invalid-params", method="tunnel.open", detail="purpose is console, client or catalog")
        admission = await self._parts.access.admit(caller.person.name, params.token)
        tunnel = caller.promises.add(caller.person.name, caller.source, admission, params.purpose)
        await screens.note_session(self._parts, caller, tunnel.session, tunnel.database)
        return tunnel

    async def ca(self, _caller: Caller, _params: methods.Nothing) -> m.Certificate:
        return m.Certificate(pem=self._parts.authority.certificate_pem)

    async def subscribe(self, caller: Caller, params: methods.Subscription) -> None:
        if caller.subscribe is None:
            raise Refused("unknown-method", method="subscribe")
        caller.subscribe(caller.person, params.topics)

    # ------------------------------------------------------------------------------------------ sessions and the audit

    async def session_cancel(self, caller: Caller, params: methods.ById) -> bool:
        await self.may_touch(caller, params.id)
        return await self._parts.sessions.cancel(params.id, caller.person.name, params.reason or "asked for")

    async def may_touch(self, caller: Caller, session_id: str) -> None:
        """The session is live and the caller's own, or the caller watches over all. Raises Refused."""
        live = self._parts.sessions.live.get(session_id)
        if live is not None:
            if caller.sees_all or live.visit.user == caller.person.name:
                return
            raise Refused("session-unknown", session=session_id[:64])
        user = None if caller.sees_all else caller.person.name
        await self._parts.audit.settle()
        past = await self._parts.audit.sessions(m.SessionFilter(id=session_id, user=user, limit=1))
        raise Refused("session-not-live" if past else "session-unknown", session=session_id[:64])

    async def screens(self, _caller: Caller, params: methods.ScreenFilter) -> list[m.Screen]:
        await self._parts.audit.settle()
        limit = min(max(params.limit, 1), LISTING)
        return await self._parts.store.read(screen_recording.screens(params.user, limit))

    async def screen(self, caller: Caller, params: methods.ScreenRequest) -> m.ScreenPart:
        parts = self._parts
        await screens.look(parts, caller, screens.SHOWN, params.id, params.reason, anew=params.after <= 0)
        folder = parts.configuration.recordings_folder
        try:
            data, after = await asyncio.to_thread(
                screen_recording.cast, folder, parts.vault, params.id, max(params.after, 0)
            )
        except (FileNotFoundError, ValueError):
            raise Refused("screen-unknown", screen=params.id[:64]) from None
        except RecordingDamaged as damaged:
            raise Refused("screen-damaged", screen=params.id, detail=str(damaged)) from damaged
        return m.ScreenPart(data=data, next=after)

    async def verify(self, _caller: Caller, params: methods.VerifyRequest) -> m.Proof:
        # One at a time: each reads the whole journal.
        try:
            async with self._verifying:
                return await asyncio.to_thread(self._verify_now, params.anchor)
        except (AnchorUnreadable, KeyUnreadable, NothingToVerify) as error:
            raise Refused("invalid-params", method="audit.verify", detail=str(error)) from error

    async def report(self, caller: Caller, params: ReportRequest) -> Report:
        return await evidence.report(self._parts, caller, params, lambda: self.verify(caller, methods.VerifyRequest()))

    async def anchor(self, _caller: Caller, _params: methods.Nothing) -> m.Anchor:
        return m.Anchor(text=self._parts.audit.anchor())

    def _verify_now(self, anchor: str | None) -> m.Proof:
        configuration = self._parts.configuration
        public_key = read_public_key(configuration.public_key)
        if anchor is None:
            proof = verify(configuration.journal_folder, public_key, None, configuration.recordings_folder)
            return with_store(proof, self._parts.store, configuration.journal_folder)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".anchor") as file:
            file.write(anchor)
            file.flush()
            proof = verify(configuration.journal_folder, public_key, Path(file.name), configuration.recordings_folder)
        return with_store(proof, self._parts.store, configuration.journal_folder)

    # --------------------------------------------------------------------------------------------- the declared state

    async def apply(self, caller: Caller, params: methods.ApplyRequest) -> m.Applied:
        if not caller.local:
            raise Refused("unknown-method", method="state.apply")
        return await apply_state(self._parts, caller.person.name, caller.source, params)

    async def export(self, caller: Caller, _params: methods.Nothing) -> dict[str, Any]:
        if not caller.local:
            raise Refused("unknown-method", method="state.export")
        return await export_state(self._parts)


def _on_audit(answer: Callable[[AuditCalls, Caller, Any], Awaitable[Any]]) -> Handler:
    """A call about the record."""

    async def handler(calls: Calls, caller: Caller, params: Any) -> Any:
        return await answer(calls.audit, caller, params)

    return handler


def _on_parts(answer: Callable[[Parts, Caller, Any], Awaitable[Any]]) -> Handler:
    """A call that is answered elsewhere, from the parts alone."""

    async def handler(calls: Calls, caller: Caller, params: Any) -> Any:
        return await answer(calls._parts, caller, params)

    return handler


_HANDLERS: dict[str, Handler] = {
    methods.HELLO.name: Calls.hello,
    methods.DATABASES.name: Calls.databases,
    methods.TOKEN_REQUEST.name: Calls.token_request,
    methods.TOKEN_SHOW.name: Calls.token_show,
    methods.TOKENS.name: Calls.tokens,
    methods.TOKEN_RENEW.name: Calls.token_renew,
    methods.TOKEN_REVOKE.name: Calls.token_revoke,
    methods.TUNNEL_OPEN.name: Calls.tunnel_open,
    methods.SESSION_CANCEL.name: Calls.session_cancel,
    methods.SESSION_END.name: supervision.end,
    methods.LIVE.name: live_list,
    methods.WATCH.name: watches.watch,
    methods.UNWATCH.name: watches.unwatch,
    methods.MESSAGE.name: supervision.message,
    methods.HOLD.name: supervision.hold,
    methods.RELEASE.name: supervision.release,
    methods.USER_LOCK.name: supervision.lock,
    methods.USER_UNLOCK.name: supervision.unlock,
    methods.USER_LOCKS.name: supervision.locks,
    methods.SESSIONS.name: _on_audit(AuditCalls.sessions),
    methods.STATEMENTS.name: _on_audit(AuditCalls.statements),
    methods.RESULT.name: _on_audit(AuditCalls.result),
    methods.STATEMENTS_COUNT.name: _on_audit(AuditCalls.count_statements),
    methods.SESSIONS_COUNT.name: _on_audit(AuditCalls.count_sessions),
    methods.AUDIT_NAMES.name: _on_audit(AuditCalls.names),
    methods.STATEMENT_TABLES.name: _on_audit(AuditCalls.tables),
    methods.FILTERS.name: _on_audit(AuditCalls.filters),
    methods.FILTER_SAVE.name: _on_audit(AuditCalls.filter_save),
    methods.FILTER_REMOVE.name: _on_audit(AuditCalls.filter_remove),
    methods.AUDIT_EXPORT_BEGIN.name: _on_audit(AuditCalls.export_begin),
    methods.AUDIT_EXPORT_READ.name: _on_audit(AuditCalls.export_read),
    methods.AUDIT_EXPORT_STATE.name: _on_audit(AuditCalls.export_state),
    methods.AUDIT_EXPORT_CANCEL.name: _on_audit(AuditCalls.export_cancel),
    methods.SCREENS.name: Calls.screens,
    methods.SCREEN.name: Calls.screen,
    methods.SCREEN_OF.name: _on_parts(screens.screen_of),
    methods.SCREEN_READ.name: _on_parts(screens.read),
    methods.SCREEN_FOLLOW.name: _on_parts(screens.follow),
    methods.VERIFY.name: Calls.verify,
    methods.ANCHOR.name: Calls.anchor,
    methods.CHECKPOINT.name: _on_parts(witness.checkpoint),
    methods.SUBSCRIBE.name: Calls.subscribe,
    methods.CA.name: Calls.ca,
    methods.APPLY.name: Calls.apply,
    methods.EXPORT.name: Calls.export,
    methods.EXPORT_BEGIN.name: _on_parts(exports.begin),
    methods.EXPORT_PART.name: _on_parts(exports.part),
    methods.EXPORT_FINISH.name: _on_parts(exports.finish),
    methods.EXPORT_ABANDON.name: _on_parts(exports.abandon),
    methods.EXPORT_LIST.name: _on_parts(exports.listing),
    methods.EXPORT_READ.name: _on_parts(exports.read),
    methods.REPORT.name: Calls.report,
    methods.LEGAL_HOLDS.name: _on_parts(evidence.legal_holds),
    methods.LEGAL_HOLD_ADD.name: _on_parts(evidence.legal_hold_add),
    methods.LEGAL_HOLD_REMOVE.name: _on_parts(evidence.legal_hold_remove),
    methods.RETENTION.name: _on_parts(evidence.retention),
    methods.RETENTION_RUN.name: _on_parts(evidence.retention_run),
    methods.BUNDLE.name: _on_parts(evidence.bundle),
    methods.BUNDLE_READ.name: _on_parts(evidence.read),
    methods.BUNDLE_REMOVE.name: _on_parts(evidence.remove),
    methods.EXPLAIN.name: _on_parts(explain.why),
    methods.PERSONAL_LIST.name: _on_parts(personal.items),
    methods.PERSONAL_PUT.name: _on_parts(personal.put),
    methods.PERSONAL_REMOVE.name: _on_parts(personal.remove),
}
