"""What a chart shows before anybody has chosen."""

from __future__ import annotations

from collections.abc import Sequence

from backends.chart_choice import ChartChoice, chosen
from backends.interface import Column, Kind

N, T, AT = Kind.NUMBER, Kind.TEXT, Kind.TIME


def choice(columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[str | None]], cursor: int = 0) -> ChartChoice:
    made = [Column(name, "", kind) for name, kind in columns]
    return chosen(made, range(len(made)), cursor, len(rows), lambda row, column: rows[row][column])


def test_what_is_counted_by_what_names_it_not_the_id() -> None:
    columns = [("id", N), ("name", T), ("total", N)]
    rows = [("1", "Anna", "9"), ("2", "Bert", "7")]
    assert choice(columns, rows) == ChartChoice(2, 1, "bar", "each")


def test_the_cursor_says_which_of_several_numbers() -> None:
    columns = [("customer_id", N), ("price", N), ("amount", N), ("status", T)]
    rows = [("1", "9", "1", "paid"), ("2", "7", "2", "open"), ("3", "1", "4", "paid")]
    assert choice(columns, rows, cursor=1) == ChartChoice(1, 3, "bar", "sum"), "labels repeat: added up"
    assert choice(columns, rows, cursor=0).numbers == 2, "an id is not what is added up, wherever the cursor is"


def test_without_a_number_to_add_up_rows_are_counted() -> None:
    columns = [("id", N), ("name", T)]
    rows = [("1", "Anna"), ("2", "Bert"), ("3", "Anna")]
    assert choice(columns, rows) == ChartChoice(0, 1, "bar", "count")


def test_times_are_a_line_and_come_before_names() -> None:
    columns = [("region", T), ("at", AT), ("sales", N)]
    rows = [("north", f"2026-11-{day:02}", str(day)) for day in range(1, 12)]
    assert choice(columns, rows) == ChartChoice(2, 1, "line", "each")


def test_times_in_no_order_are_no_line() -> None:
    columns = [("customer", T), ("at", AT), ("sales", N)]
    rows = [(f"c{day}", f"2026-11-{(day * 7) % 12 + 1:02}", str(day)) for day in range(1, 12)]
    assert choice(columns, rows) == ChartChoice(2, 0, "bar", "each")


def test_long_texts_name_nothing_and_neither_does_what_is_always_the_same() -> None:
    columns = [("note", T), ("kind", T), ("code", T), ("amount", N)]
    rows = [("long " * 30, "x", "a", "1"), ("long " * 30, "x", "b", "2")]
    assert choice(columns, rows).labels == 2
    assert choice([("amount", N)], [("1",), ("2",)]) == ChartChoice(0, None, "bar", "each")
    assert choice([("note", T)], []) == ChartChoice(0, 0, "bar", "count")
