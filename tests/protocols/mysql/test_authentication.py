"""Proofs of a password, checked against PyMySQL's own computation and a server's formula."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl import bindings
from pymysql import _auth

from bastion.protocols.mysql import authentication as auth
from bastion.protocols.mysql.codec import Malformed

NONCE = bytes(range(1, 21))
PASSWORDS = [b"", b"a", b"pa ss", "密码".encode(), b"x" * 200]


@pytest.mark.parametrize("password", PASSWORDS)
def test_native(password: bytes) -> None:
    assert auth.native_answer(password, NONCE) == _auth.scramble_native_password(password, NONCE)


@pytest.mark.parametrize("password", PASSWORDS)
def test_caching_sha2(password: bytes) -> None:
    assert auth.caching_sha2_answer(password, NONCE) == _auth.scramble_caching_sha2(password, NONCE)


@pytest.mark.parametrize("password", PASSWORDS)
def test_ed25519(password: bytes) -> None:
    nonce = bytes(range(32))
    answer = auth.ed25519_answer(password, nonce)
    assert answer == _auth.ed25519_password(password, nonce)
    digest = bytearray(hashlib.sha512(password).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(bytes(digest))
    Ed25519PublicKey.from_public_bytes(public).verify(answer, nonce)


def test_native_proves_what_the_server_stores() -> None:
    # The server keeps SHA1(SHA1(password)) and checks SHA1(answer XOR SHA1(nonce + kept)) == kept.
    kept = hashlib.sha1(hashlib.sha1(b"secret").digest()).digest()
    answer = auth.native_answer(b"secret", NONCE)
    mask = hashlib.sha1(NONCE + kept).digest()
    assert hashlib.sha1(bytes(a ^ b for a, b in zip(answer, mask, strict=True))).digest() == kept


def test_parsec_signs_both_nonces() -> None:
    nonce, salt = bytes(range(32)), bytes(range(18))
    answer = auth.parsec_answer(b"secret", nonce, b"P\x02" + salt)
    key = Ed25519PrivateKey.from_private_bytes(hashlib.pbkdf2_hmac("sha512", b"secret", salt, 4096, 32))
    key.public_key().verify(answer[32:], nonce + answer[:32])
    for packet in (b"", b"X\x00" + salt, b"P\x04" + salt):
        with pytest.raises(Malformed):
            auth.parsec_answer(b"secret", nonce, packet)


def test_the_rsa_exchange_reads_what_a_client_encrypts() -> None:
    receiver = auth.rsa_receiver()
    encrypted = _auth.sha2_rsa_encrypt(b"secret", NONCE, receiver.public_key_pem)
    assert receiver.password(encrypted, NONCE) == b"secret"
    assert receiver.password(auth.rsa_answer(b"", NONCE, receiver.public_key_pem), NONCE) == b""
    with pytest.raises(Malformed):
        receiver.password(bytes(256), NONCE)


@pytest.mark.parametrize("key", [b"", b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none(key: bytes) -> None:
    with pytest.raises(Malformed):
        auth.rsa_answer(b"secret", NONCE, key)


@pytest.mark.parametrize("plugin", [auth.NATIVE, auth.CACHING_SHA2, auth.ED25519, auth.CLEARTEXT, auth.SHA256])
def test_a_proof_is_checked_against_the_token(plugin: str) -> None:
    answers = {
        auth.NATIVE: auth.native_answer,
        auth.CACHING_SHA2: auth.caching_sha2_answer,
        auth.ED25519: auth.ed25519_answer,
    }
    compute = answers.get(plugin, lambda password, _: password + b"\0")
    assert auth.proves(plugin, compute(b"cmt_token", NONCE), b"cmt_token", NONCE)
    assert not auth.proves(plugin, compute(b"cmt_other", NONCE), b"cmt_token", NONCE)
    assert not auth.proves(plugin, b"", b"cmt_token", NONCE)


def test_answers_of_other_plugins_prove_nothing() -> None:
    assert not auth.proves("auth_gssapi_client", b"cmt_token", b"cmt_token", NONCE)


def test_a_server_without_a_nonce_gets_no_password() -> None:
    with pytest.raises(Malformed):
        auth.rsa_answer(b"secret", b"", auth.rsa_receiver().public_key_pem)
