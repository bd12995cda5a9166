"""Cancelling a statement, or its connection: a new one as the same account, and KILL with the real connection id."""

from __future__ import annotations

from bastion.protocols.contract import CancelKey, CancelSteps, Leg, LoginRequest, ProtocolError

from .codec import LegClosed, LoginLeg
from .constants import Capability, CommandCode
from .handshake import HandshakeResponse, with_person
from .server_login import LoginRefused, ServerRefused, log_in, read_greeting, start_tls

CAPABILITIES = int(
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.CONNECT_ATTRS
)


def cancel_statement(key: CancelKey, request: LoginRequest) -> CancelSteps:
    """Stops the running statement. Steps as those of `_order`."""
    return _order(b"KILL QUERY %d" % key.id, request)


def hang_up(key: CancelKey, request: LoginRequest) -> CancelSteps:
    """Ends the connection with whatever it is at. Steps as those of `_order`."""
    return _order(b"KILL CONNECTION %d" % key.id, request)


def _order(order: bytes, request: LoginRequest) -> CancelSteps:
    """Steps on the server leg of a new connection; returns whether the server took the order.

    Without an account and its password nothing can be done: returns False at once.
    """
    if request.secret is None or request.account is None:
        return False
    server = LoginLeg(Leg.SERVER)
    try:
        greeting = yield from read_greeting(server)
        capabilities = CAPABILITIES & (greeting.capabilities | Capability.LONG_PASSWORD)
        attributes = with_person([(b"program_name", b"casemate cancel")], request.person)
        response = HandshakeResponse(capabilities, 1 << 24, 45, request.account.encode(), b"", None, None, attributes)
        yield from start_tls(server, greeting, response, request.server_tls)
        yield from log_in(server, greeting, response, request.secret.encode())
        server.sequence = 0
        yield from server.send(bytes((CommandCode.QUERY,)) + order)
        answer = yield from server.read_packet()
        server.sequence = 0
        yield from server.send(bytes((CommandCode.QUIT,)))
    except (ServerRefused, LoginRefused, LegClosed, ProtocolError):
        return False
    return answer[:1] == b"\0"
