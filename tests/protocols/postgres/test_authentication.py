"""SCRAM-SHA-256 by the vector of RFC 7677 and against a server side written here; channel binding, SASLprep, MD5."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bastion.protocols.contract import LoggedIn, LoginEnded, TlsMode
from bastion.protocols.postgres import ENGINE
from bastion.protocols.postgres.authentication import (
    MAX_ITERATIONS,
    NotPossible,
    Scram,
    end_point_hash,
    md5_answer,
    saslprep,
)

from . import messages as m
from .logins import Driven, asked, drive


def certificate(algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    start = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=1))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def test_the_vector_of_rfc_7677() -> None:
    scram = Scram("pencil", ["SCRAM-SHA-256"], None, nonce="rOprNGfwEbeRWgbNEkqO")
    # PostgreSQL ignores the user name in here, so it is empty; with the RFC's user the signed text would differ.
    scram._bare = lambda: b"n=user,r=rOprNGfwEbeRWgbNEkqO"  # type: ignore[method-assign]
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = scram.final(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert scram.proved


def answers(
    password: str, offer: tuple[str, ...], end_point: bytes = b"", **wrong: bytes
) -> list[bytes | Callable[[Driven], bytes]]:
    """The server's side of SCRAM, written from RFC 5802: one answer for each of the client's messages."""
    seen: dict[str, bytes] = {}
    salt, rounds = b"sixteen  bytes..", 4096

    def last(driven: Driven) -> bytes:
        data, at = bytes(driven.to_server), 0
        messages = []
        while at < len(data):
            if data[at : at + 1] != b"p":
                at += int.from_bytes(data[at : at + 4], "big")
                continue
            size = int.from_bytes(data[at + 1 : at + 5], "big")
            messages.append(data[at + 5 : at + 1 + size])
            at += size + 1
        return messages[-1]

    def first(driven: Driven) -> bytes:
        seen["mechanism"], _, rest = last(driven).partition(b"\0")
        message = rest[4:]
        assert len(message) == int.from_bytes(rest[:4], "big")
        seen["header"] = b",".join(message.split(b",")[:2]) + b","
        seen["bare"] = message[len(seen["header"]) :]
        nonce = seen["bare"].split(b"r=")[1] + b"server"
        seen["first"] = wrong.get("first") or b"r=" + nonce + b",s=" + base64.b64encode(salt) + b",i=%d" % rounds
        return m.authentication(11, seen["first"])

    def final(driven: Driven) -> bytes:
        without_proof, _, proof = last(driven).rpartition(b",p=")
        bound = base64.b64decode(without_proof.split(b",")[0][2:])
        assert bound == seen["header"] + (end_point if seen["header"].startswith(b"p=") else b"")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signed = seen["bare"] + b"," + seen["first"] + b"," + without_proof
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        if bytes(a ^ b for a, b in zip(client_key, signature, strict=True)) != base64.b64decode(proof):
            return m.error("28P01", "password authentication failed", "FATAL")
        known = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256"))
        final = wrong.get("final", m.authentication(12, b"v=" + known))
        return final + m.AUTHENTICATION_OK + m.backend_key(1, b"1234") + m.ready()

    offered = m.authentication(10, b"".join(name.encode() + b"\0" for name in offer) + b"\0")
    return [offered, first, final]


BOTH = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")


@pytest.mark.parametrize("password", ["hosted-secret", "пароль", "a b"])
def test_a_login_by_scram(password: str) -> None:
    driven = drive(ENGINE.login(asked(secret=password)), [m.startup(user="me")], answers(password, ("SCRAM-SHA-256",)))
    assert isinstance(driven.result, LoggedIn)
    assert driven.to_client == m.AUTHENTICATION_OK + m.backend_key(1, b"1234") + m.ready()
    assert password.encode() not in driven.to_server


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_a_login_by_scram_plus(algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> None:
    shown = certificate(algorithm)
    expected = hashlib.new(algorithm.name, shown).digest()
    assert end_point_hash(shown) == expected
    request = asked(server_tls=TlsMode.REQUIRE)
    server = [b"S", *answers("hosted-secret", BOTH, expected)]
    driven = drive(ENGINE.login(request), [m.startup(user="me")], server, certificate=shown)
    assert isinstance(driven.result, LoggedIn)
    assert b"SCRAM-SHA-256-PLUS\0" in driven.to_server


def test_without_plus_in_the_offer_the_client_says_that_it_could() -> None:
    # So that a man in the middle who took -PLUS out of the offer is found out by the server (RFC 5802, section 6).
    request = asked(server_tls=TlsMode.REQUIRE)
    server = [b"S", *answers("hosted-secret", ("SCRAM-SHA-256",))]
    driven = drive(ENGINE.login(request), [m.startup(user="me")], server, certificate=certificate(hashes.SHA256()))
    assert isinstance(driven.result, LoggedIn)
    assert b"y,,n=,r=" in driven.to_server


@pytest.mark.parametrize(
    "wrong",
    [
        {"final": m.authentication(12, b"v=AAAA")},
        {"final": m.authentication(12, b"v=not base64!")},
        {"final": m.authentication(12, b"e=other-error")},
        {"final": m.authentication(12, b"")},
        {"final": b""},
        {"first": b"r=other,s=AAAA,i=4096"},
        {"first": b"s=AAAA,i=4096"},
        {"first": b"noise"},
        {"first": b"r=,s=,i=x"},
    ],
)
def test_a_server_that_does_not_know_the_password_is_not_believed(wrong: dict[str, bytes]) -> None:
    server = answers("hosted-secret", ("SCRAM-SHA-256",), **wrong)
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], server)
    assert isinstance(driven.result, LoginEnded)
    assert driven.result.by == "bastion"
    assert m.AUTHENTICATION_OK not in driven.to_client


def test_a_wrong_hosted_password() -> None:
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], answers("another", ("SCRAM-SHA-256",)))
    assert driven.result.by == "database"
    assert driven.result.error.startswith("28P01")


@pytest.mark.parametrize("iterations", [b"0", b"-1", str(MAX_ITERATIONS + 1).encode(), b"99999999999"])
def test_iterations_that_would_stall_the_bastion(iterations: bytes) -> None:
    scram = Scram("x", ["SCRAM-SHA-256"], None, nonce="n")
    with pytest.raises(NotPossible):
        scram.final(b"r=nn,s=AAAA,i=" + iterations)


def test_an_offer_of_nothing_known() -> None:
    with pytest.raises(NotPossible, match="OAUTHBEARER"):
        Scram("x", ["OAUTHBEARER"], None)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0007", "\u0007"),
    ],
)
def test_saslprep_by_the_examples_of_rfc_4013(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


def test_saslprep_leaves_what_is_forbidden_as_it_is() -> None:
    assert saslprep("\u0627\u0007") == "\u0627\u0007"


def test_md5() -> None:
    inner = hashlib.md5(b"secretuser").hexdigest().encode()
    expected = b"md5" + hashlib.md5(inner + b"\1\2\3\4").hexdigest().encode()
    assert md5_answer("user", "secret", b"\1\2\3\4") == expected
    assert len(expected) == 35
