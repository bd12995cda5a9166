"""How a session that ends is told and recorded."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from bastion.api.refusals import Refused
from bastion.audit.records import SessionClosed, SessionRefused
from bastion.protocols.contract import Engine, LoginResult, ProtocolError, Refusal

from .legs import Leg
from .live import LiveSession
from .login import Legs, drive_login
from .record import now

logger = logging.getLogger(__name__)

REFUSAL_TIME = 10.0
"""Seconds that a client is given to ask, so that it can be refused in its own protocol."""


def spoken(refused: Refused) -> Refusal:
    """A refusal as a sentence, for a database client."""
    return Refusal(refused.code, str(refused))


async def tell(
    engine: Engine, client: Leg, refusal: Refusal, client_tls: Callable[[], ssl.SSLContext] | None = None
) -> LoginResult | None:
    """Refuses the client in its own protocol, as far as it still listens; under TLS where it wants that.

    Answers with what came of it: CancelAsked where the client had only come to cancel a statement.
    """
    if client.is_closed and not client.waiting():
        return None
    try:
        steps = engine.refuse(refusal, client_tls=client_tls is not None)
        legs = Legs(client, None, client_tls=client_tls)
        return await drive_login(steps, legs, REFUSAL_TIME, refusal, lambda _: refusal)
    except ProtocolError as error:
        logger.info("a refused client did not speak %s: %s", engine.name, error.reason)
    return None


def closed(session: LiveSession, reason: str, backend: str = "") -> SessionClosed:
    """The last record of a session, with its totals. `backend` as in SessionClosed."""
    relay, record = session.relay, session.record
    session.state = "closed"
    return SessionClosed(
        at=now(),
        session=session.id,
        reason=reason,
        statements=0 if record is None else record.statements,
        bytes_up=0 if relay is None else relay.bytes_up,
        bytes_down=0 if relay is None else relay.bytes_down,
        unattributed_bytes=0 if relay is None else relay.unattributed,
        backend=backend,
        messages={} if relay is None else relay.messages(),
    )


def refused_record(
    session: LiveSession, by: str, code: str, error: str, login: str = "", client: str = ""
) -> SessionRefused:
    """The last record of a session that came to nothing."""
    session.state = "refused"
    return SessionRefused(
        at=now(), session=session.id, by=by, code=code, error=error, login=login[:256], client=client[:256]
    )
