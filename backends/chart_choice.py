"""Which columns a chart shows before anybody has chosen: numbers that count something, by what names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .chart import Measure, Shape, number
from .interface import Column, Kind

LOOKED_AT = 200
"""Rows that are looked at."""
FEW = 8
"""From this many points in time on a line says more than bars."""
LONG_LABEL = 40
"""Characters; longer texts name nothing."""
_NAMES_A_ROW = re.compile(
    r"(^|_)(?i:id|uuid|guid|no|nr|num|number|code|key|pk|zip|zipcode|postcode|phone|version)$|[a-z]I[dD]$"
)
"""Numbers that tell rows apart; adding them up means nothing."""


@dataclass(frozen=True)
class ChartChoice:
    """Columns by their index; `labels` None: the number of the row."""

    numbers: int
    labels: int | None
    shape: Shape
    measure: Measure


def chosen(
    columns: Sequence[Column], shown: Sequence[int], cursor: int, rows: int, value: Callable[[int, int], str | None]
) -> ChartChoice:
    """For a result with at least one column. `shown`: the columns in view; `value(row, column)` reads one.

    The numbers are those under the cursor where it is on some that can be added up, else the last such column. Where
    there is none, rows are counted. The labels are times that go on from row to row, else the first short text that is
    not always the same.
    """
    looked_at = range(min(rows, LOOKED_AT))

    def counts(index: int) -> bool:
        column = columns[index]
        if column.kind is not Kind.NUMBER or _NAMES_A_ROW.search(column.name):
            return False
        return any(number(value(row, index)) is not None for row in looked_at)

    numbers = [index for index in shown if counts(index)]
    if columns[cursor].kind is Kind.NUMBER and cursor in numbers:
        y: int | None = cursor
    else:
        y = numbers[-1] if numbers else None
    labels = _labels(columns, [index for index in shown if index != y], looked_at, value)
    if y is None:
        # Nothing to add up: how often each label comes.
        any_number = next((index for index in shown if columns[index].kind is Kind.NUMBER), cursor)
        return ChartChoice(any_number, labels, "bar", "count" if labels is not None else "each")
    if labels is None:
        return ChartChoice(y, None, "bar", "each")
    seen = [value(row, labels) for row in looked_at]
    if columns[labels].kind is Kind.TIME and len(set(seen)) >= FEW and _goes_on(seen):
        return ChartChoice(y, labels, "line", "each")
    return ChartChoice(y, labels, "bar", "each" if len(set(seen)) == len(seen) else "sum")


def _goes_on(values: Sequence[str | None]) -> bool:
    """Whether times come in their order, one way or the other."""
    known = [each for each in values if each is not None]
    return known == sorted(known) or known == sorted(known, reverse=True)


def _labels(
    columns: Sequence[Column], candidates: Sequence[int], looked_at: range, value: Callable[[int, int], str | None]
) -> int | None:
    best: tuple[int, int] | None = None
    for place, index in enumerate(candidates):
        kind = columns[index].kind
        values = [value(row, index) for row in looked_at]
        if kind is Kind.NUMBER:
            # A year or a number that names the row is better than nothing.
            rank = 4
        elif kind in (Kind.TEXT, Kind.BOOLEAN, Kind.TIME):
            if any(each is not None and len(each) > LONG_LABEL for each in values):
                rank = 5
            elif len(set(values)) <= 1 < len(values):
                rank = 6
            else:
                rank = {Kind.TIME: 3, Kind.TEXT: 2, Kind.BOOLEAN: 3}[kind]
            if kind is Kind.TIME and len(set(values)) >= FEW and _goes_on(values):
                rank = 1
        else:
            continue
        if best is None or (rank, place) < best:
            best = rank, place
    return None if best is None else candidates[best[1]]
