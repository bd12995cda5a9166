"""Framing, byte by byte."""

from __future__ import annotations

from bastion.protocols.contract import DatabaseError, Refusal
from bastion.protocols.postgres import codec, refusal


def test_messages_are_framed_as_documented() -> None:
    assert codec.message(b"Q", b"select 1\0") == b"Q\x00\x00\x00\x0dselect 1\x00"
    assert codec.message(b"S", b"") == bytes.fromhex("5300000004")
    assert codec.request(codec.SSL_REQUEST) == bytes.fromhex("0000000804d2162f")
    assert codec.request(codec.CANCEL_REQUEST, bytes.fromhex("0000126701020304")) == bytes.fromhex(
        "0000001004d2162e0000126701020304"
    )


def test_startup_messages() -> None:
    data = codec.startup(0x0003_0000, {"user": "é", "database": "d"})
    assert data == b"\0\0\0\x1f\0\3\0\0user\0\xc3\xa9\0database\0d\0\0"[:3] + bytes([len(data)]) + data[4:]
    assert data[4:] == b"\0\3\0\0user\0\xc3\xa9\0database\0d\0\0"
    assert codec.startup_parameters(data[8:]) == {"user": "é", "database": "d"}


def test_texts_of_the_wire_come_back_as_they_were() -> None:
    raw = b"\xff\xfeabc\xc3\xa9"
    assert codec.encoded(codec.decoded(raw)) == raw
    assert codec.shown(codec.decoded(raw)) == "\\xff\\xfeabcé"


def test_errors_of_the_server() -> None:
    body = b"SERROR\0VERROR\0C42601\0Msyntax error at \xff\0P8\0Fscan.l\0\0"
    assert codec.database_error(body) == DatabaseError("42601", "syntax error at \\xff", 8)
    assert codec.database_error(b"") == DatabaseError("", "", None)
    assert codec.database_error(b"Px\0\0").position is None


def test_the_bastions_own_words() -> None:
    assert refusal.error(Refusal("any", "Nö."), fatal=False) == (
        b"E\0\0\0\x4aSERROR\0VERROR\0C42501\0MN\xc3\xb6.\0HThe bastion says this, not the database.\0\0"
    )
    assert refusal.ready(b"T") == b"Z\0\0\0\5T"
