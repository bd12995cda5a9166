"""The packets of the handshake: the server's greeting, the client's response, the request to change the plugin.

MySQL: Protocol::HandshakeV10, Protocol::HandshakeResponse41, Protocol::AuthSwitchRequest. MariaDB keeps its extended
capabilities in the last four of the reserved bytes, and leaves CLIENT_LONG_PASSWORD out to say that they are there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from .codec import (
    Malformed,
    Short,
    encode_lenenc_bytes,
    encode_lenenc_int,
    lenenc_bytes,
    lenenc_int,
    nul_bytes,
    unpack_u16,
    unpack_u32,
)
from .constants import Capability

SSL_REQUEST_LENGTH = 32
MAX_ATTRIBUTES = 65535
"""Bytes of connection attributes that a server takes; what the bastion adds is left out rather than going beyond."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first packet. `raw` and the offsets serve to show it on with nothing but capabilities changed."""

    raw: bytes
    version: str
    connection_id: int
    nonce: bytes = field(repr=False)
    capabilities: int
    collation: int
    status: int
    plugin: str
    mariadb: bool
    low_offset: int

    def with_capabilities(self, capabilities: int) -> bytes:
        """The greeting with these capabilities; MariaDB's extended ones only where the server has such a field."""
        packet = bytearray(self.raw)
        low = self.low_offset
        packet[low : low + 2] = (capabilities & 0xFFFF).to_bytes(2, "little")
        if len(packet) >= low + 7:
            packet[low + 5 : low + 7] = (capabilities >> 16 & 0xFFFF).to_bytes(2, "little")
        if self.capabilities >> 32:
            packet[low + 14 : low + 18] = (capabilities >> 32).to_bytes(4, "little")
        return bytes(packet)


def decode_greeting(payload: bytes) -> Greeting:
    """Reads protocol version 10. Raises Malformed for anything else."""
    if payload[:1] != b"\x0a":
        raise Malformed("the database does not greet with MySQL's protocol version 10")
    try:
        version, position = nul_bytes(payload, 1)
        connection_id = unpack_u32(payload, position)[0]
        nonce = payload[position + 4 : position + 12]
        low = position + 13
        capabilities = unpack_u16(payload, low)[0]
        collation, status, plugin, length = 45, 0, "", 0
        if len(payload) > low + 2:
            collation = payload[low + 2]
            status = unpack_u16(payload, low + 3)[0]
            capabilities |= unpack_u16(payload, low + 5)[0] << 16
            length = payload[low + 7]
            extended = unpack_u32(payload, low + 14)[0]
            if not capabilities & Capability.LONG_PASSWORD:
                capabilities |= extended << 32
            position = low + 18
            if capabilities & Capability.SECURE_CONNECTION:
                size = max(13, length - 8)
                nonce += payload[position : position + size].removesuffix(b"\0")
                position += size
            if capabilities & Capability.PLUGIN_AUTH:
                plugin = payload[position:].split(b"\0", 1)[0].decode("ascii", "replace")
    except (Short, IndexError, struct.error):
        raise Malformed("the database's greeting ends too early") from None
    text = version.decode("utf-8", "backslashreplace")
    mariadb = "mariadb" in text.lower() or not capabilities & Capability.LONG_PASSWORD
    if mariadb:
        text = text.removeprefix("5.5.5-")
    return Greeting(payload, text, connection_id, nonce, capabilities, collation, status, plugin, mariadb, low)


@dataclass(slots=True)
class HandshakeResponse:
    """What a client answers to the greeting. `database` None: none was named; `plugin` None: it knows no plugins."""

    capabilities: int
    max_packet: int
    collation: int
    user: bytes
    answer: bytes = field(repr=False)
    database: bytes | None
    plugin: str | None
    attributes: list[tuple[bytes, bytes]] | None

    def attribute(self, name: bytes) -> str:
        """The text of a connection attribute, '' if it was not sent."""
        for key, value in self.attributes or ():
            if key == name:
                return value.decode("utf-8", "backslashreplace")
        return ""


def response_capabilities(payload: bytes) -> int:
    """The capabilities at the start of a HandshakeResponse41 or SSLRequest. Raises Malformed."""
    if len(payload) < SSL_REQUEST_LENGTH:
        raise Malformed("the client's answer to the greeting is too short")
    capabilities = int(unpack_u32(payload, 0)[0])
    if not capabilities & Capability.LONG_PASSWORD:
        capabilities |= int(unpack_u32(payload, 28)[0]) << 32
    return capabilities


def decode_response(payload: bytes) -> HandshakeResponse:
    """Reads a HandshakeResponse41; parts that an old client leaves out at the end are empty. Raises Malformed."""
    capabilities = response_capabilities(payload)
    try:
        user, position = nul_bytes(payload, SSL_REQUEST_LENGTH)
        if capabilities & Capability.PLUGIN_AUTH_LENENC:
            answer, position = lenenc_bytes(payload, position)
        else:
            answer, position = decode_short_answer(payload, position, capabilities)
        database = None
        if capabilities & Capability.CONNECT_WITH_DB and position < len(payload):
            database, position = nul_bytes(payload, position)
        plugin, attributes = decode_plugin_and_attributes(payload, position, capabilities)
    except (Short, IndexError):
        raise Malformed("the client's answer to the greeting ends too early") from None
    return HandshakeResponse(
        capabilities, unpack_u32(payload, 4)[0], payload[8], user, answer, database or None, plugin, attributes
    )


def decode_short_answer(payload: bytes, position: int, capabilities: int) -> tuple[bytes, int]:
    """The client's proof where its length is one byte, or a NUL ends it; the position behind it.

    Raises Short and IndexError where it ends too early.
    """
    if not capabilities & Capability.SECURE_CONNECTION:
        return nul_bytes(payload, position)
    end = position + 1 + payload[position]
    if end > len(payload):
        raise Short
    return payload[position + 1 : end], end


def decode_plugin_and_attributes(
    payload: bytes, position: int, capabilities: int
) -> tuple[str | None, list[tuple[bytes, bytes]] | None]:
    """The end of a HandshakeResponse41 and of COM_CHANGE_USER; old clients leave out parts. Raises Short."""
    plugin = attributes = None
    if capabilities & Capability.PLUGIN_AUTH and position < len(payload):
        name, position = nul_bytes(payload, position)
        plugin = name.decode("ascii", "replace")
    if capabilities & Capability.CONNECT_ATTRS and position < len(payload):
        length, position = lenenc_int(payload, position)
        end = position + length
        if end > len(payload):
            raise Short
        attributes = []
        while position < end:
            key, position = lenenc_bytes(payload, position)
            value, position = lenenc_bytes(payload, position)
            attributes.append((key, value))
    return plugin, attributes


def _head(response: HandshakeResponse) -> bytes:
    capabilities = response.capabilities
    extended = capabilities >> 32 if not capabilities & Capability.LONG_PASSWORD else 0
    return (
        (capabilities & 0xFFFFFFFF).to_bytes(4, "little")
        + response.max_packet.to_bytes(4, "little")
        + bytes((response.collation,))
        + bytes(19)
        + extended.to_bytes(4, "little")
    )


def encode_ssl_request(response: HandshakeResponse) -> bytes:
    """The packet after which a client starts TLS: the response's head alone."""
    return _head(response)


def encode_response(response: HandshakeResponse) -> bytes:
    """The payload of a HandshakeResponse41, by its own capabilities."""
    capabilities = response.capabilities
    parts = [_head(response), response.user, b"\0"]
    if capabilities & Capability.PLUGIN_AUTH_LENENC:
        parts.append(encode_lenenc_bytes(response.answer))
    else:
        if len(response.answer) > 255:
            raise Malformed("the answer is too long for a server without length-encoded authentication data")
        parts.append(bytes((len(response.answer),)) + response.answer)
    if capabilities & Capability.CONNECT_WITH_DB:
        parts.append((response.database or b"") + b"\0")
    return b"".join(parts) + encode_plugin_and_attributes(response)


def encode_plugin_and_attributes(response: HandshakeResponse) -> bytes:
    """What `decode_plugin_and_attributes` reads."""
    end = b""
    if response.capabilities & Capability.PLUGIN_AUTH:
        end += (response.plugin or "").encode() + b"\0"
    if response.capabilities & Capability.CONNECT_ATTRS:
        body = b"".join(
            encode_lenenc_bytes(name) + encode_lenenc_bytes(value) for name, value in response.attributes or ()
        )
        end += encode_lenenc_int(len(body)) + body
    return end


def with_person(attributes: list[tuple[bytes, bytes]] | None, person: str) -> list[tuple[bytes, bytes]]:
    """The client's connection attributes with the person behind its program name and in `casemate_user`."""
    name = person.encode()
    theirs = [(key, value) for key, value in attributes or () if key != b"casemate_user"]
    named = [(key, value + b" (" + name + b")" if key == b"program_name" else value) for key, value in theirs]
    named.append((b"casemate_user", name))
    size = sum(len(key) + len(value) + 18 for key, value in named)
    return named if size <= MAX_ATTRIBUTES else theirs


@dataclass(frozen=True, slots=True)
class AuthSwitch:
    """The server wants another plugin, with a nonce (or whatever data that plugin starts with)."""

    plugin: str
    nonce: bytes = field(repr=False)


def decode_auth_switch(payload: bytes) -> AuthSwitch:
    """Reads an AuthSwitchRequest; the one-byte form of old servers means mysql_old_password. Raises Malformed."""
    if len(payload) == 1:
        return AuthSwitch("mysql_old_password", b"")
    try:
        plugin, position = nul_bytes(payload, 1)
    except Short:
        raise Malformed("the request to change the authentication plugin has no name") from None
    nonce = payload[position:]
    if len(nonce) == 21:  # 20 bytes and a NUL; other lengths (ed25519: 32) carry no NUL and may end with one by chance
        nonce = nonce.removesuffix(b"\0")
    return AuthSwitch(plugin.decode("ascii", "replace"), nonce)


def encode_auth_switch(switch: AuthSwitch) -> bytes:
    return b"\xfe" + switch.plugin.encode() + b"\0" + switch.nonce + b"\0"
