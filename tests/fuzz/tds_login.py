"""Fuzzes the login of a session of SQL Server's protocol."""

from __future__ import annotations

from collections.abc import Iterator

from bastion.protocols.contract import Leg
from bastion.protocols.tds.engine import ENGINE
from tests.protocols.tds import messages as m
from tests.protocols.tds.logins import V8, V71, login7, prelogin, route, welcome

from .logins import REQUESTS, TOKEN, check
from .turns import Turn, decode, encode, spoken


def _frame(sequence: int, data: bytes) -> bytes:
    return m.packets((0x12, 0x10, 4, 1)[sequence & 3], data)


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a login should not raise."""
    settings, turns = decode(data)
    says = {leg: [spoken(t, _frame) for t in turns if t.client is (leg is Leg.CLIENT)] for leg in Leg}
    check(ENGINE, REQUESTS[settings & 7], says, abort_at=settings >> 3)


def seeds() -> Iterator[bytes]:
    """Logins that succeed, and some that do not."""
    asked = m.packets(0x12, prelogin(0, mars=1))
    answered = m.packets(4, prelogin(1))
    refused = m.answer(m.error(18456, "Login failed.", 14), m.done(m.ERROR))
    logins = (
        login7(database="shop"), login7(password=TOKEN), login7(features={10: b"\1", 1: b""}),
        login7(flags=(0, 0x80, 0, 0)), login7(version=V8),
    )  # fmt: skip
    for settings in (*range(8), 8 * 3, 8 * 5 + 1):
        for login in logins:
            for end in (welcome(), refused):
                yield encode(settings, [
                    Turn(True, asked), Turn(False, answered), Turn(True, m.packets(0x10, login)), Turn(False, end),
                ])  # fmt: skip
        yield encode(settings, [
            Turn(True, m.packets(0x10, login7(version=V71))), Turn(False, answered), Turn(False, welcome(version=V71)),
        ])  # fmt: skip
        yield encode(settings, [
            Turn(True, asked), Turn(True, m.packets(0x10, login7())), Turn(False, answered),
            Turn(False, welcome(route("b", 1433))), Turn(False, answered), Turn(False, welcome()),
        ])  # fmt: skip
