"""Tries how far a connection to a database comes: its name, TCP, TLS. Nobody logs in, nothing secret is sent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from bastion.access.explain import Place
from bastion.api import messages as m
from bastion.network import DialFailed, Target, dial, tls_context
from bastion.protocols.contract import TlsMode
from bastion.protocols.mysql.reach import reach as reach_mysql
from bastion.protocols.oracle.reach import reach as reach_oracle
from bastion.protocols.postgres.reach import reach as reach_postgres
from bastion.protocols.reach import ReachSteps
from bastion.protocols.tds.reach import reach as reach_tds

from .legs import LegClosed, ServerConnection, TlsFailed
from .login import Legs, drive_reach

STEPS: Mapping[str, Callable[[TlsMode], ReachSteps]] = {
    "postgresql": reach_postgres,
    "mysql": reach_mysql,
    "sqlserver": reach_tds,
    "oracle": reach_oracle,
}
"""By engine; of another one the TLS is not looked at."""

SHOWN_ADDRESSES = 3


async def reach(place: Place, seconds: float) -> list[m.Check]:
    """A check for each stage that was come to, the last one with what went wrong; `seconds` for each of them."""
    checks: list[m.Check] = []

    def say(stage: str, state: str, code: str, **params: Any) -> list[m.Check]:
        checks.append(m.Check(stage=stage, state=state, code=code, params={"host": place.host, **params}))
        return checks

    if place.domain:
        return say("name", "no", "domain-not-dialled", domain=place.domain)
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return say("name", "no", "name-unanswered", seconds=int(seconds))
    except OSError as error:
        return say("name", "no", "name-unknown", detail=(error.strerror or "").lower())
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    say("name", "ok", "name-found", addresses=", ".join(addresses[:SHOWN_ADDRESSES]))
    mode = TlsMode(place.tls_mode)
    target = Target(
        place.host, place.port, "", mode, place.tls_ca, place.certificate, place.certificate_key
    )  # fmt: skip
    began = time.monotonic()
    try:
        connection = await dial(target, ServerConnection, seconds)
    except DialFailed as failed:
        return say("tcp", "no", "tcp-failed", port=place.port, detail=failed.detail)
    say("tcp", "ok", "tcp-answers", port=place.port, ms=round((time.monotonic() - began) * 1000))
    assert connection.leg is not None
    steps = STEPS.get(place.engine)
    legs = Legs(
        None,
        connection.leg,
        server_tls=lambda alpn: tls_context(target, alpn),
        server_name=target.host,
        server_pin=place.tls_pin,
    )
    try:
        if steps is None:
            return checks
        reached = await drive_reach(steps(mode), legs, seconds)
    except TimeoutError:
        return say("tls", "no", "tls-unanswered", seconds=int(seconds))
    except TlsFailed as error:
        return say("tls", "no", "tls-failed", mode=mode.value, detail=str(error))
    except LegClosed:
        return say("tls", "no", "tls-failed", mode=mode.value, detail="the database closed the connection")
    finally:
        connection.leg.close()
    if reached.refused is not None:
        return say("tls", "no", "server-refused", mode=mode.value, detail=reached.refused.message)
    code = "tls-on" if reached.tls else "tls-off"
    return say("tls", "ok", code, mode=mode.value, version=legs.tls_version, said=reached.said)
