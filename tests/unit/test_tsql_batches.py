"""What the console runs at once of Transact-SQL: batches that GO ends, and statements in them."""

from __future__ import annotations

import time

import pytest

from backends.statements import Boundaries, split, statement_at


def texts(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split(text, "sqlserver")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1; select 2\ngo\nselect 3", ["select 1", "select 2", "select 3"]),
        ("select 1\nGo -- and on\n\ngo\nselect 2\ngo;\n", ["select 1", "select 2"]),
        ("declare @a int; select @a;\nselect 2\nGO\nselect 4;\n", ["declare @a int; select @a;\nselect 2", "select 4"]),
        ("begin tran; update t set a = 1; commit", ["begin tran", "update t set a = 1", "commit"]),
        ("create or alter procedure p as begin select 1; select 2; end\n  go  \nexec p; select 5",
         ["create or alter procedure p as begin select 1; select 2; end", "exec p", "select 5"]),
        ("if 1 = 1 select 1; else select 2;\ngo\nselect 6", ["if 1 = 1 select 1; else select 2;", "select 6"]),
        ("select 'go\ngo\n'; select [go\ngo]", ["select 'go\ngo\n'", "select [go\ngo]"]),
        ("select 1 /* go\ngo\n /* x */ */ ; x", ["select 1 /* go\ngo\n /* x */ */", "x"]),
        ("select go from t\n  go", ["select go from t"]),
        ("select 1\ngo 5\n", ["select 1\ngo 5"]),
        ("-- only a comment\ngo\n", []),
    ],
)  # fmt: skip
def test_batches(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_the_batch_at_the_cursor() -> None:
    text = "declare @a int;\nselect @a;\ngo\nselect 2; select 3"
    found = [statement_at(text, offset, "sqlserver") for offset in (3, text.index("@a;"), text.index("2"), len(text))]
    assert [text[span.start : span.end] for span in found if span is not None] == [
        "declare @a int;\nselect @a;", "declare @a int;\nselect @a;", "select 2", "select 3"
    ]  # fmt: skip


def test_what_was_read_before_an_edit_is_right_after_it() -> None:
    text = "select 1;\nselect 2;\ngo\nselect 3;\nselect 4"
    for offset in range(len(text) + 1):
        for typed in (";", "'", "declare ", "\ngo\n", "/*", "[", "x"):
            known = Boundaries("sqlserver")
            known.all(text)
            known.edited(offset)
            new = text[:offset] + typed + text[offset:]
            assert known.at(new, offset) == statement_at(new, offset, "sqlserver")
            assert known.all(new) == split(new, "sqlserver")


def test_a_large_script_is_split_in_linear_time() -> None:
    text = "insert into t values (1, N'abc''d', [x]); -- note\n" * 20_000
    began = time.process_time()
    assert len(split(text, "sqlserver")) == 20_000
    assert time.process_time() - began < 3
