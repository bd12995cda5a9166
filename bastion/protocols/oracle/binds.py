"""The values of one execution, as they are recorded: each cut at BIND_LIMIT, all of them at BINDS_LIMIT.

Rows are read whole where they are there, and as they pass where they are long: the record is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind

from . import constants as c
from .codec import Dialect, Malformed, Reader
from .columns import Described
from .in_parts import Steps, byte_string, counted, nobody, once_here
from .values import MOST_ELEMENTS, read_bind, shown_bind

LONG_ROW = 64 * 1024
"""Bytes of a row that may be there without its end: beyond it, it is read as it passes."""

_NOT_BYTES = frozenset((c.REF_CURSOR, c.CLOB, c.BLOB, c.BFILE, c.JSON, c.VECTOR, c.OBJECT))
"""Kinds of which a row has something else than a byte string."""

Read = bytes | str | None
"""A value as it was read: its bytes, or what is shown of it where it does not travel as a byte string."""


class Beginning:
    """The first bytes of a value that passes, its length and its digest."""

    def __init__(self) -> None:
        self.start = b""
        self.size = 0
        self._digest: Any = None

    def add(self, data: bytes) -> None:
        if self.size + len(data) <= BIND_LIMIT:
            self.start += data
        else:
            if self._digest is None:
                self._digest = hashlib.sha256(self.start)
                self.start = (self.start + data)[: BIND_LIMIT // 2]
            self._digest.update(data)
        self.size += len(data)

    def shown(self, dialect: Dialect, kind: Described) -> str:
        """What stands in the record."""
        if self._digest is None:
            return shown_bind(dialect, kind, self.start) or ""
        start = shown_bind(dialect, Described(_as_bytes(kind.kind), 1, False, kind.form), self.start)
        return f"{start}… ({self.size} bytes, sha256 {self._digest.hexdigest()})"


class _Elements:
    """What is shown of an array: as many of its elements as a value may have."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._room = BIND_LIMIT
        self._more = 0

    def add(self, value: str | None) -> None:
        if self._room <= 0:
            self._more += 1
            return
        text = "NULL" if value is None else value
        self._room -= len(text) + 2
        self._shown.append(text)

    def shown(self) -> str:
        more = [f"… ({self._more} more)"] if self._more else []
        return f"[{', '.join(self._shown + more)}]"


class BindRows:
    """Rows of binds that follow a call: `left` so many, of these kinds, which travel in this order of places.

    Of values for which there is no more room, the last row says how many they are, with their bytes and digest.
    """

    def __init__(self, kinds: tuple[Described, ...], left: int, order: Sequence[int] | None = None) -> None:
        self._kinds = kinds
        self._order = tuple(range(len(kinds))) if order is None else tuple(order)
        self._moved = order is not None
        self.left = left
        self._room = BINDS_LIMIT
        self._unkept = self._unkept_bytes = 0
        self._digest: Any = None

    def read(self, reader: Reader) -> tuple[Bind, ...]:
        """What is recorded of the next row. Raises Short (nothing has changed then) and Malformed."""
        if reader.ub1() != c.ROW_DATA:
            raise Malformed("something else where a row of binds should be")
        kinds = self._kinds
        found: list[Read] = []
        for place in self._order:
            kind = kinds[place]
            if kind.array or kind.kind in _NOT_BYTES:
                found.append(_array(reader, kind) if kind.array else read_bind(reader, kind))
            else:
                found.append(reader.byte_string())
        kept: list[tuple[int, Bind]] = []
        for place, value in zip(self._order, found, strict=True):
            if value is None:
                self._null(place, kept)
            elif self._room <= 0:
                self._unkept += 1
                self._pass_over(value if isinstance(value, bytes) else _encoded(value))
            elif isinstance(value, bytes):
                self._keep(place, _bounded(reader.dialect, kinds[place], value), kept)
            else:
                self._keep(place, value, kept)
        return self._row(kept)

    def in_parts(self, reader: Reader) -> Steps[tuple[Bind, ...]]:
        """The same of a row that is not there as a whole. Raises Malformed."""
        if (yield from once_here(reader, Reader.ub1)) != c.ROW_DATA:
            raise Malformed("something else where a row of binds should be")
        kept: list[tuple[int, Bind]] = []
        for place in self._order:
            kind = self._kinds[place]
            if kind.array or kind.kind in _NOT_BYTES:
                value = (yield from _elements(reader, kind)) if kind.array else (yield from _other(reader, kind))
                if value is None:
                    self._null(place, kept)
                elif self._room <= 0:
                    self._unkept += 1
                    self._pass_over(_encoded(value))
                else:
                    self._keep(place, value, kept)
            elif self._room <= 0:
                yield from byte_string(reader, self._pass_over)
                self._unkept += 1
            else:
                beginning = Beginning()
                if (yield from byte_string(reader, beginning.add)):
                    self._keep(place, beginning.shown(reader.dialect, kind), kept)
                else:
                    self._null(place, kept)
        return self._row(kept)

    def _pass_over(self, data: bytes) -> None:
        if self._digest is None:
            self._digest = hashlib.sha256()
        self._unkept_bytes += len(data)
        self._digest.update(data)

    def _null(self, place: int, kept: list[tuple[int, Bind]]) -> None:
        if self._room <= 0:
            self._unkept += 1
        else:
            self._room -= 4
            kept.append((place, None))

    def _keep(self, place: int, value: str, kept: list[tuple[int, Bind]]) -> None:
        self._room -= len(value)
        kept.append((place, value))

    def _row(self, kept: list[tuple[int, Bind]]) -> tuple[Bind, ...]:
        """The row is over: its values in the order of their places."""
        self.left -= 1
        if len(kept) > 1 and self._moved:
            kept.sort(key=_place)
        values = [value for _, value in kept]
        if not self.left and self._unkept:
            said = f"{self._unkept} values more, {self._unkept_bytes} bytes"
            digest = hashlib.sha256() if self._digest is None else self._digest
            values.append(f"… ({said}, sha256 {digest.hexdigest()})")
        return tuple(values)


def _place(kept: tuple[int, Bind]) -> int:
    return kept[0]


def _bounded(dialect: Dialect, kind: Described, value: bytes) -> str:
    if len(value) <= BIND_LIMIT:
        return shown_bind(dialect, kind, value) or ""
    beginning = Beginning()
    beginning.add(value)
    return beginning.shown(dialect, kind)


def _as_bytes(kind: int) -> int:
    """The kind that the beginning of a value is shown as: a part of a number is none."""
    return kind if kind in (c.VARCHAR, c.CHAR, c.LONG, c.ROWID, c.ROWID_DESCRIPTOR, c.UROWID) else c.RAW


def _array(reader: Reader, kind: Described) -> str:
    one = Described(kind.kind, kind.size, False, kind.form)
    elements = _Elements()
    for _ in range(_count(reader)):
        if kind.kind in _NOT_BYTES:
            elements.add(read_bind(reader, one))
        else:
            value = reader.byte_string()
            elements.add(None if value is None else _bounded(reader.dialect, one, value))
    return elements.shown()


def _elements(reader: Reader, kind: Described) -> Steps[str]:
    """As `_array`, of one that is not there as a whole."""
    one = Described(kind.kind, kind.size, False, kind.form)
    elements = _Elements()
    for _ in range((yield from once_here(reader, _count))):
        if kind.kind in _NOT_BYTES:
            elements.add((yield from _other(reader, one)))
        else:
            beginning = Beginning()
            there = yield from byte_string(reader, beginning.add)
            elements.add(beginning.shown(reader.dialect, one) if there else None)
    return elements.shown()


def _count(reader: Reader) -> int:
    count = reader.ub4()
    if not 0 <= count <= MOST_ELEMENTS:
        raise Malformed(f"an array of {count} values")
    return count


def _other(reader: Reader, kind: Described) -> Steps[str | None]:
    """A value that is no byte string, but may have a long one."""
    beginning = Beginning()
    if kind.kind in (c.JSON, c.VECTOR):
        if not (yield from once_here(reader, Reader.ub4)):
            return None
        yield from once_here(reader, Reader.ub8)
        yield from once_here(reader, Reader.ub4)
        yield from byte_string(reader, beginning.add)
        yield from byte_string(reader, nobody)
        return f"<{c.TYPES[kind.kind]}, {beginning.size} bytes: {beginning.start[:32].hex()}>"
    if kind.kind == c.OBJECT:
        for _ in range(3):
            yield from counted(reader, nobody)
        yield from once_here(reader, Reader.ub2)
        size = yield from once_here(reader, Reader.ub4)
        yield from once_here(reader, Reader.ub2)
        if not size:
            return None
        yield from byte_string(reader, beginning.add)
        return f"<OBJECT, {beginning.size} bytes>"
    return (yield from once_here(reader, lambda each: read_bind(each, kind)))


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
