"""The rows of one result: the first in memory, the rest put aside on disk, all of them at hand by number."""

from __future__ import annotations

import atexit
import os
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from rich.cells import cell_len

from .arrow import CELL_CHARACTERS
from .interface import Column
from .spill import SpillFile, SpillFolder, SpillFull
from .visible_text import table_text

MEMORY = 32 * 1024 * 1024
"""Bytes of rows that all results of a workstation keep in memory together; later rows go to disk."""
CACHE = 8 * 1024 * 1024
"""Bytes of rows read back from disk that a result keeps at hand."""
PIECE = 256 * 1024
"""Bytes that are put aside, and read back, at a time."""
TRIMMED_EVERY = 16 * 1024 * 1024
"""Bytes of rows after which the memory that they came through is given back to the system."""
MEASURED_CHARACTERS = 200
MEASURED_VALUES = 100


class ResultSpace:
    """The room that the results of one workstation share: memory first, then disk."""

    def __init__(self, folder: SpillFolder | None = None, memory: int = MEMORY, cache: int = CACHE) -> None:
        self.folder = folder or SpillFolder()
        self.memory, self.cache = memory, cache
        self.in_memory = 0
        self._guard = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether `count` bytes more may stay in memory."""
        with self._guard:
            if self.in_memory + count > self.memory:
                return False
            self.in_memory += count
            return True

    def give_back(self, count: int) -> None:
        """Room that is free again."""
        with self._guard:
            self.in_memory -= count

    def close(self) -> None:
        """Removes what lies on disk. Never raises."""
        self.folder.remove()


@dataclass
class _Piece:
    first: int
    rows: int
    batch: pa.RecordBatch | None
    """None: it lies on disk under `number`."""
    number: int = -1


class RowStore:
    """Appended to from one thread, read from any."""

    def __init__(self, columns: Sequence[Column], space: ResultSpace | None = None) -> None:
        self.columns = tuple(columns)
        self.schema = pa.schema([(str(index), pa.string()) for index in range(len(self.columns))])
        self.space = space or ResultSpace()
        self.rows = 0
        self.bytes = 0
        """Bytes of all rows as Arrow holds them."""
        self.on_disk = 0
        """Bytes of those rows that lie on disk, before compression."""
        self.widest = [0] * len(self.columns)
        """Cells that the widest value of each column takes in a table, measured up to MEASURED_CHARACTERS."""
        self.cut = 0
        """Values that were longer than CELL_CHARACTERS and are not whole."""
        self._pieces: list[_Piece] = []
        self._firsts: list[int] = []
        self._file: SpillFile | None = None
        self._in_memory = 0
        self._cache: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._cached = 0
        self._guard = threading.RLock()
        self._closed = False
        self._trimmed_at = 0

    @classmethod
    def in_shared_space(cls, columns: Sequence[Column]) -> RowStore:
        """In the room of this process."""
        return cls(columns, shared_space())

    def append(self, batch: pa.RecordBatch) -> None:
        """Takes more rows. Raises SpillFull when neither memory nor disk has room; part of them may have been kept."""
        if self._closed or not batch.num_rows:
            return
        for index, array in enumerate(batch.columns):
            self.widest[index] = max(self.widest[index], widest(array))
            if (pc.max(pc.binary_length(array)).as_py() or 0) > CELL_CHARACTERS:
                self.cut += pc.sum(pc.greater(pc.utf8_length(array), CELL_CHARACTERS)).as_py() or 0
        size = batch.nbytes
        if self._file is None and self.space.take(size):
            with self._guard:
                self._in_memory += size
                self._add(_Piece(self.rows, batch.num_rows, batch), size)
            return
        step = max(1, batch.num_rows * PIECE // max(size, 1))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            with self._guard:
                if self._closed:
                    return
                if self._file is None:
                    self._file = self.space.folder.open(self.schema)
                number = self._file.append(part)
                self.on_disk += part.nbytes
                self._add(_Piece(self.rows, part.num_rows, None, number), part.nbytes)
        if self.bytes - self._trimmed_at >= TRIMMED_EVERY:
            self.trim()

    def trim(self) -> None:
        """Gives memory that is free back to the system; else what rows came through counts as this process's."""
        self._trimmed_at = self.bytes
        pa.default_memory_pool().release_unused()

    def _add(self, piece: _Piece, size: int) -> None:
        self._pieces.append(piece)
        self._firsts.append(piece.first)
        self.bytes += size
        self.rows += piece.rows

    def value(self, row: int, column: int) -> str | None:
        """One value, as the server wrote it. Raises IndexError, SpillBroken."""
        batch, at = self._place(row)
        cell: str | None = batch.column(column)[at].as_py()
        return cell

    def values(self, row: int) -> list[str | None]:
        """A whole row. Raises IndexError, SpillBroken."""
        batch, at = self._place(row)
        return [array[at].as_py() for array in batch.columns]

    def batches(self, rows: int | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The first `rows` rows (None: all that are there now) in order, each batch with its first row's number."""
        end = self.rows if rows is None else min(rows, self.rows)
        for index in range(len(self._pieces)):
            piece = self._pieces[index]
            if piece.first >= end:
                return
            batch = self._batch(index, keep=False)
            yield piece.first, batch if piece.first + piece.rows <= end else batch.slice(0, end - piece.first)

    def gather(self, numbers: pa.Array) -> pa.RecordBatch:
        """The rows with these numbers, in their order; every piece is read once. Raises IndexError, SpillBroken."""
        order = pc.sort_indices(numbers)
        ascending = numbers.take(order).to_pylist()
        parts: list[pa.RecordBatch] = []
        at = 0
        while at < len(ascending):
            index = bisect_right(self._firsts, ascending[at]) - 1
            piece = self._pieces[index]
            end = bisect_left(ascending, piece.first + piece.rows, at)
            here = pa.array([number - piece.first for number in ascending[at:end]], pa.int32())
            parts.append(self._batch(index, keep=False).take(here))
            at = end
        if not parts:
            return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in self.columns], schema=self.schema)
        whole = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
        return whole.take(pc.sort_indices(order))

    def close(self) -> None:
        """Gives memory and disk back; nothing can be read any more. Never raises."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._pieces, self._firsts, self.rows = [], [], 0
            self._cache.clear()
            if self._file is not None:
                self._file.close()
        self.space.give_back(self._in_memory)

    def _place(self, row: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= row < self.rows:
            raise IndexError(row)
        index = bisect_right(self._firsts, row) - 1
        return self._batch(index), row - self._pieces[index].first

    def _batch(self, index: int, *, keep: bool = True) -> pa.RecordBatch:
        piece = self._pieces[index]
        if piece.batch is not None:
            return piece.batch
        with self._guard:
            found = self._cache.get(index)
            if found is not None:
                self._cache.move_to_end(index)
                return found
            if self._file is None:
                raise IndexError(index)
            batch = self._file.read(piece.number)
            if keep:
                self._cache[index] = batch
                self._cached += batch.nbytes
                while self._cached > self.space.cache and len(self._cache) > 1:
                    _index, old = self._cache.popitem(last=False)
                    self._cached -= old.nbytes
            return batch


_shared: dict[int, ResultSpace] = {}


def shared_space() -> ResultSpace:
    """The room of this process: a forked one has its own, with a key of its own."""
    if os.getpid() not in _shared:
        _shared.clear()
        space = _shared[os.getpid()] = ResultSpace()
        atexit.register(space.close)
    return _shared[os.getpid()]


def widest(array: pa.Array) -> int:
    """Cells that the widest of some values takes; values that are not ASCII are measured, the longest of them."""
    characters = pc.utf8_length(array)
    other = pc.not_equal(pc.binary_length(array), characters)
    plain = pc.max(characters.filter(pc.invert(other))).as_py() or 0
    result = min(plain, MEASURED_CHARACTERS)
    # NULL takes four cells; a text that says so stands in quotes.
    if array.null_count:
        result = max(result, 4)
    if plain >= 4 and pc.any(pc.equal(array, "NULL")).as_py():
        result = max(result, 6)
    if pc.any(other).as_py():
        strange = array.filter(other)
        if len(strange) > MEASURED_VALUES:
            longest = pc.select_k_unstable(
                pa.table({"n": pc.utf8_length(strange)}), MEASURED_VALUES, [("n", "descending")]
            )
            strange = strange.take(longest)
        for value in strange.to_pylist():
            if value is not None:
                result = max(result, min(cell_len(table_text(value[:MEASURED_CHARACTERS])), MEASURED_CHARACTERS))
    return result


__all__ = ["ResultSpace", "RowStore", "SpillFull", "widest"]
