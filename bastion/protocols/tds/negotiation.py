"""PRELOGIN: what a connection will be, and whether and how much of it is encrypted ([MS-TDS] 2.2.6.5)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .codec import Malformed

VERSION, ENCRYPTION, INSTANCE, THREAD, MARS, TRACE, FEDERATED = range(7)
_END = 0xFF

UNKNOWN_SERVER = bytes((16, 0, 0x03, 0xE8, 0, 0))
"""The version that a client is told where there is no server to ask: it is refused right after."""

OWN_VERSION = bytes((17, 0, 0, 0, 0, 0))
"""The version that the bastion tells a server of itself where the client has told none."""


class Encryption(enum.IntEnum):
    """What one side can do and wants."""

    OFF = 0
    """It can; only the login is to be encrypted."""
    ON = 1
    NOT_SUPPORTED = 2
    REQUIRED = 3


@dataclass(frozen=True, slots=True)
class Prelogin:
    """The options by their numbers."""

    options: dict[int, bytes]

    @property
    def encryption(self) -> int:
        """An Encryption; what is not there counts as not supported. The bit of a client's certificate is left out."""
        value = self.options.get(ENCRYPTION, b"")
        return value[0] & 0x3F if value else Encryption.NOT_SUPPORTED

    @property
    def version(self) -> bytes:
        value = self.options.get(VERSION, b"")
        return value if len(value) == 6 else UNKNOWN_SERVER


def decode_prelogin(data: bytes) -> Prelogin:
    """The options of a PRELOGIN message. Raises Malformed."""
    options: dict[int, bytes] = {}
    position = 0
    while True:
        if position >= len(data):
            raise Malformed("options of a PRELOGIN without an end")
        token = data[position]
        if token == _END:
            return Prelogin(options)
        if position + 5 > len(data):
            raise Malformed("an option of a PRELOGIN that is cut off")
        offset = int.from_bytes(data[position + 1 : position + 3], "big")
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if offset + length > len(data):
            raise Malformed("an option of a PRELOGIN beyond its end")
        options[token] = data[offset : offset + length]
        position += 5


def encode_prelogin(options: list[tuple[int, bytes]]) -> bytes:
    offset = 5 * len(options) + 1
    head, body = bytearray(), bytearray()
    for token, value in options:
        head += bytes((token,)) + (offset + len(body)).to_bytes(2, "big") + len(value).to_bytes(2, "big")
        body += value
    return bytes(head) + bytes((_END,)) + bytes(body)


def ask(client: Prelogin | None, encryption: Encryption) -> bytes:
    """What the bastion asks a server for: no MARS, no federated login; the client's own version."""
    version = client.version if client is not None else OWN_VERSION
    return encode_prelogin(
        [(VERSION, version), (ENCRYPTION, bytes((encryption,))), (INSTANCE, b"\0"), (THREAD, bytes(4)), (MARS, b"\0")]
    )


def answer(client: Prelogin, version: bytes, encryption: int) -> bytes:
    """What the client is told: the server's version, and nothing that is not read here."""
    options = [(VERSION, version), (ENCRYPTION, bytes((encryption,))), (INSTANCE, b"\0"), (THREAD, b"")]
    if MARS in client.options:
        options.append((MARS, b"\0"))
    if FEDERATED in client.options:
        options.append((FEDERATED, b"\0"))
    return encode_prelogin(options)


def towards_client(asked: int, *, can_encrypt: bool) -> Encryption:
    """The answer to what a client asks for; OFF encrypts its login only."""
    if not can_encrypt or asked == Encryption.NOT_SUPPORTED:
        return Encryption.NOT_SUPPORTED
    return Encryption.OFF if asked == Encryption.OFF else Encryption.ON
