"""What proves a password to a MySQL or MariaDB server, plugin by plugin, and the check of such a proof.

Sources: MySQL source documentation "Authentication methods"; MariaDB "Authentication plugin - ed25519" and "PARSEC".
Nonces are given without the NUL that ends them on the wire. Passwords are bytes (UTF-8).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl import bindings

from .codec import Malformed

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
SHA256 = "sha256_password"
CLEARTEXT = "mysql_clear_password"
ED25519 = "client_ed25519"
PARSEC = "parsec"

NONCE_LENGTH = 20


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def native_answer(password: bytes, nonce: bytes) -> bytes:
    """mysql_native_password: SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))); empty for an empty password."""
    if not password:
        return b""
    first = hashlib.sha1(password, usedforsecurity=False).digest()
    second = hashlib.sha1(first, usedforsecurity=False).digest()
    return _xor(first, hashlib.sha1(nonce[:NONCE_LENGTH] + second, usedforsecurity=False).digest())


def caching_sha2_answer(password: bytes, nonce: bytes) -> bytes:
    """caching_sha2_password, fast: SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce); empty for none."""
    if not password:
        return b""
    first = hashlib.sha256(password).digest()
    second = hashlib.sha256(first).digest()
    return _xor(first, hashlib.sha256(second + nonce[:NONCE_LENGTH]).digest())


def _clamped(half: bytes) -> bytes:
    return bytes((half[0] & 0xF8,)) + half[1:31] + bytes((half[31] & 0x7F | 0x40,))


def ed25519_answer(password: bytes, nonce: bytes) -> bytes:
    """client_ed25519: RFC 8032 signature of the nonce, with the password itself in the place of the 32-byte seed."""
    digest = hashlib.sha512(password).digest()
    scalar = _clamped(digest[:32])
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    ephemeral = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(digest[32:] + nonce).digest())
    commitment = bindings.crypto_scalarmult_ed25519_base_noclamp(ephemeral)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(commitment + public + nonce).digest())
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, scalar)
    return commitment + bindings.crypto_core_ed25519_scalar_add(product, ephemeral)


def parsec_answer(password: bytes, nonce: bytes, salt_packet: bytes) -> bytes:
    """MariaDB's parsec: 32 bytes of our own, then the Ed25519 signature of both nonces by a key out of PBKDF2.

    `salt_packet` is `P`, log2(iterations) - 10, salt. Raises Malformed for anything else and for more than 8192 rounds.
    """
    if len(salt_packet) < 3 or salt_packet[:1] != b"P" or salt_packet[1] > 3:
        raise Malformed("the server's parsec parameters are not of a known form")
    seed = hashlib.pbkdf2_hmac("sha512", password, salt_packet[2:], 1024 << salt_packet[1], 32)
    ours = secrets.token_bytes(32)
    return ours + Ed25519PrivateKey.from_private_bytes(seed).sign(nonce + ours)


def _masked(text: bytes, nonce: bytes) -> bytes:
    key = nonce[:NONCE_LENGTH]
    if not key:
        raise Malformed("the server's nonce is empty")
    return bytes(byte ^ key[index % len(key)] for index, byte in enumerate(text))


_OAEP = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - the protocol's


def rsa_answer(password: bytes, nonce: bytes, public_key_pem: bytes) -> bytes:
    """The password under the server's RSA key (sha256 plugins, no TLS). Raises Malformed for a key that is none."""
    try:
        key = serialization.load_pem_public_key(public_key_pem)
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed("the server's public key is not a PEM public key") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise Malformed("the server's public key is no RSA key")
    try:
        return key.encrypt(_masked(password + b"\0", nonce), _OAEP)
    except ValueError:
        raise Malformed("the password is too long for the server's public key") from None


class RsaReceiver:
    """The server's half of the RSA exchange, for a client that has no TLS while the database has."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key_pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def password(self, encrypted: bytes, nonce: bytes) -> bytes:
        """The client's password. Raises Malformed where it was not encrypted with our key."""
        try:
            text = _masked(self._key.decrypt(encrypted, _OAEP), nonce)
        except ValueError:
            raise Malformed("the password was not encrypted with the key that was sent") from None
        return text.removesuffix(b"\0")


@cache
def rsa_receiver() -> RsaReceiver:
    """One key pair for the life of the process, as a server has; making it takes about 0.1 s, once."""
    return RsaReceiver()


def proves(plugin: str, answer: bytes, password: bytes, nonce: bytes) -> bool:
    """Whether a client's answer shows that it knows `password`. False for plugins whose answers cannot be checked."""
    if plugin == NATIVE:
        expected = native_answer(password, nonce)
    elif plugin == CACHING_SHA2:
        expected = caching_sha2_answer(password, nonce)
    elif plugin == ED25519:
        expected = ed25519_answer(password, nonce)
    elif plugin in (CLEARTEXT, SHA256):
        expected, answer = password, answer.removesuffix(b"\0")
    else:
        return False
    return hmac.compare_digest(expected, answer)
