"""O5LOGON: how a client and a database prove to each other that they know the password, and what they make of it.

Both halves, since the bastion is the database for its client and the client for its database: the two legs have keys
of their own. The steps are python-oracledb's (`messages/auth.pyx`, `crypto.pyx`); they were worked out again from
captures whose password is known. Every key and salt travels as hexadecimal text in capitals.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .codec import Malformed

VERIFIER_11G, VERIFIER_11G_OLD, VERIFIER_12C = 0x1B25, 0xB152, 0x4815
"""Kinds of verifier: the flags of AUTH_VFR_DATA."""

KNOWN = (VERIFIER_12C, VERIFIER_11G, VERIFIER_11G_OLD)
MOST_ROUNDS = 100_000
"""Rounds of PBKDF2 that are done for a server at most."""

_USUAL_ROUNDS, _USUAL_KEY_ROUNDS = 4096, 3
SERVER_PROOF = b"SERVER_TO_CLIENT"
_SPEEDY = b"AUTH_PBKDF2_SPEEDY_KEY"
_BLOCK = 16


class WrongPassword(Exception):
    """The other side does not know the password."""


@dataclass(frozen=True, repr=False)
class Challenge:
    """What a server asks with. `session_key` is its half, encrypted; `key_salt` is empty where there is none."""

    verifier: int
    salt: bytes
    session_key: bytes
    key_salt: bytes = b""
    rounds: int = _USUAL_ROUNDS
    key_rounds: int = _USUAL_KEY_ROUNDS

    @classmethod
    def of(cls, pairs: dict[str, str], verifier: int) -> Challenge:
        """From the pairs of the server's answer. Raises Malformed."""
        if verifier not in KNOWN:
            raise Malformed(f"a verifier of kind {verifier:#x}, which is not known")
        try:
            challenge = cls(
                verifier,
                bytes.fromhex(pairs["AUTH_VFR_DATA"]),
                bytes.fromhex(pairs["AUTH_SESSKEY"]),
                bytes.fromhex(pairs.get("AUTH_PBKDF2_CSK_SALT", "")),
                int(pairs.get("AUTH_PBKDF2_VGEN_COUNT", _USUAL_ROUNDS)),
                int(pairs.get("AUTH_PBKDF2_SDER_COUNT", _USUAL_KEY_ROUNDS)),
            )
        except (KeyError, ValueError):
            raise Malformed("a challenge that lacks something") from None
        if not (0 < challenge.rounds <= MOST_ROUNDS and 0 < challenge.key_rounds <= MOST_ROUNDS):
            raise Malformed("a challenge with more rounds than are done")
        if len(challenge.session_key) not in (32, 48) or len(challenge.salt) > 64 or len(challenge.key_salt) > 64:
            raise Malformed("a challenge of another length")
        return challenge


@dataclass(frozen=True, repr=False)
class Answer:
    """What a client answers with. `speedy_key` is empty but for the verifier of 12c."""

    session_key: bytes
    password: bytes
    speedy_key: bytes = b""


class _Password:
    """What a password comes to under a verifier: the key of the session keys, and the 12c verifier's longer one."""

    def __init__(self, password: str, verifier: int, salt: bytes, rounds: int) -> None:
        text = password.encode()
        self.long_key = b""
        if verifier == VERIFIER_12C:
            self.long_key = _pbkdf2(text, salt + _SPEEDY, rounds, 64)
            self.key = hashlib.sha512(self.long_key + salt).digest()[:32]
        else:
            self.key = hashlib.sha1(text + salt).digest() + bytes(4)  # noqa: S324 - what the protocol does


def answer(challenge: Challenge, password: str, random: Callable[[int], bytes]) -> tuple[Answer, bytes]:
    """The client's answer, and the key that both sides then have. `random` gives so many bytes."""
    own = _Password(password, challenge.verifier, challenge.salt, challenge.rounds)
    theirs = _decrypted(own.key, challenge.session_key)
    ours = random(len(theirs))
    if len(theirs) == 48 and theirs[40:] == b"\x08" * 8:  # servers that pad their half want ours padded
        ours = ours[:40] + b"\x08" * 8
    combined = _combined(challenge, ours, theirs)
    speedy = _encrypted(combined, random(_BLOCK) + own.long_key) if own.long_key else b""
    return (
        Answer(_encrypted(own.key, ours), _encrypted(combined, _padded(random(_BLOCK) + password.encode())), speedy),
        combined,
    )


def challenge_like(theirs: Challenge, password: str, random: Callable[[int], bytes]) -> tuple[Challenge, bytes]:
    """A challenge for another password, of the same form and length as a server's, and its half of the key."""
    salt, ours = random(len(theirs.salt)), random(len(theirs.session_key))
    own = _Password(password, theirs.verifier, salt, theirs.rounds)
    key_salt = random(len(theirs.key_salt))
    return replace(theirs, salt=salt, session_key=_encrypted(own.key, ours), key_salt=key_salt), ours


def verified(asked: Challenge, ours: bytes, password: str, given: Answer) -> bytes:
    """The key that both sides then have. Raises WrongPassword where the client does not know the password."""
    own = _Password(password, asked.verifier, asked.salt, asked.rounds)
    if len(given.session_key) != len(ours):
        raise WrongPassword
    combined = _combined(asked, _decrypted(own.key, given.session_key), ours)
    if given.password:
        if not hmac.compare_digest(_without_padding(_decrypted(combined, given.password))[_BLOCK:], password.encode()):
            raise WrongPassword
    elif not given.speedy_key or not hmac.compare_digest(
        _decrypted(combined, given.speedy_key)[_BLOCK : _BLOCK + 64], own.long_key
    ):
        # Some clients send only what the password comes to, not the password.
        raise WrongPassword
    return combined


def server_proof(combined: bytes, random: Callable[[int], bytes]) -> bytes:
    """With which a server shows that it knew the password too."""
    return _encrypted(combined, _padded(random(_BLOCK) + SERVER_PROOF))


def is_server_proof(combined: bytes, data: bytes) -> bool:
    """Whether the server knew the password."""
    if not data or len(data) % _BLOCK or len(data) > 256:
        return False
    return hmac.compare_digest(_decrypted(combined, data)[_BLOCK : _BLOCK + len(SERVER_PROOF)], SERVER_PROOF)


def _combined(asked: Challenge, client: bytes, server: bytes) -> bytes:
    if asked.verifier == VERIFIER_12C:
        return _pbkdf2((client[:32] + server[:32]).hex().upper().encode(), asked.key_salt, asked.key_rounds, 32)
    if asked.key_salt:  # a newer server, an account that still has the old verifier
        return _pbkdf2((client[:24] + server[:24]).hex().upper().encode(), asked.key_salt, asked.key_rounds, 24)
    mixed = bytes(ours ^ theirs for ours, theirs in zip(server[16:40], client[16:40], strict=True))
    return hashlib.md5(mixed[:16]).digest() + hashlib.md5(mixed[16:]).digest()[:8]  # noqa: S324 - as above


def _pbkdf2(password: bytes, salt: bytes, rounds: int, size: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password, salt, rounds, size)


def _encrypted(key: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _decrypted(key: bytes, data: bytes) -> bytes:
    if not data or len(data) % _BLOCK:
        raise WrongPassword
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(_BLOCK))).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _padded(data: bytes) -> bytes:
    size = _BLOCK - len(data) % _BLOCK
    return data + bytes((size,)) * size


def _without_padding(data: bytes) -> bytes:
    size = data[-1] if data else 0
    return data[:-size] if 0 < size <= _BLOCK and data.endswith(bytes((size,)) * size) else data
