"""The life of one session: dialled, logged in, relayed, ended; on record throughout."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bastion.access.door import Admission
from bastion.api.refusals import Refused
from bastion.audit.journal import JournalFailed
from bastion.audit.recorder import Recorder
from bastion.audit.records import ClientNamed, SessionLoggedIn
from bastion.network import DialFailed, Target, dial, tls_context
from bastion.protocols.contract import (
    CancelAsked,
    CancelKey,
    CancelSteps,
    Engine,
    InBandCancel,
    LoggedIn,
    LoginEnded,
    LoginRequest,
    LoginResult,
    ProtocolError,
    TlsMode,
)

from .ending import closed, refused_record, spoken
from .legs import Leg, ServerConnection
from .live import Ending, LiveSession
from .login import Legs, RedialRefused, drive_cancel, drive_login, unless_ended
from .record import SessionRecord, now, raw_bytes
from .recording import SessionRecording
from .relay import Relay

logger = logging.getLogger(__name__)

LINGER = 5.0
"""Seconds that a database is given to answer a statement that was cancelled, before its connection is closed."""

CANCEL_AGAIN = 1.0
"""Seconds after which a statement that is still running is cancelled once more."""

FINISH = 24 * 3600.0
"""Seconds that a running statement may take to finish after its token has expired, where the rule is to let it."""


class EndedEarly(Exception):
    """The session was ended before there was a connection to the database."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Limits:
    """`sessions` counts all but side connections, `sessions_per_person` (0: no limit) those of one person.

    Times are seconds.
    """

    sessions: int = 500
    sessions_per_person: int = 0
    dial: float = 10.0
    login: float = 30.0


@dataclass(slots=True)
class Life:
    """One admitted session.

    digest      keyed digest of a credential that was taken out of a statement
    client_tls  makes the TLS rules towards the client; None: no TLS is offered inside the tunnel
    others      all live sessions of the node, for a client's order to cancel
    changed     is called when what a listing shows of the session has changed
    recorder    keeps the results; None: they are not kept
    """

    session: LiveSession
    engine: Engine
    admission: Admission
    client: Leg
    limits: Limits
    digest: Callable[[str], str]
    client_tls: Callable[[], ssl.SSLContext] | None
    others: Callable[[], Iterable[LiveSession]]
    changed: Callable[[], None]
    recorder: Recorder | None = None
    _login_client: str = ""

    async def run(self) -> None:
        """From the dial to the last record.

        Raises Refused and EndedEarly, of which the client is still to be told, and JournalFailed.
        """
        server = await self._dial(self.session.ending)
        legs = self._legs(self.client, server)
        try:
            result = await self._log_in(legs)
            self.session.database_tls = legs.tls_version
            match result:
                case LoginEnded():
                    self._log_in_failed(result)
                case CancelAsked(key=key):
                    await self._cancel_for_client(legs, key)
                case LoggedIn():
                    await self._relay(legs, result)
        finally:
            if legs.server is not None:
                legs.server.close()

    async def _dial(self, ended: asyncio.Future[Ending] | None = None, target: Target | None = None) -> Leg:
        """A new connection to the database. Raises Refused, and EndedEarly as soon as `ended` is done."""
        admission = self.admission
        try:
            async with unless_ended(None, ended):
                connection = await dial(target or self._target, ServerConnection, self.limits.dial)
        except TimeoutError as over:
            assert ended is not None
            raise EndedEarly(ended.result()) from over
        except DialFailed as failed:
            raise Refused(
                "database-unreachable",
                database=admission.database,
                host=admission.host,
                port=admission.port,
                detail=failed.detail,
            ) from failed
        assert connection.leg is not None
        return connection.leg

    @property
    def _target(self) -> Target:
        a = self.admission
        mode = TlsMode(a.tls_mode)
        return Target(a.host, a.port, a.domain, mode, a.tls_ca, a.certificate, a.certificate_key)

    @property
    def _request(self) -> LoginRequest:
        a = self.admission
        return LoginRequest(
            person=a.user,
            account=a.account,
            secret=a.secret,
            token=a.token_text,
            demand_token=a.client_password == "token",
            server_tls=TlsMode(a.tls_mode),
            client_tls=self.client_tls is not None,
            databases=a.databases,
            allow_replication=a.allow_replication,
            service=a.service,
            sid=a.sid,
        )

    def _legs(self, client: Leg | None, server: Leg) -> Legs:
        target = self._target
        return Legs(
            client,
            server,
            client_tls=self.client_tls,
            server_tls=lambda alpn: tls_context(target, alpn),
            server_name=target.host,
            server_pin=self.admission.tls_pin,
            shows_certificate=target.certificate is not None,
            redial=self._redial,
        )

    async def _redial(self, host: str | None, port: int | None) -> Leg:
        """Another connection, where the database sends this one elsewhere; None: the same address. For the login.

        Raises RedialRefused where that address may not be reached, or is not.
        """
        target = self._target
        if host is not None and port is not None:
            if (host.lower(), port) not in self.admission.redirects:
                refused = Refused("redirect-not-allowed", database=self.admission.database, host=host[:255], port=port)
                raise RedialRefused(spoken(refused))
            target = replace(target, host=host, port=port)
        try:
            return await self._dial(target=target)
        except Refused as failed:
            raise RedialRefused(spoken(failed)) from failed

    async def _log_in(self, legs: Legs) -> LoginResult:
        admission = self.admission
        late = Refused("login-timeout", database=admission.database, seconds=int(self.limits.login))

        def tls_failed(detail: str) -> Refused:
            return Refused("database-tls", database=admission.database, mode=admission.tls_mode, detail=detail)

        try:
            return await drive_login(
                self.engine.login(self._request),
                legs,
                self.limits.login,
                spoken(late),
                lambda detail: spoken(tls_failed(detail)),
                self.session.ending,
            )
        except ProtocolError as error:
            # The steps have told the client already, in the place of the handshake where it is.
            self.session.journal.append(raw_bytes(self.session.id, error, self.engine.name))
            return LoginEnded(by="bastion", error=f"not understood: {error.reason}")

    def _log_in_failed(self, result: LoginEnded) -> None:
        code = {"bastion": "login-refused", "database": "database-refused"}.get(result.by, "client-left")
        if result.by == "bastion" and self.session.ending.done():
            code = self.session.ending.result().reason
        record = refused_record(self.session, result.by, code, result.error, result.login, result.client)
        self.session.journal.append(record)

    async def cancel_only(self, key: CancelKey) -> None:
        """In the place of `run` where the client has been heard already: all that it wants is to cancel.

        Raises as `run` does.
        """
        server = await self._dial()
        try:
            await self._cancel_for_client(self._legs(self.client, server), key)
        finally:
            server.close()

    async def _cancel_for_client(self, legs: Legs, key: CancelKey) -> None:
        """A client asks on a second connection to cancel: passed on for this person's own sessions only.

        The protocols give no answer to it, so a refusal is on record only.
        """
        session, visit = self.session, self.session.visit
        target = next((each for each in self.others() if each.cancel_key == key), None)
        if target is not None and (target.visit.user, target.visit.database) == (visit.user, visit.database):
            await self._pass_on_cancel(target, legs, key)
            session.journal.append(closed(session, "cancel-request"))
            return
        code = "cancel-unknown" if target is None else "cancel-not-yours"
        refused = Refused(code, user=visit.user, database=visit.database)
        session.journal.append(refused_record(session, "bastion", code, str(refused)))

    async def _pass_on_cancel(self, target: LiveSession, legs: Legs, key: CancelKey) -> None:
        steps = self.engine.cancel(key, self._request)
        if isinstance(steps, InBandCancel):
            return
        on_server = replace(legs, client=None)
        await target.cancel(self.session.visit.user, "the client asked", lambda: drive_cancel(steps, on_server, LINGER))

    # --------------------------------------------------------------------------------------------------- the data phase

    async def _relay(self, legs: Legs, result: LoggedIn) -> None:
        assert legs.client is not None
        assert legs.server is not None
        session = self.session
        session.login, session.client = result.login, result.client
        self._login_client = result.client
        session.catalog, session.server_version = result.catalog, result.server_version
        session.cancel_key, session.expires_at = result.cancel_key, self.admission.expires_at
        session.replication = result.replication
        record = SessionRecord(session.journal, session.id, self.engine.name, self.digest)
        record.schema = result.schema
        record.named = self._client_named
        relay = Relay(
            session.id,
            (legs.client, legs.server),
            (result.client_side, result.server_side),
            record,
            session.journal,
            self._ended_by_itself,
        )
        session.record, session.relay, session.state = record, relay, "live"
        session.cancel_running = self._cancel_on_database
        session.journal.append(
            SessionLoggedIn(
                at=now(),
                session=session.id,
                login=result.login,
                client=result.client,
                catalog=result.catalog,
                schema=result.schema,
                server_version=result.server_version,
                database_tls=legs.tls_version,
            )
        )
        self.changed()
        if self.recorder is not None:
            relay.recording = SessionRecording(self.recorder, session.id, self.engine.name, result.server_side)
            record.uploads = relay.recording
            result.client_side.sample_uploads(self.recorder.limits.per_upload)
        if session.ending.done() or session.expires_at <= datetime.now(UTC):
            # It was ended during the login: what the client has sent ahead of it is not passed on.
            relay.stop_reading_client()
        try:
            relay.start(result.client_rest, result.server_rest)
            await self._finish(relay, await self._until_ending(relay))
        finally:
            if relay.recording is not None:
                relay.recording.forget(relay.bytes_down)

    def _client_named(self, said: str) -> None:
        """The database has been told another name of the client's program. Raises JournalFailed."""
        session = self.session
        program = said.removesuffix(f"({session.visit.user})")
        if program != said and f"{self._login_client or 'casemate'} ".startswith(program):
            said = self._login_client  # that of the login again, with the person's behind it
        if said != session.client:
            session.client = said
            session.journal.append_soon(ClientNamed(at=now(), session=session.id, client=said))
            self.changed()

    async def _until_ending(self, relay: Relay) -> Ending:
        """Waits for the session's end; the token's expiry is one, unless it is renewed meanwhile."""
        session = self.session
        while True:
            assert session.expires_at is not None
            left = (session.expires_at - datetime.now(UTC)).total_seconds()
            if left <= 0:
                break
            done, _ = await asyncio.wait((session.ending,), timeout=left)
            if done:
                return session.ending.result()
        if self.admission.at_expiry == "finish" and relay.at_work is not None:
            relay.stop_reading_client()
            await self._idle_or_ending(relay)
        if session.ending.done():
            return session.ending.result()
        ended_at = session.expires_at.isoformat(timespec="seconds")
        return Ending(
            "token-expired", "", spoken(Refused("token-expired", at=ended_at, database=self.admission.database))
        )

    async def _idle_or_ending(self, relay: Relay) -> None:
        """The running statement may finish, unless the session is ended otherwise."""
        idle = asyncio.ensure_future(relay.until_idle(FINISH))
        await asyncio.wait((idle, self.session.ending), return_when=asyncio.FIRST_COMPLETED)
        if not idle.done():
            idle.cancel()
            await asyncio.gather(idle, return_exceptions=True)

    async def _finish(self, relay: Relay, ending: Ending) -> None:
        """Cancels on the database what still runs, waits for its outcome, says farewell, closes, records."""
        session = self.session
        relay.stop_reading_client()
        if ending.refusal is not None:
            # In the place of the running statement's answer, where it can stand there: its client would take what the
            # database says to a cancel for the reason.
            relay.say_farewell(ending.refusal)
        try:
            backend = await self._stop_on_database(relay, ending)
        except JournalFailed:
            # The order to cancel has gone out, and cannot be recorded any more; the client is still told.
            backend = ""
        if ending.refusal is not None:
            relay.say_farewell(ending.refusal)
        relay.close()
        await self._close_recording(relay)
        reason = f"{ending.reason} by {ending.by}" if ending.by else ending.reason
        if ending.detail:
            reason += f": {ending.detail}"
        if backend == "busy":
            reason += (
                "; the database has not confirmed that the cancelled statement stopped, and its connection was cut"
            )
        session.journal.append(closed(session, reason, backend))

    async def _stop_on_database(self, relay: Relay, ending: Ending) -> str:
        """Cancels until the database has answered everything that it was sent; what became of it, for the record.

        `idle`: it has answered all; `gone`: it has closed the connection; `busy`: no answer within LINGER.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + LINGER
        while (number := relay.at_work) is not None and not relay.server.is_closed:
            left = end - clock()
            if left <= 0:
                return await self._hang_up(relay, number, ending)
            # An order that comes before the statement has begun is lost, and the next statement of a pipeline begins
            # when this one stops: so it is asked again.
            await self.session.cancel(ending.by or "bastion", ending.reason)
            await relay.until_over(number, min(left, CANCEL_AGAIN))
        return "gone" if relay.server.is_closed else "idle"

    async def _hang_up(self, relay: Relay, number: int, ending: Ending) -> str:
        """The last resort: ends the connection on the database, where its protocol has an order for that."""
        session = self.session
        steps = None if session.cancel_key is None else self.engine.hang_up(session.cancel_key, self._request)
        if steps is not None:
            reason = f"{ending.reason}: no answer to the cancel, so its connection is ended"
            await session.cancel(ending.by or "bastion", reason, lambda: self._order(steps))
            await relay.until_over(number, CANCEL_AGAIN)
            if relay.server.is_closed:
                return "gone"
        logger.warning("session %s: the database did not answer a cancelled statement", session.id)
        return "busy"

    async def _close_recording(self, relay: Relay) -> None:
        """What was kept is in its file, and how much of it on record, before the session's last record."""
        recording, relay.recording = relay.recording, None
        if recording is None:
            return
        record = await recording.close(relay.bytes_down)
        if record is not None:
            # Where it cannot be written now it is later, if at all; the session's own end is recorded behind it.
            with contextlib.suppress(JournalFailed):
                self.session.journal.append(record)

    async def _cancel_on_database(self) -> bool:
        """Orders the database to stop the session's statement, on a side connection or in band."""
        session = self.session
        if session.cancel_key is None:
            return False
        steps = self.engine.cancel(session.cancel_key, self._request)
        if isinstance(steps, InBandCancel):
            return session.relay is not None and session.relay.cancel_in_band()
        return await self._order(steps)

    async def _order(self, steps: CancelSteps) -> bool:
        """Gives the database an order on a connection of its own; whether it was taken."""
        try:
            server = await self._dial()
        except Refused:
            steps.close()
            return False
        try:
            return await drive_cancel(steps, self._legs(None, server), LINGER)
        finally:
            server.close()

    def _ended_by_itself(self, reason: str, detail: str) -> None:
        """The relay has come to an end: a leg closed, or the rules of the data path demand it."""
        refusal = None
        if reason == "not-understood":
            refusal = spoken(Refused("not-understood", engine=self.engine.name, detail=detail))
        elif reason == "record-failed":
            refusal = spoken(Refused("record-failed"))
        elif reason == "internal":
            refusal = spoken(Refused("internal", reference=self.session.id))
        self.session.end(Ending(reason, "", refusal, detail))
