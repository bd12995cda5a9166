"""Fuzzes both sides of a MySQL or MariaDB session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bastion.protocols.mysql.client_side import MysqlClientSide
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.exchange import Exchange
from bastion.protocols.mysql.server_side import MysqlServerSide
from tests.protocols.mysql.examples import CLIENT, SERVER
from tests.protocols.mysql.packets import CLASSIC, MODERN, ok, packet, prepare_ok, query, run
from tests.protocols.mysql.test_splits import conversation

from .sessions import Sides, check
from .turns import Turn, decode, encode, spoken

CAPABILITIES = (CLASSIC, MODERN, MODERN | int(Capability.QUERY_ATTRIBUTES), CLASSIC | int(Capability.SESSION_TRACK))


def _maker(settings: int) -> Callable[[], tuple[Sides, Callable[[], int]]]:
    def make() -> tuple[Sides, Callable[[], int]]:
        exchange = Exchange(
            capabilities=CAPABILITIES[settings & 3],
            mariadb=bool(settings & 4),
            databases=("shop",) if settings & 8 else (),
            allow_replication=bool(settings & 16),
        )
        client_side, server_side = MysqlClientSide(exchange), MysqlServerSide(exchange)
        return (client_side, server_side), lambda: len(client_side._held) + len(server_side._held)

    return make


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a reader should not raise."""
    settings, turns = decode(data)
    said = [("client" if t.client else "server", spoken(t, packet)) for t in turns]
    check(_maker(settings), said, refusing=settings >> 5 & 3)


def seeds() -> Iterator[bytes]:
    """Conversations to begin with."""
    for settings in (0, 1, 2, 5, 33, 65, 96):
        steps = conversation(modern=CAPABILITIES[settings & 3] != CLASSIC)
        yield encode(settings, (Turn(who == "client", data) for who, data in steps))
    for turns in (*CLIENT.values(), *SERVER.values()):
        yield encode(1 | 4 | 16, (Turn(who == "client", data) for who, data in turns))
    long_text = "insert into t values ('" + "x" * 300 + "')"
    execute = b"\x17\x01\0\0\0\0\x01\0\0\0"
    for settings in (1, 5, 33):
        yield encode(settings, [
            Turn(True, query(long_text)), Turn(False, packet(1, ok(affected=1))),
            Turn(True, packet(0, b"\x16" + long_text.encode())), Turn(False, run(1, *prepare_ok(1, 2, 0, modern=True))),
            Turn(True, packet(0, b"\x18\x01\0\0\0\x00\0" + b"l" * 200)),
            Turn(True, packet(0, execute + b"\x00\x01\xfe\x00\xfe\x00" + b"\xc8" + b"v" * 200)),
            Turn(False, packet(1, ok())),
            Turn(True, packet(0, b"\xfa\xff\xff\xff\xff\x80\x00\xfe\x00\x03\x00" + b"\0\x01a\0\x01\0\0\0" * 20)),
            Turn(False, packet(1, ok(affected=20))),
        ])  # fmt: skip
