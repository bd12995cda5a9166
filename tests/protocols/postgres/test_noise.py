"""Noise on every side ends in ProtocolError or in a login's own end, soon, and never in another exception."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import (
    CancelAsked,
    CancelKey,
    LoggedIn,
    LoginEnded,
    LoginRequest,
    ProtocolError,
    Refusal,
    TlsMode,
)
from bastion.protocols.postgres import ENGINE
from bastion.protocols.postgres.values import bind_text

from . import messages as m
from .conversations import EVERY_KIND, Turn
from .logins import asked, drive
from .session import Session

ASKING = [m.SSL_REQUEST, m.GSSENC_REQUEST, m.startup(user="a"), m.password("x")]
ANSWERING = [
    b"S", b"N", m.AUTHENTICATION_OK, m.authentication(10, b"SCRAM-SHA-256\0\0"),
    m.authentication(11, b"r=,s=,i=1"), m.authentication(12, b"v=x"), m.ready(),
]  # fmt: skip
SEEDS = [data for _, data in EVERY_KIND]


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Random bytes, messages with random bodies, and real messages with bytes changed, removed and put in."""
    choice = draw(st.integers(0, 2))
    if choice == 0:
        return draw(st.binary(max_size=200))
    if choice == 1:
        kinds = st.sampled_from([bytes([kind]) for kind in b"QPBEDCSHFdcfX12367tTnICEZsSGHWcVANKR"])
        return b"".join(m.framed(draw(kinds), draw(st.binary(max_size=60))) for _ in range(draw(st.integers(1, 5))))
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), noise()), max_size=8), st.booleans())
def test_sides(turns: list[Turn], judging: bool) -> None:
    session = Session()
    session.client_side.judging = judging
    fed = {"client": b"", "server": b""}
    try:
        for speaker, data in turns:
            (session.client if speaker == "client" else session.server)(data)
            fed[speaker] += data
    except ProtocolError as error:
        raw = error.raw
    else:
        raw = b""
    assert len(raw) <= 4096
    assert fed["client"].startswith(bytes(session.to_server))
    session.ended()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(noise() | st.sampled_from(ASKING), max_size=5),
    st.lists(noise() | st.sampled_from(ANSWERING), max_size=8),
    st.sampled_from([
        asked(), asked(demand_token=True, token="t"), asked(account=None, secret=None, client_tls=True),
        asked(server_tls=TlsMode.REQUIRE),
    ]),
)  # fmt: skip
def test_login(client: list[bytes], server: list[bytes], request: LoginRequest) -> None:
    try:
        driven = drive(ENGINE.login(request), client, server)
    except ProtocolError:
        return
    assert isinstance(driven.result, LoggedIn | LoginEnded | CancelAsked)
    assert b"hosted-secret" not in driven.to_client


@settings(max_examples=150, deadline=None)
@given(st.lists(noise(), max_size=5))
def test_refuse_and_cancel(peer: list[bytes]) -> None:
    assert isinstance(drive(ENGINE.refuse(Refusal("x", "no")), peer).result, LoginEnded)
    steps = ENGINE.cancel(CancelKey(1, b"1234"), asked(server_tls=TlsMode.PREFER))
    assert drive(steps, [], peer).result in (True, False)


OIDS = [*range(30), 114, 199, 700, 701, 790, 1000, 1005, 1007, 1016, 1022, 1082, 1083, 1114, 1184, 1186, 1231, 1266,
        1700, 2950, 2951, 3220, 3802, 3807, 99999]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(OIDS), st.booleans(), st.binary(max_size=80), st.sampled_from(["utf-8", "gbk", "latin-1"]))
def test_values(oid: int, binary: bool, value: bytes, codec: str) -> None:
    text = bind_text(oid, binary, value, codec)
    text.encode()
    assert len(text) < 2_000


@pytest.mark.parametrize("seed", range(4))
def test_a_megabyte_of_noise_is_done_with_soon(seed: int) -> None:
    data = random.Random(seed).randbytes(1_000_000)
    started = time.process_time()
    for side in ("client", "server"):
        session = Session()
        session.client(m.query("select 1"))
        with pytest.raises(ProtocolError):
            (session.client if side == "client" else session.server)(data)
    assert time.process_time() - started < 2
