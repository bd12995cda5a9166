"""Fuzzes both sides of a session of SQL Server's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bastion.protocols.tds.client_side import TdsClientSide
from bastion.protocols.tds.exchange import Exchange
from bastion.protocols.tds.server_side import TdsServerSide
from tests.protocols.tds import messages as m
from tests.protocols.tds.examples import EXAMPLES

from .sessions import Sides, check
from .turns import Turn, decode, encode, spoken

OLD = 0x71000001


def _maker(settings: int) -> Callable[[], tuple[Sides, Callable[[], int]]]:
    def make() -> tuple[Sides, Callable[[], int]]:
        exchange = Exchange(
            version=OLD if settings & 4 else 0x74000004, database="shop", databases=("shop",) if settings & 8 else ()
        )
        client_side, server_side = TdsClientSide(exchange), TdsServerSide(exchange)

        def held() -> int:
            waiting = sum(map(len, client_side._raw)) if client_side._kind else 0
            return len(client_side._held) + waiting + len(server_side._held) + len(server_side._delayed.raw)

        return (client_side, server_side), held

    return make


def _frame(sequence: int, data: bytes) -> bytes:
    """The kind is the first byte; the least bits of the sequence number are the status."""
    return m.packets(data[0] if data else 4, data[1:], size=512, status=1 if sequence & 1 else sequence & 0x1B)


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a reader should not raise."""
    settings, turns = decode(data)
    said = [("client" if t.client else "server", spoken(t, _frame)) for t in turns]
    refusing = settings & 3
    # The outcomes of a refused message go with the next piece, which is another one where all comes in one read.
    check(_maker(settings), said, refusing, compared=not refusing)


def seeds() -> Iterator[bytes]:
    """Conversations to begin with."""
    for settings in range(16):
        for turns in EXAMPLES.values():
            yield encode(settings, (Turn(who == "client", data) for who, data in turns))
    for old in (
        [("client", m.packets(1, m.wide("select 1"))), ("server", m.answer(m.done(old=True)))],
        [("client", m.packets(3, m.executesql("select @a", "@a int", m.integer(1)) + b"\x80" + m.call("sp_who"))),
         ("server", m.answer(m.error(208, "no", old=True), m.done(m.ERROR, kind=0xFE, old=True)))],
    ):  # fmt: skip
        yield encode(4, (Turn(who == "client", data) for who, data in old))
