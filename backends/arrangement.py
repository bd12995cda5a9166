"""Which rows of a result are shown, and in which order. The rows stay where they are; only their numbers are kept.

Numbers sort as numbers, times as times, everything else by code point; NULL is last either way; equal rows keep the
order in which they came. One column of the result is held at a time, so it works on rows that lie on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .interface import Column, Kind
from .row_store import RowStore

KEY_BYTES = 64 * 1024 * 1024
"""Bytes of text that are compared; where a column has more, its values are compared by their first characters."""
KEY_PREFIXES = (256, 32)
FLOAT_DIGITS = 15
"""Digits that a double keeps of any decimal number."""

_OPERATORS = ("is not null", "is null", "!=", "<>", ">=", "<=", "!~", "=", ">", "<", "~")
_COMPARISON = re.compile(
    r"""\s*(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\s"=<>!~]+))\s*
    (?:(?P<null>is\s+(?:not\s+)?null)|(?P<operator>!=|<>|>=|<=|!~|=|>|<|~)\s*(?P<value>.*?))\s*""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_NUMBER = r"^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^-?[iI]nfinity$|^NaN$"
_CLOCK = re.compile(r"(-?)(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_UNITS = {"year": 365.25 * 86400, "mon": 30 * 86400.0, "day": 86400.0}
_AMOUNT = re.compile(r"(-?\d+) (year|mon|day)s?")


class NoNumber(ValueError):
    """A column of numbers is compared with something else."""

    def __init__(self, column: str, value: str) -> None:
        super().__init__(value)
        self.column, self.value = column, value


@dataclass(frozen=True)
class Sort:
    """By one column."""

    column: int
    descending: bool = False


@dataclass(frozen=True)
class Comparison:
    """`column operator value`; `!=` and `!~` leave NULL out, as SQL does."""

    column: int
    operator: str
    value: str


@dataclass(frozen=True)
class Filter:
    """Rows that meet every comparison, and hold `text` in any column, in either case."""

    comparisons: tuple[Comparison, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Arrangement:
    """The filter, and the sort columns, the last chosen first."""

    filter: Filter | None = None
    sorts: tuple[Sort, ...] = ()

    def __bool__(self) -> bool:
        return self.filter is not None or bool(self.sorts)

    def sorted_by(self, column: int) -> Arrangement:
        """The next of ascending, descending, not by this column. Sorting is stable: what was before breaks ties."""
        now = next((sort for sort in self.sorts if sort.column == column), None)
        others = tuple(sort for sort in self.sorts if sort.column != column)
        if now is None or now is not self.sorts[0]:
            return Arrangement(self.filter, (Sort(column), *others))
        return Arrangement(self.filter, others if now.descending else (Sort(column, True), *others))


@dataclass(frozen=True)
class Arranged:
    """Row numbers in the order to show; made from the first `of` rows. `cut`: long values were compared in part."""

    numbers: pa.Array
    of: int
    cut: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> int:
        number: int = self.numbers[place].as_py()
        return number


def parse(text: str, columns: Sequence[Column]) -> Filter | None:
    """What somebody typed: `column op value`, several with `and` between them, else text to look for. None: nothing.

    A column may stand in double quotes, a value in single quotes. Raises NoNumber.
    """
    if not text.strip():
        return None
    names: dict[str, int] = {}
    for index, column in enumerate(columns):
        names.setdefault(column.name.lower(), index)
    found = []
    for part in _AND.split(text):
        match = _COMPARISON.fullmatch(part)
        name = "" if match is None else (match["quoted"] or match["plain"]).replace('""', '"').lower()
        if match is None or name not in names:
            return Filter(text=text)
        operator = " ".join((match["null"] or match["operator"]).lower().split())
        value = match["value"] or ""
        if len(value) >= 2 and value[0] == value[-1] == "'":
            value = value[1:-1].replace("''", "'")
        index = names[name]
        numeric = columns[index].kind is Kind.NUMBER and operator in ("=", "!=", "<>", "<", "<=", ">", ">=")
        if numeric and not re.match(_NUMBER, value):
            raise NoNumber(columns[index].name, value)
        found.append(Comparison(index, operator, value))
    return Filter(tuple(found))


def arrange(store: RowStore, arrangement: Arrangement, stop: Callable[[], bool] = lambda: False) -> Arranged | None:
    """Arranges the rows that are there now; blocks, and gives None when `stop` says so. Raises SpillBroken."""
    try:
        return _arranged(store, arrangement, stop)
    finally:
        # What sorting took is given back to the system; else it counts as this process's for good.
        pa.default_memory_pool().release_unused()


def _arranged(store: RowStore, arrangement: Arrangement, stop: Callable[[], bool]) -> Arranged | None:
    of = store.rows
    kept: list[pa.Array] = []
    keys: list[list[pa.Array]] = [[] for _sort in arrangement.sorts]
    sizes = [0] * len(keys)
    limits: list[int | None] = [None] * len(keys)
    for first, batch in store.batches(of):
        if stop():
            return None
        numbers = pa.array(range(first, first + batch.num_rows), pa.int32())
        if arrangement.filter is not None:
            chosen = mask(batch, arrangement.filter, store.columns)
            numbers, batch = numbers.filter(chosen), batch.filter(chosen)
        kept.append(numbers)
        for place, sort in enumerate(arrangement.sorts):
            array = batch.column(sort.column)
            keys[place].append(_own(array) if limits[place] is None else _prefix(array, limits[place]))
            sizes[place] += array.nbytes
            for limit in KEY_PREFIXES:
                if sizes[place] > KEY_BYTES and (limits[place] is None or limits[place] > limit):  # type: ignore[operator]
                    keys[place] = [_prefix(array, limit) for array in keys[place]]
                    limits[place], sizes[place] = limit, sum(array.nbytes for array in keys[place])
    numbers = pa.chunked_array(kept, pa.int32()).combine_chunks() if kept else pa.array([], pa.int32())
    if arrangement.sorts:
        table: dict[str, pa.Array] = {}
        order: list[tuple[str, str]] = []
        for place, sort in enumerate(arrangement.sorts):
            whole = pa.chunked_array(keys[place], pa.string())
            keys[place] = []
            whole = whole.combine_chunks()
            for key in typed(whole, store.columns[sort.column]):
                name = str(len(table))
                table[name] = key
                order.append((name, "descending" if sort.descending else "ascending"))
            del whole, key
            if stop():
                return None
        indices = pc.sort_indices(pa.table(table), sort_keys=order)
        numbers = numbers.take(indices)
    return Arranged(numbers, of, any(limit is not None for limit in limits))


def _own(array: pa.Array) -> pa.Array:
    """A copy: the array itself would hold all columns of its batch, since they were read as one piece."""
    return pa.concat_arrays([array, array.slice(0, 0)])


def _prefix(array: pa.Array, characters: int | None) -> pa.Array:
    # Copied, so that the whole values are let go.
    return pc.utf8_slice_codeunits(array, 0, characters)


# -- filtering


def mask(batch: pa.RecordBatch, filter: Filter, columns: Sequence[Column]) -> pa.Array:
    """Which rows of `batch` pass."""
    result = pa.array([True] * batch.num_rows)
    for comparison in filter.comparisons:
        result = pc.and_(result, _compared(batch.column(comparison.column), comparison, columns[comparison.column]))
    if filter.text:
        found = pa.array([False] * batch.num_rows)
        for array in batch.columns:
            found = pc.or_(found, _holds(array, filter.text))
        result = pc.and_(result, found)
    return result


def _holds(array: pa.Array, text: str) -> pa.Array:
    return pc.match_substring(array, text, ignore_case=True).fill_null(False)


_COMPARE = {
    "=": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


def _compared(array: pa.Array, comparison: Comparison, column: Column) -> pa.Array:
    operator, value = comparison.operator, comparison.value
    if operator == "is null":
        return pc.is_null(array)
    if operator == "is not null":
        return pc.is_valid(array)
    if operator == "~":
        return _holds(array, value)
    if operator == "!~":
        return pc.and_(pc.is_valid(array), pc.invert(_holds(array, value)))
    compare = _COMPARE[operator]
    if column.kind is not Kind.NUMBER:
        return compare(array, value).fill_null(False)
    return _compared_numbers(array, value, compare)


def _compared_numbers(array: pa.Array, value: str, compare: Callable[..., pa.Array]) -> pa.Array:
    for kind in (pa.int64(), pa.decimal256(76, 30), pa.float64()):
        try:
            return compare(array.cast(kind), pa.scalar(value).cast(kind)).fill_null(False)
        except pa.ArrowException:
            continue
    return compare(_floats(array), pa.scalar(value).cast(pa.float64())).fill_null(False)


# -- sorting


def typed(array: pa.Array, column: Column) -> list[pa.Array]:
    """What the texts of a column are sorted by: one key, or several for numbers that a double cannot tell apart."""
    if column.kind is Kind.NUMBER:
        return _numbers(array)
    if column.kind is Kind.TIME:
        return [_times(array)]
    return [array]


def _numbers(array: pa.Array) -> list[pa.Array]:
    try:
        return [array.cast(pa.int64())]
    except pa.ArrowException:
        pass
    floats = _floats(array)
    if (pc.max(pc.utf8_length(array)).as_py() or 0) <= FLOAT_DIGITS:
        return [floats]
    try:
        finite = pc.if_else(pc.is_finite(floats), array, pa.scalar(None, pa.string()))
        return [floats, finite.cast(pa.decimal256(76, 30))]
    except pa.ArrowException:
        return [floats]


def _floats(array: pa.Array) -> pa.Array:
    """What is no number becomes NULL."""
    try:
        return array.cast(pa.float64())
    except pa.ArrowException:
        right = pc.match_substring_regex(array, _NUMBER)
        return pc.if_else(right, array, pa.scalar(None, pa.string())).cast(pa.float64())


def _times(array: pa.Array) -> pa.Array:
    for kind in (pa.date32(), pa.timestamp("us", tz="UTC"), pa.timestamp("us")):
        try:
            return array.cast(kind)
        except pa.ArrowException:
            continue
    distinct = array.dictionary_encode()
    lengths = [_seconds(text) for text in distinct.dictionary.to_pylist()]
    if any(length is None for length in lengths):
        return array
    return pa.array(lengths, pa.float64()).take(distinct.indices)


def _seconds(text: str) -> float | None:
    """`838:59:59`, `-00:00:01.5`, `1 year 2 mons 3 days 04:05:06`; None for anything else."""
    total, rest = 0.0, text
    for count, unit in _AMOUNT.findall(text):
        total += int(count) * _UNITS[unit]
    rest = _AMOUNT.sub("", text).strip()
    if not rest:
        return total if text else None
    clock = _CLOCK.fullmatch(rest)
    if clock is None:
        return None
    sign = -1 if clock[1] else 1
    return total + sign * (int(clock[2]) * 3600 + int(clock[3]) * 60 + float(clock[4]))
