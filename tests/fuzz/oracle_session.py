"""Fuzzes both sides of a session of Oracle's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.protocols.oracle import messages as m
from tests.protocols.oracle.examples import EXAMPLES

from .sessions import Sides, check
from .turns import Turn, decode, encode, spoken

THIN = Dialect(field_version=24, big_chunks=True)
NATIVE = Dialect(
    field_version=22, native_ub2=True, native_ub4=True, native_sb1=True, native_pointer=True, big_chunks=True,
    new_end_of_call=True, end_of_reply=True,
)  # fmt: skip
OLD = Dialect(field_version=5, counted_texts=False, codec="cp1252")


def _maker(settings: int) -> Callable[[], tuple[Sides, Callable[[], int]]]:
    def make() -> tuple[Sides, Callable[[], int]]:
        exchange = Exchange((THIN, NATIVE, OLD, THIN)[settings >> 2 & 3])
        client_side, server_side = OracleClientSide(exchange), OracleServerSide(exchange)

        def held() -> int:
            ours = sum(map(len, client_side._held)) + len(client_side._packets.rest)
            return ours + len(server_side._packets.rest)

        return (client_side, server_side), held

    return make


def _frame(sequence: int, data: bytes) -> bytes:
    return m.marker(1 + (sequence & 1)) if sequence & 31 == 31 else m.data(data)


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a reader should not raise."""
    settings, turns = decode(data)
    said = [("client" if t.client else "server", spoken(t, _frame)) for t in turns]
    refusing = settings & 3
    check(_maker(settings), said, refusing, compared=not refusing)


def seeds() -> Iterator[bytes]:
    """Conversations to begin with."""
    for settings in range(16):
        for turns in EXAMPLES.values():
            yield encode(settings, (Turn(who == "client", data) for who, data in turns))
