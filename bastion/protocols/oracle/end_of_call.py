"""What a server says at the end of a call: an error or the lack of one, rows, the cursor's number, the transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import constants as c
from .codec import LONG_LENGTH, Malformed, Reader

MOST_BATCH_ERRORS = 1_000_000

BATCH_ERRORS_SAID = 5
"""Errors of a batch that stand in the record, with the executions that they are of."""


@dataclass(frozen=True, slots=True)
class EndOfCall:
    """`error`: 0 where it went well; `rows`: None where the server does not say; `call`: the call's sequence number."""

    status: int
    error: int = 0
    message: str = ""
    rows: int | None = None
    cursor: int = 0
    position: int = 0
    call: int = 0

    @property
    def transaction_open(self) -> bool:
        return bool(self.status & c.TRANSACTION_OPEN)

    @property
    def failed(self) -> bool:
        """That there are no more rows is the usual end of a fetch."""
        return self.error not in (0, c.NO_DATA_FOUND)


def end_of_call(reader: Reader) -> EndOfCall:
    """The fields of an OER, behind its type. Raises Short and Malformed."""
    dialect = reader.dialect
    status = reader.ub4()
    reader.ub2()
    row, error = reader.ub4(), reader.ub2()
    reader.ub2()
    reader.ub2()
    cursor, position = reader.ub2(), reader.sb2()
    reader.skip(1)
    for _ in range(3):
        reader.sb1()
    reader.skip(2)
    _rowid(reader)
    reader.ub4()
    reader.skip(1)
    call = reader.ub1()
    reader.ub2()
    reader.ub4()
    if reader.ub2():
        reader.skip_byte_string()
    _batch_numbers(reader, reader.ub4(), reader.ub2)
    places = _batch_numbers(reader, reader.ub4(), reader.ub4)
    words = _batch_messages(reader, reader.ub4())
    rows: int | None = row
    if dialect.field_version >= 7:
        error, rows = reader.ub4(), reader.ub8()
    if dialect.new_end_of_call:
        reader.ub4()
        reader.ub4()
    message = reader.text(reader.long_form()).rstrip("\n") if error else ""
    if words:
        message = "; of execution ".join(
            (message, *(f"{place + 1}: {said}" for place, said in zip(places, words, strict=False)))
        )
    return EndOfCall(status, error, message, rows, cursor, position, call)


def status_of_call(reader: Reader) -> EndOfCall:
    """The fields of an STA, behind its type. Raises Short and Malformed."""
    status = reader.ub4()
    reader.ub2()
    return EndOfCall(status)


def _rowid(reader: Reader) -> None:
    reader.ub4()
    reader.ub2()
    reader.skip(1)
    reader.ub4()
    reader.ub2()


def _batch_numbers(reader: Reader, count: int, number: Callable[[], int]) -> list[int]:
    """The first ones of them."""
    found: list[int] = []
    if not count:
        return found
    _check(count)
    chunked = reader.ub1() == LONG_LENGTH
    for _ in range(count):
        if chunked:
            reader.ub4()
        value = number()
        if len(found) < BATCH_ERRORS_SAID:
            found.append(value)
    if chunked:
        reader.skip(1)
    return found


def _batch_messages(reader: Reader, count: int) -> list[str]:
    """The first ones of them."""
    found: list[str] = []
    if not count:
        return found
    _check(count)
    reader.skip(1)
    for _ in range(count):
        reader.ub2()
        if len(found) < BATCH_ERRORS_SAID:
            found.append(reader.text(reader.long_form()).rstrip("\n"))
        else:
            reader.skip_byte_string()
        reader.skip(2)
    return found


def _check(count: int) -> None:
    if not 0 <= count <= MOST_BATCH_ERRORS:
        raise Malformed(f"{count} errors of a batch")
