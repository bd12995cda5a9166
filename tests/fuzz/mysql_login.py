"""Fuzzes the login of a MySQL or MariaDB session."""

from __future__ import annotations

from collections.abc import Iterator

from bastion.protocols.contract import Leg
from bastion.protocols.mysql import authentication as auth
from bastion.protocols.mysql.engine import ENGINE
from bastion.protocols.mysql.handshake import HandshakeResponse, encode_ssl_request
from tests.protocols.mysql.packets import err, ok, packet
from tests.protocols.mysql.test_login import CLIENT_CAPABILITIES, NONCE, greeting, response

from .logins import REQUESTS, check
from .turns import Turn, decode, encode, spoken


def one_input(data: bytes) -> None:
    """Raises AssertionError where something does not hold that must, and whatever a login should not raise."""
    settings, turns = decode(data)
    says = {leg: [spoken(t, packet) for t in turns if t.client is (leg is Leg.CLIENT)] for leg in Leg}
    check(ENGINE, REQUESTS[settings & 7], says, abort_at=settings >> 3)


def seeds() -> Iterator[bytes]:
    """Logins that succeed, one for each plugin."""
    public_key = auth.rsa_receiver().public_key_pem
    rounds = {
        auth.CACHING_SHA2: [[b"\x01\x03"], [b"\x01\x04"], [b"\x01\x04", b"\x01" + public_key]],
        auth.NATIVE: [[]],
        auth.SHA256: [[b"\x01" + public_key], []],
        auth.ED25519: [[b"\xfe" + auth.ED25519.encode() + b"\0" + bytes(32) + b"\0"]],
        auth.PARSEC: [[b"\xfe" + auth.PARSEC.encode() + b"\0" + bytes(32) + b"\0", b"P\x00" + bytes(18)]],
    }
    for plugin, ways in rounds.items():
        for way in ways:
            for settings in (*range(8), 8 * 3, 8 * 4 + 1):
                server = [packet(0, greeting(plugin if plugin in (auth.CACHING_SHA2, auth.SHA256) else auth.NATIVE))]
                server += [packet(2 + 2 * index, one) for index, one in enumerate([*way, ok()])]
                client = [packet(1, response(b"x" * 20, plugin)), packet(3, b"y" * 32), packet(5, b"z" * 256)]
                yield encode(settings, [Turn(False, one) for one in server] + [Turn(True, one) for one in client])
    asks_tls = encode_ssl_request(
        HandshakeResponse(CLIENT_CAPABILITIES | 0x800, 1 << 24, 255, b"u", b"", None, None, None)
    )
    yield encode(1, [
        Turn(False, packet(0, greeting())), Turn(True, packet(1, asks_tls)),
        Turn(True, packet(2, response(b"x" * 32, capabilities=CLIENT_CAPABILITIES | 0x800))),
        Turn(False, packet(3, b"\x01\x04")), Turn(False, packet(5, ok())),
    ])  # fmt: skip
    yield encode(0, [Turn(False, packet(0, err(1129, "HY000", "blocked")))])
    yield encode(4, [Turn(False, packet(0, greeting(auth.NATIVE))), Turn(True, packet(1, response(NONCE, auth.NATIVE))),
                     Turn(False, packet(2, ok(status=0x4002) + b"\x05\x01\x03\x02db"))])  # fmt: skip
