"""What hostile or careless ends may say, and what must come of it."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import Leg, LoginEnded, ProtocolError
from bastion.protocols.oracle.auth_messages import read_request
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect, Malformed, Reader
from bastion.protocols.oracle.connect import redirect_target
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.fuzz.oracle_login import ANSWER, PROTOCOL, TYPES, TYPES_ANSWER
from tests.servers.oracle.wire import counted, number

from . import messages as m
from .test_login import Driven, accept, asked, connect

THIN = Dialect(field_version=24, big_chunks=True)

BACKWARDS = b"\x84\0\0\0\5"
"""A number: five less than none."""


def sides() -> tuple[OracleClientSide, OracleServerSide]:
    exchange = Exchange(THIN)
    return OracleClientSide(exchange), OracleServerSide(exchange)


def login_call(function: int = 0x76, pairs: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    body = b"\1" + b"\1\2" + b"\1\1" + b"\1" + number(len(pairs)) + b"\1\1" + b"\2me"
    return m.call(function, body=body + b"".join(counted(key) + counted(value) + number(0) for key, value in pairs))


def test_a_negative_length_leads_nobody_backwards() -> None:
    for read in (Reader(b"abc", THIN, 2).skip, Reader(b"abc", THIN, 2).raw):
        with pytest.raises(Malformed):
            read(-1)
    _, server = started = sides()
    started[0].feed(m.data(m.execute("select 1 from dual", query=True)))
    with pytest.raises(ProtocolError):
        server.feed(m.data(b"\x08" + number(0) + BACKWARDS + b"\0\0\0\0"))


# -------------------------------------------------------------------------------------------------------------- logins


def test_nothing_goes_on_behind_a_message_of_a_login() -> None:
    for message in (login_call(), login_call(0x73)):
        with pytest.raises(Malformed):
            read_request(message + m.execute("drop table x"), THIN)
    driven = Driven(asked(), [connect(), m.data(PROTOCOL + b"\3\x5edrop")], [accept()])
    assert driven.error is not None
    assert b"drop" not in driven.sent[Leg.SERVER]


def test_a_value_of_a_login_is_given_once() -> None:
    twice = ((b"AUTH_ALTER_SESSION", b"alter session set current_schema = x"), (b"AUTH_ALTER_SESSION", b""))
    with pytest.raises(Malformed):
        read_request(login_call(0x73, twice), THIN)
    context = ((b"AUTH_APPCTX_ATTR\0", b"a"), (b"AUTH_APPCTX_ATTR\0", b"b"))
    assert read_request(login_call(0x73, context), THIN).user == "me"


def test_the_phases_of_a_login_have_an_order() -> None:
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(asked(), [*start, m.data(login_call(0x73))], [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)])
    assert driven.error is not None
    assert "order" in driven.error.reason


def test_a_hosted_account_without_a_token_is_nobody_s() -> None:
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(
        asked(secret="hosted", token=None),
        [*start, m.data(login_call())],
        [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)],
    )
    assert isinstance(driven.result, LoginEnded)
    assert driven.result.error.startswith("client-token-needed")
    assert b"\3\x76" not in driven.sent[Leg.SERVER]


def test_a_message_of_a_login_in_crumbs_is_not_read_for_ever() -> None:
    crumbs = m.cut(login_call(0x76, ((b"AUTH_MACHINE", b"x" * 250), (b"AUTH_PID", b"x" * 250))), 1)
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(asked(), [*start, crumbs], [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)])
    assert driven.error is not None
    assert "packets" in driven.error.reason


def test_digits_that_are_no_number() -> None:
    with pytest.raises(Malformed):
        redirect_target("(ADDRESS=(HOST=a)(PORT=\u00b2))")


def test_what_a_login_carries_is_in_no_repr() -> None:
    message = read_request(login_call(0x73, ((b"AUTH_PASSWORD", b"AB12CD"),)), THIN)
    assert "AB12CD" not in repr(message) + repr(message.pairs)
