"""Fuzzes the login of a session of Oracle's protocol."""

from __future__ import annotations

from collections.abc import Iterator

from bastion.protocols.contract import Leg
from bastion.protocols.oracle.engine import ENGINE
from tests.protocols.oracle import messages as m
from tests.protocols.oracle.test_login import REFUSED, accept, connect

from .logins import REQUESTS, check
from .turns import Turn, decode, encode, spoken

PROTOCOL = b"\1\6\0a client\0"
ANSWER = b"\1\6\0a server\0" + bytes((105, 3, 1, 0, 0, 0, 0, 42)) + bytes(7) + b"\x18" + bytes(34) + b"\2\0\1"
WIDE_TABLE = bytes(19) + b"\1" + bytes(14)
TYPES = b"\2" + bytes((105, 3, 105, 3, 3, 42)) + bytes(7) + b"\x18" + WIDE_TABLE + b"\2\0\0" + b"\0\1\0\1\0\1\0\0\0\0"
TYPES_ANSWER = b"\2\0\1\0\1\0\1\0\0\0\0"


def _frame(sequence: int, data: bytes) -> bytes:
    return m.data(data)


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a login should not raise."""
    settings, turns = decode(data)
    says = {leg: [spoken(t, _frame) for t in turns if t.client is (leg is Leg.CLIENT)] for leg in Leg}
    check(ENGINE, REQUESTS[settings & 7], says, abort_at=settings >> 3)


def seeds() -> Iterator[bytes]:
    """The beginnings of logins: what follows takes a key."""
    for settings in (*range(8), 8 * 3, 8 * 5 + 1):
        yield encode(settings, [Turn(True, connect()), Turn(False, REFUSED)])
        yield encode(settings, [
            Turn(True, connect()), Turn(False, accept()), Turn(True, m.data(PROTOCOL)), Turn(False, m.data(ANSWER)),
            Turn(True, m.data(TYPES)), Turn(False, m.data(TYPES_ANSWER)),
            Turn(True, m.data(m.call(0x76, body=b"\1" + b"\1\2" + b"\1\1" + b"\1" + b"\0" + b"\1\1" + b"\2me"))),
            Turn(False, m.data(m.end(1017, "ORA-01017: no"))),
        ])  # fmt: skip
