"""Holding a statement of SQL Server: what its client cancels while it is held, with the protocol's own readers."""

from __future__ import annotations

import asyncio

import pytest

from bastion.audit.records import Act, StatementDone
from bastion.protocols.contract import Leg as Side
from bastion.protocols.tds.client_side import TdsClientSide
from bastion.protocols.tds.exchange import Exchange
from bastion.protocols.tds.server_side import TdsServerSide
from bastion.sessions.hold import Hold
from bastion.sessions.legs import Leg
from bastion.sessions.record import SessionRecord
from bastion.sessions.relay import Relay
from tests.protocols.tds import messages as m

from .test_relay import Journal, Wire

DELETE = m.batch("delete from items")
CONFIRMED = m.answer(m.done(m.ATTENTION))


class Desk:
    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []
        self.ended: list[tuple[str, str]] = []
        self.journal = Journal(self.events)
        exchange = Exchange()
        self.client = Leg(Side.CLIENT, Wire("client", self.events))
        self.server = Leg(Side.SERVER, Wire("server", self.events))
        record = SessionRecord(self.journal, "s1", "sqlserver", lambda text: "digest")
        sides = (TdsClientSide(exchange), TdsServerSide(exchange))
        self.relay = Relay(
            "s1", (self.client, self.server), sides, record, self.journal, lambda *why: self.ended.append(why)
        )
        self.relay.start(b"", b"")

    def hold(self) -> Hold:
        order = Hold(self.relay, "alice", "carol", "10.0.0.9", "looks odd", 60, lambda: None)
        order.place()
        return order

    def passed(self, to: str) -> bytes:
        return b"".join(data for name, data in self.events if name == to)

    def outcomes(self) -> list[tuple[int, str]]:
        return [(each.seq, each.state) for each in self.journal.records if isinstance(each, StatementDone)]

    def acts(self) -> list[tuple[str, str]]:
        return [(each.act, each.user) for each in self.journal.records if isinstance(each, Act)]


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.mark.parametrize("cut", range(9))
async def test_an_attention_gives_the_held_statement_up_however_it_is_cut(cut: int) -> None:
    desk = Desk()
    desk.hold()
    desk.client.data_received(DELETE)
    await turns()
    attention = m.attention()
    for part in (attention[:cut], attention[cut:]):
        if part:
            desk.client.data_received(part)
            await turns()
    assert desk.passed("server") == attention
    told = desk.passed("client")
    assert "given up before it was let go".encode("utf-16-le") in told
    desk.server.data_received(CONFIRMED)
    assert desk.passed("client") == told + CONFIRMED
    assert desk.outcomes() == [(1, "cancelled")]
    assert desk.acts() == [("statement-held", "carol"), ("statement-refused", "alice")]
    assert (desk.relay.hold, desk.relay.unattributed, desk.ended) == (None, 0, [])
    desk.client.data_received(DELETE)
    assert desk.passed("server") == attention + DELETE


async def test_what_is_no_attention_waits() -> None:
    desk = Desk()
    order = desk.hold()
    desk.client.data_received(DELETE)
    await turns()
    desk.client.data_received(m.batch("select 1"))
    await turns()
    assert (desk.passed("server"), desk.passed("client"), desk.outcomes()) == (b"", b"", [])
    order.let_go("carol", "10.0.0.9", "is fine")
    await turns()
    assert desk.passed("server") == DELETE + m.batch("select 1")


async def test_an_attention_for_what_runs_in_front_of_a_held_statement_does_not_give_that_up() -> None:
    desk = Desk()
    desk.client.data_received(m.batch("waitfor delay '00:01:00'"))
    desk.hold()
    desk.client.data_received(DELETE)
    await turns()
    desk.client.data_received(m.attention())
    await turns()
    assert DELETE not in desk.passed("server")
    assert desk.outcomes() == []
    assert desk.relay.hold is not None
