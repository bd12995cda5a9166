"""TLS whose handshake stands in a protocol's own packets, and TLS that ends with the login."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from bastion.network import serving_context
from bastion.protocols.contract import Leg as Side
from bastion.protocols.contract import ProtocolError
from bastion.protocols.tds.codec import LoginEnvelope
from bastion.sessions.legs import LegClosed
from tests.protocols.tds import messages as m
from tests.unit.test_legs import joined, leaf

__all__ = ["leaf"]


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
async def test_a_handshake_in_packets_and_records_behind_it(leaf: tuple[str, str], cut: int) -> None:
    left, right = joined(cut)
    serving_rules, asking_rules = serving_context(*leaf), trusting()
    started, _ = await asyncio.gather(
        left.start_tls(asking_rules, server_side=False, envelope=LoginEnvelope(Side.SERVER)),
        right.start_tls(serving_rules, server_side=True, envelope=LoginEnvelope(Side.CLIENT)),
    )
    assert started.version == "TLSv1.2"
    # The rules are shared by sessions that have TLS first, and stay what they were.
    assert serving_rules.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED
    left.write(b"a" * 100_000)
    right.write(b"b" * 100_000)
    got = {left: b"", right: b""}
    for leg in (left, right):
        while len(got[leg]) < 100_000:
            got[leg] += await leg.read()
    assert (got[right], got[left]) == (b"a" * 100_000, b"b" * 100_000)


@pytest.mark.parametrize("cut", [1, 50, 1 << 20])
async def test_tls_that_ends_with_the_first_packet(leaf: tuple[str, str], cut: int) -> None:
    """What follows is in the clear, the rest of a long login too, also where it comes in one read with its start."""
    left, right = joined(cut)
    await asyncio.gather(
        left.start_tls(trusting(), server_side=False, envelope=LoginEnvelope(Side.SERVER)),
        right.start_tls(serving_context(*leaf), server_side=True, envelope=LoginEnvelope(Side.CLIENT, login_only=True)),
    )
    login = m.packets(0x10, bytes(6000))
    first, rest = login[:4096], login[4096:]
    left.write(first)
    left.transport.write(rest)  # a client goes on below its TLS
    got = b""
    while len(got) < len(login):
        got += await right.read()
    assert got == login
    right.write(b"in the clear")
    left._tls = None
    clear = b""
    while len(clear) < 12:
        clear += await left.read()
    assert clear == b"in the clear"


async def test_what_is_no_packet_ends_the_handshake(leaf: tuple[str, str]) -> None:
    left, right = joined()
    serving = asyncio.ensure_future(
        right.start_tls(serving_context(*leaf), server_side=True, envelope=LoginEnvelope(Side.CLIENT))
    )
    left.transport.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ProtocolError, match="no part of a TLS handshake"):
        await serving
    left, right = joined()
    serving = asyncio.ensure_future(
        right.start_tls(serving_context(*leaf), server_side=True, envelope=LoginEnvelope(Side.CLIENT))
    )
    left.transport.write(m.packets(0x12, b"\x16\x03\x01")[:9])
    left.close()
    with pytest.raises(LegClosed):
        await serving
