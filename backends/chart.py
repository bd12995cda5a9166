"""Charts drawn with characters: bars, a line, a histogram. Readable without colour; every line fits the width given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rich.cells import cell_len, set_cell_size

from .visible_text import table_text

Shape = Literal["bar", "line", "histogram"]
Measure = Literal["each", "sum", "average", "count"]
MOST_ROWS = 200_000
"""Rows of a result that a chart is drawn from; the caller says so where there are more."""
MOST_BARS = 1000
LABEL = 24
_PARTS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class Point:
    """A label (None: NULL) and its number."""

    label: str | None
    value: float


def number(text: str | None) -> float | None:
    """The number that a value writes; None for NULL, NaN, infinities and what is no number."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def shown(value: float) -> str:
    """A number in a few characters: `1,234`, `0.25`, `1.2e+09`."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 0.01 <= abs(value) < 1e7 else f"{value:.3g}"


def measured(points: Iterable[Point], measure: Measure) -> list[Point]:
    """One point a label, in the order in which the labels come first; `each` leaves the points as they are."""
    if measure == "each":
        return list(points)
    groups: dict[str | None, list[float]] = {}
    for point in points:
        groups.setdefault(point.label, []).append(point.value)
    result = []
    for label, values in groups.items():
        total = float(len(values)) if measure == "count" else math.fsum(values)
        result.append(Point(label, total / len(values) if measure == "average" else total))
    return result


def bars(points: Sequence[Point], width: int) -> list[str]:
    """A line a point: label, bar from the zero line, number."""
    if not points:
        return []
    labels = ["NULL" if point.label is None else table_text(point.label[:200]) for point in points]
    numbers = [shown(point.value) for point in points]
    left = min(max(cell_len(label) for label in labels), LABEL, max(width // 3, 4))
    right = max(len(text) for text in numbers)
    room = max(width - left - right - 4, 4)
    low, high = min(0.0, *(point.value for point in points)), max(0.0, *(point.value for point in points))
    span = (high - low) or 1.0
    zero = round(room * -low / span)
    lines = []
    for label, point, text in zip(labels, points, numbers, strict=True):
        label = label if cell_len(label) <= left else set_cell_size(label, left - 1) + "…"
        if point.value >= 0:
            drawn = " " * zero + "│" + _bar(point.value / span * room)
        else:
            length = round(-point.value / span * room)
            drawn = " " * (zero - length) + "█" * length + "│"
        lines.append(f"{set_cell_size(label, left)} {drawn:<{room + 1}} {text:>{right}}")
    return lines


def _bar(length: float) -> str:
    whole = int(length)
    part = int((length - whole) * 8)
    if not whole and not part and length > 0:
        part = 1
    return "█" * whole + (_PARTS[part] if part else "")


def bins(values: Sequence[float], most: int) -> list[tuple[float, float, int]]:
    """How many values lie in each of at most `most` equal parts of their range; the last part holds its upper end."""
    if not values:
        return []
    low, high = min(values), max(values)
    if low == high:
        return [(low, high, len(values))]
    count = max(1, min(most, math.ceil(math.log2(len(values))) + 1))
    step = (high - low) / count
    counts = [0] * count
    for value in values:
        counts[min(int((value - low) / step), count - 1)] += 1
    return [(low + step * index, low + step * (index + 1), number) for index, number in enumerate(counts)]


def histogram(values: Sequence[float], width: int, height: int) -> list[str]:
    """A line a part of the range: from, to, and how many."""
    found = bins(values, max(height, 1))
    lefts, rights = [shown(low) for low, _high, _count in found], [shown(high) for _low, high, _count in found]
    left, right = max(map(len, lefts), default=0), max(map(len, rights), default=0)
    numbers = [f"{count:,}" for _low, _high, count in found]
    tail = max(map(len, numbers), default=0)
    room = max(width - left - right - tail - 7, 4)
    most = max((count for _low, _high, count in found), default=1) or 1
    return [
        f"{low:>{left}} … {high:>{right}} │{_bar(count / most * room):<{room}} {text:>{tail}}"
        for low, high, text, (_low, _high, count) in zip(lefts, rights, numbers, found, strict=True)
    ]


def line(points: Sequence[Point], width: int, height: int) -> list[str]:
    """A line from the first point to the last, with the least and the largest number at its side."""
    if not points:
        return []
    values = [point.value for point in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    marks = {0: shown(high), height - 2: shown(low)}
    if height >= 8:
        marks[(height - 2) // 2] = shown(high - span * ((height - 2) // 2) / max(height - 2, 1))
    left = max(map(len, marks.values()))
    room, rows = max(width - left - 2, 4), max(height - 1, 2)
    # Two dots a row. Of all points that fall on a column, everything between the least and the largest is drawn.
    dots = rows * 2
    extents: list[tuple[int, int] | None] = [None] * room
    for index, value in enumerate(values):
        column = 0 if len(values) == 1 else round(index * (room - 1) / (len(values) - 1))
        dot = round((high - value) / span * (dots - 1))
        extent = extents[column]
        extents[column] = (dot, dot) if extent is None else (min(extent[0], dot), max(extent[1], dot))
    filled = _between(extents)
    lines = []
    for row in range(rows):
        cells = []
        for extent in filled:
            upper = extent is not None and extent[0] <= row * 2 <= extent[1]
            lower = extent is not None and extent[0] <= row * 2 + 1 <= extent[1]
            cells.append("█" if upper and lower else "▀" if upper else "▄" if lower else " ")
        lines.append(f"{marks.get(row, ''):>{left}} │{''.join(cells)}")
    first, last = ("NULL" if p.label is None else table_text(p.label[:60]) for p in (points[0], points[-1]))
    gap = room - cell_len(first) - cell_len(last)
    if gap < 1:
        first, last, gap = set_cell_size(first, room // 2 - 1), set_cell_size(last, room - room // 2), 1
    lines.append(" " * (left + 2) + first + " " * gap + last)
    return lines


def _between(extents: list[tuple[int, int] | None]) -> list[tuple[int, int] | None]:
    """Columns without a point lie on the way between their neighbours; steep steps are joined."""
    known = [column for column, extent in enumerate(extents) if extent is not None]
    result = list(extents)
    for before, after in pairwise(known):
        first, last = extents[before], extents[after]
        assert first is not None
        assert last is not None
        start, end = sum(first) / 2, sum(last) / 2
        for column in range(before + 1, after):
            dot = round(start + (end - start) * (column - before) / (after - before))
            result[column] = (dot, dot)
        for column in range(before + 1, after + 1):
            here, previous = result[column], result[column - 1]
            assert here is not None
            assert previous is not None
            if here[0] > previous[1] + 1:
                result[column] = (previous[1] + 1, here[1])
            elif here[1] < previous[0] - 1:
                result[column] = (here[0], previous[0] - 1)
    return result
