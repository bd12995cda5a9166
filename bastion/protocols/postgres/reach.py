"""Asks a PostgreSQL server for TLS as a session would, and goes no further: it says nothing before a login."""

from __future__ import annotations

from bastion.protocols.contract import Leg, ProtocolError, Refusal, TlsMode
from bastion.protocols.reach import Reached, ReachSteps

from .codec import Inbox, Left
from .login import Refuse, server_tls


def reach(mode: TlsMode) -> ReachSteps:
    """TLS as the mode says."""
    server = Inbox(Leg.SERVER)
    try:
        certificate = yield from server_tls(server, mode)
    except Refuse as refused:
        return Reached(refused=refused.refusal)
    except Left:
        return Reached(refused=Refusal("database-silent", "it closed the connection when it was asked for TLS"))
    except ProtocolError as error:
        return Reached(refused=Refusal("not-understood", error.reason))
    return Reached(tls=certificate is not None)
