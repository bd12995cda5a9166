"""O5LOGON: against captures whose password is known, and both halves against each other."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from bastion.protocols.oracle import authentication as o5
from bastion.protocols.oracle.codec import Dialect, Malformed, Reader
from tests.protocols import captures
from tests.servers import excuses

from .conversations import packets_of, recorded

PASSWORD = "oracle"
CAPTURED = [
    "go_ora_binds.pcapng", "go_ora_midfetch_fail.pcapng", "jdbc_thin_midfetch_fail.pcapng",
    "python_thin_cursor_reexec.pcapng", "python_thin_midfetch_fail.pcapng", "sqlplus_cursor_reexec.pcapng",
]  # fmt: skip
NAMES = (
    "AUTH_SESSKEY", "AUTH_VFR_DATA", "AUTH_PBKDF2_CSK_SALT", "AUTH_PBKDF2_VGEN_COUNT", "AUTH_PBKDF2_SDER_COUNT",
    "AUTH_SVR_RESPONSE", "AUTH_PASSWORD", "AUTH_PBKDF2_SPEEDY_KEY",
)  # fmt: skip


def values_of(name: str) -> dict[str, dict[str, str]]:
    """The named values that each side sent during the login."""
    [flow] = captures.flows(captures.FOLDER / "oracle" / name)
    found = recorded(packets_of(flow))
    values: dict[str, dict[str, str]] = {"client": {}, "server": {}}
    content = {"client": b"", "server": b""}
    for who, packet in found.login:
        content[who] += packet.content
    for who, data in content.items():
        for each in NAMES:
            at = data.find(each.encode())
            if at >= 0:
                reader = Reader(data, Dialect(native_ub4=found.dialect.native_ub4, big_chunks=True), at + len(each))
                values[who][each] = reader.text(reader.counted())
    return values


@pytest.mark.parametrize("name", CAPTURED)
def test_the_arithmetic_comes_out_as_in_a_real_login(name: str) -> None:
    if not captures.FOLDER.is_dir():
        excuses.skip("no-captures")
    values = values_of(name)
    asked = o5.Challenge.of(values["server"], o5.VERIFIER_12C)
    client = values["client"]
    given = o5.Answer(*(bytes.fromhex(client[each]) for each in NAMES[:1] + NAMES[6:]))
    half = o5._decrypted(o5._Password(PASSWORD, asked.verifier, asked.salt, asked.rounds).key, asked.session_key)
    combined = o5.verified(asked, half, PASSWORD, given)
    assert o5.is_server_proof(combined, bytes.fromhex(values["server"]["AUTH_SVR_RESPONSE"]))
    assert not o5.is_server_proof(combined, os.urandom(48))
    with pytest.raises(o5.WrongPassword):
        o5.verified(asked, half, "another", given)


def challenged(verifier: int, password: str, *, mixed: bool = False) -> tuple[o5.Challenge, bytes]:
    twelve = verifier == o5.VERIFIER_12C
    shape = o5.Challenge(
        verifier, bytes(16 if twelve else 10), bytes(32 if twelve or mixed else 48), bytes(16 if twelve or mixed else 0)
    )
    return o5.challenge_like(shape, password, os.urandom)


@pytest.mark.parametrize(("verifier", "mixed"), [
    (o5.VERIFIER_12C, False), (o5.VERIFIER_11G, False), (o5.VERIFIER_11G, True), (o5.VERIFIER_11G_OLD, False),
])  # fmt: skip
def test_both_halves_come_to_the_same_key(verifier: int, mixed: bool) -> None:
    password = "a Päßword of 30 bytes, or more"
    asked, half = challenged(verifier, password, mixed=mixed)
    given, combined = o5.answer(asked, password, os.urandom)
    assert o5.verified(asked, half, password, given) == combined
    assert o5.is_server_proof(combined, o5.server_proof(combined, os.urandom))
    for wrong in (replace(given, password=os.urandom(48)), replace(given, session_key=os.urandom(16)),
                  replace(given, password=b"", speedy_key=os.urandom(80))):  # fmt: skip
        with pytest.raises(o5.WrongPassword):
            o5.verified(asked, half, password, wrong)
    with pytest.raises(o5.WrongPassword):
        o5.verified(asked, half, password, o5.answer(asked, "another", os.urandom)[0])


def test_a_client_that_sends_only_what_its_password_comes_to() -> None:
    asked, half = challenged(o5.VERIFIER_12C, "token")
    given, combined = o5.answer(asked, "token", os.urandom)
    assert o5.verified(asked, half, "token", replace(given, password=b"")) == combined


def test_a_challenge_that_would_cost_too_much_or_is_none() -> None:
    good = {"AUTH_VFR_DATA": "00" * 16, "AUTH_SESSKEY": "00" * 32, "AUTH_PBKDF2_CSK_SALT": "00" * 16}
    assert o5.Challenge.of(good, o5.VERIFIER_12C).rounds == 4096
    for wrong in ({"AUTH_PBKDF2_VGEN_COUNT": "100001"}, {"AUTH_PBKDF2_SDER_COUNT": "0"}, {"AUTH_SESSKEY": "00"},
                  {"AUTH_VFR_DATA": "not hexadecimal"}):  # fmt: skip
        with pytest.raises(Malformed):
            o5.Challenge.of({**good, **wrong}, o5.VERIFIER_12C)
    with pytest.raises(Malformed):
        o5.Challenge.of(good, 0x939)
