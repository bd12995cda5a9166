"""AES-GCM with its key made ready once.

asyncssh makes the cipher anew for every packet. Both directions of a connection take this one in its place, so that
asyncssh's own packets and those of the shorter ways (packets.py, arrivals.py) count the same invocations.
"""

from __future__ import annotations

import struct
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG = 16
"""Bytes of the authentication tag behind every packet (RFC 5647, section 6.1)."""

_nonce = struct.Struct(">4sQ")


class Gcm:
    """One direction's cipher: a fixed part and a counter of invocations make the nonce (RFC 5647, section 7.1).

    opened   the next packet's clear text, where it has been opened already: asyncssh is given that
    """

    __slots__ = ("_aead", "_fixed", "_invocation", "opened")

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._aead = AESGCM(key)
        self._fixed, self._invocation = _nonce.unpack(nonce)
        self.opened: bytes | None = None

    def seal(self, header: bytes, body: bytes) -> bytes:
        """The encrypted body and its tag."""
        invocation = self._invocation
        self._invocation = (invocation + 1) & 0xFFFFFFFFFFFFFFFF
        return self._aead.encrypt(_nonce.pack(self._fixed, invocation), body, header)

    def open(self, header: bytes, sealed: bytes | memoryview) -> bytes:
        """The clear body. Raises InvalidTag, and then has counted nothing."""
        invocation = self._invocation
        body = self._aead.decrypt(_nonce.pack(self._fixed, invocation), sealed, header)
        self._invocation = (invocation + 1) & 0xFFFFFFFFFFFFFFFF
        return body

    # ----------------------------------------------------------------------------------- what asyncssh calls

    def encrypt_and_sign(self, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Instead of GCMCipher.encrypt_and_sign."""
        sealed = self.seal(header, data)
        return header + sealed[:-TAG], sealed[-TAG:]

    def verify_and_decrypt(self, header: bytes, data: bytes, mac: bytes) -> bytes | None:
        """Instead of GCMCipher.verify_and_decrypt."""
        if self.opened is not None:
            body, self.opened = self.opened, None
            return body
        try:
            return self.open(header, data + mac)
        except InvalidTag:
            return None


def take_over(encryption: Any) -> Gcm | None:
    """Puts a Gcm into asyncssh's encryption of one direction; None where that is another cipher or built otherwise."""
    inner = getattr(encryption, "_cipher", None)
    if isinstance(inner, Gcm):
        return inner
    key, nonce = getattr(inner, "_key", None), getattr(inner, "_iv", None)
    if type(inner).__name__ != "GCMCipher" or not isinstance(key, bytes) or not isinstance(nonce, bytes):
        return None
    gcm = Gcm(key, nonce)
    encryption._cipher = gcm
    return gcm
