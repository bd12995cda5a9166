"""Proving the hosted password to the server: SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 5929), MD5.

All waiting is the caller's; the only slow part is PBKDF2, whose iterations are bounded.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata

from cryptography import x509

from .codec import encoded

MAX_ITERATIONS = 200_000
"""Iterations that a server may ask for (its default is 4,096): about 0.1 s of a core, so a hostile one cannot stall."""


class NotPossible(Exception):
    """The server's way of authentication cannot be answered; the message says why, without a secret."""


def md5_answer(user: str, password: str, salt: bytes) -> bytes:
    """The answer to AuthenticationMD5Password."""
    inner = hashlib.md5(encoded(password + user), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()


class Scram:
    """One SCRAM exchange as the client. Channel binding is used with a certificate, where the server offers it."""

    def __init__(
        self, password: str, mechanisms: list[str], certificate: bytes | None, nonce: str | None = None
    ) -> None:
        if certificate is not None and "SCRAM-SHA-256-PLUS" in mechanisms:
            self.mechanism = "SCRAM-SHA-256-PLUS"
            self._header = b"p=tls-server-end-point,,"
            self._binding = self._header + end_point_hash(certificate)
        elif "SCRAM-SHA-256" in mechanisms:
            self.mechanism = "SCRAM-SHA-256"
            # `y`: this side could bind, and believes that the server could not.
            self._header = b"y,," if certificate is not None else b"n,,"
            self._binding = self._header
        else:
            raise NotPossible(f"the database offers only {', '.join(mechanisms) or 'nothing'} for SASL")
        self._password = encoded(saslprep(password))
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18)).decode()
        self._signature = b""
        self.proved = False

    def first(self) -> bytes:
        """client-first-message. PostgreSQL takes the user from the startup message and ignores the one in here."""
        return self._header + self._bare()

    def _bare(self) -> bytes:
        return f"n=,r={self._nonce}".encode()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message for server-first-message. Raises NotPossible when that one is not as it must be."""
        try:
            parts = dict(part.split(b"=", 1) for part in server_first.split(b","))
            nonce, salt, iterations = parts[b"r"], base64.b64decode(parts[b"s"]), int(parts[b"i"])
        except (KeyError, ValueError) as error:
            raise NotPossible("the database's SCRAM message cannot be read") from error
        if not nonce.startswith(self._nonce.encode()) or not 1 <= iterations <= MAX_ITERATIONS:
            raise NotPossible("the database's SCRAM message is not an answer to this login")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = b"c=" + base64.b64encode(self._binding) + b",r=" + nonce
        signed = self._bare() + b"," + server_first + b"," + without_proof
        mask = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return without_proof + b",p=" + base64.b64encode(proof)

    def check(self, server_final: bytes) -> None:
        """Raises NotPossible when the server does not know the password either."""
        try:
            signature = base64.b64decode(server_final.removeprefix(b"v=").split(b",")[0], validate=True)
        except ValueError:
            signature = b""
        known = bool(self._signature) and server_final.startswith(b"v=")
        if not known or not hmac.compare_digest(signature, self._signature):
            raise NotPossible("the database did not prove that it knows the account's password")
        self.proved = True


def end_point_hash(certificate: bytes) -> bytes:
    """tls-server-end-point of a certificate (DER): its hash by its signature's algorithm, SHA-256 for MD5 and SHA-1."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "sha256"
    return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()


def saslprep(text: str) -> str:
    """RFC 4013. Where the rules forbid the text it is used as it is, as PostgreSQL does."""
    if text.isascii():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    forbidden = (
        stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
        stringprep.in_table_c9,
    )  # fmt: skip
    if not normal or any(rule(char) for char in normal for rule in forbidden):
        return text
    return normal
