"""COM_CHANGE_USER: made anew by the bastion as the session's own account, whatever the client sends; on record."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.protocols.contract import (
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementBegins,
    StatementEnds,
    Transaction,
)
from bastion.protocols.mysql import authentication as auth
from bastion.protocols.mysql.change_user import LoginTerms, decode_change_user, encode_change_user
from bastion.protocols.mysql.codec import Malformed
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.handshake import HandshakeResponse

from .packets import MODERN, Session, err, ok, packet, prepare_ok, query, run

CAPABILITIES = MODERN | int(Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH | Capability.CONNECT_ATTRS)
NONCE = b"n" * 20
SECRET = b"s3cret"
TERMS = LoginTerms("alice", b"app", SECRET, CAPABILITIES, auth.CACHING_SHA2, client_tls=False, server_tls=False)

ASKED = HandshakeResponse(
    CAPABILITIES, 0, 8, b"mallory", b"proof of her own", b"other", auth.CACHING_SHA2, [(b"program_name", b"pool")]
)


def switch(plugin: str, nonce: bytes = NONCE) -> bytes:
    return b"\xfe" + plugin.encode() + b"\0" + nonce + b"\0"


def session(terms: LoginTerms | None = TERMS, **settings: Any) -> Session:
    return Session(CAPABILITIES, terms=terms, schema="shop", **settings)


def asked_of_server(data: bytes) -> HandshakeResponse:
    """The first packet that the server was sent, which must be the command."""
    length = int.from_bytes(data[:3], "little")
    assert data[3] == 0
    return decode_change_user(data[4 : 4 + length], CAPABILITIES)


def ended(found: Session) -> list[StatementEnds]:
    return [note for note in found.notes if isinstance(note, StatementEnds)]


def test_the_server_gets_the_account_and_its_proof_and_the_client_an_ok() -> None:
    found = session()
    found.client(packet(0, encode_change_user(ASKED)))
    assert found.up == b""
    assert found.down[3:5] == b"\x01\xfe"
    found.client(packet(2, b"x" * 32))
    asked = asked_of_server(found.up)
    assert (asked.user, asked.answer, asked.database, asked.collation) == (b"app", b"", b"other", 8)
    assert asked.attributes == [(b"program_name", b"pool (alice)"), (b"casemate_user", b"alice")]
    assert b"mallory" not in found.up
    assert b"proof of her own" not in found.up
    before = len(found.up)
    found.server(packet(1, switch(auth.CACHING_SHA2)))
    assert found.up[before:] == packet(2, auth.caching_sha2_answer(SECRET, NONCE))
    given = len(found.down)
    found.server(packet(3, b"\x01\x03") + packet(4, ok()))
    assert found.down[given:] == packet(3, b"\x01\x03") + packet(4, ok())
    [begins] = found.noted(StatementBegins)
    assert isinstance(begins, StatementBegins)
    assert (begins.operation, begins.text) == ("COM_CHANGE_USER", "CHANGE USER 'mallory' DATABASE `other`")
    [end] = ended(found)
    assert (end.outcome, end.bytes_down) == ("done", found.size_down)
    assert [note for note in found.notes if isinstance(note, SessionChanged)] == [SessionChanged(schema="other")]


def test_the_full_exchange_is_the_bastions_alone() -> None:
    """The server does not know the password's hash any more and asks for it whole: the client hears nothing of that."""
    found = session(replace(TERMS, server_tls=True))
    found.client(packet(0, encode_change_user(ASKED)))
    found.client(packet(2, b"x" * 32))
    before, given = len(found.up), len(found.down)
    found.server(packet(1, switch(auth.CACHING_SHA2)))
    found.server(packet(3, b"\x01\x04"))
    assert found.up[before:] == packet(2, auth.caching_sha2_answer(SECRET, NONCE)) + packet(4, SECRET + b"\0")
    assert len(found.down) == given
    found.server(packet(5, ok()))
    assert found.down[given:] == packet(3, b"\x01\x03") + packet(4, ok())


def test_without_plugins_the_client_is_asked_nothing() -> None:
    plain = CAPABILITIES & ~int(Capability.PLUGIN_AUTH)
    found = Session(plain, terms=TERMS)
    found.client(packet(0, encode_change_user(replace(ASKED, capabilities=plain))))
    assert asked_of_server(found.up).user == b"app"
    found.server(packet(1, ok()))
    assert found.down == packet(1, ok())


def test_handles_are_cleared_and_the_encoding_is_the_commands() -> None:
    found = session()
    found.client(packet(0, b"\x16select ?"))
    found.server(run(1, *prepare_ok(1, 1, 0, modern=True)))
    change(found, ok())
    found.client(packet(0, b"\x17\x01\0\0\0\0\x01\0\0\0\x00\x01\x03\x00\x07\0\0\0"))
    assert b"Unknown prepared statement" in found.down
    found.client(packet(0, b"\x03select 'caf\xe9'"))
    begins = found.noted(StatementBegins)[-1]
    assert isinstance(begins, StatementBegins)
    assert begins.text == "select 'café'"


def change(found: Session, last: bytes) -> None:
    found.client(packet(0, encode_change_user(ASKED)))
    found.client(packet(2, b""))
    found.server(packet(1, switch(auth.CACHING_SHA2)))
    found.server(packet(3, last))


def test_a_failure_leaves_the_schema_clears_the_handles_and_ends_the_transaction() -> None:
    found = session()
    found.client(query("begin"))
    found.server(run(1, ok(status=3)))
    found.client(packet(0, b"\x16select 1"))
    found.server(run(1, *prepare_ok(1, 0, 0, modern=True)))
    change(found, err(1049, "42000", "Unknown database 'other'"))
    assert found.down.endswith(packet(3, err(1049, "42000", "Unknown database 'other'")))
    assert (ended(found)[-1].outcome, str(ended(found)[-1].error)) == (
        "failed", "1049 (42000): Unknown database 'other'",
    )  # fmt: skip
    assert found.server_side.transaction is Transaction.NONE
    assert found.exchange.schema == "shop"
    assert found.exchange.handles == {}
    found.client(query("select 1"))
    assert found.up.endswith(query("select 1"))


def test_no_database_leaves_none_open() -> None:
    found = session()
    found.client(packet(0, encode_change_user(replace(ASKED, database=None))))
    found.client(packet(2, b""))
    found.server(packet(1, switch(auth.CACHING_SHA2)))
    found.server(packet(3, ok()))
    assert found.exchange.schema == ""


def test_the_clients_own_proof_is_relayed_where_nothing_is_hosted() -> None:
    found = session(replace(TERMS, secret=None))
    found.client(packet(0, encode_change_user(ASKED)))
    asked = asked_of_server(found.up)
    assert (asked.user, asked.answer, asked.plugin) == (b"app", b"proof of her own", auth.CACHING_SHA2)
    found.server(packet(1, switch(auth.NATIVE)))
    assert found.down == packet(1, switch(auth.NATIVE))
    before = len(found.up)
    found.client(packet(2, b"p" * 20))
    assert found.up[before:] == packet(2, b"p" * 20)
    found.server(packet(3, ok()))
    assert found.down.endswith(packet(3, ok()))


def test_an_account_of_any_name_keeps_the_name_that_was_typed() -> None:
    found = session(replace(TERMS, secret=None, account=None))
    found.client(packet(0, encode_change_user(ASKED)))
    assert asked_of_server(found.up).user == b"mallory"


def test_another_database_is_refused_before_the_server_hears_of_it() -> None:
    found = session(databases=("shop",))
    found.client(packet(0, encode_change_user(ASKED)))
    assert found.up == b""
    assert b"'other' may not be opened here" in found.down
    found.client(query("select 1"))
    assert found.up == query("select 1")


def test_a_rule_may_refuse_it() -> None:
    found = session()
    found.refusals[1] = Refusal("denied", "Not today.")
    found.client(packet(0, encode_change_user(ASKED)))
    assert found.up == b""
    assert found.down[4:7] == b"\xff\xcb\x04"
    found.refusals.clear()
    found.client(query("select 1"))
    assert found.up == query("select 1")


def test_ahead_of_other_answers_it_is_refused() -> None:
    found = session()
    found.client(query("select 1") + packet(0, encode_change_user(ASKED)))
    assert found.up == query("select 1")
    found.server(run(1, ok()))
    assert b"only when all commands before it have been answered" in found.down


def test_bytes_out_of_turn_end_the_session() -> None:
    found = session()
    found.client(packet(0, encode_change_user(ASKED)))
    found.client(packet(2, b""))
    with pytest.raises(ProtocolError, match="waits for the other side"):
        found.client(query("select 1"))
    assert b"select 1" not in found.up


def test_a_plugin_that_cannot_be_answered_ends_the_session_and_gives_nothing_away() -> None:
    found = session()
    found.client(packet(0, encode_change_user(ASKED)))
    found.client(packet(2, b""))
    before = len(found.up)
    with pytest.raises(ProtocolError, match="in clear text"):
        found.server(packet(1, switch(auth.CLEARTEXT)))
    assert len(found.up) == before
    words = found.server_side.farewell(Refusal("not-understood", "why"))
    assert words[3:5] == b"\x03\xff"


@pytest.mark.parametrize("size", [1, 3, 7])
def test_it_may_come_in_pieces(size: int) -> None:
    whole, cut = session(), session()
    client = [packet(0, encode_change_user(ASKED)), packet(2, b"x" * 32)]
    server = [packet(1, switch(auth.CACHING_SHA2)), packet(3, b"\x01\x03") + packet(4, ok())]

    def pieces(data: bytes) -> list[bytes]:
        return [data[start : start + size] for start in range(0, len(data), size)]

    for found, parts in ((whole, lambda data: [data]), (cut, pieces)):
        for side, data in [(found.client, client[0]), (found.client, client[1]), *((found.server, s) for s in server)]:
            for part in parts(data):
                side(part)
    assert [type(note) for note in cut.notes] == [type(note) for note in whole.notes]
    assert cut.up == whole.up
    assert len(cut.down) == len(whole.down)
    assert (cut.size_up, cut.size_down) == (whole.size_up, whole.size_down)


def test_no_secret_is_shown() -> None:
    assert "s3cret" not in repr(TERMS)
    assert "proof" not in repr(ASKED)


@given(
    st.binary(max_size=30).filter(lambda b: b"\0" not in b), st.binary(max_size=255),
    st.binary(min_size=1, max_size=30).filter(lambda b: b"\0" not in b), st.integers(0, 65535),
)  # fmt: skip
def test_what_is_encoded_is_decoded(user: bytes, answer: bytes, database: bytes, collation: int) -> None:
    made = HandshakeResponse(CAPABILITIES, 0, collation, user, answer, database, "plugin", [(b"a", b"b")])
    assert decode_change_user(encode_change_user(made), CAPABILITIES) == made


@given(st.binary(max_size=60))
def test_noise_is_read_or_refused(noise: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode_change_user(b"\x11" + noise, CAPABILITIES)
