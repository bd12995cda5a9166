"""The server leg of a login: greeting, TLS, and the proof of a password that the bastion knows.

Used by a session's login with a hosted password and by the side connection that cancels.
"""

from __future__ import annotations

from collections.abc import Generator

from bastion.protocols.contract import Answer, Leg, ProtocolError, Refusal, StartTls, Step, TlsMode

from . import authentication as auth
from .codec import LoginLeg, Malformed
from .constants import Capability
from .handshake import (
    Greeting,
    HandshakeResponse,
    decode_auth_switch,
    decode_greeting,
    encode_response,
    encode_ssl_request,
)

MAX_ROUNDS = 16
"""Packets of the server in one authentication. Real ones take five at most."""

OK, MORE_DATA, AUTH_SWITCH, ERR = 0x00, 0x01, 0xFE, 0xFF
FAST_OK, FULL_AUTHENTICATION = 0x03, 0x04
REQUEST_KEY_CACHING_SHA2, REQUEST_KEY_SHA256 = b"\x02", b"\x01"


class ServerRefused(Exception):
    """The database said no; `payload` is its ERR packet."""

    def __init__(self, payload: bytes) -> None:
        super().__init__("the database refused the login")
        self.payload = payload


class LoginRefused(Exception):
    """The bastion says no, with the refusal that the client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def read_greeting(server: LoginLeg) -> Generator[Step, Answer, Greeting]:
    """The server's greeting. Raises ServerRefused for an ERR packet in its place."""
    payload = yield from server.read_packet()
    if payload[:1] == b"\xff":
        raise ServerRefused(payload)
    try:
        return decode_greeting(payload)
    except Malformed as error:
        raise ProtocolError(Leg.SERVER, str(error), payload) from None


def start_tls(
    server: LoginLeg, greeting: Greeting, response: HandshakeResponse, mode: TlsMode
) -> Generator[Step, Answer, None]:
    """TLS to the database as its mode says. Raises LoginRefused where it is demanded and not offered."""
    if mode is TlsMode.DISABLE:
        return
    if not greeting.capabilities & Capability.SSL:
        if mode is not TlsMode.PREFER:
            raise LoginRefused(
                Refusal(
                    "database-tls",
                    f"TLS to the database was not possible as its setting {mode.value} demands: the server does not "
                    "offer TLS. Ask an administrator to check the database's TLS settings.",
                )
            )
        return
    response.capabilities |= Capability.SSL
    yield from server.send(encode_ssl_request(response))
    received, server.buffer = server.buffer, b""
    yield StartTls(Leg.SERVER, received)
    server.tls = True


def first_answer(greeting: Greeting, password: bytes, *, tls: bool) -> tuple[str, bytes]:
    """The plugin and the answer to put into the response; the server asks again where the account wants another."""
    if greeting.plugin == auth.CACHING_SHA2:
        return auth.CACHING_SHA2, auth.caching_sha2_answer(password, greeting.nonce)
    if greeting.plugin == auth.SHA256:
        return auth.SHA256, _sha256_opening(password, tls=tls)
    return auth.NATIVE, auth.native_answer(password, greeting.nonce)


def _sha256_opening(password: bytes, *, tls: bool) -> bytes:
    if not password:
        return b"\0"
    return password + b"\0" if tls else REQUEST_KEY_SHA256


def log_in(
    server: LoginLeg, greeting: Greeting, response: HandshakeResponse, password: bytes
) -> Generator[Step, Answer, bytes]:
    """Sends the response with a proof of `password` and answers the server until it says OK; returns that packet.

    `response.plugin` and `response.answer` are set here. Raises ServerRefused and LoginRefused.
    """
    response.plugin, response.answer = first_answer(greeting, password, tls=server.tls)
    yield from server.send(encode_response(response))
    return (yield from prove(server, response.plugin, greeting.nonce, password))


def prove(server: LoginLeg, plugin: str, nonce: bytes, password: bytes) -> Generator[Step, Answer, bytes]:
    """Answers the server until it says OK; returns that packet. The first answer for `plugin` has been sent."""
    for _ in range(MAX_ROUNDS):
        payload = yield from server.read_packet()
        kind = payload[0] if payload else -1
        if kind == ERR:
            raise ServerRefused(payload)
        if kind == OK:
            return payload
        try:
            if kind == AUTH_SWITCH:
                switch = decode_auth_switch(payload)
                plugin, nonce = switch.plugin, switch.nonce
                yield from server.send(_answer(plugin, nonce, password, tls=server.tls))
            elif plugin == auth.PARSEC:
                salt = payload[1:] if kind == MORE_DATA else payload
                yield from server.send(auth.parsec_answer(password, nonce, salt))
            elif kind == MORE_DATA and plugin in (auth.CACHING_SHA2, auth.SHA256):
                yield from _sha2_round(server, plugin, nonce, password, payload[1:])
            else:
                raise Malformed("the database's authentication went a way that is not known")
        except Malformed as error:
            raise ProtocolError(Leg.SERVER, str(error), payload[:1]) from None
    raise ProtocolError(Leg.SERVER, f"the database's authentication did not end in {MAX_ROUNDS} rounds")


def _answer(plugin: str, nonce: bytes, password: bytes, *, tls: bool) -> bytes:
    if plugin == auth.NATIVE:
        return auth.native_answer(password, nonce)
    if plugin == auth.CACHING_SHA2:
        return auth.caching_sha2_answer(password, nonce)
    if plugin == auth.ED25519:
        return auth.ed25519_answer(password, nonce)
    if plugin == auth.SHA256:
        return _sha256_opening(password, tls=tls)
    if plugin == auth.PARSEC:
        return b""
    if plugin == auth.CLEARTEXT:
        if tls:
            return password + b"\0"
        raise LoginRefused(
            Refusal(
                "database-tls",
                "The database wants the account's password in clear text, which the bastion sends over TLS only. "
                "Ask an administrator to set the database's TLS mode to require or better.",
            )
        )
    raise LoginRefused(
        Refusal(
            "database-authentication",
            f"The database wants the authentication plugin {plugin!r:.64}, which the bastion cannot answer with a "
            "password. Ask an administrator for an account with another plugin.",
        )
    )


def _sha2_round(
    server: LoginLeg, plugin: str, nonce: bytes, password: bytes, data: bytes
) -> Generator[Step, Answer, None]:
    """One AuthMoreData of the sha256 plugins: the fast way's outcome, or the server's public key."""
    if plugin == auth.CACHING_SHA2 and data == bytes((FAST_OK,)):
        return
    if plugin == auth.CACHING_SHA2 and data == bytes((FULL_AUTHENTICATION,)):
        yield from server.send(password + b"\0" if server.tls else REQUEST_KEY_CACHING_SHA2)
        return
    if not data.startswith(b"-----BEGIN"):
        raise Malformed("the database sent authentication data that is neither an outcome nor a public key")
    yield from server.send(auth.rsa_answer(password, nonce, data))
