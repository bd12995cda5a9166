"""The words of the command line, without a bastion: arguments, printing, help."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bastion.api import messages as m
from bastion.api import methods
from bastion.commands import values
from bastion.commands.declared_files import referenced_environment
from bastion.commands.printing import clean, width
from bastion.commands.table import parser_for
from bastion.commands.words import CommandFailed, Context, Place, UsageShown


class Output:
    """What was printed."""

    def __init__(self) -> None:
        self.printed = ""
        self.narrated = ""

    def out(self, text: str) -> None:
        self.printed += text

    def err(self, text: str) -> None:
        self.narrated += text

    async def drain(self) -> None:
        return


class Answers:
    """An API that answers what it is given, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, m.Message]] = []

    async def call(self, method: methods.Method, params: m.Message) -> Any:
        self.asked.append((method.name, params))
        return self._answers.pop(0)


def run(words: str, *answers: Any, place: Place = Place.EXEC, stdin: bytes = b"") -> tuple[int, Output, Answers]:
    async def read_input() -> bytes:
        return stdin

    api, output = Answers(*answers), Output()
    arguments = parser_for(place).parse_args(words.split())
    context = Context(api, output, place, read_input=read_input)
    return asyncio.run(arguments.chosen.run(context, arguments)), output, api


def statement(seq: int, text: str = "SELECT 1") -> m.Statement:
    return m.Statement(
        session="s1", seq=seq, at="2026-11-22T10:00:00.000000Z", user="alice", database="orders", account="app",
        schema="public", kind="select", text=text, binds=None, verdict="allowed", tool="", state="done", rows=1,
        error=None, duration_ms=1.5, bytes_down=10,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- what is typed


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800)])
def test_periods(text: str, seconds: int) -> None:
    assert values.period(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-1h", "2w", "1h 30m", "9" * 40, "٣h"])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        values.period(text)


def test_moments_are_utc() -> None:
    assert values.moment("2026-11-22T18:00:00+08:00") == "2026-11-22T10:00:00.000000Z"
    asked = datetime.now(UTC)
    ago = datetime.fromisoformat(values.moment("2h")) + timedelta(hours=2)
    assert asked <= ago <= datetime.now(UTC)
    with pytest.raises(argparse.ArgumentTypeError):
        values.moment("yesterday")


def test_each_place_has_its_words() -> None:
    with pytest.raises(UsageShown) as help_text:
        parser_for(Place.EXEC).parse_args(["--help"])
    assert help_text.value.exit_code == 0
    offered = {
        line.split()[0] for line in help_text.value.text.splitlines() if line.startswith("    ") and line.split()
    }
    assert {"databases", "token", "tokens", "sql", "sessions", "end", "audit", "ca"} <= offered
    assert not {"init", "serve", "apply", "connect", "demo", "tunnel", "doctor"} & offered


# ------------------------------------------------------------------------------------------------- what is printed


def test_json_is_one_object_a_line_and_nothing_else() -> None:
    page = m.StatementPage(statements=[statement(1), statement(2, "SELECT\n2")], cursor=None)
    code, output, api = run("audit search orders --json --limit 10 --kind SELECT", page)
    assert code == 0
    assert [json.loads(line)["seq"] for line in output.printed.splitlines()] == [1, 2]
    assert output.narrated == ""
    [(name, params)] = api.asked
    assert name == "audit.search"
    assert isinstance(params, m.StatementFilter)
    assert (params.words, params.kind, params.limit) == (["orders"], "select", 10)


def test_a_long_listing_is_fetched_page_by_page() -> None:
    pages = [m.StatementPage(statements=[statement(n)], cursor=n if n < 3 else None) for n in (1, 2, 3)]
    _code, output, api = run("audit statements --session s1 --json", *pages)
    assert [json.loads(line)["seq"] for line in output.printed.splitlines()] == [1, 2, 3]
    assert len(api.asked) == 3


def test_a_limit_ends_the_listing_though_there_is_more() -> None:
    pages = [m.StatementPage(statements=[statement(n) for n in range(1000)], cursor=1000),
             m.StatementPage(statements=[statement(n) for n in range(500)], cursor=1500)]  # fmt: skip
    _code, output, _api = run("audit search --json --limit 1500", *pages)
    assert len(output.printed.splitlines()) == 1500


def test_what_a_database_or_name_contains_never_reaches_the_terminal_as_control() -> None:
    page = m.StatementPage(statements=[statement(1, "SELECT '\x1b]52;c;ZXZpbA==\x07' \x9b31m\n-- x")], cursor=None)
    _code, output, _api = run("audit search", page)
    assert len(output.printed.splitlines()) == 2
    assert not any(character in output.printed for character in "\x1b\x07\x9b")
    assert clean("a\tb\nc\x00") == "a b c\N{REPLACEMENT CHARACTER}"


def test_columns_are_aligned_for_wide_characters() -> None:
    assert width("订单库") == 6
    databases = [
        m.Database(name=name, engine="mysql", platform="rds", host="h", port=1, domain="", databases=[], accounts=[],
                   tokens=[], until=None)
        for name in ("订单", "x")
    ]  # fmt: skip
    _code, output, _api = run("databases", databases)
    heading, first, second = output.printed.splitlines()
    assert heading.index("ENGINE") == second.index("mysql")
    assert width(first[: first.index("mysql")]) == second.index("mysql")


def test_verify_exits_with_1_for_a_broken_record() -> None:
    broken = m.Proof(intact=False, records=9, proved_to=3, proved_at=None, unwitnessed=0, broken_at=4, file="f",
                     reason="its hash is another")  # fmt: skip
    code, output, _api = run("audit verify", broken)
    assert code == 1
    assert "BROKEN at record 4 in f: its hash is another" in output.printed


def test_an_anchor_comes_on_standard_input_where_files_cannot_be_named() -> None:
    proof = m.Proof(intact=True, records=1, proved_to=1, proved_at=None, unwitnessed=0)
    _code, _output, api = run("audit verify --anchor -", proof, stdin=b"{}\n")
    assert api.asked == [("audit.verify", methods.VerifyRequest(anchor="{}\n"))]
    with pytest.raises(CommandFailed, match="Files cannot be named"):
        run("audit verify --anchor /etc/passwd", proof)


# ------------------------------------------------------------------------------------------------------- secrets


def test_only_the_variables_that_documents_name_are_handed_on() -> None:
    documents = [{"users": [{"password": {"env": "ALICE"}}, {"password": {"env": "MISSING"}}], "env": "HOME"}]
    environment = {"ALICE": "a", "HOME": "/root", "BOB": "b"}
    assert referenced_environment(documents, environment) == {"ALICE": "a"}


# --------------------------------------------------------------------------------------------------- the program


def test_help_comes_at_once_and_without_what_it_does_not_need() -> None:
    script = (
        "import sys; from bastion.program import main; code = main(['--help']);"
        "heavy = {'asyncssh', 'textual', 'sqlalchemy', 'asyncio', 'pyarrow', 'yaml'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "databases" in done.stdout
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # whatever else the machine does
    assert took < 3, "150 ms: something heavy is imported"


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["token", "--help"], 0), (["nonsense"], 2), (["token"], 2), (["apply"], 2)]
)
def test_usage_has_its_exit_codes(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    from bastion.program import main

    assert main(words) == code
    printed = capsys.readouterr()
    assert bool(printed.out) == (code == 0)
    assert bool(printed.err) == (code != 0)


@pytest.mark.parametrize("place", [Place.EXEC, Place.LOCAL])
def test_a_screen_is_drawn_by_the_program_on_the_own_machine_alone(place: Place) -> None:
    with pytest.raises(CommandFailed, match="casemate watch --screen") as failed:
        run("watch s1 --screen", place=place)
    assert failed.value.exit_code == 2
