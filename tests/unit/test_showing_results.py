"""`audit show` on a terminal and for scripts: pages put together, nothing of a database's drives the terminal."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from bastion.api import messages as m
from bastion.api import methods
from bastion.commands.audit import WORDS
from bastion.commands.words import DONE, NOT_SO, Context, Place, UsageShown, build_parser

STATEMENT = m.Statement(
    session="s1", seq=3, at="2026-11-22T09:30:00.000000Z", user="alice", database="orders", account="app", schema="",
    kind="select", text="select '\x1b[2J'", binds=["1", None], verdict="allowed", tool="", state="done", rows=3,
    error=None, duration_ms=1.5, bytes_down=70,
)  # fmt: skip
COLUMNS = [m.ResultColumn(name="a\x1b]0;owned\x07", type="text"), m.ResultColumn(name="b", type="integer")]


def page(rows: list[list[str | None]], first: int, **values: Any) -> m.StatementResult:
    result = m.ResultSet(number=1, columns=COLUMNS, rows=rows, first_row=first)
    if "next" not in values:
        result.tag, result.count, result.ended = "SELECT 3", 3, True
    return m.StatementResult(
        **{"statement": STATEMENT, "operation": "query", "kept": "whole", "why": "", "bytes_kept": 70, **values},
        results=[result],
    )


class Api:
    """A bastion that has these pages."""

    def __init__(self, *pages: m.StatementResult) -> None:
        self.pages = {0: pages[0]} | {before.next or 0: page for before, page in itertools.pairwise(pages)}
        self.asked: list[methods.ShowRequest] = []

    async def call(self, method: methods.Method, params: Any) -> Any:
        assert method is methods.RESULT
        self.asked.append(params)
        return self.pages[params.after]


class Output:
    def __init__(self) -> None:
        self.printed = self.said = ""

    def out(self, text: str) -> None:
        self.printed += text

    def err(self, text: str) -> None:
        self.said += text

    async def drain(self) -> None:
        pass


async def show(api: Api, *words: str) -> tuple[int, str, str]:
    arguments = build_parser(WORDS, Place.EXEC, "casemate").parse_args(["audit", "show", "s1", "3", *words])
    output = Output()
    code = await arguments.chosen.run(Context(api, output, Place.EXEC), arguments)
    return code, output.printed, output.said


def two_pages() -> Api:
    return Api(page([["x\x1b[31m\r", "1"], [None, "2"]], 1, next=2), page([["", "3"]], 3))


async def test_a_table_shows_all_pages_and_no_control_characters() -> None:
    api = two_pages()
    code, printed, said = await show(api)
    assert (code, said) == (DONE, "")
    assert [request.after for request in api.asked] == [0, 2]
    assert printed.replace("\n", "").isprintable()
    lines = printed.splitlines()
    assert "result     whole: all 70 bytes of the answer" in lines
    assert [line.split() for line in lines[-7:]] == [
        ["a\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}", "b"], ["x\N{REPLACEMENT CHARACTER}[31m", "1"],
        ["NULL", "2"], [], ["a\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}", "b"], ["3"],
        ["SELECT", "3"],
    ]  # fmt: skip


async def test_json_has_the_values_as_they_are() -> None:
    _, printed, _ = await show(two_pages(), "--json")
    head, columns, *lines = [json.loads(line) for line in printed.splitlines()]
    assert (head["kept"], head["statement"]["text"]) == ("whole", "select '\x1b[2J'")
    assert [column["name"] for column in columns["columns"]] == ["a\x1b]0;owned\x07", "b"]
    assert [line["row"] for line in lines[:-1]] == [["x\x1b[31m\r", "1"], [None, "2"], ["", "3"]]
    assert lines[-1] == {"result": 1, "tag": "SELECT 3", "count": 3}


async def test_csv_tells_null_from_an_empty_text() -> None:
    _, printed, _ = await show(two_pages(), "--csv")
    assert printed == 'a\x1b]0;owned\x07,b\n"x\x1b[31m\r",1\n,2\n"",3\n'


async def test_a_limit_ends_the_asking() -> None:
    api = two_pages()
    _, printed, _ = await show(api, "--json", "--limit", "1")
    assert [json.loads(line)["row"] for line in printed.splitlines() if '"row"' in line] == [["x\x1b[31m\r", "1"]]
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("kept", "why", "code", "words"),
    [
        ("part", "statement", DONE, "the first 70 of 900 bytes of the answer: the limit of one statement"),
        ("part", "running", DONE, "the statement is still running"),
        ("none", "died", NOT_SO, "the bastion died before it was written"),
        ("none", "failed: No space left on device", NOT_SO, "failed: No space left on device"),
        ("none", "no-answer", DONE, "no answer of its own"),
        ("none", "a-reason-of-a-newer-bastion", NOT_SO, "a-reason-of-a-newer-bastion"),
    ],
)
async def test_what_is_missing_is_said_with_its_reason(kept: str, why: str, code: int, words: str) -> None:
    api = Api(page([], 0, kept=kept, why=why, bytes_total=900))
    found, printed, _ = await show(api)
    assert found == code
    assert words in printed
    found, printed, said = await show(api, "--csv")
    assert found == code
    assert words in said


async def test_what_was_streamed_in_is_shown_with_its_direction_and_how_much_of_it_there_is() -> None:
    sent = m.SentData(bytes_kept=12, bytes_total=900, why="upload", form="text", data="1\tx\x1b[2J\n2\ty\n")
    code, printed, _ = await show(Api(page([], 0, sent=sent)))
    assert code == DONE
    assert "sent in    the first 12 of 900 bytes: the limit of what is streamed in (recording.per_upload)" in printed
    assert "\nsent in by the client:\n> 1 x\N{REPLACEMENT CHARACTER}[2J\n> 2 y\n" in printed
    binary = m.SentData(bytes_kept=3, bytes_total=3, why="", form="hex", data="500001")
    _, printed, _ = await show(Api(page([], 0, sent=binary)))
    assert "sent in    whole: all 3 bytes" in printed
    assert "> \\x500001\n" in printed
    _, printed, _ = await show(Api(page([], 0, sent=sent)), "--json")
    assert json.loads(printed.splitlines()[0])["sent"]["data"] == "1\tx\x1b[2J\n2\ty\n"


@pytest.mark.parametrize("words", [["s1"], ["s1", "0"], ["s1", "x"], ["s1", "1", "--json", "--csv"]])
def test_wrong_usage(words: list[str]) -> None:
    with pytest.raises(UsageShown) as shown:
        build_parser(WORDS, Place.EXEC, "casemate").parse_args(["audit", "show", *words])
    assert shown.value.exit_code == 2
