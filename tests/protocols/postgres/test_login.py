"""The login of both legs, step by step, with scripted peers."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

from bastion.protocols.contract import (
    CancelAsked,
    CancelKey,
    Leg,
    LoggedIn,
    LoginEnded,
    ProtocolError,
    Received,
    Refusal,
    Send,
    StartTls,
    TlsMode,
)
from bastion.protocols.postgres import ENGINE

from . import messages as m
from .logins import LATE, Driven, asked, drive

KEY = m.backend_key(4711, b"\1\2\3\4")
WELCOME = (
    m.AUTHENTICATION_OK + m.parameter_status("server_version", "18.1") + m.parameter_status("search_path", "public")
    + m.parameter_status("client_encoding", "LATIN1") + KEY + m.ready()
)  # fmt: skip


def fatal(code: str, text: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0HThe bastion says this, not the database.\0\0"
    return m.framed(b"E", fields.encode())


def startup_of(data: bytes) -> tuple[int, dict[str, str]]:
    """What a startup message asks for: read here on its own."""
    size, version = struct.unpack_from(">II", data)
    assert size == len(data)
    parts = data[8:-2].decode().split("\0")
    return version, dict(zip(parts[::2], parts[1::2], strict=True))


def logged_in(driven: Driven) -> LoggedIn:
    assert isinstance(driven.result, LoggedIn), driven.result
    return driven.result


def test_a_plain_login() -> None:
    startup = m.startup(user="me", database="orders", application_name="psql", options="-c x=1", TimeZone="UTC")
    driven = drive(ENGINE.login(asked()), [startup], [WELCOME])
    assert startup_of(bytes(driven.to_server)) == (
        0x0003_0000,
        {
            "user": "orders_rw", "database": "orders", "application_name": "psql (alice)", "options": "-c x=1",
            "TimeZone": "UTC",
        },
    )  # fmt: skip
    assert driven.to_client == WELCOME
    result = logged_in(driven)
    assert (result.login, result.client, result.catalog) == ("me", "psql", "orders")
    assert (result.schema, result.server_version) == ("public", "18.1")
    assert result.cancel_key == CancelKey(4711, b"\1\2\3\4")
    [piece] = result.client_side.feed(m.query("é".encode("latin-1")))
    assert piece.notes[0].text == "é"  # type: ignore[union-attr]


def test_bytes_of_the_data_phase_are_handed_over() -> None:
    early = m.notice("early")
    driven = drive(ENGINE.login(asked()), [m.startup(user="me") + m.query("select 1")], [WELCOME + early])
    result = logged_in(driven)
    assert result.client_rest == m.query("select 1")
    assert result.server_rest == early
    assert driven.to_client == WELCOME


def test_every_message_of_a_login_in_drips() -> None:
    data = m.GSSENC_REQUEST, m.SSL_REQUEST, m.startup(user="me", database="d")
    client = [bytes([byte]) for part in data for byte in part]
    driven = drive(ENGINE.login(asked()), client, [bytes([byte]) for byte in WELCOME])
    assert driven.to_client == b"NN" + WELCOME
    logged_in(driven)


def test_gss_then_ssl_then_startup() -> None:
    driven = drive(
        ENGINE.login(asked(client_tls=True)), [m.GSSENC_REQUEST, m.SSL_REQUEST, m.startup(user="me")], [WELCOME]
    )
    assert driven.to_client == b"NS" + WELCOME
    assert driven.tls == [StartTls(Leg.CLIENT)]
    logged_in(driven)


def test_ssl_then_gss_then_startup_without_tls() -> None:
    driven = drive(ENGINE.login(asked()), [m.SSL_REQUEST, m.GSSENC_REQUEST, m.startup(user="me")], [WELCOME])
    assert driven.to_client == b"NN" + WELCOME


def test_direct_tls() -> None:
    hello = b"\x16\x03\x01\x02\x00\x01"
    driven = drive(ENGINE.login(asked(client_tls=True)), [hello, m.startup(user="me")], [WELCOME])
    assert driven.tls == [StartTls(Leg.CLIENT, hello, ("postgresql",))]
    assert driven.to_client == WELCOME


def test_direct_tls_without_its_application_protocol() -> None:
    steps = ENGINE.login(asked(client_tls=True))
    with pytest.raises(ProtocolError, match="ALPN"):
        drive(steps, [b"\x16\x03\x01\x02\x00\x01", m.startup(user="me")], [WELCOME], alpn=None)


@pytest.mark.parametrize(
    "client",
    [
        [m.SSL_REQUEST, m.SSL_REQUEST],
        [m.GSSENC_REQUEST, m.GSSENC_REQUEST],
        [b"\x16\x03\x01", m.SSL_REQUEST],
        [m.SSL_REQUEST, m.GSSENC_REQUEST],
    ],
)
def test_encryption_is_asked_for_once(client: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        drive(ENGINE.login(asked(client_tls=True)), [*client, m.startup(user="me")], [WELCOME])


@pytest.mark.parametrize("client_tls", [True, False])
@pytest.mark.parametrize("request_message", [m.SSL_REQUEST, m.GSSENC_REQUEST])
def test_bytes_in_the_clear_behind_a_request_for_encryption(request_message: bytes, client_tls: bool) -> None:
    steps = ENGINE.login(asked(client_tls=client_tls))
    with pytest.raises(ProtocolError, match="in the clear"):
        drive(steps, [request_message + m.startup(user="mallory")], [WELCOME])


def test_what_is_not_understood_is_told_to_the_client_at_once() -> None:
    steps = ENGINE.login(asked())
    next(steps)
    step = steps.send(Received(Leg.CLIENT, b"GET / HTTP/1.1\r\n"))
    assert isinstance(step, Send)
    assert step.leg is Leg.CLIENT
    assert step.data.startswith(b"E")
    assert b"C08P01\0" in step.data
    with pytest.raises(ProtocolError):
        steps.send(None)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x4000_0000, 10_001, 7, 0])
def test_an_absurd_length_is_refused_from_its_four_bytes(size: int) -> None:
    with pytest.raises(ProtocolError):
        drive(ENGINE.login(asked()), [size.to_bytes(4, "big")])
    with pytest.raises(ProtocolError):
        drive(ENGINE.login(asked()), [m.startup(user="me")], [b"R" + (0xFFFF_FFFF).to_bytes(4, "big")])


@pytest.mark.parametrize(
    "startup",
    [
        m.startup(0x0002_0000, user="me"),
        m.startup(0x0004_0000, user="me"),
        m.startup(database="d"),
        struct.pack(">II", 13, 0x30000) + b"user\0",
        struct.pack(">II", 8, 0x30000),
        struct.pack(">II", 18, 0x30000) + b"user\0me\0\0x",
        struct.pack(">II", 20, 0x30000) + b"\0x\0user\0me\0\0",
    ],
)
def test_a_startup_message_that_is_none(startup: bytes) -> None:
    with pytest.raises(ProtocolError):
        drive(ENGINE.login(asked()), [startup], [WELCOME])


@pytest.mark.parametrize("key", [b"\xde\xad\xbe\xef", bytes(range(32)), bytes(256)])
def test_cancel_request(key: bytes) -> None:
    driven = drive(ENGINE.login(asked()), [m.cancel_request(0xFFFF_FFFE, key)])
    assert driven.result == CancelAsked(CancelKey(0xFFFF_FFFE, key))
    assert driven.to_client == driven.to_server == b""


def test_cancel_request_inside_tls() -> None:
    driven = drive(ENGINE.login(asked(client_tls=True)), [m.SSL_REQUEST, m.cancel_request(1, b"1234")])
    assert driven.result == CancelAsked(CancelKey(1, b"1234"))


def test_a_cancel_request_that_is_too_short() -> None:
    with pytest.raises(ProtocolError):
        drive(ENGINE.login(asked()), [m.cancel_request(1, b"")])


# ------------------------------------------------------------------------------------------------- what is asked for


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", "casemate (alice)"),
        ("psql", "psql (alice)"),
        ("x" * 100, "x" * 55 + " (alice)"),
        ("订" * 30, "订" * 18 + " (alice)"),
    ],
)
def test_the_person_stands_behind_the_program(given: str, name: str) -> None:
    driven = drive(ENGINE.login(asked()), [m.startup(user="me", application_name=given)], [WELCOME])
    told = startup_of(bytes(driven.to_server))[1]["application_name"]
    assert told == name
    assert len(told.encode()) <= 63


def test_a_person_with_a_very_long_name() -> None:
    driven = drive(ENGINE.login(asked(person="p" * 128)), [m.startup(user="me", application_name="psql")], [WELCOME])
    assert len(startup_of(bytes(driven.to_server))[1]["application_name"]) == 63


def test_an_account_that_the_client_names() -> None:
    driven = drive(ENGINE.login(asked(account=None)), [m.startup(user="theirs")], [WELCOME])
    assert startup_of(bytes(driven.to_server))[1]["user"] == "theirs"


@pytest.mark.parametrize("parameters", [{}, {"database": ""}])
def test_the_database_that_is_checked_is_the_one_that_is_opened(parameters: dict[str, Any]) -> None:
    request = asked(databases=("orders",))
    driven = drive(ENGINE.login(request), [m.startup(user="orders", **parameters)], [WELCOME])
    assert startup_of(bytes(driven.to_server))[1]["database"] == "orders"
    assert logged_in(driven).catalog == "orders"


def test_a_database_that_may_not_be_opened() -> None:
    request = asked(databases=("orders", "stock"))
    driven = drive(ENGINE.login(request), [m.startup(user="me", database="salaries", application_name="psql")])
    text = 'The database "salaries" may not be opened here; allowed are: orders, stock.'
    assert driven.to_client == fatal("3D000", text)
    assert driven.to_server == b""
    assert driven.result == LoginEnded("bastion", text, "me", "psql")


@pytest.mark.parametrize("value", ["true", "database", "on", "1", "TRUE", "yes"])
def test_replication_is_refused(value: str) -> None:
    driven = drive(ENGINE.login(asked()), [m.startup(user="me", replication=value)])
    assert driven.result.by == "bastion"
    assert b"C28000\0" in driven.to_client
    assert driven.to_server == b""


@pytest.mark.parametrize(("value", "allowed"), [("false", False), ("off", False), ("", False), ("database", True)])
def test_replication_that_is_allowed_or_not_asked_for(value: str, allowed: bool) -> None:
    request = asked(allow_replication=allowed)
    driven = drive(ENGINE.login(request), [m.startup(user="me", replication=value)], [WELCOME])
    assert startup_of(bytes(driven.to_server))[1]["replication"] == value
    assert logged_in(driven).replication is (value == "database")


@pytest.mark.parametrize("database", ["shop", "replication"])
def test_physical_replication_is_not_held_to_a_list_of_databases_and_so_refused(database: str) -> None:
    request = asked(allow_replication=True, databases=("shop",))
    driven = drive(ENGINE.login(request), [m.startup(user="me", database=database, replication="true")])
    assert "every database of the server" in driven.result.error
    assert driven.to_server == b""
    logical = [m.startup(user="me", database="shop", replication="database")]
    logged_in(drive(ENGINE.login(request), logical, [WELCOME]))


def test_names_in_other_encodings_reach_the_server_as_they_came() -> None:
    raw = struct.pack(">II", 0, 0x30000)[4:] + b"user\0\xe9t\xe9\0database\0\xff\0\xfe\0\xfd\0\0"
    driven = drive(ENGINE.login(asked(account=None)), [struct.pack(">I", len(raw) + 4) + raw], [WELCOME])
    assert b"user\0\xe9t\xe9\0database\0\xff\0\xfe\0\xfd\0" in driven.to_server
    result = logged_in(driven)
    assert (result.login, result.catalog) == (r"\xe9t\xe9", r"\xff")


# ----------------------------------------------------------------------------------------------------- passwords


def test_the_token_as_password() -> None:
    request = asked(demand_token=True, token="cmt_right")
    right = drive(ENGINE.login(request), [m.startup(user="me"), m.password("cmt_right")], [WELCOME])
    assert right.to_client == m.ASK_CLEARTEXT + WELCOME
    logged_in(right)


@pytest.mark.parametrize("answer", ["", "cmt_wrong", "cmt_righ", "cmt_right\0", "é"])
def test_a_wrong_token_as_password(answer: str) -> None:
    request = asked(demand_token=True, token="cmt_right")
    driven = drive(ENGINE.login(request), [m.startup(user="me"), m.password(answer)], [WELCOME])
    assert driven.to_server == b""
    assert driven.to_client == m.ASK_CLEARTEXT + fatal("28P01", driven.result.error)
    assert driven.result.by == "bastion"
    assert "cmt_right" not in repr(driven.result)


@pytest.mark.parametrize("token", [None, ""])
def test_a_demanded_token_that_is_not_there_lets_nobody_in(token: str | None) -> None:
    driven = drive(
        ENGINE.login(asked(demand_token=True, token=token)), [m.startup(user="me"), m.password("")], [WELCOME]
    )
    assert driven.result.by == "bastion"


def test_the_client_is_asked_for_a_password_that_nobody_keeps() -> None:
    request = asked(account=None, secret=None)
    driven = drive(
        ENGINE.login(request), [m.startup(user="theirs"), m.password("their own")], [m.ASK_CLEARTEXT, WELCOME]
    )
    assert driven.to_client == m.ASK_CLEARTEXT + WELCOME
    assert driven.to_server.endswith(m.password("their own"))


def test_a_server_that_asks_for_nothing_asks_the_client_for_nothing() -> None:
    driven = drive(ENGINE.login(asked(account=None, secret=None)), [m.startup(user="me")], [WELCOME])
    assert driven.to_client == WELCOME


def test_a_client_that_leaves_when_it_is_asked() -> None:
    driven = drive(ENGINE.login(asked(secret=None)), [m.startup(user="me")], [m.ASK_CLEARTEXT])
    assert driven.result.by == "client"
    assert driven.result.login == "me"


def test_md5() -> None:
    # Documentation, AuthenticationMD5Password: concat('md5', md5(concat(md5(concat(password, username)), salt)))
    salt = b"\x93\xc1\x11\x2a"
    inner = hashlib.md5(b"secret" + b"user").hexdigest().encode()
    expected = "md5" + hashlib.md5(inner + salt).hexdigest()
    server = [m.authentication(5, salt), WELCOME]
    driven = drive(ENGINE.login(asked(account="user", secret="secret")), [m.startup(user="me")], server)
    assert driven.to_server.endswith(m.password(expected))
    logged_in(driven)


def test_the_hosted_password_is_never_shown_to_the_client() -> None:
    for demand in (
        m.ASK_CLEARTEXT,
        m.authentication(5, b"salt"),
        m.authentication(7),
        m.authentication(10, b"OTHER\0\0"),
    ):
        driven = drive(ENGINE.login(asked()), [m.startup(user="me")], [demand, m.error("28P01", "no", "FATAL")])
        assert b"hosted-secret" not in driven.to_client
        assert driven.result.by in ("database", "bastion")


@pytest.mark.parametrize("code", [2, 6, 7, 8, 9, 11, 12, 99])
def test_a_way_of_authentication_that_is_not_spoken(code: int) -> None:
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], [m.authentication(code, b"x")])
    assert driven.result.by == "bastion"
    assert driven.to_client.startswith(b"E")


def test_the_servers_own_words_when_it_refuses() -> None:
    words = m.error("28P01", 'password authentication failed for user "orders_rw"', "FATAL")
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], [m.ASK_CLEARTEXT, words])
    assert driven.to_client == words
    assert driven.result.by == "database"
    assert driven.result.error == '28P01: password authentication failed for user "orders_rw"'


def test_the_server_refuses_after_authentication() -> None:
    words = m.error("3D000", 'database "x" does not exist', "FATAL")
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], [m.AUTHENTICATION_OK + words])
    assert driven.to_client == m.AUTHENTICATION_OK + words
    assert driven.result.by == "database"


def test_a_server_that_leaves() -> None:
    driven = drive(ENGINE.login(asked()), [m.startup(user="me")], [])
    assert driven.result.by == "database"
    assert driven.to_client == fatal("08001", driven.result.error)


def test_a_newer_protocol_is_negotiated_by_the_server_itself() -> None:
    answer = m.negotiate(0x0003_0000)
    driven = drive(ENGINE.login(asked()), [m.startup(0x0003_0002, user="me")], [answer + WELCOME])
    assert driven.to_client == answer + WELCOME
    assert startup_of(bytes(driven.to_server))[0] == 0x0003_0002


@pytest.mark.parametrize("asked_for", [0x0003_0002, 0x0003_0003, 0x0003_270F])
def test_protocol_options_and_versions_that_are_not_read_here_are_taken_off(asked_for: int) -> None:
    startup = m.startup(asked_for, user="me", **{"_pq_.feature": "on"})
    driven = drive(ENGINE.login(asked()), [startup], [WELCOME])
    assert driven.to_client == m.negotiate(0x0003_0002, "_pq_.feature") + WELCOME
    version, parameters = startup_of(bytes(driven.to_server))
    assert version == 0x0003_0002
    assert "_pq_.feature" not in parameters


def test_an_older_server_and_the_bastion_answer_in_one_negotiation() -> None:
    startup = m.startup(0x0003_0003, user="me", **{"_pq_.feature": "on"})
    driven = drive(ENGINE.login(asked()), [startup], [m.negotiate(0, "_pq_.other") + WELCOME])
    assert driven.to_client == m.negotiate(0x0003_0000, "_pq_.feature", "_pq_.other") + WELCOME


@pytest.mark.parametrize("body", [b"", b"\0\x03\0\x03\0\0\0\0", b"\0\x03\0\0\0\0\0\x02a\0", b"\0\x03\0\0\0\0\0\x01a"])
def test_a_negotiation_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="negotiation"):
        drive(ENGINE.login(asked()), [m.startup(0x0003_0002, user="me")], [m.framed(b"v", body) + WELCOME])


def test_long_cancel_keys_of_protocol_3_2() -> None:
    welcome = m.AUTHENTICATION_OK + m.backend_key(7, bytes(range(32))) + m.ready()
    driven = drive(ENGINE.login(asked()), [m.startup(0x0003_0002, user="me")], [welcome])
    assert logged_in(driven).cancel_key == CancelKey(7, bytes(range(32)))


# ------------------------------------------------------------------------------------------------ TLS to the server


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
def test_tls_to_the_server(mode: TlsMode) -> None:
    driven = drive(ENGINE.login(asked(server_tls=mode)), [m.startup(user="me")], [b"S", WELCOME])
    assert [step.leg for step in driven.tls] == [Leg.SERVER]
    assert driven.to_server.startswith(m.SSL_REQUEST)
    logged_in(driven)


def test_prefer_goes_on_without_tls() -> None:
    driven = drive(ENGINE.login(asked(server_tls=TlsMode.PREFER)), [m.startup(user="me")], [b"N", WELCOME])
    assert driven.tls == []
    logged_in(driven)


@pytest.mark.parametrize("mode", [mode for mode in TlsMode if mode is not TlsMode.DISABLE])
def test_an_error_in_the_place_of_the_answer_to_the_request_for_tls(mode: TlsMode) -> None:
    unproved = b"Ecould not fork new process for connection\0"
    driven = drive(ENGINE.login(asked(server_tls=mode)), [m.startup(user="me")], [unproved])
    assert driven.result.by == "bastion"
    assert driven.to_server == m.SSL_REQUEST
    assert b"C08001\0" in driven.to_client
    assert "answered the request for TLS with an error" in driven.result.error
    assert b"fork" not in driven.to_client


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
def test_a_server_without_tls_where_it_is_demanded(mode: TlsMode) -> None:
    driven = drive(ENGINE.login(asked(server_tls=mode)), [m.startup(user="me")], [b"N", WELCOME])
    assert driven.result.by == "bastion"
    assert driven.to_server == m.SSL_REQUEST
    assert b"C08001\0" in driven.to_client
    assert mode.value in driven.result.error


def test_bytes_in_the_clear_behind_the_servers_agreement() -> None:
    with pytest.raises(ProtocolError, match="in the clear"):
        drive(ENGINE.login(asked(server_tls=TlsMode.REQUIRE)), [m.startup(user="me")], [b"S" + WELCOME])


# ----------------------------------------------------------------------------------------------------- ends


CLIENT = [m.GSSENC_REQUEST, m.SSL_REQUEST, m.startup(user="me", application_name="psql"), m.password("cmt_right")]
SERVER = [b"S", m.notice("hello"), m.ASK_CLEARTEXT, WELCOME]
FULL = asked(demand_token=True, token="cmt_right", client_tls=True, server_tls=TlsMode.PREFER)


def test_a_login_aborted_at_every_step() -> None:
    whole = drive(ENGINE.login(FULL), CLIENT, SERVER)
    logged_in(whole)
    for step in range(1, whole.steps + 1):
        driven = drive(ENGINE.login(FULL), CLIENT, SERVER, abort_at=step)
        assert isinstance(driven.result, LoginEnded), step
        assert driven.result.by == "bastion"
        assert driven.result.error == LATE.message
        assert driven.to_client.endswith(fatal("08001", LATE.message)), step


def test_aborted_while_the_client_is_told_something_else() -> None:
    request = asked(databases=("orders",))
    client = [m.startup(user="me", database="x")]
    whole = drive(ENGINE.login(request), client)
    driven = drive(ENGINE.login(request), client, abort_at=whole.steps)
    assert driven.result.by == "bastion"


@pytest.mark.parametrize(
    "client", [[m.startup(user="me")], [m.SSL_REQUEST, m.startup(user="me")], [b"\0\0"], [b"junk junk"]]
)
def test_a_refusal_before_any_login(client: list[bytes]) -> None:
    driven = drive(ENGINE.refuse(Refusal("token-expired", "Your token has expired.")), client)
    assert isinstance(driven.result, LoginEnded)
    if client[0] != b"\0\0":
        assert driven.to_client.endswith(fatal("57P01", "Your token has expired."))
    assert driven.server_reads == 0


def test_a_refusal_under_tls() -> None:
    client = [m.GSSENC_REQUEST, m.SSL_REQUEST, m.startup(user="me")]
    driven = drive(ENGINE.refuse(Refusal("token-expired", "Your token has expired."), client_tls=True), client)
    assert driven.tls == [StartTls(Leg.CLIENT)]
    assert driven.to_client == b"NS" + fatal("57P01", "Your token has expired.")


def test_a_refusal_under_direct_tls() -> None:
    hello = b"\x16\x03\x01\x02\x00\x01"
    refusal = Refusal("token-expired", "Your token has expired.")
    driven = drive(ENGINE.refuse(refusal, client_tls=True), [hello, m.startup(user="me")])
    assert driven.tls == [StartTls(Leg.CLIENT, hello, ("postgresql",))]
    assert driven.to_client == fatal("57P01", "Your token has expired.")


def test_a_refusal_of_a_client_that_says_nothing() -> None:
    driven = drive(ENGINE.refuse(Refusal("outside-window", "Not now.")), [m.startup(user="me")], abort_at=1)
    assert driven.to_client == fatal("28000", "Not now.")


def test_a_cancel_request_is_no_login_to_refuse() -> None:
    driven = drive(ENGINE.refuse(Refusal("x", "no")), [m.cancel_request(1, b"1234")])
    assert driven.to_client == b""
    assert driven.result == CancelAsked(CancelKey(1, b"1234"))


@pytest.mark.parametrize(
    ("server", "sent", "taken"),
    [
        ([b"N"], m.SSL_REQUEST + m.cancel_request(7, b"\1\2\3\4"), True),
        ([b"S"], m.SSL_REQUEST + m.cancel_request(7, b"\1\2\3\4"), True),
        ([b"N", b"E"], m.SSL_REQUEST + m.cancel_request(7, b"\1\2\3\4"), False),
        ([b"Snoise"], m.SSL_REQUEST, False),
        ([], m.SSL_REQUEST, False),
    ],
)
def test_cancelling(server: list[bytes], sent: bytes, taken: bool) -> None:
    steps = ENGINE.cancel(CancelKey(7, b"\1\2\3\4"), asked(server_tls=TlsMode.PREFER))
    driven = drive(steps, [], server)
    assert driven.to_server == sent
    assert driven.result is taken


def test_cancelling_without_tls_where_it_is_demanded() -> None:
    steps = ENGINE.cancel(CancelKey(7, b"\1\2\3\4"), asked(server_tls=TlsMode.VERIFY_FULL))
    driven = drive(steps, [], [b"N"])
    assert driven.result is False
    assert driven.to_server == m.SSL_REQUEST
