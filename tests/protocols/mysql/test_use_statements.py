"""What a text opens as its current database, however it is hidden; and what the session makes of it."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import ProtocolError, SessionChanged, StatementBegins, StatementEnds
from bastion.protocols.mysql.codec import Malformed
from bastion.protocols.mysql.use_statements import UNREADABLE, TextReader, opened

from .packets import CLASSIC, MODERN, Session, err, ok, packet, prepare_ok, query, result_set, run

OPENS = [
    ("use x", ["x"]),
    ("USE `a``b`;", ["a`b"]),
    ('use "x"', ["x"]),
    ("use\tx", ["x"]),
    ("use/**/x", ["x"]),
    ("/* c */ use x", ["x"]),
    ("-- c\nuse x", ["x"]),
    ("#;use a\nuse b", ["b"]),
    ("/*!50000 use x */", ["x"]),
    ("/*!use*/ x", ["x"]),
    ("/*M!100100 use x*/", ["x"]),
    ("select 1; use x; use y", ["x", "y"]),
    ("select 1 -- ; use a\n; use b", ["b"]),
    ("select 1--1; use x", ["x"]),
    ("select 'a', \"b\", `c` /* d */ ; use x", ["x"]),
    ("select 'it\\'s'; use x", ["x"]),
    ("select 'it''s'; use x", ["x"]),
    (";; use x", ["x"]),
    ("call p(); use x", ["x"]),
]

OPENS_NOTHING = [
    "select 'a; use x'", 'select "a; use x"', "select `a; use x`", "select /* ; use x */ 1", "select 'it\\'s; use x'",
    "select 1 -- ; use x", "select 1 # ; use x", "select a from t use index (i)", "create table user (id int)",
    "select 1; user x", "insert into t values ('x;\nuse y;')", "select 'open; use x", "select 1 /* open; use x", "",
]  # fmt: skip


@pytest.mark.parametrize(("text", "names"), OPENS)
def test_what_is_opened(text: str, names: list[str]) -> None:
    assert [each.name for each in opened(text)] == names


@pytest.mark.parametrize("text", OPENS_NOTHING)
def test_what_opens_nothing(text: str) -> None:
    assert opened(text) == []


def test_a_backslash_that_takes_nothing_in() -> None:
    assert [each.name for each in opened("select '\\'; use x; -- '", backslash=False)] == ["x"]
    assert opened("select '\\'; use x; -- '", backslash=True) == []


DYNAMIC = [
    ("execute immediate 'use x'", ["x"]), ("prepare s from 'use x'", ["x"]), ("prepare `s` from \"use `x`\"", ["x"]),
    ("execute immediate 'use x' using 1", ["x"]), ("execute immediate 'select ?' using 1", []),
    ("execute immediate @text", [UNREADABLE]), ("execute immediate concat('us', 'e x')", [UNREADABLE]),
    ("prepare s from @text", [UNREADABLE]), ("execute immediate 'us' 'e x'", [UNREADABLE]),
    ("select 1; execute immediate 'select 1; use x'", ["x"]), ("execute s", []),
    ("prepare s from 'select ''use'''", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names"), DYNAMIC)
def test_statements_that_are_made_at_run_time(text: str, names: list[str]) -> None:
    assert [each.name for each in opened(text, dynamic=True)] == names
    assert opened(text) == []


@pytest.mark.parametrize(
    "text", ["'" * 100_000, "/*" * 50_000, "/*!" * 50_000, "use " * 50_000, "`" * 99_999, "--\n" * 50_000,
             "/**/" * 50_000, ";" * 200_000, "use/*" * 20_000, "execute immediate " * 10_000, "use " + "/**/" * 50_000]
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    opened(text, dynamic=True)
    assert time.process_time() - began < 1


def test_the_number_of_statements_is_bounded() -> None:
    with pytest.raises(Malformed, match="more than 10000 statements"):
        opened("a;" * 10_001)


PIECES = st.sampled_from(
    [
        "use x",
        "'",
        '"',
        "`",
        "\\",
        "/*",
        "*/",
        "/*!",
        ";",
        " ",
        "\n",
        "-- ",
        "#",
        "-",
        "/",
        "select ",
        "use `b` ",
        "/*M!",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25), st.integers(1, 9), st.integers(0, 5000))
def test_in_parts_the_same_is_found(pieces: list[str], size: int, padding: int) -> None:
    text = "select '" + "x" * padding + "' " + "".join(pieces) + " "
    reader, found = TextReader(), []
    cuts = [*range(0, len(text), size * 97), len(text)]
    for start, end in itertools.pairwise(cuts):
        found += reader.feed(text[start:end], last=end == len(text))
    assert found == opened(text)


# ------------------------------------------------------------------------------------------------- in a session


def texts(session: Session) -> list[str]:
    return [note.text for note in session.notes if isinstance(note, StatementBegins)]


def schemas(session: Session) -> list[str]:
    return [note.schema for note in session.notes if isinstance(note, SessionChanged) and note.schema is not None]


@pytest.mark.parametrize(("text", "names"), [each for each in OPENS if each[1] != ["b"]])
def test_another_database_is_refused_as_text(text: str, names: list[str]) -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(query(text))
    assert session.up == b""
    assert session.down[4:7] == b"\xff\x14\x04"
    assert f"{names[0]!r} may not be opened here; allowed are: shop".encode() in session.down
    assert texts(session) == [text]
    [end] = session.noted(StatementEnds)
    assert isinstance(end, StatementEnds)
    assert end.outcome == "failed"
    session.client(query("use shop"))
    assert session.up == query("use shop")


def test_another_database_is_refused_in_a_preparation() -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(packet(0, b"\x16use other"))
    assert session.up == b""
    assert b"may not be opened" in session.down


def test_on_mariadb_what_is_made_at_run_time_is_refused() -> None:
    for mariadb, passes in ((True, False), (False, True)):
        session = Session(MODERN, databases=("shop",), mariadb=mariadb)
        session.client(query("execute immediate @text"))
        assert (session.up != b"") is passes
    assert Session(MODERN, mariadb=True).client(query("execute immediate @text"))[0].forward


def test_how_backslashes_are_read_follows_the_server() -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(query("set sql_mode = 'NO_BACKSLASH_ESCAPES'"))
    session.server(run(1, ok(status=0x0202)))
    before = len(session.up)
    session.client(query("select '\\'; use other; -- '"))
    assert len(session.up) == before
    session.client(query("select 'it\\'; use shop"))
    assert len(session.up) > before


def test_a_text_that_changes_how_it_is_read_is_read_both_ways() -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(query("set sql_mode = 'NO_BACKSLASH_ESCAPES'; select '\\'; use other; -- '"))
    assert session.up == b""


@pytest.mark.parametrize("padding", [0, 100, 300_000, 600_000, 1_000_000])
@pytest.mark.parametrize("text", ["; use other", "';use other", " /* ' */; /* */ use/* */other;"])
def test_a_long_text_is_read_to_its_end(padding: int, text: str) -> None:
    session = Session(MODERN, databases=("shop",))
    whole = "select '" + "\\'" * (padding // 2) + ("'" if text[0] != "'" else "") + text
    payload = b"\x03" + whole.encode()
    data = packet(0, payload)
    if len(whole) < 250_000:
        session.client(data)
        assert session.up == b""
        return
    with pytest.raises(ProtocolError, match="'other' may not be opened here"):
        session.client(data)
    assert len(session.up) < len(data)


def test_a_long_text_that_only_mentions_it_passes() -> None:
    session = Session(MODERN, databases=("shop",))
    data = packet(0, b"\x03insert into t values " + b",".join([b"('for good; use other;\\'; use it')"] * 20_000))
    session.client(data)
    assert session.up == data


def multi(session: Session, text: str, *results: list[bytes]) -> None:
    session.client(query(text))
    session.server(run(1, *[payload for result in results for payload in result]))
    assert session.server_side.running is None


MORE = 0x0A


def test_the_schema_follows_use_among_several_statements() -> None:
    session = Session(CLASSIC, schema="shop")
    rows = result_set([b"\x011"], modern=False, status=MORE)
    multi(session, "select 1; use x; select 2", rows, [ok(status=MORE)], result_set([b"\x011"], modern=False))
    assert schemas(session) == ["x"]
    multi(session, "update t set a = 1; use y", [ok(status=MORE)], [err(1049, "42000", "Unknown database 'y'")])
    assert schemas(session) == ["x"]
    multi(session, "call p(); use z", rows, rows, [ok(status=MORE)], [ok()])
    assert schemas(session) == ["x", "z"]
    multi(session, "/* why */ use `w`", [ok()])
    assert schemas(session) == ["x", "z", "w"]


def test_the_schema_follows_a_prepared_use() -> None:
    session = Session(CLASSIC, mariadb=True, schema="shop")
    session.client(packet(0, b"\x16use x"))
    session.server(run(1, *prepare_ok(1, 0, 0, modern=False)))
    assert schemas(session) == []
    session.client(packet(0, b"\x17\x01\0\0\0\0\x01\0\0\0"))
    session.server(run(1, ok()))
    assert schemas(session) == ["x"]


def tracked(schema: bytes) -> bytes:
    change = b"\x01" + bytes([len(schema) + 1, len(schema)]) + schema
    return b"\0\0\0\x02\x40\0\0" + b"\0" + bytes([len(change)]) + change


def test_a_database_that_the_server_says_was_opened_ends_the_session_where_it_may_not() -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(query("select 1"))
    session.server(packet(1, tracked(b"shop")))
    session.client(query("select 1"))
    with pytest.raises(ProtocolError, match="'other' was opened, which is not among the allowed"):
        session.server(packet(1, tracked(b"other")))
