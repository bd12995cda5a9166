"""The login of both legs by byte literals: what each side sees, and every way in which it ends early."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from bastion.protocols.contract import (
    MAX_LOGIN_MESSAGE,
    Leg,
    LoggedIn,
    LoginAborted,
    LoginEnded,
    LoginRequest,
    ProtocolError,
    Read,
    Received,
    Refusal,
    Send,
    StartTls,
    TlsMode,
    TlsStarted,
)
from bastion.protocols.mysql import authentication as auth
from bastion.protocols.mysql.constants import NOT_OFFERED, Capability
from bastion.protocols.mysql.engine import ENGINE
from bastion.protocols.mysql.handshake import (
    HandshakeResponse,
    decode_greeting,
    decode_response,
    encode_response,
    encode_ssl_request,
)

from .packets import err, ok, packet

NONCE = b"abcdefghijklmnopqrst"
EVERYTHING = 0xFFFFFFFF
CLIENT_CAPABILITIES = int(
    Capability.LONG_PASSWORD
    | Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.CONNECT_ATTRS
    | Capability.DEPRECATE_EOF
    | Capability.MULTI_STATEMENTS
    | Capability.CONNECT_WITH_DB
)
SWITCH = b"\xfe"
TOKEN = "cmt_token"


def greeting(plugin: str = auth.CACHING_SHA2, capabilities: int = EVERYTHING, version: str = "8.4.2") -> bytes:
    low, high = (capabilities & 0xFFFF).to_bytes(2, "little"), (capabilities >> 16 & 0xFFFF).to_bytes(2, "little")
    return (
        b"\x0a" + version.encode() + b"\0" + (4711).to_bytes(4, "little") + NONCE[:8] + b"\0"
        + low + b"\xff\x02\0" + high
        + b"\x15" + bytes(6) + (capabilities >> 32).to_bytes(4, "little") + NONCE[8:] + b"\0" + plugin.encode() + b"\0"
    )  # fmt: skip


def response(answer: bytes = b"", plugin: str | None = auth.CACHING_SHA2, **settings: Any) -> bytes:
    values: dict[str, Any] = {
        "capabilities": CLIENT_CAPABILITIES, "max_packet": 1 << 24, "collation": 255, "user": b"typed",
        "database": b"shop", "attributes": [(b"program_name", b"mysql"), (b"_client_version", b"8.4.2")],
    }  # fmt: skip
    return encode_response(HandshakeResponse(answer=answer, plugin=plugin, **{**values, **settings}))


class Login:
    """Drives a login; each leg is a queue of packets to be read, and keeps the packets that were sent on it."""

    def __init__(self, request: LoginRequest, *, client: list[bytes], server: list[bytes]) -> None:
        self.queues = {Leg.CLIENT: list(client), Leg.SERVER: list(server)}
        self.sent: dict[Leg, list[tuple[int, bytes]]] = {Leg.CLIENT: [], Leg.SERVER: []}
        self.order: list[str] = []
        self.result: Any = None
        steps = ENGINE.login(request)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                self.result = stop.value
                return
            answer = self._do(step)

    def _do(self, step: object) -> Any:
        if isinstance(step, Send):
            data = step.data
            while data:
                length = int.from_bytes(data[:3], "little")
                self.sent[step.leg].append((data[3], data[4 : 4 + length]))
                data = data[4 + length :]
            return None
        if isinstance(step, StartTls):
            self.order.append(f"tls {step.leg.value}")
            return TlsStarted(step.leg, "TLSv1.3")
        assert isinstance(step, Read)
        assert step.leg is not None
        queue = self.queues[step.leg]
        return Received(step.leg, queue.pop(0) if queue else b"")

    def to_client(self) -> list[tuple[int, bytes]]:
        return self.sent[Leg.CLIENT]

    def to_server(self) -> list[tuple[int, bytes]]:
        return self.sent[Leg.SERVER]


def request(**settings: Any) -> LoginRequest:
    return LoginRequest(
        **{"person": "alice", "account": "app", "secret": "s3cret", "server_tls": TlsMode.DISABLE, **settings}
    )


def test_the_client_sees_the_real_greeting_with_capabilities_taken_off() -> None:
    login = Login(request(), client=[packet(1, response())], server=[packet(0, greeting()), packet(2, ok())])
    sequence, shown = login.to_client()[0]
    real, seen = decode_greeting(greeting()), decode_greeting(shown)
    assert sequence == 0
    assert seen.capabilities == real.capabilities & ~NOT_OFFERED
    assert (seen.version, seen.connection_id, seen.nonce, seen.plugin) == ("8.4.2", 4711, NONCE, auth.CACHING_SHA2)
    assert seen.with_capabilities(EVERYTHING) == greeting()
    assert isinstance(login.result, LoggedIn)
    assert login.result.cancel_key is not None
    assert login.result.cancel_key.id == 4711
    assert (login.result.login, login.result.client, login.result.catalog) == ("typed", "mysql 8.4.2", "shop")
    assert login.to_client()[1] == (2, ok())


def test_mariadb_keeps_its_extended_capabilities_and_the_cached_metadata_are_taken_off() -> None:
    offered = (EVERYTHING & ~1) | 0x1F << 32
    login = Login(
        request(),
        client=[packet(1, response(plugin=auth.NATIVE, capabilities=(CLIENT_CAPABILITIES & ~1) | 0x1F << 32))],
        server=[packet(0, greeting(auth.NATIVE, offered, "5.5.5-11.8.3-MariaDB")), packet(2, ok())],
    )
    assert decode_greeting(login.to_client()[0][1]).capabilities >> 32 == 0x1F & ~0x12
    assert decode_response(login.to_server()[0][1]).capabilities >> 32 == 0x1F & ~0x12
    assert isinstance(login.result, LoggedIn)
    assert login.result.server_version == "11.8.3-MariaDB"


def test_the_server_gets_the_account_the_secret_and_the_person() -> None:
    login = Login(
        request(),
        client=[packet(1, response(b"x" * 32))],
        server=[packet(0, greeting()), packet(2, b"\x01\x03"), packet(3, ok())],
    )
    sent = decode_response(login.to_server()[0][1])
    assert (sent.user, sent.database, sent.collation) == (b"app", b"shop", 255)
    assert sent.answer == auth.caching_sha2_answer(b"s3cret", NONCE)
    assert sent.attributes == [
        (b"program_name", b"mysql (alice)"), (b"_client_version", b"8.4.2"), (b"casemate_user", b"alice"),
    ]  # fmt: skip
    framing = Capability.DEPRECATE_EOF | Capability.MULTI_STATEMENTS | Capability.SESSION_TRACK
    assert sent.capabilities & framing == CLIENT_CAPABILITIES & framing
    # a client that sent a scramble waits for the fast outcome before it takes an OK
    assert login.to_client()[1:] == [(2, b"\x01\x03"), (3, ok())]


def test_the_person_is_told_to_the_server_even_by_clients_without_attributes() -> None:
    old = response(attributes=None, capabilities=CLIENT_CAPABILITIES & ~Capability.CONNECT_ATTRS)
    login = Login(request(), client=[packet(1, old)], server=[packet(0, greeting()), packet(2, ok())])
    assert decode_response(login.to_server()[0][1]).attributes == [(b"casemate_user", b"alice")]


def test_a_client_without_plugins_is_accepted() -> None:
    old = response(b"x" * 20, None, capabilities=CLIENT_CAPABILITIES & ~Capability.PLUGIN_AUTH)
    login = Login(request(), client=[packet(1, old)], server=[packet(0, greeting()), packet(2, ok())])
    assert isinstance(login.result, LoggedIn)
    assert login.to_client()[1:] == [(2, ok())]


def test_full_authentication_by_the_servers_public_key() -> None:
    receiver = auth.rsa_receiver()
    server = [
        packet(0, greeting()),
        packet(2, b"\x01\x04"),
        packet(4, b"\x01" + receiver.public_key_pem),
        packet(6, ok()),
    ]
    login = Login(request(), client=[packet(1, response())], server=server)
    assert [sequence for sequence, _ in login.to_server()] == [1, 3, 5]
    assert login.to_server()[1][1] == b"\x02"
    assert receiver.password(login.to_server()[2][1], NONCE) == b"s3cret"
    assert login.to_client()[-1] == (2, ok())


def test_full_authentication_over_tls() -> None:
    server = [packet(0, greeting()), packet(3, b"\x01\x04"), packet(5, ok())]
    login = Login(request(server_tls=TlsMode.REQUIRE), client=[packet(1, response())], server=server)
    assert login.order == ["tls server"]
    assert [sequence for sequence, _ in login.to_server()] == [1, 2, 4]
    assert len(login.to_server()[0][1]) == 32
    assert login.to_server()[2][1] == b"s3cret\0"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (auth.NATIVE, auth.native_answer(b"s3cret", b"n" * 20)),
        (auth.CACHING_SHA2, auth.caching_sha2_answer(b"s3cret", b"n" * 20)),
        (auth.SHA256, b"\x01"),
    ],
)
def test_the_server_may_want_another_plugin(plugin: str, expected: bytes) -> None:
    switch = SWITCH + plugin.encode() + b"\0" + b"n" * 20 + b"\0"
    login = Login(
        request(), client=[packet(1, response())], server=[packet(0, greeting()), packet(2, switch), packet(4, ok())]
    )
    assert login.to_server()[1] == (3, expected)
    assert isinstance(login.result, LoggedIn)


def test_an_ed25519_nonce_may_end_with_a_nul() -> None:
    nonce = b"n" * 31 + b"\0"
    switch = SWITCH + auth.ED25519.encode() + b"\0" + nonce
    login = Login(
        request(), client=[packet(1, response())], server=[packet(0, greeting()), packet(2, switch), packet(4, ok())]
    )
    assert login.to_server()[1] == (3, auth.ed25519_answer(b"s3cret", nonce))


@pytest.mark.parametrize("plugin", [auth.CLEARTEXT, "mysql_old_password", "dialog"])
def test_a_plugin_that_cannot_be_answered_is_refused_and_no_secret_is_sent(plugin: str) -> None:
    switch = SWITCH if plugin == "mysql_old_password" else SWITCH + plugin.encode() + b"\0"
    login = Login(request(), client=[packet(1, response())], server=[packet(0, greeting()), packet(2, switch)])
    assert isinstance(login.result, LoginEnded)
    assert login.result.by == "bastion"
    assert login.to_client()[-1][1][0] == 0xFF
    assert not any(b"s3cret" in payload for _, payload in login.to_server())


def test_an_error_of_the_server_reaches_the_client_in_its_own_sequence() -> None:
    refusal = err(1045, "28000", "Access denied for user 'app'")
    server = [packet(0, greeting()), packet(2, b"\x01\x04"), packet(4, refusal)]
    login = Login(request(), client=[packet(1, response(b"x" * 32))], server=server)
    assert login.to_client()[-1] == (2, refusal)
    assert login.result == LoginEnded("database", "1045 (28000): Access denied for user 'app'", "typed", "mysql 8.4.2")


def test_an_error_in_place_of_the_greeting_is_relayed() -> None:
    refusal = b"\xff\x10\x04Too many connections"
    login = Login(request(), client=[], server=[packet(0, refusal)])
    assert login.to_client() == [(0, refusal)]
    assert login.result == LoginEnded("database", "1040: Too many connections")


# ------------------------------------------------------------------------------------------------------ TLS


def test_tls_is_offered_to_the_client_where_there_is_a_certificate() -> None:
    head = decode_response(response())
    head.capabilities |= Capability.SSL
    client = [packet(1, encode_ssl_request(head)), packet(2, response(b"x" * 32))]
    server = [packet(0, greeting(capabilities=EVERYTHING & ~Capability.SSL)), packet(2, ok())]
    login = Login(request(client_tls=True), client=client, server=server)
    assert decode_greeting(login.to_client()[0][1]).capabilities & Capability.SSL
    assert login.order == ["tls client"]
    assert login.to_client()[1:] == [(3, b"\x01\x03"), (4, ok())]
    assert not decode_response(login.to_server()[0][1]).capabilities & Capability.SSL


@pytest.mark.parametrize("mode", [TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL])
def test_a_server_without_tls_is_refused_where_tls_is_demanded(mode: TlsMode) -> None:
    server = [packet(0, greeting(capabilities=EVERYTHING & ~Capability.SSL))]
    login = Login(request(server_tls=mode), client=[packet(1, response())], server=server)
    assert login.to_server() == []
    assert b"TLS to the database was not possible" in login.to_client()[-1][1]
    assert isinstance(login.result, LoginEnded)
    assert login.result.error.startswith("database-tls: ")


# -------------------------------------------------------------------------------------------------- the token


@pytest.mark.parametrize(
    ("plugin", "compute"), [(auth.NATIVE, auth.native_answer), (auth.CACHING_SHA2, auth.caching_sha2_answer)]
)
def test_the_token_is_checked_before_the_server_hears_anything(
    plugin: str, compute: Callable[[bytes, bytes], bytes]
) -> None:
    wanted = request(demand_token=True, token=TOKEN)
    right = packet(1, response(compute(TOKEN.encode(), NONCE), plugin))
    login = Login(wanted, client=[right], server=[packet(0, greeting(plugin)), packet(2, ok())])
    assert isinstance(login.result, LoggedIn)
    for answer in (compute(b"wrong", NONCE), b"", b"\0"):
        login = Login(wanted, client=[packet(1, response(answer, plugin))], server=[packet(0, greeting(plugin))])
        sequence, refusal = login.to_client()[-1]
        assert (sequence, refusal[:9]) == (2, b"\xff\x15\x04#28000")
        assert b"must be the O&M token" in refusal
        assert login.to_server() == []


def test_a_plugin_that_cannot_be_checked_is_changed() -> None:
    wanted = request(demand_token=True, token=TOKEN)
    client = [packet(1, response(b"\x01", auth.SHA256)), packet(3, auth.caching_sha2_answer(TOKEN.encode(), NONCE))]
    login = Login(wanted, client=client, server=[packet(0, greeting(auth.SHA256)), packet(2, ok())])
    assert login.to_client()[1] == (2, SWITCH + b"caching_sha2_password\0" + NONCE + b"\0")
    assert login.to_client()[2:] == [(4, b"\x01\x03"), (5, ok())]


# ------------------------------------------------------------------------------------------------ relayed proofs


def test_a_scramble_passes_as_it_is_where_nothing_is_hosted() -> None:
    scramble = auth.caching_sha2_answer(b"own", NONCE)
    server = [packet(0, greeting()), packet(2, b"\x01\x03"), packet(3, ok())]
    login = Login(request(account=None, secret=None), client=[packet(1, response(scramble))], server=server)
    sent = decode_response(login.to_server()[0][1])
    assert (sent.user, sent.answer, sent.plugin) == (b"typed", scramble, auth.CACHING_SHA2)
    assert login.to_client()[1:] == [(2, b"\x01\x03"), (3, ok())]


def test_the_rsa_exchange_passes_as_it_is_without_tls() -> None:
    receiver = auth.rsa_receiver()
    encrypted = auth.rsa_answer(b"own", NONCE, receiver.public_key_pem)
    client = [packet(1, response(b"x" * 32)), packet(3, b"\x02"), packet(5, encrypted)]
    server = [
        packet(0, greeting()),
        packet(2, b"\x01\x04"),
        packet(4, b"\x01" + receiver.public_key_pem),
        packet(6, ok()),
    ]
    login = Login(request(secret=None), client=client, server=server)
    assert login.to_server()[1:] == [(3, b"\x02"), (5, encrypted)]
    assert login.to_client()[1:] == [(2, b"\x01\x04"), (4, b"\x01" + receiver.public_key_pem), (6, ok())]


def test_the_bastion_does_the_rsa_exchange_where_only_the_client_has_none() -> None:
    receiver = auth.rsa_receiver()
    encrypted = auth.rsa_answer(b"own", NONCE, receiver.public_key_pem)
    client = [packet(1, response(b"x" * 32)), packet(3, b"\x02"), packet(5, encrypted)]
    server = [packet(0, greeting()), packet(3, b"\x01\x04"), packet(5, ok())]
    login = Login(request(secret=None, server_tls=TlsMode.REQUIRE), client=client, server=server)
    assert login.to_client()[2] == (4, b"\x01" + receiver.public_key_pem)
    assert login.to_server()[2] == (4, b"own\0")
    assert isinstance(login.result, LoggedIn)


def test_the_bastion_does_the_rsa_exchange_where_only_the_server_has_no_tls() -> None:
    receiver = auth.rsa_receiver()
    head = decode_response(response())
    head.capabilities |= Capability.SSL
    client = [packet(1, encode_ssl_request(head)), packet(2, response(b"x" * 32)), packet(4, b"own\0")]
    server = [
        packet(0, greeting()),
        packet(2, b"\x01\x04"),
        packet(4, b"\x01" + receiver.public_key_pem),
        packet(6, ok()),
    ]
    login = Login(request(secret=None, client_tls=True), client=client, server=server)
    assert login.to_server()[1] == (3, b"\x02")
    assert receiver.password(login.to_server()[2][1], NONCE) == b"own"
    assert login.to_client()[-1] == (5, ok())


def test_cleartext_never_goes_from_tls_to_no_tls() -> None:
    head = decode_response(response())
    head.capabilities |= Capability.SSL
    client = [packet(1, encode_ssl_request(head)), packet(2, response(b"x" * 32)), packet(4, b"own\0")]
    server = [packet(0, greeting()), packet(2, SWITCH + b"mysql_clear_password\0")]
    login = Login(request(secret=None, client_tls=True), client=client, server=server)
    assert not any(b"own" in payload for _, payload in login.to_server())
    assert isinstance(login.result, LoginEnded)


# ------------------------------------------------------------------------------------------------- bad endings


def test_a_client_from_before_4_1_is_told_so() -> None:
    login = Login(request(), client=[packet(1, b"\x85\xa4\0\0\0root\0")], server=[packet(0, greeting())])
    assert login.to_client()[-1][1][:3] == b"\xff\xe3\x04"
    assert b"before 4.1" in login.to_client()[-1][1]


def test_another_database_is_refused_at_login() -> None:
    login = Login(request(databases=("orders",)), client=[packet(1, response())], server=[packet(0, greeting())])
    assert login.to_client()[-1][1][:9] == b"\xff\x14\x04#42000"
    assert login.to_server() == []


@pytest.mark.parametrize("leg", ["client", "server"])
def test_a_length_field_buys_no_memory(leg: str) -> None:
    huge = (MAX_LOGIN_MESSAGE + 1).to_bytes(3, "little")
    with pytest.raises(ProtocolError, match="before login is complete"):
        if leg == "client":
            Login(request(), client=[huge + b"\x01"], server=[packet(0, greeting())])
        else:
            Login(request(), client=[], server=[huge + b"\0"])


@pytest.mark.parametrize("cut", range(1, len(response())))
def test_a_response_that_ends_early_is_refused_or_read(cut: int) -> None:
    server = [packet(0, greeting()), packet(2, ok())]
    with contextlib.suppress(ProtocolError):
        login = Login(request(), client=[packet(1, response()[:cut])], server=server)
        assert isinstance(login.result, LoggedIn | LoginEnded)


@pytest.mark.parametrize("cut", range(len(greeting()) - 30))
def test_a_greeting_that_ends_early_is_refused(cut: int) -> None:
    with contextlib.suppress(ProtocolError):
        login = Login(request(), client=[], server=[packet(0, greeting()[:cut])])
        assert isinstance(login.result, LoginEnded)


def test_packets_out_of_sequence_are_refused() -> None:
    with pytest.raises(ProtocolError, match="packet 5 where packet 1"):
        Login(request(), client=[packet(5, response())], server=[packet(0, greeting())])


def test_a_client_that_leaves_and_a_server_that_leaves() -> None:
    assert Login(request(), client=[], server=[packet(0, greeting())]).result.by == "client"
    login = Login(request(), client=[packet(1, response())], server=[packet(0, greeting())])
    assert login.result.by == "database"
    assert b"closed the connection" in login.to_client()[-1][1]


def test_a_server_that_never_ends_its_authentication() -> None:
    server = [packet(0, greeting()), *[packet(2 + index, b"\x01\x03") for index in range(40)]]
    with pytest.raises(ProtocolError, match="did not end"):
        Login(request(), client=[packet(1, response())], server=server)


def test_a_time_limit_is_told_in_the_handshake() -> None:
    steps = ENGINE.login(request())
    next(steps)
    steps.send(Received(Leg.SERVER, packet(0, greeting())))
    steps.send(None)
    last = steps.throw(LoginAborted(Refusal("login-timeout", "It took too long.")))
    assert last == Send(Leg.CLIENT, packet(1, err(1105, "HY000", "It took too long.")))
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert stop.value.value == LoginEnded("bastion", "login-timeout: It took too long.")


def test_a_refusal_stands_in_place_of_the_greeting() -> None:
    steps = ENGINE.refuse(Refusal("too-many-sessions", "5 of 5 connections are in use."))
    assert next(steps) == Send(Leg.CLIENT, packet(0, b"\xff\x10\x045 of 5 connections are in use."))
    with pytest.raises(StopIteration):
        next(steps)


def test_no_secret_is_shown() -> None:
    wanted = request(demand_token=True, token=TOKEN)
    assert "s3cret" not in repr(wanted)
    decoded = decode_response(response(b"proof"))
    assert "proof" not in repr(decoded)
