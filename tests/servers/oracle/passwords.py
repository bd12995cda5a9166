"""The server's half of O5LOGON, for the verifiers of 12c and 11g."""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KINDS = {"12c": 18453, "11g": 6949}


class Logon:
    """One login: `pairs` is the challenge; `proof` reads the client's answer."""

    def __init__(self, password: str, kind: str) -> None:
        self._password = password.encode()
        self._kind = kind
        self._half = os.urandom(32 if kind == "12c" else 48)
        self._mixing_salt = os.urandom(16)
        if kind == "12c":
            self._salt = os.urandom(16)
            self._stretched = hashlib.pbkdf2_hmac(
                "sha512", self._password, self._salt + b"AUTH_PBKDF2_SPEEDY_KEY", 4096, 64
            )
            self._key = hashlib.sha512(self._stretched + self._salt).digest()[:32]
        else:
            self._salt = os.urandom(10)
            self._key = hashlib.sha1(self._password + self._salt).digest() + b"\0\0\0\0"

    def pairs(self) -> list[tuple[str, str, int]]:
        """Names, values and flags."""
        challenge = [
            ("AUTH_SESSKEY", _aes(self._key, self._half, encrypt=True).hex().upper(), 0),
            ("AUTH_VFR_DATA", self._salt.hex().upper(), KINDS[self._kind]),
        ]
        if self._kind == "12c":
            challenge += [
                ("AUTH_PBKDF2_CSK_SALT", self._mixing_salt.hex().upper(), 0),
                ("AUTH_PBKDF2_VGEN_COUNT", "4096", 0),
                ("AUTH_PBKDF2_SDER_COUNT", "3", 0),
            ]
        return challenge

    def proof(self, session_key: str, password: str) -> str | None:
        """The server's own proof, or None where the password is another."""
        theirs = _aes(self._key, bytes.fromhex(session_key), encrypt=False)
        if self._kind == "12c":
            text = (theirs[:32] + self._half).hex().upper().encode()
            mixed = hashlib.pbkdf2_hmac("sha512", text, self._mixing_salt, 3, 32)
        else:
            both = bytes(one ^ two for one, two in zip(self._half[16:40], theirs[16:40], strict=True))
            mixed = hashlib.md5(both[:16]).digest() + hashlib.md5(both[16:]).digest()[:8]
        clear = _aes(mixed, bytes.fromhex(password), encrypt=False)
        if clear[16 : -clear[-1]] != self._password:
            return None
        answer = os.urandom(16) + b"SERVER_TO_CLIENT" + b"\x10" * 16
        return _aes(mixed, answer, encrypt=True).hex().upper()


def _aes(key: bytes, data: bytes, *, encrypt: bool) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
    worker = cipher.encryptor() if encrypt else cipher.decryptor()
    return worker.update(data) + worker.finalize()
