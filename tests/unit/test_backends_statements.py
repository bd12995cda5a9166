"""Where statements begin and end, per engine."""

from __future__ import annotations

import time

import pytest

from backends.statements import Boundaries, first_word, reads_only, split, statement_at


def texts(text: str, engine: str = "postgresql") -> list[str]:
    return [text[span.start : span.end] for span in split(text, engine)]


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("postgresql", "select 1; select 2", ["select 1", "select 2"]),
        ("postgresql", "select ';'; select \";\"", ["select ';'", 'select ";"']),
        ("postgresql", "select 'it''s;'; x", ["select 'it''s;'", "x"]),
        ("postgresql", r"select 'a\'; x", [r"select 'a\'", "x"]),
        ("postgresql", r"select E'a\';b'; x", [r"select E'a\';b'", "x"]),
        ("postgresql", "select $$a;b$$; x", ["select $$a;b$$", "x"]),
        ("postgresql", "do $f$ begin; $$;$$ end $f$; x", ["do $f$ begin; $$;$$ end $f$", "x"]),
        ("postgresql", "select a$1; select $1;", ["select a$1", "select $1"]),
        ("postgresql", "/* a; /* b; */ c; */ select 1; -- x;\n;", ["/* a; /* b; */ c; */ select 1"]),
        ("postgresql", "-- only a comment;\n", []),
        ("postgresql", " ;; ", []),
        ("postgresql", "select 'open; select 2", ["select 'open; select 2"]),
        ("mysql", r"select 'a\';b'; x", [r"select 'a\';b'", "x"]),
        ("mysql", "select `a;b`; x", ["select `a;b`", "x"]),
        ("mysql", "select 1 # a;b\n; x", ["select 1 # a;b", "x"]),
        ("mysql", "select 1--2; x", ["select 1--2", "x"]),
        ("mysql", "/* a; /* b; */ select 1; x", ["/* a; /* b; */ select 1", "x"]),
        ("mysql", "/*!50000 select 1 */; x", ["/*!50000 select 1 */", "x"]),
        ("sqlserver", "select [a;b]; x", ["select [a;b]", "x"]),
        (
            "mysql",
            "select 1;\ndelimiter //\ncreate procedure p() begin select 1; select '//'; end//\nDELIMITER ;\nx; y",
            ["select 1", "create procedure p() begin select 1; select '//'; end", "x", "y"],
        ),
        ("mysql", "-- first\n  Delimiter $$  \na;b$$ c", ["a;b", "c"]),
        ("mysql", "select delimiter; x", ["select delimiter", "x"]),
        ("postgresql", "delimiter //\nx; y", ["delimiter //\nx", "y"]),
    ],
)
def test_split(engine: str, text: str, expected: list[str]) -> None:
    assert texts(text, engine) == expected


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, "select 1"), (8, "select 1"), (9, "select 1"), (10, "select\n2"), (14, "select\n2"), (30, "select 3")],
)
def test_the_statement_at_the_cursor(offset: int, expected: str) -> None:
    text = "select 1;\nselect\n2;  \n\n  select 3"
    span = statement_at(text, offset, "postgresql")
    assert span is not None
    assert text[span.start : span.end] == expected


def test_no_statement_at_all() -> None:
    assert statement_at("  -- nothing\n", 3, "postgresql") is None


def test_first_word_passes_comments_and_brackets_over() -> None:
    assert first_word("/* x */ -- y\n (SELECT 1)", "postgresql") == "select"
    assert reads_only("(select 1)", "mysql")
    assert not reads_only("with x as (delete from t returning *) select * from x", "postgresql")
    assert not reads_only("", "mysql")


def test_a_large_script_is_split_in_linear_time() -> None:
    text = "insert into t values (1, 'abc''d', \"x\"); -- note\n" * 20_000
    began = time.process_time()
    assert len(split(text, "postgresql")) == 20_000
    assert time.process_time() - began < 3


def test_what_was_read_before_an_edit_is_right_after_it() -> None:
    """Whatever is typed where, the statements are those of a text that is read from its beginning."""
    text = "select 1;\nselect ';' ;\n-- x;\nselect 3"
    for engine in ("postgresql", "mysql"):
        for offset in range(len(text) + 1):
            for typed in (";", "'", "--", "/*", "$$", "\n", "x", "delimiter //\n"):
                known = Boundaries(engine)
                known.all(text)
                known.edited(offset)
                new = text[:offset] + typed + text[offset:]
                for place in (0, offset, len(new)):
                    assert known.at(new, place) == statement_at(new, place, engine)
                assert known.all(new) == split(new, engine)
                known = Boundaries(engine)
                known.all(new)
                known.edited(offset)
                assert known.all(text) == split(text, engine)


def test_the_beginning_of_a_statement_with_what_is_before_it() -> None:
    text = "select 1;\n-- two\nselect 2; select"
    known = Boundaries("postgresql")
    assert [known.start(text, offset) for offset in (0, 8, 9, 12, len(text))] == [0, 0, 9, 9, 26]
