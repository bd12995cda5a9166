"""Fuzzes the login of a PostgreSQL session."""

from __future__ import annotations

from collections.abc import Iterator

from bastion.protocols.contract import Leg
from bastion.protocols.postgres import ENGINE
from tests.protocols.postgres import messages as m

from .logins import REQUESTS, TOKEN, check
from .turns import Turn, decode, encode, spoken


def _frame(_sequence: int, data: bytes) -> bytes:
    return m.framed(data[:1] or b"R", data[1:])


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a login should not raise."""
    settings, turns = decode(data)
    says = {leg: [spoken(t, _frame) for t in turns if t.client is (leg is Leg.CLIENT)] for leg in Leg}
    check(ENGINE, REQUESTS[settings & 7], says, abort_at=settings >> 3)


def seeds() -> Iterator[bytes]:
    """Logins that succeed, one for each way."""
    startup = m.startup(user="app", database="shop", application_name="psql", client_encoding="UTF8")
    welcome = (
        m.AUTHENTICATION_OK + m.parameter_status("server_version", "18.1")
        + m.parameter_status("client_encoding", "UTF8") + m.backend_key(7, b"1234") + m.ready()
    )  # fmt: skip
    asked = (
        b"", m.ASK_CLEARTEXT, m.authentication(5, b"salt"),
        m.authentication(10, b"SCRAM-SHA-256\0\0") + m.authentication(11, b"r=" + b"Bwc" * 8 + b"x,s=c2FsdA==,i=2")
        + m.authentication(12, b"v=x"),
    )  # fmt: skip
    for settings in (*range(8), 8 * 2, 8 * 5 + 1):
        for demand in asked:
            yield encode(settings, [
                Turn(True, m.SSL_REQUEST), Turn(True, startup), Turn(True, m.password(TOKEN)),
                Turn(True, m.query("select 1")),
                Turn(False, b"S"), Turn(False, demand + welcome),
            ])  # fmt: skip
    yield encode(
        0, [Turn(True, m.GSSENC_REQUEST + m.SSL_REQUEST + startup), Turn(False, m.negotiate(0, "_pq_.x") + welcome)]
    )
    yield encode(1, [Turn(True, b"\x16\x03\x01"), Turn(True, startup), Turn(False, b"N"), Turn(False, welcome)])
    yield encode(0, [Turn(True, m.cancel_request(7, b"1234"))])
    yield encode(0, [Turn(True, startup), Turn(False, m.notice("n") + m.error("28P01", "no", "FATAL"))])
