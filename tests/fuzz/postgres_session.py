"""Fuzzes both sides of a PostgreSQL session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bastion.protocols.postgres.client_side import PostgresClientSide
from bastion.protocols.postgres.exchange import Exchange
from bastion.protocols.postgres.server_side import PostgresServerSide
from tests.protocols.postgres import messages as m
from tests.protocols.postgres.conversations import EVERY_KIND
from tests.protocols.postgres.examples import CLIENT, SERVER

from .sessions import Sides, check
from .turns import Turn, decode, encode, spoken


def _make() -> tuple[Sides, Callable[[], int]]:
    exchange = Exchange()
    client_side, server_side = PostgresClientSide(exchange), PostgresServerSide(exchange)
    return (client_side, server_side), lambda: len(client_side._kept) + len(server_side._kept)


def _frame(_sequence: int, data: bytes) -> bytes:
    return m.framed(data[:1] or b"S", data[1:])


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a reader should not raise."""
    settings, turns = decode(data)
    said = [("client" if t.client else "server", spoken(t, _frame)) for t in turns]
    refusing = settings % 4
    # An Execute behind a refused Parse joins it where both come in one read, and is a statement of its own otherwise.
    check(_make, said, refusing, compared=not refusing)


def seeds() -> Iterator[bytes]:
    """Conversations to begin with."""
    for settings in range(4):
        yield encode(settings, (Turn(who == "client", data) for who, data in EVERY_KIND))
    for turns in (*CLIENT.values(), *SERVER.values()):
        yield encode(0, (Turn(who == "client", data[:1] + data[5:], True) for who, data in turns))
        yield encode(0, (Turn(who == "client", data) for who, data in turns))
    text = "insert into t values ('" + "x" * 300 + "')"
    for settings in range(2):
        yield encode(settings, [
            Turn(True, m.query(text)), Turn(False, m.complete("INSERT 0 1") + m.ready()),
            Turn(True, m.parse(text, "s", (23, 25)) + m.bind((b"v" * 200, None, b"w" * 50), "p", "s")
                 + m.execute("p", 1) + m.execute("p", 1) + m.SYNC),
            Turn(False, m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"z" * 700) + m.PORTAL_SUSPENDED
                 + m.complete("SELECT 1") + m.ready("T")),
            Turn(True, m.function_call(7, b"a" * 300)), Turn(False, m.error(text="e" * 900) + m.ready("E")),
            Turn(True, m.query("copy t from stdin")), Turn(False, m.copy_in()),
            Turn(True, m.copy_data(b"d" * 400) + m.COPY_DONE), Turn(False, m.complete("COPY 1") + m.ready()),
            Turn(True, m.parse("bad") + m.bind() + m.execute() + m.close("S", "s") + m.SYNC + m.query("select 2")),
            Turn(False, m.error() + m.ready() + m.complete("SELECT 1") + m.ready()),
        ])  # fmt: skip
