"""What a result is written as: read back by other programs it is the same; and files that are never overwritten."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from backends import arrow, chart, formats
from backends.arrangement import Arrangement, Sort, arrange
from backends.chart import Point
from backends.export import Export, ExportCancelled, ExportFailed, FileDestination
from backends.interface import Column, Kind, Row
from backends.laid_out import forms_of, lines_of
from backends.row_store import ResultSpace, RowStore
from backends.spill import SpillFolder

COLUMNS = (
    Column("id", "int8", Kind.NUMBER), Column("total", "numeric", Kind.NUMBER), Column("text", "text", Kind.TEXT),
    Column("ok", "bool", Kind.BOOLEAN), Column("at", "timestamptz", Kind.TIME), Column("data", "bytea", Kind.BINARY),
    Column("doc", "jsonb", Kind.JSON),
)  # fmt: skip
ROWS: list[Row] = [
    ("1", "0.10", "plain", "t", "2026-11-22 10:00:00.5+00", "\\x00ff", '{"a": [1.0, null]}'),
    ("2", "-12345678901234567890.123", 'quote " comma, tab\t line\r\nend', "f", None, "\\x", "[]"),
    ("3", None, "", None, "2026-11-22 10:00:00+00", None, None),
    ("4", "7", None, "t", None, None, '"text"'),
    ("5", "1", " spaces ", "t", None, None, "null"),
    ("6", "2", "上海 🎉 e\u0301 \u202e | \\ ' <b> \x1b[31m", "f", None, None, "1e400"),
    ("7", "3", "NULL", "t", None, None, None),
]


def text(format: str, columns: tuple[Column, ...] = COLUMNS, rows: list[Row] = ROWS) -> str:
    return "".join(formats.write(format, columns, rows))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    made = RowStore(COLUMNS, ResultSpace(SpillFolder(tmp_path / "rows"), memory=0))
    made.append(arrow.batch(COLUMNS, ROWS))
    return made


@pytest.mark.parametrize(("format", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_and_tsv_are_read_back(format: str, delimiter: str) -> None:
    read = list(csv.reader(io.StringIO(text(format), newline=""), delimiter=delimiter, strict=True))
    assert read[0] == [column.name for column in COLUMNS]
    assert read[1:] == [[value or "" for value in row] for row in ROWS]
    lines = text(format, COLUMNS[2:4], [(None, "x"), ("", "x")]).splitlines()
    assert lines[1:] == [f"{delimiter}x", f'""{delimiter}x'], "NULL is told from ''"


def test_json_is_read_back_without_losing_a_digit() -> None:
    for read in (
        json.loads(text("json"), parse_float=Decimal),
        [json.loads(line, parse_float=Decimal) for line in text("jsonl").splitlines()],
    ):
        assert [record["id"] for record in read] == [1, 2, 3, 4, 5, 6, 7]
        assert [record["total"] for record in read][:3] == [Decimal("0.10"), Decimal("-12345678901234567890.123"), None]
        assert [record["text"] for record in read] == [row[2] for row in ROWS]
        assert [record["ok"] for record in read] == [True, False, None, True, True, False, True]
        assert read[0]["doc"] == {"a": [Decimal("1.0"), None]}
        assert read[0]["data"] == "\\x00ff"
    assert json.loads(text("json", rows=[])) == []
    twice = (COLUMNS[0], COLUMNS[0])
    assert text("jsonl", twice, [("1", "NaN")]) == '{"id": 1, "id_2": "NaN"}\n'


def test_markdown_keeps_its_table_whatever_is_in_a_cell() -> None:
    lines = text("markdown", (Column("a|b", "text", Kind.TEXT), COLUMNS[0]), [("x|y\nz\x1b[2J", "1"), (None, "2")])
    assert lines.splitlines() == [
        "| a\\|b | id |", "| --- | ---: |", "| x\\|y<br>z␛[2J | 1 |", "| NULL | 2 |",
    ]  # fmt: skip


def test_an_insert_names_no_column_twice() -> None:
    with pytest.raises(formats.RepeatedColumn, match="id"):
        text("insert", (COLUMNS[0], COLUMNS[0]), [("1", "2")])


def test_inserts_are_cut_into_statements_of_a_bounded_size() -> None:
    written = list(formats.write("insert", COLUMNS[:1], [(str(number),) for number in range(501)], table=("s", "t")))
    assert [statement.count("(") - 1 for statement in written] == [200, 200, 101]
    assert all(statement.startswith("insert into s.t (id) values\n") for statement in written)


def test_parquet_has_types_where_every_value_fits_them_exactly(store: RowStore, tmp_path: Path) -> None:
    Export(store, range(7), "parquet").run(FileDestination(tmp_path / "rows.parquet"))
    table = pq.read_table(tmp_path / "rows.parquet")
    assert [str(field.type) for field in table.schema] == [
        "int64", "decimal128(23, 3)", "string", "bool", "timestamp[us, tz=UTC]", "binary", "string",
    ]  # fmt: skip
    assert table.column("total").to_pylist()[:3] == [Decimal("0.100"), Decimal("-12345678901234567890.123"), None]
    assert table.column("text").to_pylist() == [row[2] for row in ROWS]
    assert table.column("data").to_pylist()[:3] == [b"\x00\xff", b"", None]


def test_what_fits_no_type_stays_text(tmp_path: Path) -> None:
    columns = (
        Column("n", "numeric", Kind.NUMBER), Column("at", "timestamp", Kind.TIME), Column("f", "float8", Kind.NUMBER),
    )  # fmt: skip
    store = RowStore(columns, ResultSpace(SpillFolder(tmp_path / "rows"), memory=0))
    store.append(arrow.batch(columns, [("1.5", "2026-01-01 00:00:00", "1.5"), ("NaN", "infinity", "NaN")]))
    Export(store, range(3), "parquet").run(FileDestination(tmp_path / "rows.parquet"))
    table = pq.read_table(tmp_path / "rows.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "string", "double"]
    assert table.column("n").to_pylist() == ["1.5", "NaN"]


def test_an_export_has_the_rows_and_columns_that_are_shown(store: RowStore, tmp_path: Path) -> None:
    arranged = arrange(store, Arrangement(sorts=(Sort(0, True),)))
    Export(store, [2, 0], "csv", arranged).run(FileDestination(tmp_path / "rows.csv"))
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.reader(file))
    assert read == [["text", "id"], *[[row[2] or "", row[0]] for row in ROWS[::-1]]]


def test_a_file_is_the_owners_alone_and_never_replaced_unasked(store: RowStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    export = Export(store, [0], "csv")
    export.run(FileDestination(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert (export.rows, export.size) == (7, path.stat().st_size)
    with pytest.raises(ExportFailed) as raised:
        FileDestination(path)
    assert raised.value.exists
    FileDestination(path, overwrite=True).abandon()
    Export(store, [0, 1], "csv").run(FileDestination(path, overwrite=True))
    assert path.read_text().startswith("id,total")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows", "rows.csv"]


def test_a_file_that_somebody_makes_meanwhile_stays_theirs(store: RowStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    destination = FileDestination(path)
    path.write_text("theirs")
    with pytest.raises(ExportFailed):
        Export(store, [0], "csv").run(destination)
    assert path.read_text() == "theirs"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows", "rows.csv"]


def test_nothing_is_left_of_an_export_that_is_given_up(store: RowStore, tmp_path: Path) -> None:
    with pytest.raises(ExportCancelled):
        Export(store, [0], "csv").run(FileDestination(tmp_path / "rows.csv"), lambda: True)
    with pytest.raises(ExportFailed, match="No such file"):
        FileDestination(tmp_path / "no-folder" / "rows.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["rows"]


# ----------------------------------------------------------------------------------------------------- values laid out


def test_json_is_laid_out_with_the_servers_own_words() -> None:
    value = '{"a":[1.0,{"b":null}],"a":1e400,"c":"x: {y}, \\u4e2d","d":{},"e":[]}'
    assert forms_of(value, Kind.JSON) == ["json", "text"]
    assert [(line.level, line.text) for line in lines_of(value, "json", Kind.JSON)] == [
        (0, "{"), (1, '"a": ['), (2, "1.0,"), (2, "{"), (3, '"b": null'), (2, "}"), (1, "],"), (1, '"a": 1e400,'),
        (1, '"c": "x: {y}, \\u4e2d",'), (1, '"d": {},'), (1, '"e": []'), (0, "}"),
    ]  # fmt: skip


def test_xml_is_laid_out_where_its_tags_match() -> None:
    value = "<?xml version='1.0'?><a x='1'><b>text</b><c/><!-- &x; --><d><e></e></d></a>"
    assert [(line.level, line.text) for line in lines_of(value, "xml", Kind.TEXT)] == [
        (0, "<?xml version='1.0'?>"), (0, "<a x='1'>"), (1, "<b>text</b>"), (1, "<c/>"), (1, "<!-- &x; -->"),
        (1, "<d>"), (2, "<e></e>"), (1, "</d>"), (0, "</a>"),
    ]  # fmt: skip
    assert forms_of("<a><b></a>", Kind.TEXT) == ["text", "hex"]
    assert forms_of("< 3", Kind.TEXT) == ["text", "hex"]


@pytest.mark.parametrize("value", ["[" * 100_000, "{" * 9, '{"a":', "nul"])
def test_what_is_no_json_is_text(value: str) -> None:
    assert forms_of(value, Kind.JSON) == ["text", "hex"]


def test_bytes_in_hexadecimal() -> None:
    value = "0x" + bytes(range(60, 80)).hex()
    assert forms_of(value, Kind.BINARY) == ["hex", "text"]
    assert [line.text for line in lines_of(value, "hex", Kind.BINARY)] == [
        "00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  |<=>?@ABCDEFGHIJK|",
        "00000010  4c 4d 4e 4f                                       |LMNO|",
    ]


# -------------------------------------------------------------------------------------------------------------- charts


def test_bars_stand_on_the_zero_line() -> None:
    lines = chart.bars([Point("a", 4), Point("上海", -2), Point(None, 0)], 40)
    assert [line.split()[0] for line in lines] == ["a", "上海", "NULL"]
    assert {chart.cell_len(line.split("│")[0]) for line in lines} == {chart.cell_len(lines[0].split("│")[0])}
    assert abs(lines[0].count("█") - 2 * lines[1].count("█")) <= 1
    assert lines[1].rstrip().endswith("│" + " " * (len(lines[1].split("│")[1]) - 2) + "-2")
    assert [line.split()[-1] for line in lines] == ["4", "-2", "0"]
    assert len({chart.cell_len(line) for line in lines}) == 1


def test_bins_count_every_value_once() -> None:
    values = [0.0, 1.0, 2.0, 2.5, 10.0]
    found = chart.bins(values, 5)
    assert [count for _low, _high, count in found] == [3, 1, 0, 1]
    assert (found[0][0], found[-1][1]) == (0.0, 10.0)
    assert [line.split()[-1] for line in chart.histogram(values, 40, 5)] == ["3", "1", "0", "1"]
    assert chart.bins([3.0, 3.0], 5) == [(3.0, 3.0, 2)]


def test_a_line_goes_from_the_least_to_the_largest_and_has_no_gap() -> None:
    lines = chart.line([Point(str(number), float(number)) for number in range(100)], 50, 10)
    assert lines[0].strip().startswith("99 │")
    assert lines[-2].strip().startswith("0 │")
    assert lines[-1].split() == ["0", "99"]
    start = lines[0].index("│") + 1
    drawn = ["".join(line[column] for line in lines[:-1]) for column in range(start, 50)]
    assert all(column.strip() for column in drawn)


def test_groups_of_labels_are_measured() -> None:
    points = [Point("a", 1), Point("b", 5), Point("a", 3)]
    assert chart.measured(points, "sum") == [Point("a", 4), Point("b", 5)]
    assert chart.measured(points, "average") == [Point("a", 2), Point("b", 5)]
    assert chart.measured(points, "count") == [Point("a", 2), Point("b", 1)]
    assert chart.number("NaN") is chart.number(None) is chart.number("x") is None
