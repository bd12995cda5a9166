"""Writing a result to a file or to the bastion: any format, any order of rows, bounded memory, told how far it is.

A local file is written beside its place, readable by its owner alone, and put there when it is whole; nothing that is
there is overwritten unless the person said so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from . import formats
from .arrangement import Arranged
from .row_store import RowStore

FORMATS = ("csv", "jsonl", "json", "tsv", "insert", "parquet")
BLOCK_ROWS = 10_000
"""Rows that are gathered at a time."""
WRITE_BYTES = 256 * 1024


class ExportFailed(Exception):
    """The file cannot be written. `detail` is the system's own word; `exists`: there is one of that name."""

    def __init__(self, path: Path, detail: str, *, exists: bool = False) -> None:
        super().__init__(f"{path}: {detail}")
        self.path, self.detail, self.exists = path, detail, exists


class ExportCancelled(Exception):
    """The person gave it up; nothing is left of it."""


class Destination(Protocol):
    """Where the bytes go. One of `finish` and `abandon` is called at the end."""

    def write(self, data: bytes) -> None: ...

    def finish(self, rows: int) -> None: ...

    def abandon(self) -> None:
        """Leaves nothing behind; never raises."""


class FileDestination:
    """A file that the person named. Raises ExportFailed."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path, self._overwrite = path, overwrite
        if path.exists() and not overwrite:
            raise ExportFailed(path, "", exists=True)
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ExportFailed(path, error.strerror or "") from error
        self._file = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise ExportFailed(self.path, error.strerror or "") from error

    def finish(self, rows: int) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._overwrite:
                self._part.replace(self.path)
            else:
                # A link fails where somebody made a file of that name meanwhile; a rename would replace it.
                _link(self._part, self.path)
                self._part.unlink()
        except FileExistsError as error:
            self.abandon()
            raise ExportFailed(self.path, "", exists=True) from error
        except OSError as error:
            self.abandon()
            raise ExportFailed(self.path, error.strerror or "") from error

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()


def _link(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: the name is taken first, then filled.
        with (
            part.open("rb") as source,
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to,
        ):
            shutil.copyfileobj(source, to)


@dataclass
class Export:
    """What is written: these columns of the rows that are shown, in their order."""

    store: RowStore
    columns: Sequence[int]
    format: str
    arranged: Arranged | None = None
    engine: str = ""
    table: tuple[str, ...] = ()
    rows: int = field(default=0)
    """Written so far."""
    size: int = field(default=0)
    """Bytes written so far."""

    @property
    def total(self) -> int:
        """Rows that there are to write."""
        return self.store.rows if self.arranged is None else len(self.arranged)

    def run(self, destination: Destination, stop: Callable[[], bool] = lambda: False) -> None:
        """Blocks; `rows` and `size` say how far it is.

        Raises ExportFailed, ExportCancelled, SpillBroken, formats.RepeatedColumn; and what the destination raises.
        """
        try:
            if self.format == "parquet":
                self._run_parquet(destination, stop)
            else:
                self._run_text(destination, stop)
            if stop():
                raise ExportCancelled
        except BaseException:
            destination.abandon()
            raise
        destination.finish(self.rows)

    def _write(self, destination: Destination, data: bytes) -> None:
        destination.write(data)
        self.size += len(data)

    def _run_text(self, destination: Destination, stop: Callable[[], bool]) -> None:
        columns = [self.store.columns[column] for column in self.columns]
        waiting: list[bytes] = []
        size = 0
        for piece in formats.write(self.format, columns, self._rows(stop), engine=self.engine, table=self.table):
            data = piece.encode("utf-8", "replace")
            waiting.append(data)
            size += len(data)
            if size >= WRITE_BYTES:
                self._write(destination, b"".join(waiting))
                waiting, size = [], 0
        self._write(destination, b"".join(waiting))

    def _rows(self, stop: Callable[[], bool]) -> Iterator[tuple[str | None, ...]]:
        for batch in self._batches():
            if stop():
                raise ExportCancelled
            yield from zip(*(array.to_pylist() for array in batch.columns), strict=True)
            self.rows += batch.num_rows

    def _batches(self) -> Iterator[pa.RecordBatch]:
        chosen = list(self.columns)
        if self.arranged is None:
            for _first, batch in self.store.batches(self.total):
                yield batch.select(chosen)
            return
        for start in range(0, len(self.arranged), BLOCK_ROWS):
            yield self.store.gather(self.arranged.numbers.slice(start, BLOCK_ROWS)).select(chosen)

    # -- Parquet

    def _run_parquet(self, destination: Destination, stop: Callable[[], bool]) -> None:
        import pyarrow.parquet as pq

        from .typed_columns import settle, types_of

        columns = [self.store.columns[column] for column in self.columns]
        names = formats.column_keys(columns)
        candidates = types_of(columns)
        for batch in self._batches():
            if stop():
                raise ExportCancelled
            candidates = settle(candidates, batch)
        schema = pa.schema([(name, candidate[0].type) for name, candidate in zip(names, candidates, strict=True)])
        with pq.ParquetWriter(_Sink(lambda data: self._write(destination, data)), schema, compression="zstd") as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in self._batches():
                if stop():
                    raise ExportCancelled
                arrays = [
                    candidate[0].convert(array) for candidate, array in zip(candidates, batch.columns, strict=True)
                ]
                waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
                if sum(part.num_rows for part in waiting) >= BLOCK_ROWS * 10:
                    writer.write_table(pa.Table.from_batches(waiting, schema))
                    waiting = []
                self.rows += batch.num_rows
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, schema))


class _Sink:
    """As much of a file as Parquet's writer asks for."""

    closed = False

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write, self._at = write, 0

    def write(self, data: bytes) -> int:
        data = bytes(data)
        self._write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
