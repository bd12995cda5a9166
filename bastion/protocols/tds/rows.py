"""Passes rows without looking into them: whole ones in a tight loop, one that is cut wherever it is cut.

A row has no length of its own, so that of each value must be read. For long runs the loop is made for the columns
that a result has, which takes a fraction of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .codec import Short, unpack_u16, unpack_u32, unpack_u64
from .constants import Token
from .type_info import How, TypeInfo

WORTH_MAKING = 16 * 1024
"""Bytes of a read from which on a loop of its own pays; fewer are read value by value."""

MOST_COLUMNS_OF_A_LOOP = 256

WORTH_LOOKING = 2 * 1024
"""Bytes of a read from which on rows that are alike are looked for."""

FEW_ALIKE = 16
"""Rows alike below which there is nothing in looking for them."""

_NULL_CHUNKS = 0xFFFFFFFFFFFFFFFF

Shape = tuple[tuple[int, int, int], ...]
"""Of each column how it is read, its size where that is fixed, and its kind where NULL depends on it."""


def shape_of(columns: tuple[TypeInfo, ...]) -> Shape:
    return tuple((info.how, info.size if info.how == How.FIXED else 0, int(info.kind == 0x62)) for info in columns)


class CutRow:
    """A row, or a single value, that goes on in the next bytes."""

    __slots__ = ("_bits", "_chunks", "_index", "_left", "_shape", "_wants_bits")

    def __init__(self, shape: Shape, *, with_bits: bool = False) -> None:
        self._shape = shape
        self._wants_bits = with_bits
        self._bits = b""
        self._index = 0
        self._left = 0
        self._chunks = False

    def passed(self, data: bytes, position: int) -> tuple[int, bool]:
        """The position behind what is here of it, and whether it is complete."""
        end = len(data)
        if self._wants_bits:
            size = (len(self._shape) + 7) >> 3
            if end - position < size:
                return position, False
            self._bits = data[position : position + size]
            self._wants_bits = False
            position += size
        while True:
            if self._left:
                taken = min(self._left, end - position)
                self._left -= taken
                position += taken
                if self._left:
                    return position, False
            if self._chunks:
                if end - position < 4:
                    return position, False
                self._left = unpack_u32(data, position)[0]
                position += 4
                if not self._left:
                    self._chunks = False
                    self._index += 1
                continue
            if self._index == len(self._shape):
                return position, True
            if self._bits and self._bits[self._index >> 3] >> (self._index & 7) & 1:
                self._index += 1
                continue
            try:
                position, self._left, self._chunks = head_of_value(self._shape[self._index], data, position)
            except Short:
                return position, False
            if not self._chunks:
                self._index += 1


def head_of_value(shape: tuple[int, int, int], data: bytes, position: int) -> tuple[int, int, bool]:
    """The position behind what stands in front of a value, its bytes, and whether it comes in chunks. Raises Short."""
    how, size, variant = shape
    try:
        if how == How.FIXED:
            return position, size, False
        if how == How.BYTE:
            return position + 1, data[position], False
        if how == How.SHORT:
            length = unpack_u16(data, position)[0]
            return position + 2, 0 if length == 0xFFFF else length, False
        if how == How.LONG:
            length = unpack_u32(data, position)[0]
            return position + 4, 0 if length == 0xFFFFFFFF and not variant else length, False
        if how == How.POINTED:
            if not data[position]:
                return position + 1, 0, False
            start = position + 1 + data[position] + 8
            return start + 4, unpack_u32(data, start)[0], False
        total = unpack_u64(data, position)[0]
    except (IndexError, struct.error):
        raise Short from None
    return position + 8, 0, total != _NULL_CHUNKS


PassRows = Callable[[bytes, int], tuple[int, int]]
"""The position behind the whole rows that begin at one, and how many they are."""


def made_for(shape: Shape) -> PassRows | None:
    """A loop of its own for rows of these columns; None where they are too many."""
    return _loop(shape) if len(shape) <= MOST_COLUMNS_OF_A_LOOP else None


def pass_rows(shape: Shape, data: bytes, position: int) -> tuple[int, int]:
    """The position behind the whole rows that begin here, and how many they are."""
    if len(data) - position >= WORTH_MAKING and len(shape) <= MOST_COLUMNS_OF_A_LOOP:
        return _loop(shape)(data, position)
    rows = 0
    end = len(data)
    while position < end:
        token = data[position]
        if token != Token.ROW and token != Token.NBCROW:
            break
        following, whole = CutRow(shape, with_bits=token == Token.NBCROW).passed(data, position + 1)
        if not whole:
            break
        position = following
        rows += 1
    return position, rows


def pass_rows_alike(shape: Shape, data: bytes, position: int) -> tuple[int, int]:
    """The same for those in front whose values are as long as the first one's, each: numbers, dates, CHAR.

    What tells the lengths then comes again every so many bytes, so it is compared for all of them at once.
    """
    if data[position] != Token.ROW:
        return position, 0
    heads = [position]
    at = position + 1
    try:
        for how, size, _ in shape:
            if how == How.FIXED:
                at += size
            elif how == How.BYTE:
                heads.append(at)
                at += data[at] + 1
            elif how == How.SHORT:
                heads += (at, at + 1)
                length = data[at] | data[at + 1] << 8
                at += 2 if length == 0xFFFF else length + 2
            else:
                return position, 0
    except IndexError:
        return position, 0
    size = at - position
    rows = (len(data) - position) // size
    for head in heads:
        if rows < FEW_ALIKE:
            return position, 0
        same = data[head : head + rows * size : size]
        rows = len(same) - len(same.lstrip(same[:1]))
    return position + rows * size, rows


_FORMS = {
    How.BYTE: ("q += d[q] + 1",),
    How.SHORT: ("n = d[q] | d[q + 1] << 8", "q += 2 if n == 65535 else n + 2"),
    How.POINTED: (
        "if d[q]:",
        "    q += d[q] + 9",
        "    q += u32(d, q)[0] + 4",
        "else:",
        "    q += 1",
    ),
    How.CHUNKS: (
        "n = u64(d, q)[0]",
        "q += 8",
        "while n != 18446744073709551615:",
        "    n = u32(d, q)[0]",
        "    q += n + 4",
        "    if not n:",
        "        break",
    ),
}
_LONG = ("n = u32(d, q)[0]", "q += 4 if n == 4294967295 else n + 4")
_VARIANT = ("q += u32(d, q)[0] + 4",)


def _lines_of(column: tuple[int, int, int]) -> tuple[str, ...]:
    how, size, variant = column
    if how == How.FIXED:
        return (f"q += {size}",)
    if how == How.LONG:
        return _VARIANT if variant else _LONG
    return _FORMS[how]


@lru_cache(maxsize=256)
def _loop(shape: Shape) -> PassRows:
    """A function that passes rows of these columns. Made of numbers only, none of them told by a peer but sizes."""
    plain: list[str] = []
    fixed = 0
    for column in (*shape, None):
        if column is not None and column[0] == How.FIXED:
            fixed += column[1]
            continue
        if fixed:
            plain.append(f"q += {fixed}")
            fixed = 0
        if column is not None:
            plain += _lines_of(column)
    bits = [f"b = p + 1; q = b + {(len(shape) + 7) >> 3}"]
    for index, column in enumerate(shape):
        bits.append(f"if not d[b + {index >> 3}] & {1 << (index & 7)}:")
        bits += [f"    {line}" for line in _lines_of(column)]
    lines = [
        "def pass_rows(d, p):",
        "    rows = 0",
        "    end = len(d)",
        "    try:",
        "        while p < end:",
        "            t = d[p]",
        f"            if t == {int(Token.ROW)}:",
        "                q = p + 1",
        *(f"                {line}" for line in plain),
        f"            elif t == {int(Token.NBCROW)}:",
        *(f"                {line}" for line in bits),
        "            else:",
        "                break",
        "            if q > end:",
        "                break",
        "            p = q",
        "            rows += 1",
        "    except (IndexError, error):",
        "        pass",
        "    return p, rows",
    ]
    space: dict[str, Any] = {"u32": unpack_u32, "u64": unpack_u64, "error": struct.error}
    exec("\n".join(lines), space)  # noqa: S102 - made above, of numbers
    made: PassRows = space["pass_rows"]
    return made
