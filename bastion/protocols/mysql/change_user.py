"""COM_CHANGE_USER: the login of a session made anew in the middle of it, always as the account of the session.

MySQL: Protocol::COM_CHANGE_USER. The client's part and the server's part are those of a login, so the steps of one do
here too; a `Conversation` drives them by the bytes that come in the data phase. Servers answer with a request to change
the plugin, which brings a new nonce, whatever proof the command itself carries.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from bastion.protocols.contract import Answer, Leg, ProtocolError, Read, Received, Send, Step

from . import authentication as auth
from .codec import LoginLeg, Malformed, Short, nul_bytes, unpack_u16
from .constants import Capability, CommandCode
from .handshake import (
    AuthSwitch,
    HandshakeResponse,
    decode_plugin_and_attributes,
    decode_short_answer,
    encode_auth_switch,
    encode_plugin_and_attributes,
    with_person,
)
from .relayed_login import relay_rounds
from .server_login import FAST_OK, MORE_DATA, LoginRefused, ServerRefused, prove

LONGEST_ANSWER = 512
"""Bytes of a client's proof that is accepted unseen."""


@dataclass(frozen=True, slots=True)
class LoginTerms:
    """What a session's login was made with, for making it anew.

    account        None: whatever the client types
    secret         the account's password; None: the client's own proof is relayed
    capabilities   of the server leg
    plugin         what the client is asked to prove itself by, where the bastion has the password
    """

    person: str
    account: bytes | None
    secret: bytes | None = field(repr=False)
    capabilities: int
    plugin: str
    client_tls: bool
    server_tls: bool


def decode_change_user(payload: bytes, capabilities: int) -> HandshakeResponse:
    """The command as the client sent it; parts that an old client leaves out at the end are empty. Raises Malformed."""
    database = None
    collation = 0
    try:
        user, position = nul_bytes(payload, 1)
        answer, position = decode_short_answer(payload, position, capabilities)
        if position < len(payload):
            database, position = nul_bytes(payload, position)
        if position < len(payload):
            if position + 2 > len(payload):
                raise Short
            collation = unpack_u16(payload, position)[0]
            position += 2
        plugin, attributes = decode_plugin_and_attributes(payload, position, capabilities)
    except (Short, IndexError):
        raise Malformed("COM_CHANGE_USER ends too early") from None
    return HandshakeResponse(capabilities, 0, collation, user, answer, database or None, plugin, attributes)


def encode_change_user(asked: HandshakeResponse) -> bytes:
    """The payload of the command, by its own capabilities."""
    parts = [bytes((CommandCode.CHANGE_USER,)), asked.user, b"\0", bytes((len(asked.answer),)), asked.answer]
    parts += [asked.database or b"", b"\0", asked.collation.to_bytes(2, "little")]
    return b"".join(parts) + encode_plugin_and_attributes(asked)


def log_in_again(
    terms: LoginTerms, asked: HandshakeResponse, client: LoginLeg, server: LoginLeg
) -> Generator[Step, Answer, bytes]:
    """The steps behind a client's COM_CHANGE_USER; returns the OK or ERR packet that the client was sent at the end.

    Raises ProtocolError where the exchange cannot be completed: the session cannot go on then.
    """
    user = asked.user if terms.account is None else terms.account
    attributes = with_person(asked.attributes, terms.person)
    ours = replace(asked, capabilities=terms.capabilities, user=user, attributes=attributes)
    try:
        if terms.secret is None:
            if client.tls != server.tls:
                ours.answer = b""  # what it holds depends on TLS with some plugins; the server asks for it again
            yield from server.send(encode_change_user(ours))
            last = yield from relay_rounds(client, server, ours.plugin or auth.NATIVE, b"")
        else:
            before_ok = yield from _take_proof(terms, asked, client)
            ours.plugin, ours.answer = terms.plugin, b""
            yield from server.send(encode_change_user(ours))
            last = yield from prove(server, terms.plugin, b"", terms.secret)
            if before_ok:
                yield from client.send(before_ok)
    except ServerRefused as refused:
        last = refused.payload
    except LoginRefused as refused:
        raise ProtocolError(Leg.SERVER, refused.refusal.message) from None
    yield from client.send(last)
    return last


def _take_proof(terms: LoginTerms, asked: HandshakeResponse, client: LoginLeg) -> Generator[Step, Answer, bytes]:
    """Leads the client through what it expects; returns the packet that must stand before OK.

    Its proof is not looked at: the session has proved whose it is, and stays what it is.
    """
    if not asked.capabilities & Capability.PLUGIN_AUTH:
        return b""
    yield from client.send(encode_auth_switch(AuthSwitch(terms.plugin, _nonce())))
    answer = yield from client.read_packet()
    if len(answer) > LONGEST_ANSWER:
        raise ProtocolError(Leg.CLIENT, "an authentication answer that is too long for its plugin")
    empty = answer in (b"", b"\0")
    return bytes((MORE_DATA, FAST_OK)) if terms.plugin == auth.CACHING_SHA2 and not empty else b""


def _nonce() -> bytes:
    """As servers make them: no NUL, which would end it, and no dollar sign."""
    return bytes(33 + secrets.randbelow(90) for _ in range(auth.NONCE_LENGTH)).replace(b"$", b"#")


class Conversation:
    """Steps of an authentication, driven by bytes as they come. `result` is its last packet, once it is over."""

    def __init__(self, steps: Generator[Step, Answer, bytes], client: LoginLeg, number: int | None) -> None:
        self.client = client
        self.number = number
        self.result: bytes | None = None
        self._steps = steps
        self._wanted: Leg | None = None
        self._given = {Leg.CLIENT: b"", Leg.SERVER: b""}
        self._advance(None)

    def feed(self, leg: Leg, data: bytes) -> None:
        """Raises ProtocolError for bytes of the leg whose turn it is not, too."""
        if leg is not self._wanted:
            raise ProtocolError(leg, "bytes in the middle of an authentication that waits for the other side")
        self._advance(Received(leg, data))

    def given(self, leg: Leg) -> bytes:
        """What is to be sent on that leg, since it was last asked."""
        data, self._given[leg] = self._given[leg], b""
        return data

    def _advance(self, answer: Answer) -> None:
        try:
            while True:
                step = self._steps.send(answer)
                answer = None
                if isinstance(step, Send):
                    self._given[step.leg] += step.data
                elif isinstance(step, Read):
                    self._wanted = step.leg
                    return
        except StopIteration as end:
            self._wanted = None
            self.result = end.value


def converse(terms: LoginTerms, asked: HandshakeResponse, number: int | None) -> Conversation:
    """Begins; the client's command has been read, the server has not seen it yet."""
    client, server = LoginLeg(Leg.CLIENT), LoginLeg(Leg.SERVER)
    client.sequence = 1
    client.tls, server.tls = terms.client_tls, terms.server_tls
    return Conversation(log_in_again(terms, asked, client, server), client, number)
