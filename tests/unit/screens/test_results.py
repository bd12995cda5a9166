"""Results: the table, its titles, sorting, filtering, columns, views, charts, copies, exports. By the keyboard."""

from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from backends import arrow
from backends.connection import ResultBegan, ResultEnded
from backends.interface import Column, DatabaseError, Kind, Origin, Row
from backends.row_store import RowStore
from bastion.api import messages as m
from bastion.api.refusals import Refused
from screens.export import ExportDialog

from .conftest import settled
from .results_stage import Stage, idle, stage
from .world import ATTACK

TEXT = Column("t", "text", Kind.TEXT)
NUMBER = Column("n", "int8", Kind.NUMBER)
FEW: list[Row] = [("2", "b"), ("10", None), ("1", "")]
DANGER = {"\x1b", "\x07", "\x9b", "\x00", "\u202e", "\u2066", "\u200f", "\ufeff"}
HOSTILE: list[Row] = [
    (ATTACK, "1"),
    ("\x1b[2J\x1b]0;title\x07\x1bP+q\x1b\\", "2"),
    ("user\u202egpj.exe \u2066x\u2069 \u200f", "3"),
    ("\ufeff\u200bzero\u2060width\x00\r\n\t\x7f\x85", "4"),
    ("[@click=app.quit()]x[/] $var :smile:", "5"),
    ("👨\u200d👩\u200d👧 ❤\ufe0f 🇨🇳 상하이 上海 Å\u0301", "6"),
    ("x" * 100_000 + ATTACK, "7"),
]


def column_of(lines: list[str], start: int, count: int) -> list[str]:
    """The first `count` rows of the table, from a place on the screen on."""
    return [line[start:].split()[0] for line in lines[2 : 2 + count]]


# ---------------------------------------------------------------------------------------------------------- the title


async def test_the_title_says_how_much_is_there(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        store = await s.show([NUMBER], [("1",)], ended=False)
        assert "1 row so far, still running" in s.lines[0]
        store.append(arrow.batch([NUMBER], [("2",)]))
        s.results.arrived([None])
        await settled(s.pilot)
        assert "2 rows so far, still running" in s.lines[0]
        s.results.ended(ResultEnded("", 2, 2, 3.21))
        await settled(s.pilot)
        assert s.lines[0].split("·")[0].strip() == "2 rows, all of them"
        assert "3.2 s" in s.lines[0]


async def test_truncated_cancelled_failed_and_empty_results_say_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([NUMBER], FEW and [("1",)], truncated=True)
        assert "TRUNCATED: the first 1 row" in s.lines[0]
        await s.results.clear()
        for cancelled, word in ((True, "CANCELLED after 1 row"), (False, "FAILED after 1 row")):
            await s.show([NUMBER], [("1",)], ended=False)
            s.results.failed(DatabaseError("it ended", cancelled=cancelled), 0.5)
            await settled(s.pilot)
            assert word in s.text
            await s.results.clear()
        await s.show([NUMBER], [])
        assert "No rows" in s.lines[0]
        assert "n" in s.lines[1].split(), "the columns of an empty result are shown"
        await s.press("enter", "c", "s", "d", "y", "e", "b", "g", "end", "G", "pagedown", "space")
        assert "No rows" in s.lines[0]


async def test_several_results_are_tabs_with_their_statements(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        for number in range(1, 4):
            await s.show([NUMBER], [(str(number * 111),)], statement=f"select {number}\n from   t")
        assert s.lines[0].split() == ["m", "Messages", "1/3", "select", "1", "from", "t", "(1)", "2", "3"]
        assert "111" in s.text
        await s.press("n", "n")
        assert "3/3 select 3 from t" in s.lines[0]
        assert "333" in s.text
        assert "111" not in s.text
        await s.press("p")
        assert "222" in s.text
        await s.press("m")
        assert "Messages" in s.lines[1]
        for _ in range(30):
            await s.show([NUMBER], [("1",)], statement="select 'and so on' from a_table_with_a_long_name")
        assert s.space.in_memory == sum(result.table.store.bytes for result in s.results._results)
        assert len(s.results._results) == 20
        await s.results.clear()
        assert s.space.in_memory == 0


# --------------------------------------------------------------------------------------------------------- the table


async def test_null_nothing_and_the_word_null_look_different(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([TEXT, NUMBER], [(None, "1"), ("", "22"), ("NULL", None), ("'NULL' is long", "4")])
        assert [line.split()[1:] for line in s.lines[2:6]] == [
            ["NULL", "1"], ["22"], ["'NULL'", "NULL"], ["'NULL'", "is", "long", "4"],
        ]  # fmt: skip
        ends = {len(line.rstrip(" ▁▂▃▄▅▆▇█")) for line in s.lines[2:6]}
        assert len(ends) == 1, "numbers end in one column"


async def test_moving_scrolls_and_the_keys_of_vi_do_too(tmp_path: Path) -> None:
    columns = [Column(f"column_{number}", "text", Kind.TEXT) for number in range(30)]
    rows = [tuple(f"r{row}c{number}" for number in range(30)) for row in range(500)]
    async with stage(tmp_path) as s:
        await s.show(columns, rows)
        await s.press("G", "end", "enter")
        assert "r499c29" in s.text
        await s.press("escape", "g", *"250", "enter", "home")
        assert "r249c0" in s.text
        table = s.results.table
        assert table is not None
        await s.press("j", "j", "l", "k", "h", "l", "pagedown", "pageup")
        assert table.cursor == (250, 1)
        await s.press("t", *"column_17", "enter", "c")
        assert s.copied[-1][0] == "r250c17"
        await s.press("g", *"501", "enter")
        assert s.told[-1] == "There is no row 501."


async def test_sorting_by_the_column_of_the_cursor(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([NUMBER, TEXT], FEW)
        await s.press("s")
        assert column_of(s.lines, 4, 3) == ["1", "2", "10"]
        assert "by n ↑" in s.lines[0]
        assert "n ↑" in s.lines[1]
        await s.press("s")
        assert column_of(s.lines, 4, 3) == ["10", "2", "1"]
        await s.press("l", "s")
        assert "by t ↑, n ↓" in s.lines[0]
        assert column_of(s.lines, 0, 3) == ["3", "1", "2"], "'' before b, NULL last; the rows keep their numbers"
        await s.press("u")
        assert column_of(s.lines, 4, 3) == ["2", "10", "1"]
        assert "↑" not in s.text


async def test_filtering_says_how_many_match(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show()
        await s.press("slash", *"total > 100 and status = paid", "enter")
        assert ", all of them · 15 match total > 100 and status = paid · " in s.lines[0], "before size and time"
        assert "Customer 1 " not in s.text
        await s.press("g", *"2", "enter")
        assert s.told[-1] == "The filter leaves row 2 out."
        await s.press("slash", "ctrl+u", *"total > many", "enter")
        assert s.told[-1] == "total holds numbers, and many is none. `total ~ many` looks for text in it."
        await s.press("slash", "ctrl+u", *"no such words", "enter")
        assert "none match no such words" in s.lines[0]
        await s.press("enter", "c", "d")
        await s.press("slash", "ctrl+u", "enter")
        assert "match" not in s.lines[0]
        assert "Customer 1 " in s.text


async def test_rows_that_come_later_are_arranged_when_the_result_ends(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        store = await s.show([NUMBER], [("5",), ("3",)], ended=False)
        await s.press("s")
        assert column_of(s.lines, 4, 2) == ["3", "5"]
        store.append(arrow.batch([NUMBER], [("4",), ("1",)]))
        s.results.arrived([None])
        await settled(s.pilot)
        assert "of the first 2 rows" in s.lines[0]
        s.results.ended(ResultEnded("", 4, 4, 0.1))
        await idle(s.pilot)
        assert column_of(s.lines, 4, 4) == ["1", "3", "4", "5"]
        assert "of the first" not in s.lines[0]


async def test_columns_are_hidden_frozen_and_resized(tmp_path: Path) -> None:
    columns = [Column(f"column_{number}", "text", Kind.TEXT) for number in range(20)]
    async with stage(tmp_path) as s:
        await s.show(columns, [tuple(f"value{number}" for number in range(20))])
        await s.press("f", "end")
        assert "column_0" in s.lines[1]
        assert "column_19" in s.lines[1]
        assert "│" in s.lines[1]
        await s.press("home", "z")
        assert "column_0" not in s.lines[1]
        assert "hidden columns: 1, Z shows them" in s.lines[0]
        await s.press("Z")
        assert "column_0 " in s.lines[1]
        await s.press("home", "less_than_sign", "less_than_sign")
        assert "val…" not in s.text
        await s.press("less_than_sign")
        table = s.results.table
        assert table is not None
        assert table.arrange_columns.by_hand == {0: 3}
        assert " va… " in s.lines[2]
        await s.press("w")
        assert "value0 " in s.lines[2]


async def test_cjk_stays_in_its_column(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show(
            [Column("名称", "text", Kind.TEXT), NUMBER], [("上海贸易有限公司", "1"), ("a", "2"), ("e\u0301", "3")]
        )
        from rich.cells import cell_len

        ends = {cell_len(line[: line.rindex(digit)]) for line, digit in zip(s.lines[2:5], "123", strict=True)}
        assert len(ends) == 1
        await s.press("less_than_sign", "less_than_sign")
        assert "上海贸 …" in s.text


# ---------------------------------------------------------------------------------------------------------- the views


async def test_json_is_folded_searched_and_copied_exactly(tmp_path: Path) -> None:
    value = '{"a": {"b": [1.0, 2]}, "c": "needle"}'
    async with stage(tmp_path) as s:
        await s.show([Column("doc", "jsonb", Kind.JSON)], [(value,)])
        await s.press("enter")
        assert '"b": [' in s.text
        assert "1.0," in s.text
        await s.press("down", "space")
        assert '"b": [' not in s.text
        assert '"a": { …' in s.text
        await s.press("slash", *"NEEDLE", "enter")
        assert "match 1 of 1" in s.text
        await s.press("slash", *"2", "enter")
        assert '"b": [' in s.text, "a match unfolds what hides it"
        await s.press("slash", *"xyz", "enter")
        assert "not found" in s.text
        await s.press("c")
        assert s.copied == [(value, "the value")]
        await s.press("o")
        assert '{"a": {"b": [1.0, 2]}, "c": "needle"}' in s.text
        await s.press("escape")
        assert "1 row, all of them" in s.text


async def test_bytes_are_dumped_and_can_be_read_as_text(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([Column("data", "bytea", Kind.BINARY)], [("\\x" + b"PK\x03\x04 hello\x1b[2J".hex(),)])
        await s.press("v")
        assert "50 4b 03 04 20 68 65 6c" in s.text
        assert "14 B" in s.text
        assert "|PK.. hello.[2J|" in s.text
        await s.press("o")
        assert "PK␃␄ hello␛[2J" in s.text


async def test_long_text_wraps_and_unwraps(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([TEXT], [("start " + "word " * 100 + "end\nsecond line",)])
        await s.press("enter")
        assert "start" in s.text
        assert "word end" in s.text
        assert "second line" in s.text
        await s.press("w")
        assert "word end" not in s.text
        assert "second line" in s.text


async def test_the_row_view_goes_from_row_to_row_and_into_a_value(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show()
        await s.press("down", "d")
        assert "Row 2 of 60" in s.text
        assert "customer    上海贸易有限公司" in s.text
        await s.press("right_square_bracket", "down")
        assert "Row 3 of 60" in s.text
        assert "[bold]Bracket Ltd[/]" in s.text
        await s.press("c")
        assert s.copied[-1] == ("[bold]Bracket Ltd[/]", "customer")
        await s.press("enter")
        assert "customer · text · 20 characters" in s.text
        await s.press("escape", "left_square_bracket", "escape")
        table = s.results.table
        assert table is not None
        assert table.cursor == (1, 1)


async def test_a_hostile_table_is_shown_safely(tmp_path: Path) -> None:
    columns = [Column(ATTACK, ATTACK, Kind.TEXT), Column("\u202en\x1b[2J", "int8", Kind.NUMBER, Origin("s", ATTACK))]
    async with stage(tmp_path) as s:
        await s.show(columns, HOSTILE, statement=f"select '{ATTACK}'")
        await s.show(columns, HOSTILE, statement=f"select '{ATTACK}' as again")
        assert "[bold red]x[/]" in s.text
        assert "user�gpj.exe" in s.text
        assert not set(s.text) & DANGER
        for row in range(len(HOSTILE)):
            for view in ("enter", "r"):
                await s.press(view)
                assert not set(s.text) & DANGER, (row, view)
                await s.press("escape")
            await s.press("down")
        for keys in (
            ("b",),
            ("b", "space"),
            ("y",),
            ("slash",),
            ("t",),
            ("e",),
            ("A",),
            ("slash", *ATTACK[7:12], "enter"),
        ):
            await s.press(*keys)
            assert not set(s.text) & DANGER, keys
            await s.press("escape")


async def test_charts_of_the_rows_that_are_shown(tmp_path: Path) -> None:
    async with stage(tmp_path, (80, 24)) as s:
        await s.show()
        await s.press("slash", *"id < 100007", "enter", "t", *"total", "enter", "b")
        await _chart_drawn(s)
        assert "Bars · total by customer" in s.text
        bar = next(line for line in s.lines if "Meier" in line)
        assert "███" in bar
        assert "1,234.50" in bar
        await s.press("o")
        assert "Line · total by customer" in s.text
        await s.press("o")
        assert "Histogram · total" in s.text
        await s.press("o", "a", "l", *"status", "enter")
        await _chart_drawn(s)
        assert "Bars · sum · total by status" in s.text
        assert "1,234.50" in next(line for line in s.lines if "paid" in line)
        await s.press("y", *"customer", "enter")
        await _chart_drawn(s)
        assert "There is no number in customer" in s.text


async def _chart_drawn(s: Stage) -> None:
    await idle(s.pilot)


# ----------------------------------------------------------------------------------------------------- copy and export


async def test_copies_in_many_formats(tmp_path: Path) -> None:
    origin = Origin("shop", "goods", "n")
    columns = [Column("n", "int", Kind.NUMBER, origin), Column("t", "text", Kind.TEXT, origin)]
    async with stage(tmp_path) as s:
        await s.show(columns, FEW, engine="mysql")
        await s.press("down", "space", "down", "right")
        assert "selected: 2 rows × 2" in s.lines[0]
        await s.press("y", *"selection csv", "enter")
        assert s.copied == [('n,t\r\n10,\r\n1,""\r\n', "the selection")]
        await s.press("space")
        assert "selected" not in s.lines[0]
        for choice, expected in (
            ("row csv", 'n,t\r\n1,""\r\n'),
            ("row tsv", 'n\tt\r\n1\t""\r\n'),
            ("row lines", '{"n": 1, "t": ""}\n'),
            ("row insert", "insert into shop.goods (n, t) values\n(1, '');\n"),
            ("row markdown", "| n | t |\n| ---: | --- |\n| 1 |  |\n"),
            ("column csv", 't\r\nb\r\n\r\n""\r\n'),
        ):
            await s.press("y", *choice, "enter")
            await s.pilot.app.workers.wait_for_complete(
                [w for w in s.pilot.app.workers if "copy" in w.group and w.is_running]
            )
            assert s.copied[-1][0] == expected


async def test_everything_shown_is_copied_and_too_much_is_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show()
        await s.press("slash", *"paid", "enter", "t", *"note", "enter", "z", "s", "y", *"all json", "enter")
        [(text, what)] = s.copied
        records = json.loads(text)
        assert what == "all rows shown"
        assert len(records) == 20
        assert list(records[0]) == ["id", "customer", "status", "total", "created_at"]
        await s.show([TEXT], [("x" * 1000,)] * 300)
        await s.press("n", "y", *"all csv", "enter")
        assert s.told[-1] == "Not copied: all rows shown is more than terminals take. e exports it to a file."
        await s.show([NUMBER, NUMBER], [("1", "2")])
        await s.press("n", "y", *"row insert", "enter")
        assert s.told[-1] == "Not copied: an INSERT cannot name the column n twice."


async def test_a_value_is_copied_as_it_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.show([TEXT], [(ATTACK,)])
        await s.press("c")
        assert s.copied == [(ATTACK, "the cell")]


async def test_an_export_writes_the_file_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage(tmp_path / "rows") as s:
        await s.show()
        await s.press("e", *"csv", "enter")
        assert "orders-20261122-030405.csv" in s.text
        await s.press("enter")
        await exported(s)
        path = tmp_path / "orders-20261122-030405.csv"
        with path.open(newline="", encoding="utf-8") as file:
            assert len(list(csv.reader(file))) == 61
        assert path.stat().st_mode & 0o777 == 0o600
        assert s.told[-1].startswith("60 rows (")
        path.write_text("mine")
        await s.press("e", *"csv", "enter", "enter")
        assert "exists already" in s.text
        await s.press("n")
        assert path.read_text() == "mine"
        await s.press("e", *"csv", "enter", "enter", "y")
        await exported(s)
        assert path.read_text(encoding="utf-8").startswith("id,customer")
        await s.press("e", *"csv", "enter", "ctrl+u", *"no/x", "enter")
        await exported(s)
        assert "cannot be written: No such file or directory" in s.told[-1]


async def exported(s: Stage) -> None:
    workers = [worker for worker in s.pilot.app.workers if worker.group == "export" and worker.is_running]
    if workers:
        await s.pilot.app.workers.wait_for_complete(workers)
    await settled(s.pilot)


async def test_an_export_can_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    held = threading.Event()
    write = ExportDialog._work

    def slowly(self: ExportDialog) -> None:
        held.wait(120)
        write(self)

    monkeypatch.setattr(ExportDialog, "_work", slowly)
    async with stage(tmp_path / "rows") as s:
        await s.show()
        s.held = 1
        await s.press("e", *"csv", "enter", "enter")
        assert "0 of 60 rows" in s.text
        await s.press("escape")
        assert "Cancelling" in s.text
        held.set()
        s.held = 0
        await exported(s)
        assert s.told[-1] == "The export was cancelled; nothing is left of it."
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


async def test_a_served_workstation_leaves_the_export_on_the_bastion(tmp_path: Path) -> None:
    file = m.ExportFile(
        id="x-00ff", session="s-1", seq=3, database="orders", format="jsonl", name="orders-20261122-030405.jsonl",
        rows=60, bytes=7000, digest="", begun_at="2026-11-22T03:04:05Z", until="2026-11-23T03:04:05Z",
    )  # fmt: skip
    answers: dict[str, Any] = {"export.begin": file, "export.part": None, "export.finish": file, "export.abandon": None}
    async with stage(tmp_path, answers=answers) as s:
        s.pilot.app.services.exports_to_bastion = True  # type: ignore[attr-defined]
        await s.show()
        await s.press("e", *"lines", "enter")
        await exported(s)
        assert "60 rows (6.8 KB) wait on the bastion until 2026-11-23T03:04:05Z." in s.text
        line = "ssh -p 60022 alice@bastion.example.com export get x-00ff > orders-20261122-030405.jsonl"
        assert "ssh -p 60022 alice@bastion.example.com export get x-00ff >" in s.text
        await s.press("c")
        assert s.copied[-1][0] == line
        [begun] = s.link.asked("export.begin")
        assert (begun.statement, begun.format) == ("select * from orders", "jsonl")
        data = b"".join(part.data for part in s.link.asked("export.part"))
        assert len([json.loads(text) for text in io.BytesIO(data)]) == 60
        s.link.answers["export.part"] = Refused("export-quota", limit=10)
        await s.press("e", *"lines", "enter")
        await exported(s)
        assert "would take more than 10 bytes" in s.told[-1]
        assert s.link.asked("export.abandon")


async def test_rows_that_cannot_be_read_back_are_said_to_be(tmp_path: Path) -> None:
    import os

    async with stage(tmp_path) as s:
        s.space.memory = 0
        store = RowStore([TEXT], s.space)
        await s.results.began(ResultBegan((TEXT,), store))
        store.append(arrow.batch([TEXT], [("gone",)] * 3))
        assert store._file is not None
        os.pwrite(store._file._file.fileno(), b"\xff\xff", 40)
        s.results.arrived([None])
        s.results.ended(ResultEnded("", 3, 3, 0.1))
        s.results.focus_inside()
        await idle(s.pilot)
        assert "gone" not in s.text
        for key in ("c", "enter", "s"):
            s.told.clear()
            await s.press(key)
            assert "cannot be read back" in s.told[-1]
