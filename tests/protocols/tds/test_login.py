"""Logins: what each peer is told, in every mode of encryption, and what is refused with which reason."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from bastion.protocols.contract import Leg, LoggedIn, LoginAborted, LoginEnded, Read, Redial, Refusal, Send, TlsMode
from bastion.protocols.tds.engine import ENGINE
from bastion.protocols.tds.handshake import decode_login7
from bastion.protocols.tds.negotiation import decode_prelogin

from . import messages as m
from .logins import ASKED, SECRET, V8, V71, V74, Login, login7, login_ack, prelogin, route, scrambled, welcome


def pre(encryption: int, mars: int | None = None) -> bytes:
    return m.packets(0x12, prelogin(encryption, mars=mars))


def answered(encryption: int) -> bytes:
    return m.packets(4, prelogin(encryption))


def said(data: bytes) -> bytes:
    return m.packets(0x10, data)


def sent_login(login: Login) -> bytes:
    return login.sent[Leg.SERVER][-1][8:]


def test_the_account_logs_in_and_the_person_stands_behind_the_program() -> None:
    login = Login(ASKED, [pre(2, mars=1), said(login7(database="shop"))], [answered(2), welcome(database="shop")])
    result = login.result
    assert isinstance(result, LoggedIn)
    assert (result.login, result.client, result.catalog, result.schema) == ("whoever", "the program", "shop", "shop")
    assert result.server_version == "Microsoft SQL Server 16.0.1000"
    ours = decode_login7(sent_login(login))
    assert (ours.user, ours.password, ours.database) == ("app", SECRET, "shop")
    assert (ours.program, ours.host, ours.library) == ("the program (alice)", "client host", "library")
    assert (ours.version, ours.numbers, ours.options, ours.client_id) == (
        V74, (4096, 7, 42, 0), (0xE0, 0x03, 0, 0), b"\1\2\3\4\5\6",
    )  # fmt: skip
    assert scrambled("typed") not in sent_login(login)
    assert login.told == welcome(database="shop")
    assert SECRET not in repr(ours)


def test_the_servers_version_reaches_the_client_and_mars_does_not() -> None:
    own = m.packets(4, prelogin(2, version=b"\x0f\0\x08\x01\0\0", mars=1))
    login = Login(ASKED, [pre(2, mars=1), said(login7())], [own, welcome()])
    first = decode_prelogin(login.sent[Leg.CLIENT][0][8:])
    assert first.version == b"\x0f\0\x08\x01\0\0"
    assert first.options[4] == b"\0"
    assert decode_prelogin(login.sent[Leg.SERVER][0][8:]).options[4] == b"\0"


@pytest.mark.parametrize(
    ("asked", "answer", "login_only"), [(0, 0, True), (1, 1, False), (2, 2, None), (3, 1, False), (0x81, 1, False)]
)
def test_the_clients_tls_is_as_it_wants_it(asked: int, answer: int, login_only: bool | None) -> None:
    request = replace(ASKED, client_tls=True)
    login = Login(request, [pre(asked), said(login7())], [answered(2), welcome()])
    assert isinstance(login.result, LoggedIn)
    assert decode_prelogin(login.sent[Leg.CLIENT][0][8:]).encryption == answer
    envelopes = [each.envelope for each in login.tls]
    assert [envelope is not None and envelope.ends for envelope in envelopes] == (
        [] if login_only is None else [login_only]
    )


def test_without_a_certificate_nothing_is_encrypted() -> None:
    login = Login(ASKED, [pre(0), said(login7())], [answered(2), welcome()])
    assert decode_prelogin(login.sent[Leg.CLIENT][0][8:]).encryption == 2
    assert login.tls == []


@pytest.mark.parametrize(
    ("mode", "offered", "asked", "encrypted"),
    [
        (TlsMode.DISABLE, 2, 2, False), (TlsMode.PREFER, 2, 1, False), (TlsMode.PREFER, 1, 1, True),
        (TlsMode.REQUIRE, 3, 1, True), (TlsMode.VERIFY_FULL, 1, 1, True),
    ],
)  # fmt: skip
def test_the_servers_tls_is_as_the_mode_says(mode: TlsMode, offered: int, asked: int, encrypted: bool) -> None:
    login = Login(replace(ASKED, server_tls=mode), [pre(2), said(login7())], [answered(offered), welcome()])
    assert isinstance(login.result, LoggedIn)
    assert decode_prelogin(login.sent[Leg.SERVER][0][8:]).encryption == asked
    assert [each.leg for each in login.tls] == ([Leg.SERVER] if encrypted else [])
    if encrypted:
        assert login.tls[0].envelope is not None
        assert not login.tls[0].envelope.ends


@pytest.mark.parametrize(("mode", "offered"), [(TlsMode.REQUIRE, 2), (TlsMode.VERIFY_CA, 0), (TlsMode.DISABLE, 3)])
def test_a_server_that_will_not_have_it_so_is_not_given_the_password(mode: TlsMode, offered: int) -> None:
    login = Login(replace(ASKED, server_tls=mode), [pre(2), said(login7())], [answered(offered)])
    assert isinstance(login.result, LoginEnded)
    assert login.result.by == "bastion"
    assert login.error[0] == 18456
    assert mode.value in login.error[1]
    assert scrambled(SECRET) not in b"".join(login.sent[Leg.SERVER])


def test_a_server_that_wants_tls_first_is_asked_again_so() -> None:
    request = replace(ASKED, server_tls=TlsMode.VERIFY_FULL)
    login = Login(request, [pre(2), said(login7(version=V8))], [b"", answered(2), welcome(version=V8)])
    assert isinstance(login.result, LoggedIn)
    assert login.redials == [Redial()]
    assert [(each.leg, each.alpn, each.envelope) for each in login.tls] == [(Leg.SERVER, ("tds/8.0",), None)]
    assert decode_login7(sent_login(login)).version == V8


def test_a_client_of_tds_8_may_have_a_server_without_it() -> None:
    request = replace(ASKED, client_tls=True)
    login = Login(request, [b"\x16\x03\x01", pre(2), said(login7(version=V8))], [answered(2), welcome()])
    assert isinstance(login.result, LoggedIn)
    assert [(each.leg, each.received, each.alpn) for each in login.tls] == [(Leg.CLIENT, b"\x16\x03\x01", ("tds/8.0",))]
    assert decode_login7(sent_login(login)).version == V74
    assert login.told == welcome().replace(login_ack(), login_ack(V8))
    assert login.result.client_side._exchange.version == V74  # type: ignore[attr-defined]


def test_an_old_client_begins_with_its_login() -> None:
    login = Login(ASKED, [said(login7(version=V71))], [answered(2), welcome(version=V71)])
    assert isinstance(login.result, LoggedIn)
    ours = decode_login7(sent_login(login))
    assert (ours.version, ours.user, ours.program) == (V71, "app", "the program (alice)")
    assert struct.unpack_from("<H", sent_login(login), 36)[0] == 86


def test_a_password_that_is_not_hosted_is_the_clients_own() -> None:
    login = Login(
        replace(ASKED, account=None, secret=None), [pre(2), said(login7("bob", "pässword"))], [answered(2), welcome()]
    )
    ours = decode_login7(sent_login(login))
    assert (ours.user, ours.password) == ("bob", "pässword")


def test_only_what_is_carried_is_asked_for() -> None:
    features = {0x01: b"", 0x04: b"\1", 0x09: b"\1", 0x0A: b"\1", 0x10: b"agent"}
    login = Login(ASKED, [pre(2), said(login7(features=features))], [answered(2), welcome(b"\xae\x0a\1\0\0\0\1\xff")])
    assert decode_login7(sent_login(login)).features == {0x0A: b"\1"}
    assert isinstance(login.result, LoggedIn)


@pytest.mark.parametrize(
    ("login", "request_with", "number", "words"),
    [
        (login7(flags=(0, 0x83, 0, 0), sspi=b"NTLMSSP\0"), {}, 18452, "Windows logins"),
        (login7(features={2: b"\x02token"}), {}, 18456, "Entra"),
        (login7(flags=(0, 0, 0, 1)), {}, 18456, "cannot be changed"),
        (login7(attached="c:\\x.mdf"), {}, 18456, "attached"),
        (login7(flags=(0, 0, 0, 4)), {}, 18456, "user instances"),
        (login7(version=0x70000000), {}, 18456, "newer client"),
        (login7(password="wrong"), {"demand_token": True, "token": "cmt_x"}, 18456, "O&M token"),
        (login7(password=""), {"demand_token": True, "token": None}, 18456, "O&M token"),
        (login7(database="other"), {"databases": ("shop",)}, 18456, "'other' may not be opened"),
    ],
)
def test_what_is_refused_is_refused_with_its_reason(
    login: bytes, request_with: dict[str, object], number: int, words: str
) -> None:
    run = Login(replace(ASKED, **request_with), [pre(2), said(login)], [answered(2)])  # type: ignore[arg-type]
    assert isinstance(run.result, LoginEnded)
    assert run.result.by == "bastion"
    found, text = run.error
    assert found == number
    assert words in text
    assert len(run.sent[Leg.SERVER]) == 1


def test_the_token_opens_where_it_is_demanded_and_a_default_database_is_looked_at() -> None:
    request = replace(ASKED, demand_token=True, token="cmt_x", databases=("Shop",))
    login = Login(request, [pre(2), said(login7(password="cmt_x"))], [answered(2), welcome(database="shop")])
    assert isinstance(login.result, LoggedIn)
    login = Login(request, [pre(2), said(login7(password="cmt_x"))], [answered(2), welcome(database="master")])
    assert isinstance(login.result, LoginEnded)
    assert "'master' may not be opened" in login.error[1]


def test_the_servers_refusal_reaches_the_client_in_its_own_words() -> None:
    refusal = m.answer(m.error(18456, "Login failed for user 'app'.", 14), m.done(m.ERROR))
    login = Login(ASKED, [pre(2), said(login7())], [answered(2), refusal])
    assert login.told == refusal
    assert login.result == LoginEnded("database", "18456: Login failed for user 'app'.", "whoever", "the program")


def test_a_redirect_is_followed_by_the_bastion_and_never_told() -> None:
    login = Login(ASKED, [pre(2), said(login7())], [
        answered(2), welcome(route("replica.internal", 1433)), answered(2), welcome(database="shop"),
    ])  # fmt: skip
    assert isinstance(login.result, LoggedIn)
    assert login.redials == [Redial("replica.internal", 1433)]
    assert login.told == welcome(database="shop")
    assert all(m.wide("replica") not in data for data in login.sent[Leg.CLIENT])
    assert [data[0] for data in login.sent[Leg.SERVER]] == [0x12, 0x10, 0x12, 0x10]


def test_redirects_come_to_an_end() -> None:
    server = [answered(2), welcome(route("b", 1))] * 10
    login = Login(ASKED, [pre(2), said(login7())], server)
    assert "more than 3 times" in login.error[1]


def test_the_partner_of_a_mirror_is_not_told() -> None:
    partner = m.change(13, m.b_text("partner.internal"), b"\0")
    login = Login(ASKED, [pre(2), said(login7())], [answered(2), welcome(partner)])
    assert isinstance(login.result, LoggedIn)
    assert login.told == welcome()


def test_a_server_that_is_gone_is_told_where_the_client_reads_it() -> None:
    login = Login(ASKED, [pre(2), said(login7())], [])
    assert isinstance(login.result, LoginEnded)
    assert login.result.by == "database"
    assert login.error[0] == 18456
    assert "closed the connection" in login.error[1]


@pytest.mark.parametrize(
    "client",
    [
        [b"GET / HTTP/1.1\r\n\r\n"], [m.packets(0x12, b"\0\0\1")], [m.packets(0x12, b"\x01\xff\xff\xff\xff\xff")],
        [pre(2), m.packets(0x10, b"short")], [pre(2), said(struct.pack("<I", 10**6) + login7()[4:])],
        [pre(2), m.batch("select 1")], [pre(2), said(login7()[:40] + b"\xff\xff\xff\xff" + login7()[44:])],
        [m.packets(2, bytes(512))], [m.packets(0x12, bytes(300_000), size=32767)],
        [pre(2), said(login7(features={})[:-1])],
    ],
)  # fmt: skip
def test_what_is_no_login_is_refused(client: list[bytes]) -> None:
    login = Login(ASKED, client, [answered(2), welcome()])
    assert login.failed
    assert login.told[8] == 0xAA
    assert len(login.sent[Leg.SERVER]) <= 1


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400\r\n\r\n", m.answer(b"\x99"), m.answer(b"\xed\x01\0a", m.done()), m.batch("x")]
)
def test_what_no_server_says_ends_the_login(answer: bytes) -> None:
    login = Login(ASKED, [pre(2), said(login7())], [answered(2), answer])
    assert login.failed
    assert login.error[0] == 18456


def test_an_aborted_login_tells_the_client_at_once() -> None:
    steps = ENGINE.login(ASKED)
    assert next(steps) == Read(Leg.CLIENT)
    step = steps.throw(LoginAborted(Refusal("login-timeout", "Too late.")))
    assert isinstance(step, Send)
    assert m.wide("Too late.") in step.data
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == LoginEnded("bastion", "login-timeout: Too late.")
