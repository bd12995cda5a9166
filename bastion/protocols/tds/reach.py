"""Reads what a SQL Server says of itself and puts TLS in place as a session would, and goes no further."""

from __future__ import annotations

from bastion.protocols.contract import ProtocolError, Refusal, TlsMode
from bastion.protocols.reach import Reached, ReachSteps

from .codec import LegClosed
from .server_login import LoginRefused, Server, ServerSays


def reach(mode: TlsMode) -> ReachSteps:
    """PRELOGIN, which has the version; then TLS as the mode says."""
    server = Server(mode)
    said = ""
    try:
        found = yield from server.prelogin(None)
        version = found.version
        said = f"{version[0]}.{version[1]}.{int.from_bytes(version[2:4], 'big')}"
        yield from server.encrypt()
    except ServerSays as refused:
        return Reached(said=said, refused=Refusal("database-refused", str(refused.error)[:500]))
    except LoginRefused as refused:
        return Reached(said=said, refused=refused.refusal)
    except LegClosed:
        return Reached(said=said, refused=Refusal("database-silent", "it closed the connection"))
    except ProtocolError as error:
        return Reached(said=said, refused=Refusal("not-understood", error.reason))
    return Reached(tls=server.tls, said=said)
