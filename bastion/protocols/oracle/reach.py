"""Opens TCP and TLS as a session would, and goes no further: a listener says nothing before it is asked."""

from __future__ import annotations

from bastion.protocols.contract import Leg, StartTls, TlsMode
from bastion.protocols.reach import Reached, ReachSteps


def reach(mode: TlsMode) -> ReachSteps:
    """TLS (TCPS) where the mode asks for it."""
    if mode in (TlsMode.DISABLE, TlsMode.PREFER):
        return Reached(tls=False, said="")
    yield StartTls(Leg.SERVER)
    return Reached(tls=True, said="")
