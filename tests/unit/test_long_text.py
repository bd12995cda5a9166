"""A statement's text that comes in parts: the same is taken out of it, wherever it is cut."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import DatabaseError, StatementBegins, StatementEnds, StatementExtends
from bastion.protocols.sql_credentials import Reading, redact_part
from bastion.sessions.long_text import HELD_CLAUSE, HELD_LITERAL, HELD_STATEMENT, WITHHELD, LongText
from bastion.sessions.record import SessionRecord

from .test_sql_text import MYSQL, PIECES, POSTGRESQL

ENGINES = ("mysql", "mariadb", "postgresql")


def recorded(text: str, engine: str, cuts: list[int]) -> tuple[str, list[str]]:
    """What goes on record of a text that is cut at these places, and the credentials that were in it."""
    long_text = LongText(engine)
    out, secrets = "", []
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    for start, end in itertools.pairwise(places):
        redacted = long_text.part(text[start:end], last=end == len(text))
        out += redacted.text
        secrets += redacted.secrets
    assert long_text.held == 0
    return out, secrets


def in_one_reading(text: str, engine: str) -> tuple[str, list[str]]:
    """What a text is that comes in one part."""
    redacted = redact_part(text, engine, Reading(), final=True).redacted
    return redacted.text, list(redacted.secrets)


@pytest.mark.parametrize(
    ("engine", "text", "kept"),
    [
        (engine, text, kept)
        for engine, cases in (("mysql", MYSQL), ("postgresql", POSTGRESQL))
        for text, kept, _ in cases
    ],
)
def test_every_form_cut_at_every_character(engine: str, text: str, kept: str) -> None:
    if in_one_reading(text, engine)[0] != kept:
        assert "\\'" in text  # what a second reading finds, with another rule for backslashes: short texts only
        return
    for cut in range(1, len(text)):
        assert recorded(text, engine, [cut])[0] == kept, cut
    assert recorded(text, engine, list(range(len(text))))[0] == kept


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PIECES, min_size=1, max_size=30).map("".join),
    st.sampled_from(ENGINES),
    st.lists(st.integers(1, 200), max_size=6),
)
@example("select 1;create\nuser a identified by 'x\\", "mysql", [3, 12])
def test_any_text_cut_anywhere(text: str, engine: str, cuts: list[int]) -> None:
    assert recorded(text, engine, cuts) == in_one_reading(text, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_credential_across_two_parts_behind_much_data(engine: str) -> None:
    data = "insert into t values ('" + "it''s \\\\ data; create user " * 10_000 + "'), (1)"
    mark = "password" if engine == "postgresql" else "identified by"
    text = f"{data}; create user a {mark} 'secret-of-a'; select 'end'"
    at = text.index("secret-of-a")
    for cut in (at + 4, at - 1, at - 5, at - 20, at + 11):
        out, secrets = recorded(text, engine, [1000, 100_000, 162_144, cut])
        assert out.replace("***", "secret-of-a") == text
        assert "secret-of-a" not in out
        assert secrets == ["secret-of-a"]


@pytest.mark.parametrize("engine", ENGINES)
def test_data_is_on_record_with_its_own_part(engine: str) -> None:
    long_text = LongText(engine)
    first = "insert into t values ('" + "x" * 200_000
    assert long_text.part(first, last=False).text == first
    assert long_text.part("y" * 200_000, last=False).text == "y" * 200_000
    assert long_text.held == 0
    assert long_text.part("'')", last=False).text + long_text.part("')", last=True).text == "'')')"


@pytest.mark.parametrize(
    ("engine", "opening", "closing"),
    [
        ("mysql", "/* ", "*/"), ("mysql", "-- ", "\n"), ("mysql", "# ", "\n"), ("mysql", '"', '"'), ("mysql", "`", "`"),
        ("postgresql", "/* /* ", "*/ */"), ("postgresql", "$a$", "$a$"), ("postgresql", "E'\\'", "'"),
        ("postgresql", '"', '"'),
    ],
)  # fmt: skip
def test_what_is_long_and_inside_of_something_passes(engine: str, opening: str, closing: str) -> None:
    word = "password" if engine == "postgresql" else "identified by"
    inside = "create user x 'y " * 20_000 if closing not in ("'",) else "create user x y " * 20_000
    text = f"select {opening}{inside}{closing}; create user a {word} 'secret'"
    kept = text.replace("secret", "***")
    end = 7 + len(opening) + len(inside)
    for cuts in ([100_000, 200_000], [100_000, end], [100_000, end + 1], [100_000, *range(end - 3, end + 8)]):
        assert recorded(text, engine, cuts)[0] == kept


@pytest.mark.parametrize(
    ("engine", "text", "most"),
    [  # four texts of about a megabyte
        ("mysql", "create user a identified by '" + "p" * 900_000, HELD_CLAUSE),
        ("mysql", "create user a identified by " + "/* */" * 200_000 + "'p'", HELD_CLAUSE),
        ("postgresql", "do $$ begin create role a password 'p';" + " " * 2_000_000, HELD_STATEMENT),
        ("postgresql", "select 'host=h password=" + "p" * 900_000, HELD_LITERAL),
    ],
    ids=["literal", "comments", "body", "connection"],
)
def test_what_is_held_is_bounded_and_what_may_be_a_credential_is_withheld(engine: str, text: str, most: int) -> None:
    long_text = LongText(engine)
    out = ""
    for start in range(0, len(text), 200_000):
        out += long_text.part(text[start : start + 200_000], last=False).text
        assert long_text.held <= most
    out += long_text.part("p'; select 1", last=True).text
    assert "p" * 9 not in out
    assert "'p'" not in out
    assert WITHHELD in out or "password=***" in out


def test_a_long_body_without_a_credential_is_on_record_whole() -> None:
    text = "create function f() returns text as $f$ " + "select 'some text'; " * 120_000 + "$f$ language sql"
    assert recorded(text, "postgresql", list(range(0, len(text), 250_000)))[0] == text


class Kept:
    """A journal that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, *records: Any) -> None:
        self.records += records

    append_soon = append


def session_record(engine: str) -> tuple[SessionRecord, list[Any]]:
    journal = Kept()
    return SessionRecord(journal, "s", engine, lambda secret: f"digest of {secret}"), journal.records


def test_a_long_statement_is_on_record_without_its_credential() -> None:
    record, records = session_record("mysql")
    data = "insert into t values ('" + "x" * 300_000 + "'); create user a identified"
    record.before((StatementBegins(1, "COM_QUERY", data, complete=False),))
    record.before((StatementExtends(1, " by 'sec", complete=False),))
    record.before((StatementExtends(1, "ret'"),))
    assert "".join(one.text for one in records) == data + " by '***'"
    assert [one.complete for one in records] == [False, False, True]
    assert [one.redacted for one in records] == [[], [], ["digest of secret"]]
    record.after((StatementEnds(1, None, DatabaseError("42000", "near 'secret' at line 1")),))
    assert records[-1].error == "42000: near '***' at line 1"


def test_a_bound_credential_is_not_on_record() -> None:
    record, records = session_record("mysql")
    text = "alter user ? identified by ?"
    record.before((StatementBegins(1, "COM_STMT_EXECUTE", text, binds=("bob", "secret")),))
    assert records[0].text == text
    assert records[0].binds == ["bob", "***"]
    assert records[0].redacted == ["digest of secret"]


def test_a_connection_that_is_bound_later_is_on_record_without_its_password() -> None:
    record, records = session_record("postgresql")
    record.before((StatementBegins(1, "parse", "select dblink_connect($1)", prepares=True),))
    record.before((StatementExtends(1, binds=("host=h password=secret",), runs=True),))
    assert records[1].binds == ["host=h password=***"]
    assert records[1].redacted == ["digest of secret"]


def test_a_credential_among_binds_that_come_in_parts_is_found_by_its_place() -> None:
    record, records = session_record("mysql")
    text = "create user ? identified by ?"
    record.before((StatementBegins(1, "COM_STMT_EXECUTE", text, binds=("bob",)),))
    record.before((StatementExtends(1, binds=("secret", "more")),))
    record.before((StatementExtends(1, binds=("most", "rest")),))
    assert [each.binds for each in records] == [["bob"], ["***", "more"], ["most", "rest"]]


def test_an_ordinary_statement_keeps_its_binds_and_its_error() -> None:
    record, records = session_record("postgresql")
    record.before((StatementBegins(1, "execute", "select * from t where password = $1", binds=("x",)),))
    record.after((StatementEnds(1, None, DatabaseError("42P01", "no 'x'")),))
    assert (records[0].binds, records[0].redacted, records[1].error) == (["x"], [], "42P01: no 'x'")
