"""Reads a MySQL or MariaDB server's greeting and puts TLS in place as a session would, and goes no further.

The server counts it as an interrupted connection (max_connect_errors) until the next login from this address succeeds.
"""

from __future__ import annotations

from bastion.protocols.contract import Leg, ProtocolError, Refusal, TlsMode
from bastion.protocols.reach import Reached, ReachSteps

from .cancel import CAPABILITIES
from .codec import LegClosed, LoginLeg
from .constants import Capability
from .handshake import HandshakeResponse
from .server_login import LoginRefused, ServerRefused, read_greeting, start_tls


def reach(mode: TlsMode) -> ReachSteps:
    """The greeting, which has the version, or the error in its place; then TLS as the mode says."""
    server = LoginLeg(Leg.SERVER)
    version = ""
    try:
        greeting = yield from read_greeting(server)
        version = greeting.version[:200]
        capabilities = CAPABILITIES & (greeting.capabilities | Capability.LONG_PASSWORD)
        response = HandshakeResponse(capabilities, 1 << 24, 45, b"", b"", None, None, [])
        yield from start_tls(server, greeting, response, mode)
    except ServerRefused as refused:
        words = refused.payload[3:].decode("utf-8", "replace")  # behind the kind and the number
        words = words[6:] if words.startswith("#") else words  # and the SQLSTATE, which it may lack before a login
        return Reached(refused=Refusal("database-refused", words[:500]))
    except LoginRefused as refused:
        return Reached(said=version, refused=refused.refusal)
    except LegClosed:
        return Reached(said=version, refused=Refusal("database-silent", "it closed the connection"))
    except ProtocolError as error:
        return Reached(said=version, refused=Refusal("not-understood", error.reason))
    return Reached(tls=server.tls, said=version)
