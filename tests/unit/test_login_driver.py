"""The login's driver: pins, limits and lost legs, on steps small enough to see through."""

from __future__ import annotations

import asyncio
import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastion.protocols.contract import (
    Leg as Side,
)
from bastion.protocols.contract import (
    LoginAborted,
    LoginEnded,
    LoginSteps,
    Read,
    Refusal,
    Send,
    StartTls,
)
from bastion.sessions.live import Ending
from bastion.sessions.login import Legs, drive_login, public_key_digest
from tests.unit.test_legs import joined, leaf

__all__ = ["leaf"]

LATE = Refusal("login-timeout", "too late")


def tls_refusal(detail: str) -> Refusal:
    return Refusal("database-tls", detail)


def asks_for_tls() -> LoginSteps:
    try:
        yield StartTls(Side.SERVER)
    except LoginAborted as aborted:
        yield Send(Side.CLIENT, aborted.refusal.message.encode())
        return LoginEnded("bastion", aborted.refusal.message)
    return LoginEnded("nobody", "logged in")


def waits_for_ever() -> LoginSteps:
    try:
        yield Read(Side.SERVER)
    except LoginAborted as aborted:
        yield Send(Side.CLIENT, aborted.refusal.message.encode())
        return LoginEnded("bastion", aborted.refusal.message)
    return LoginEnded("nobody", "")


@pytest.mark.parametrize("right", [True, False])
async def test_a_pin_decides_whatever_the_mode_checks(leaf: tuple[str, str], right: bool) -> None:
    from bastion.network import serving_context

    certificate = x509.load_pem_x509_certificate(leaf[0].encode())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = hashlib.sha256(key).hexdigest()
    assert public_key_digest(certificate.public_bytes(Encoding.DER)) == pin
    server, database = joined()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client, person = joined()
    legs = Legs(client, server, server_tls=lambda alpn: trusting, server_pin=pin if right else "0" * 64)
    serving = asyncio.ensure_future(database.start_tls(serving_context(*leaf), server_side=True))
    result = await drive_login(asks_for_tls(), legs, 60, LATE, tls_refusal)
    await asyncio.gather(serving, return_exceptions=True)
    assert isinstance(result, LoginEnded)
    if right:
        assert result.by == "nobody"
    else:
        assert "not the pinned one" in result.error
        assert b"not the pinned one" in await person.read()


async def test_a_database_that_says_nothing_is_given_up_and_the_client_is_told() -> None:
    client, person = joined()
    server, _ = joined()
    result = await drive_login(waits_for_ever(), Legs(client, server), 0.05, LATE, tls_refusal)
    assert result == LoginEnded("bastion", "too late")
    assert await person.read() == b"too late"


async def test_a_login_that_is_ended_meanwhile_is_over_at_once_and_the_client_is_told_why() -> None:
    client, person = joined()
    server, _ = joined()
    ended = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(drive_login(waits_for_ever(), Legs(client, server), 600, LATE, tls_refusal, ended))
    await asyncio.sleep(0)
    ended.set_result(Ending("ended", "root", Refusal("session-ended", "ended by root")))
    async with asyncio.timeout(60):
        assert await running == LoginEnded("bastion", "ended by root")
        assert await person.read() == b"ended by root"
        # One that was ended before it began does not begin.
        again = await drive_login(waits_for_ever(), Legs(client, server), 600, LATE, tls_refusal, ended)
    assert again == LoginEnded("bastion", "ended by root")
