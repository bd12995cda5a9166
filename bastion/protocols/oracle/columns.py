"""Descriptions of binds and of columns: what a value's bytes mean."""

from __future__ import annotations

from dataclasses import dataclass

from . import constants as c
from .codec import Malformed, Reader

MOST_COLUMNS = 65_535
"""Binds of one statement, and columns of one result, at most."""

NATIONAL = 2
"""The form of a text in the national character set."""

_SIGNED_SCALE = frozenset(
    (c.NUMBER, c.TIMESTAMP, c.TIMESTAMP_TZ, c.TIMESTAMP_LTZ, c.INTERVAL_DS, c.INTERVAL_YM),
)  # fmt: skip
_PLAIN = frozenset((
    c.VARCHAR, c.NUMBER, c.BINARY_INTEGER, c.DATE, c.RAW, c.CHAR, c.BINARY_FLOAT, c.BINARY_DOUBLE, c.TIMESTAMP,
    c.TIMESTAMP_TZ, c.INTERVAL_YM, c.INTERVAL_DS, c.TIMESTAMP_LTZ, c.BOOLEAN,
))  # fmt: skip
_SENT_WITHOUT_SIZE = frozenset((c.LONG, c.LONG_RAW, c.UROWID))


@dataclass(frozen=True, slots=True)
class Described:
    """A bind or a column. `size`: bytes of its buffer; `array`: an array of PL/SQL; `name` is a column's."""

    kind: int
    size: int
    array: bool = False
    form: int = 1
    name: str = ""

    @property
    def is_sent(self) -> bool:
        """Whether a row has anything for it: a column that can only be NULL has not."""
        return bool(self.size) or self.kind in _SENT_WITHOUT_SIZE

    @property
    def is_plain(self) -> bool:
        """Whether a row has a byte string for it, and nothing else."""
        return self.size > 0 and self.kind in _PLAIN


def described(reader: Reader) -> Described:
    """What binds and columns have in common (OAC). Raises Short and Malformed."""
    fields = reader.dialect.field_version
    kind, flags = reader.ub1(), reader.ub1()
    reader.skip(1)
    if kind in _SIGNED_SCALE:
        reader.sb1()
    else:
        reader.skip(1)
    size = reader.ub4()
    elements = reader.ub4()
    if fields >= 10:
        reader.ub8()
    else:
        reader.ub4()
    reader.counted()  # object identifier
    reader.ub2()
    reader.ub2()
    form = reader.ub1()
    reader.ub4()
    if fields >= 8:
        reader.ub4()
    return Described(kind, size, bool(flags & 0x40) and elements > 0, form)


def binds(reader: Reader, count: int) -> tuple[Described, ...]:
    """So many binds. Raises Short and Malformed."""
    if not 0 <= count <= MOST_COLUMNS:
        raise Malformed(f"{count} binds")
    return tuple(described(reader) for _ in range(count))


def columns(reader: Reader) -> tuple[Described, ...]:
    """The body of a description (DCB), behind its cursor's hash. Raises Short and Malformed."""
    reader.ub4()
    count = reader.ub4()
    if not 0 <= count <= MOST_COLUMNS:
        raise Malformed(f"{count} columns")
    if count:
        reader.skip(1)
    found = tuple(_column(reader) for _ in range(count))
    reader.counted()  # the date
    for _ in range(4):
        reader.ub4()
    reader.counted()  # key of the cache of results
    return found


def _column(reader: Reader) -> Described:
    fields = reader.dialect.field_version
    common = described(reader)
    reader.skip(2)
    name = reader.text(reader.counted())
    reader.counted()  # schema
    reader.counted()  # type
    reader.ub2()
    if fields >= 6:
        reader.ub4()
    if fields >= 17:
        reader.counted()  # domain: schema, name
        reader.counted()
    if fields >= 20 and reader.ub4():
        reader.skip(1)
        annotations = reader.ub4()
        reader.skip(1)
        for _ in range(annotations):
            reader.counted()
            reader.counted()
            reader.ub4()
        reader.ub4()
    if fields >= 24:
        reader.ub4()
        reader.skip(2)
    return Described(common.kind, common.size, common.array, common.form, name)
