"""Rows of a result, gathered into Arrow under a byte budget.

Every column is text: the server's own writing of each value. So a chunk costs one copy, and nothing is rounded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from .interface import Cell, Column, Kind, Row

BYTE_BUDGET = 256 * 1024 * 1024
CHUNK_ROWS = 20_000
CHUNK_SECONDS = 0.25
CHUNK_BYTES = 8 * 1024 * 1024
"""About as many bytes wait for a batch; rows with long values come in smaller ones."""
CELL_CHARACTERS = 1024 * 1024
"""A longer value is kept up to here, with a mark."""
CUT_MARK = "…"


def text_of(cell: Cell) -> str | None:
    """A cell as text; bytes in hexadecimal with `0x` in front. Cut at CELL_CHARACTERS."""
    if isinstance(cell, bytes):
        cell = "0x" + cell[: CELL_CHARACTERS // 2].hex() + (CUT_MARK if len(cell) > CELL_CHARACTERS // 2 else "")
    elif cell is not None and len(cell) > CELL_CHARACTERS:
        cell = cell[:CELL_CHARACTERS] + CUT_MARK
    return None if cell is None else cell.encode("utf-8", "replace").decode()


def batch(columns: Sequence[Column], rows: Sequence[Row]) -> pa.RecordBatch:
    """`rows` as one batch of text columns named by their place (names of columns may repeat)."""
    arrays = []
    for index, column in enumerate(columns):
        values: list[Cell] = [row[index] for row in rows]
        array = None if column.kind is Kind.BINARY else _text_array(values)
        if array is None or _has_long(array):
            array = pa.array([text_of(value) for value in values], type=pa.string())
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=[str(index) for index in range(len(columns))])


def _text_array(values: list[Cell]) -> pa.Array | None:
    """None where a value is no text that Arrow takes (lone surrogates, bytes that are not UTF-8)."""
    try:
        return pa.array(values, type=pa.string())
    except (pa.ArrowException, UnicodeError):
        return None


def _has_long(array: pa.Array) -> bool:
    longest = pc.max(pc.binary_length(array)).as_py()
    return longest is not None and longest > CELL_CHARACTERS


@dataclass
class Gatherer:
    """Turns rows into batches: the first rows at once, later ones in larger chunks or every quarter of a second."""

    columns: Sequence[Column]
    budget: int = BYTE_BUDGET
    rows: int = 0
    bytes: int = 0
    _waiting_bytes: int = 0
    _waiting: list[Row] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    @property
    def full(self) -> bool:
        """The byte budget is used up."""
        return self.bytes >= self.budget

    def add(self, rows: Sequence[Row]) -> pa.RecordBatch | None:
        """Takes rows (none: the server is silent); gives a batch when it is time for one."""
        if not rows:
            return self.flush()
        self._waiting.extend(rows)
        # Measured at the first row of each lot: exact enough for a bound, and free.
        self._waiting_bytes += len(rows) * sum(map(len, filter(None, rows[0])))
        enough = 1 if self.rows == 0 else CHUNK_ROWS
        if (
            self._waiting_bytes >= CHUNK_BYTES
            or len(self._waiting) >= enough
            or time.monotonic() - self._since >= CHUNK_SECONDS
        ):
            return self.flush()
        return None

    def flush(self) -> pa.RecordBatch | None:
        """What is left, if anything."""
        if not self._waiting:
            return None
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        made = batch(self.columns, taken)
        self.rows += made.num_rows
        self.bytes += made.nbytes
        self._since = time.monotonic()
        return made
