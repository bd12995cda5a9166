"""A login whose password the bastion does not hold: the client proves itself to the server, and the proof is relayed.

Both legs have the server's own nonce, so scrambles pass as they are. What does not pass is what depends on TLS, where
only one leg has it: then the bastion takes the password from the leg that gives it in clear text or does the RSA
exchange itself. A password learned so lives as long as this login.
"""

from __future__ import annotations

from collections.abc import Generator

from bastion.protocols.contract import Answer, Leg, ProtocolError, Refusal, Step

from . import authentication as auth
from .codec import LoginLeg, Malformed
from .handshake import Greeting, HandshakeResponse, decode_auth_switch, encode_response
from .server_login import (
    AUTH_SWITCH,
    ERR,
    FAST_OK,
    FULL_AUTHENTICATION,
    MAX_ROUNDS,
    MORE_DATA,
    OK,
    REQUEST_KEY_CACHING_SHA2,
    REQUEST_KEY_SHA256,
    LoginRefused,
    ServerRefused,
    log_in,
    prove,
)

CLEARTEXT_WITHHELD = Refusal(
    "database-tls",
    "The database wants your password in clear text, but the bastion reaches it without TLS while you use TLS. "
    "Ask an administrator to set the database's TLS mode to require or better.",
)


def relay_login(
    client: LoginLeg, server: LoginLeg, greeting: Greeting, theirs: HandshakeResponse, ours: HandshakeResponse
) -> Generator[Step, Answer, bytes]:
    """Relays the client's proof until the server says OK; returns that packet. Raises ServerRefused, LoginRefused."""
    plugin, nonce = theirs.plugin or greeting.plugin, greeting.nonce
    if client.tls != server.tls and plugin in (auth.SHA256, auth.CLEARTEXT) and theirs.answer not in (b"", b"\0"):
        password = yield from _password_of(client, plugin, nonce, theirs.answer)
        return (yield from log_in(server, greeting, ours, password))
    ours.plugin, ours.answer = theirs.plugin, theirs.answer
    yield from server.send(encode_response(ours))
    return (yield from relay_rounds(client, server, plugin, nonce))


def relay_rounds(client: LoginLeg, server: LoginLeg, plugin: str, nonce: bytes) -> Generator[Step, Answer, bytes]:
    """Relays what follows the client's first proof; returns the server's OK. Raises ServerRefused, LoginRefused."""
    for _ in range(MAX_ROUNDS):
        payload = yield from server.read_packet()
        kind = payload[0] if payload else -1
        if kind == ERR:
            raise ServerRefused(payload)
        if kind == OK:
            return payload
        if kind == AUTH_SWITCH:
            try:
                switch = decode_auth_switch(payload)
            except Malformed as error:
                raise ProtocolError(Leg.SERVER, str(error)) from None
            plugin, nonce = switch.plugin, switch.nonce
        yield from client.send(payload)
        if kind == MORE_DATA and plugin == auth.CACHING_SHA2 and payload[1:] == bytes((FAST_OK,)):
            continue
        answer = yield from client.read_packet()
        if client.tls != server.tls and _depends_on_tls(plugin, kind, payload):
            if answer in (b"", b"\0"):
                yield from server.send(answer)
                continue
            password = yield from _password_of(client, plugin, nonce, answer)
            yield from server.send(_opening(plugin, password, server))
            return (yield from prove(server, plugin, nonce, password))
        yield from server.send(answer)
    raise ProtocolError(Leg.SERVER, f"the database's authentication did not end in {MAX_ROUNDS} rounds")


def _depends_on_tls(plugin: str, kind: int, payload: bytes) -> bool:
    """Whether the answer that the client gives now is another one with TLS than without."""
    if plugin == auth.CACHING_SHA2:
        return kind == MORE_DATA and payload[1:] == bytes((FULL_AUTHENTICATION,))
    return kind == AUTH_SWITCH and plugin in (auth.SHA256, auth.CLEARTEXT)


def _opening(plugin: str, password: bytes, server: LoginLeg) -> bytes:
    """What the bastion itself says to the server where the client's answer cannot be passed on."""
    if server.tls:
        return password + b"\0"
    if plugin == auth.CLEARTEXT:
        raise LoginRefused(CLEARTEXT_WITHHELD)
    return REQUEST_KEY_CACHING_SHA2 if plugin == auth.CACHING_SHA2 else REQUEST_KEY_SHA256


def _password_of(client: LoginLeg, plugin: str, nonce: bytes, answer: bytes) -> Generator[Step, Answer, bytes]:
    """The password out of the client's answer: clear text over TLS, else by the RSA exchange with the bastion's key."""
    if client.tls or plugin == auth.CLEARTEXT:
        return answer.removesuffix(b"\0")
    if answer not in (REQUEST_KEY_CACHING_SHA2, REQUEST_KEY_SHA256):
        # A client that has the server's public key at hand encrypts with that, and nobody but the server reads it.
        raise LoginRefused(
            Refusal(
                "database-authentication",
                "Your client encrypted the password with a public key of its own, which cannot be passed on as the "
                "bastion reaches the database over TLS. Let the client ask for the key (get-server-public-key).",
            )
        )
    receiver = auth.rsa_receiver()
    yield from client.send(bytes((MORE_DATA,)) + receiver.public_key_pem)
    encrypted = yield from client.read_packet()
    try:
        return receiver.password(encrypted, nonce)
    except Malformed as error:
        raise ProtocolError(Leg.CLIENT, str(error)) from None
