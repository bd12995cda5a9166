"""Types for the text columns of a result, where every value has its exact place in one; else text stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .interface import Column, Kind
from .laid_out import bytes_of

_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?")
_FLOATS = re.compile(r"float|double|real", re.IGNORECASE)
MOST_DIGITS = 76
"""Digits of a decimal256 (Arrow columnar format, Decimal)."""


@dataclass(frozen=True)
class Candidate:
    """A type, and how texts become values of it; `convert` raises pa.ArrowException or ValueError where one cannot."""

    type: pa.DataType
    convert: Callable[[pa.Array], pa.Array]
    integers: int = -1
    """Decimals: digits before the point so far; -1 for any other type."""
    scale: int = 0


def types_of(columns: Sequence[Column]) -> list[list[Candidate]]:
    """What each column may become, the best first; the last is text."""
    return [_candidates(column) for column in columns]


def settle(candidates: Sequence[list[Candidate]], batch: pa.RecordBatch) -> list[list[Candidate]]:
    """Leaves out what the values of `batch` do not fit into. After all batches the first of each column is its type."""
    return [_fitting(each, array) for each, array in zip(candidates, batch.columns, strict=True)]


def _fitting(candidates: list[Candidate], array: pa.Array) -> list[Candidate]:
    kept = list(candidates)
    while len(kept) > 1:
        first = kept[0]
        if first.integers >= 0:
            wider = _wider(first, array)
            if wider is not None:
                return [wider, *kept[1:]]
        else:
            try:
                first.convert(array)
                return kept
            except (pa.ArrowException, ValueError):
                pass
        kept.pop(0)
    return kept


def _candidates(column: Column) -> list[Candidate]:
    text = Candidate(pa.string(), lambda array: array)
    if column.kind is Kind.NUMBER:
        if _FLOATS.search(column.type_name):
            return [_cast(pa.float64()), text]
        return [_cast(pa.int64()), Candidate(pa.decimal128(1), lambda array: array, integers=1), text]
    if column.kind is Kind.BOOLEAN:
        return [Candidate(pa.bool_(), _booleans), text]
    if column.kind is Kind.TIME:
        return [_cast(pa.date32()), _cast(pa.timestamp("us", tz="UTC")), _cast(pa.timestamp("us")), text]
    if column.kind is Kind.BINARY:
        return [Candidate(pa.binary(), _binary), text]
    return [text]


def _cast(kind: pa.DataType) -> Candidate:
    return Candidate(kind, lambda array: array.cast(kind))


def _wider(candidate: Candidate, array: pa.Array) -> Candidate | None:
    """The decimal type that holds these values too, exactly; None where there is none."""
    values = array.drop_null()
    if len(values) and not pc.all(pc.match_substring_regex(values, f"^{_DECIMAL.pattern}$")).as_py():
        return None
    parts = pc.split_pattern(pc.replace_substring(values, "-", "", max_replacements=1), ".", max_splits=1)
    lengths = pc.utf8_length(values)
    if not len(values):
        return candidate
    integers = max(candidate.integers, pc.max(pc.utf8_length(pc.list_element(parts, 0))).as_py())
    point = pc.find_substring(values, ".")
    behind = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(lengths, point), 1))
    scale = max(candidate.scale, pc.max(behind).as_py())
    digits = integers + scale
    if digits > MOST_DIGITS:
        return None
    kind = pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    return Candidate(kind, lambda array: array.cast(kind), integers, scale)


def _booleans(array: pa.Array) -> pa.Array:
    values = pc.if_else(pc.equal(array, "t"), "true", pc.if_else(pc.equal(array, "f"), "false", array))
    return values.cast(pa.bool_())


def _binary(array: pa.Array) -> pa.Array:
    values = []
    for text in array.to_pylist():
        data = None if text is None else bytes_of(text)
        if text is not None and data is None:
            raise ValueError(text[:20])
        values.append(data)
    return pa.array(values, pa.binary())
