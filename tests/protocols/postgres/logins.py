"""Drives a login without sockets: both peers are scripts, and TLS is only noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastion.protocols.contract import (
    CancelSteps,
    Leg,
    LoginAborted,
    LoginRequest,
    LoginSteps,
    Read,
    Received,
    Refusal,
    Send,
    StartTls,
    TlsMode,
    TlsStarted,
)

LATE = Refusal("login-timeout", "The login took too long.")

Script = Sequence[bytes | Callable[["Driven"], bytes]]
"""What a peer sends, one item a read: bytes, or what makes them from what was said so far. At its end: closed."""


@dataclass
class Driven:
    """A login as it went."""

    result: Any = None
    to_client: bytearray = field(default_factory=bytearray)
    to_server: bytearray = field(default_factory=bytearray)
    tls: list[StartTls] = field(default_factory=list)
    steps: int = 0
    client_reads: int = 0
    server_reads: int = 0


def drive(
    steps: LoginSteps | CancelSteps,
    client: Script = (),
    server: Script = (),
    *,
    certificate: bytes | None = None,
    alpn: str | None = "postgresql",
    abort_at: int | None = None,
    most: int = 2_000,
) -> Driven:
    """Runs the steps to their end. `abort_at`: the step at which the driver throws LoginAborted instead."""
    driven = Driven()
    scripts = {Leg.CLIENT: list(client), Leg.SERVER: list(server)}
    try:
        step = next(steps)
        while True:
            driven.steps += 1
            assert driven.steps <= most, "a login without end"
            if driven.steps == abort_at:
                step = steps.throw(LoginAborted(LATE))
                while True:
                    assert isinstance(step, Send), "after its abort a login may only send"
                    (driven.to_client if step.leg is Leg.CLIENT else driven.to_server).extend(step.data)
                    step = steps.send(None)
            match step:
                case Read(leg=Leg() as leg):
                    script = scripts[leg]
                    if leg is Leg.CLIENT:
                        driven.client_reads += 1
                    else:
                        driven.server_reads += 1
                    item = script.pop(0) if script else b""
                    step = steps.send(Received(leg, item(driven) if callable(item) else item))
                case Send(leg=leg, data=data):
                    (driven.to_client if leg is Leg.CLIENT else driven.to_server).extend(data)
                    step = steps.send(None)
                case StartTls(leg=leg):
                    driven.tls.append(step)
                    step = steps.send(TlsStarted(leg, "TLSv1.3", certificate if leg is Leg.SERVER else None, alpn))
                case _:
                    raise AssertionError(step)
    except StopIteration as end:
        driven.result = end.value
        return driven


def asked(**changes: Any) -> LoginRequest:
    """A request for a hosted account without TLS to the database."""
    wanted: dict[str, Any] = {
        "person": "alice",
        "account": "orders_rw",
        "secret": "hosted-secret",
        "server_tls": TlsMode.DISABLE,
    }
    return LoginRequest(**{**wanted, **changes})
