"""Legs: buffering before the data phase, back-pressure, and TLS in memory on both ends."""

from __future__ import annotations

import asyncio
import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bastion.network import serving_context
from bastion.protocols.contract import Leg as Side
from bastion.sessions.legs import READ_AHEAD, Leg, LegClosed, TlsFailed, first_of


class Pipe:
    """A transport whose bytes arrive at another leg, one loop turn later, cut into pieces of `cut` bytes."""

    def __init__(self, cut: int = 1 << 20) -> None:
        self.other: Leg | None = None
        self.cut = cut
        self.paused = False

    def write(self, data: bytes) -> None:
        data = bytes(data)
        for start in range(0, len(data), self.cut):
            assert self.other is not None
            asyncio.get_running_loop().call_soon(self.other.data_received, data[start : start + self.cut])

    def close(self) -> None:
        assert self.other is not None
        asyncio.get_running_loop().call_soon(self.other.eof_received)

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0


def joined(cut: int = 1 << 20) -> tuple[Leg, Leg]:
    one, two = Pipe(cut), Pipe(cut)
    left, right = Leg(Side.CLIENT, one), Leg(Side.SERVER, two)
    one.other, two.other = right, left
    return left, right


@pytest.fixture(scope="module")
def leaf() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orders")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("orders")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
async def test_tls_between_two_legs_at_any_cut(leaf: tuple[str, str], cut: int) -> None:
    left, right = joined(cut)
    trusting = ssl.create_default_context(cadata=leaf[0])
    client, server = await asyncio.gather(
        left.start_tls(trusting, server_side=False, hostname="orders"),
        right.start_tls(serving_context(*leaf), server_side=True),
    )
    assert client.version == server.version == "TLSv1.3"
    assert client.certificate == ssl.PEM_cert_to_DER_cert(leaf[0])
    left.write(b"x" * 100_000)
    got = b""
    while len(got) < 100_000:
        got += await right.read()
    assert got == b"x" * 100_000


async def test_under_tls_the_end_is_said_before_the_connection_closes(
    leaf: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = joined()
    trusting = ssl.create_default_context(cadata=leaf[0])
    await asyncio.gather(
        left.start_tls(trusting, server_side=False, hostname="orders"),
        right.start_tls(serving_context(*leaf), server_side=True),
    )
    # Without the transport's own end only close_notify is left to tell the other side.
    monkeypatch.setattr(right.transport, "close", lambda: None)
    right.write(b"last words")
    right.close()
    assert await asyncio.wait_for(left.read(), 60) == b"last words"
    assert await asyncio.wait_for(left.read(), 60) == b""
    right.close()


async def test_a_certificate_of_another_name_is_refused_with_the_reason(leaf: tuple[str, str]) -> None:
    left, right = joined()
    trusting = ssl.create_default_context(cadata=leaf[0])
    serving = asyncio.ensure_future(right.start_tls(serving_context(*leaf), server_side=True))
    with pytest.raises(TlsFailed, match="payments"):
        await left.start_tls(trusting, server_side=False, hostname="payments")
    left.close()
    with pytest.raises((TlsFailed, LegClosed)):
        await serving


async def test_a_handshake_that_the_other_side_leaves_is_over() -> None:
    left, right = joined()
    waiting = asyncio.ensure_future(left.start_tls(ssl.create_default_context(), server_side=False, hostname="orders"))
    await asyncio.sleep(0)
    right.close()
    with pytest.raises(LegClosed):
        await waiting


async def test_bytes_before_the_data_phase_are_kept_and_bounded() -> None:
    left, right = joined()
    left.data_received(b"a" * (READ_AHEAD + 1))
    assert left.transport.paused  # type: ignore[attr-defined]
    assert len(await left.read()) == READ_AHEAD + 1
    assert not left.transport.paused  # type: ignore[attr-defined]
    right.eof_received()
    assert await right.read() == b""


async def test_whichever_leg_speaks_first() -> None:
    left, right = joined()
    waiting = asyncio.ensure_future(first_of((left, right)))
    await asyncio.sleep(0)
    right.data_received(b"greeting")
    assert await waiting is right
    assert await right.read() == b"greeting"


async def test_what_was_read_early_goes_to_the_handler_first_and_then_the_end() -> None:
    left, _ = joined()
    left.data_received(b"early")
    left.eof_received()
    seen: list[object] = []

    class Handler:
        def data(self, side: Side, data: bytes) -> None:
            seen.append(data)

        def closed(self, side: Side) -> None:
            seen.append("closed")

        def writable(self, side: Side, ready: bool) -> None:
            seen.append(ready)

    left.start_handling(Handler())
    assert seen == [b"early", "closed"]
