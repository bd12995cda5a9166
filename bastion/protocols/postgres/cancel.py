"""Cancels the statement that another connection runs (documentation, "Canceling Requests in Progress")."""

from __future__ import annotations

from bastion.protocols.contract import (
    CancelKey,
    CancelSteps,
    Leg,
    LoginAborted,
    ProtocolError,
    Read,
    Received,
    Send,
    TlsMode,
)

from .codec import CANCEL_REQUEST, Inbox, Left
from .codec import request as request_message
from .login import Refuse, server_tls


def cancel(key: CancelKey, mode: TlsMode) -> CancelSteps:
    """True once the server has closed the connection, which is its only answer: the order was taken in."""
    server = Inbox(Leg.SERVER)
    try:
        yield from server_tls(server, mode)
        yield Send(Leg.SERVER, request_message(CANCEL_REQUEST, key.id.to_bytes(4, "big") + key.secret))
        answer = yield Read(Leg.SERVER)
    except (Refuse, Left, LoginAborted, ProtocolError):
        return False
    return isinstance(answer, Received) and not answer.data
