"""The registry of the node's live sessions: opening, listing, cancelling and ending them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from bastion.access.door import Admission
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit.journal import JournalFailed
from bastion.audit.recorder import Recorder
from bastion.audit.records import SessionClosed, SessionOpened, SessionRefused
from bastion.network import APPLICATION_PROTOCOLS, serving_context
from bastion.protocols.contract import CancelAsked, CancelKey, Engine

from .ending import closed, refused_record, spoken, tell
from .legs import Leg
from .life import EndedEarly, Life, Limits
from .live import Ending, LiveSession, Visit
from .record import Writer, now

logger = logging.getLogger(__name__)

NAMED = 5
"""Sessions that a refusal names."""


class Sessions:
    """All sessions of this node.

    admit      what a token may do at this moment (Access.admit); raises Refused
    digest     keyed digest of a credential that was taken out of a statement
    leaf       certificate chain and key (PEM) for these names, for clients that want TLS inside the tunnel
    recorder   keeps the results; None: they are not kept
    listeners  are called with `opened`, `changed` or `closed` and the session
    """

    def __init__(
        self,
        journal: Writer,
        admit: Callable[[str, str], Awaitable[Admission]],
        engines: Mapping[str, Engine],
        *,
        node: str,
        digest: Callable[[str], str],
        leaf: Callable[[Sequence[str]], tuple[str, str]] | None = None,
        limits: Limits | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._journal = journal
        self._admit = admit
        self._engines = engines
        self._node = node
        self._digest = digest
        self._leaf = leaf
        self._limits = limits or Limits()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._stopping = False
        self._none_left = asyncio.Event()
        self.live: dict[str, LiveSession] = {}
        self.listeners: list[Callable[[str, LiveSession], None]] = []

    def views(self) -> list[m.Session]:
        """The live sessions, oldest first."""
        return [session.view() for session in self.live.values()]

    def room(self) -> tuple[int, int, list[str]]:
        """Sessions that count against the limit, the limit, and whose they are."""
        people = [each.visit.user for each in self._counted()]
        return len(people), self._limits.sessions, people

    async def cancel(self, session_id: str, by: str, reason: str = "asked for") -> bool:
        """Cancels what the session is running. Raises Refused where there is no such live session."""
        return await self.find(session_id).cancel(by, reason)

    async def end(self, session_id: str, by: str, reason: str, code: str = "session-ended") -> m.Session:
        """Ends a session: cancelled on the database, told to the client by `code`. Raises Refused where there is
        none."""
        session = self.find(session_id)
        refused = Refused(code, by=by, reason=reason or "no reason given")
        session.end(Ending("ended", by, spoken(refused)))
        return session.view()

    def token_changed(self, kind: str, token: m.TokenState, user: str) -> None:
        """A token was renewed or revoked: its live sessions follow."""
        for session in list(self.live.values()):
            if session.visit.token != token.id:
                continue
            if kind == "renewed":
                session.expires_at = datetime.fromisoformat(token.expires_at)
            elif kind == "revoked":
                refused = Refused("token-revoked", at=now(), by=user, database=token.database)
                session.end(Ending("token-revoked", user, spoken(refused)))

    async def reconsider(self) -> None:
        """Users, grants or databases were changed: every live session must still be admitted."""
        for session in list(self.live.values()):
            try:
                admission = await self._admit(session.visit.user, session.visit.token)
                if session.replication and not admission.allow_replication:
                    raise Refused("replication-not-allowed", database=session.visit.database)
            except Refused as refused:
                session.end(Ending(refused.code, "", spoken(refused)))

    async def stop(self, seconds: float = 10.0) -> None:
        """Ends all sessions, for a bastion that is being stopped; waits for their last records, at most `seconds`."""
        self._stopping = True
        self._none_left.clear()
        for session in list(self.live.values()):
            session.end(Ending("bastion-stopping", "", spoken(Refused("bastion-stopping"))))
        if self.live:
            try:
                async with asyncio.timeout(seconds):
                    await self._none_left.wait()
            except TimeoutError:
                logger.warning("%d sessions did not end in time", len(self.live))

    async def open(self, client: Leg, visit: Visit) -> None:
        """Runs a session on an opened tunnel, to its end. What goes wrong is told to the client and recorded."""
        session = LiveSession(visit.session or new_session_id(), visit, self._node, self._journal)
        session.tell_by_ssh = getattr(client.transport, "tell", None)
        engine = self._engines.get(visit.engine)
        if engine is None:
            self._refuse_unspoken(session, client)
            return
        client_tls = None if self._leaf is None else lambda: self._client_context(visit)
        self.live[session.id] = session
        try:
            self._journal.append(self._opened(session))
            self._notify("opened", session)
            full = self._full(visit)
            cancel = None if full is None else await self._refuse_full(session, client, client_tls, full)
            if full is not None and cancel is None:
                return
            admission = await self._admit(visit.user, visit.token)
            session.production = admission.production
            life = Life(
                session=session,
                engine=engine,
                admission=admission,
                client=client,
                limits=self._limits,
                digest=self._digest,
                client_tls=client_tls,
                others=lambda: list(self.live.values()),
                changed=lambda: self._notify("changed", session),
                recorder=self._recorder,
            )
            await (life.run() if cancel is None else life.cancel_only(cancel))
        except Refused as refused:
            self._write(refused_record(session, "bastion", refused.code, str(refused)))
            await tell(engine, client, spoken(refused), client_tls)
        except EndedEarly as early:
            refusal = early.ending.refusal
            said = early.ending.reason if refusal is None else refusal.message
            self._write(refused_record(session, "bastion", early.ending.reason, said))
            if refusal is not None:
                await tell(engine, client, refusal, client_tls)
        except JournalFailed:
            logger.exception("session %s cannot be recorded, so it is ended", session.id)
            # The journal keeps the end of a session for when it can be written again.
            if session.relay is None:
                self._write(refused_record(session, "bastion", "record-failed", "the journal cannot be written"))
                await tell(engine, client, spoken(Refused("record-failed")), client_tls)
            elif session.state != "closed":
                self._write(closed(session, "record-failed"))
        except asyncio.CancelledError:
            self._write(refused_record(session, "bastion", "bastion-stopping", "the bastion was stopped"))
            raise
        except Exception:
            # A defect in one session must end that session only, on record, with the details in the log.
            logger.exception("session %s failed", session.id)
            self._write(refused_record(session, "bastion", "internal", "the bastion failed; see its log"))
        finally:
            client.close()
            del self.live[session.id]
            if not self.live:
                self._none_left.set()
            self._notify("closed", session)

    def _refuse_unspoken(self, session: LiveSession, client: Leg) -> None:
        """An engine may be declared before this version speaks it: there is nothing that its client could be told."""
        said = f"this version does not speak {session.visit.engine}"
        try:
            self._journal.append(self._opened(session), refused_record(session, "bastion", "engine-not-spoken", said))
        except JournalFailed:
            logger.exception("the end of a session could not be recorded")
        client.close()

    def _full(self, visit: Visit) -> Refused | None:
        """Why there is no room for one more, where there is none. Raises Refused when the bastion is being stopped."""
        if self._stopping:
            raise Refused("bastion-stopping")
        if visit.purpose == "catalog":
            return None
        # Whoever is being told why not takes no room: a flood of them would keep it from everybody else.
        counted = self._counted()
        if len(counted) > self._limits.sessions:
            return Refused("too-many-sessions", limit=self._limits.sessions)
        limit = self._limits.sessions_per_person
        own = [other for other in counted if other.visit.user == visit.user] if limit else []
        if limit and len(own) > limit:
            return Refused("too-many-sessions-of-person", limit=limit, sessions=_named(own[:limit]))
        return None

    def _counted(self) -> list[LiveSession]:
        return [each for each in self.live.values() if each.visit.purpose != "catalog" and each.state != "refused"]

    async def _refuse_full(
        self, session: LiveSession, client: Leg, client_tls: Callable[[], ssl.SSLContext] | None, full: Refused
    ) -> CancelKey | None:
        """Refuses the client, unless all that it wants is to cancel: that takes no room, and answers with the key."""
        session.state = "refused"
        result = await tell(self._engines[session.visit.engine], client, spoken(full), client_tls)
        if isinstance(result, CancelAsked):
            return result.key
        self._write(refused_record(session, "bastion", full.code, str(full)))
        return None

    def _opened(self, session: LiveSession) -> SessionOpened:
        visit = session.visit
        return SessionOpened(
            at=session.started_at,
            session=session.id,
            user=visit.user,
            source=visit.source,
            token=visit.token,
            database=visit.database,
            account=visit.account,
            engine=visit.engine,
            node=self._node,
            purpose=visit.purpose,
        )

    def _client_context(self, visit: Visit) -> ssl.SSLContext:
        context = self._contexts.get(visit.database)
        if context is None:
            assert self._leaf is not None
            chain, key = self._leaf((visit.database, "localhost", "127.0.0.1", "::1"))
            context = serving_context(chain, key, APPLICATION_PROTOCOLS.get(visit.engine, ()))
            self._contexts[visit.database] = context
        return context

    def find(self, session_id: str) -> LiveSession:
        """The live session of that id. Raises Refused."""
        session = self.live.get(session_id)
        if session is None:
            raise Refused("session-not-live", session=session_id)
        return session

    def _write(self, record: SessionRefused | SessionClosed) -> None:
        """The record of a session that came to nothing; there is nothing left to hold back if it fails."""
        try:
            self._journal.append(record)
        except JournalFailed:
            logger.exception("the end of a session could not be recorded")

    def changed(self, session: LiveSession) -> None:
        """What a listing shows of the session has changed."""
        self._notify("changed", session)

    def _notify(self, kind: str, session: LiveSession) -> None:
        for listener in self.listeners:
            listener(kind, session)


def new_session_id() -> str:
    """`s` and 16 characters of lower-case base 32 that sort by time: 45 bits of milliseconds, 35 random bits."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    value = (time.time_ns() // 1_000_000) << 35 | secrets.randbits(35)
    return "s" + "".join(digits[(value >> shift) & 31] for shift in range(75, -1, -5))


def _named(sessions: Sequence[LiveSession]) -> str:
    """Who uses them, in words, for a refusal: the oldest few."""
    words = [
        f"{session.client or session.visit.purpose} from {session.visit.source} to {session.visit.database} "
        f"since {session.started_at[:19]}Z"
        for session in sessions[:NAMED]
    ]
    more = len(sessions) - len(words)
    return "; ".join(words) + (f"; {more} more" if more else "")
