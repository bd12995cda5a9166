"""Where the reason of a command comes from, so that it need not stand in the list of processes."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

from bastion import program
from bastion.commands.program_arguments import parse
from bastion.commands.words import CommandFailed


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reasons that `sql` was given, in order."""
    found: list[str] = []

    def sql(arguments: argparse.Namespace) -> int:
        found.append(arguments.reason)
        return 0

    monkeypatch.setitem(program._OWN, "sql", sql)
    monkeypatch.delenv("CASEMATE_REASON", raising=False)
    return found


def sql(*more: str) -> None:
    program._run(parse(["sql", "orders", "-c", "select 1", *more]))


def test_from_the_argument_a_file_the_environment_or_standard_input(
    reasons: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "reason"
    file.write_text("INC-2 the second\nand more\n", encoding="utf-8")
    sql()
    sql("--reason-file", str(file))
    monkeypatch.setattr("sys.stdin", io.StringIO("INC-3 typed\n"))
    sql("--reason-file", "-")
    monkeypatch.setenv("CASEMATE_REASON", "INC-4 of the job")
    sql()
    sql("--reason", "INC-1", "--reason-file", str(file))
    assert reasons == ["", "INC-2 the second", "INC-3 typed", "INC-4 of the job", "INC-1"]


def test_a_file_that_is_not_there_and_standard_input_for_two_things_are_said(reasons: list[str]) -> None:
    with pytest.raises(CommandFailed, match="cannot be read"):
        sql("--reason-file", "/nowhere/reason")
    with pytest.raises(CommandFailed, match="both the script and the reason"):
        program._run(parse(["sql", "orders", "-f", "-", "--reason-file", "-"]))
    assert reasons == []
