"""Bind values of the binary protocol as an auditor reads them.

MySQL: "Binary Protocol Value". A value is decoded by the type that the client bound; a long one is kept as its
beginning, its length and its SHA-256.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind

from .codec import Malformed, Short, lenenc_bytes, lenenc_int
from .exchange import LongData

UNSIGNED = 0x8000

_NULL, _TIMESTAMP, _DATE, _TIME, _DATETIME, _FLOAT, _DOUBLE = 6, 7, 10, 11, 12, 4, 5
_DATES = frozenset((_TIMESTAMP, _DATE, _DATETIME, 14, 17, 18))
_TIMES = frozenset((_TIME, 19))
TEXTS = frozenset((0, 15, 16, 242, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255))
"""DECIMAL, VARCHAR, BIT, VECTOR, JSON, NEWDECIMAL, ENUM, SET, the BLOBs, VAR_STRING, STRING, GEOMETRY."""

_NUMBERS = {
    1: (struct.Struct("<b"), struct.Struct("<B")),
    2: (struct.Struct("<h"), struct.Struct("<H")),
    13: (struct.Struct("<h"), struct.Struct("<H")),
    3: (struct.Struct("<i"), struct.Struct("<I")),
    9: (struct.Struct("<i"), struct.Struct("<I")),
    8: (struct.Struct("<q"), struct.Struct("<Q")),
    244: (struct.Struct("<b"), struct.Struct("<B")),
}
_REALS = {_FLOAT: struct.Struct("<f"), _DOUBLE: struct.Struct("<d")}


def text_of(data: bytes, codec: str) -> str:
    """A value's bytes as text: decoded where they are text of the connection's encoding, else hexadecimal."""
    try:
        text = data.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return "0x" + data.hex()
    return text if "\0" not in text else "0x" + data.hex()


def beginning_of(prefix: bytes, codec: str) -> str:
    """The same for the beginning of a value, which may end in the middle of a character."""
    for cut in range(4):
        try:
            text = prefix[: len(prefix) - cut].decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
        return text if "\0" not in text else "0x" + prefix.hex()
    return "0x" + prefix.hex()


def long_value(prefix: bytes, length: int, digest: str | None, codec: str) -> str:
    """How a value beyond BIND_LIMIT is recorded; the digest follows with its last bytes where it streams through."""
    return f"{beginning_of(prefix, codec)}… ({length} bytes{', sha256 ' + digest if digest else ''})"


def double_text(number: float) -> str:
    """The shortest text that reads back as the same 64 bits."""
    return repr(number).removesuffix(".0")


def single_text(number: float) -> str:
    """The shortest text that reads back as the same 32 bits."""
    for digits in range(6, 10):
        text = f"{number:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", number):
            return text
    return repr(number)


def decode_value(kind: int, data: bytes, position: int, codec: str) -> tuple[Bind, int]:
    """A value of that bound type and the position behind it. Raises Short and Malformed."""
    number = kind & 0xFF
    if number in TEXTS:
        length, start = lenenc_int(data, position)
        end = start + length
        if end > len(data):
            raise Short
        if length <= BIND_LIMIT:
            return text_of(data[start:end], codec), end
        value = data[start:end]
        return long_value(value[:BIND_LIMIT], length, hashlib.sha256(value).hexdigest(), codec), end
    try:
        if number in _NUMBERS:
            layout = _NUMBERS[number][1 if kind & UNSIGNED else 0]
            return str(layout.unpack_from(data, position)[0]), position + layout.size
        if number in _REALS:
            layout = _REALS[number]
            shown = single_text if number == _FLOAT else double_text
            return shown(layout.unpack_from(data, position)[0]), position + layout.size
        if number in _DATES or number in _TIMES:
            length = data[position]
            end = position + 1 + length
            if end > len(data):
                raise Short
            decode = _date_text if number in _DATES else _time_text
            return decode(data[position + 1 : end], only_date=number == _DATE), end
    except (IndexError, struct.error):
        raise Short from None
    if number == _NULL:
        return None, position
    raise Malformed(f"a bind value of the unknown type {number}")


def _date_text(value: bytes, *, only_date: bool) -> str:
    if len(value) not in (0, 4, 7, 11):
        raise Malformed("a date of an impossible length")
    year = int.from_bytes(value[:2], "little")
    text = f"{year:04}-{value[2] if value else 0:02}-{value[3] if value else 0:02}"
    if only_date and len(value) <= 4:
        return text
    hour, minute, second = value[4:7] if len(value) > 4 else (0, 0, 0)
    text += f" {hour:02}:{minute:02}:{second:02}"
    return text + f".{int.from_bytes(value[7:11], 'little'):06}" if len(value) == 11 else text


def _time_text(value: bytes, *, only_date: bool) -> str:
    if len(value) not in (0, 8, 12):
        raise Malformed("a time of an impossible length")
    if not value:
        return "00:00:00"
    hours = int.from_bytes(value[1:5], "little") * 24 + value[5]
    text = f"{'-' if value[0] else ''}{hours:02}:{value[6]:02}:{value[7]:02}"
    return text + f".{int.from_bytes(value[8:12], 'little'):06}" if len(value) == 12 else text


class ParameterBlock:
    """The head of a block of parameters: how many, which are NULL, and their types. Values follow at `position`."""

    __slots__ = ("count", "names", "nulls", "position", "types")

    def __init__(
        self, count: int, nulls: bytes, types: list[int] | None, position: int, names: Sequence[bytes] = ()
    ) -> None:
        self.count = count
        self.nulls = nulls
        self.types = types
        self.position = position
        self.names = names


def named_bind(name: bytes, value: Bind, codec: str) -> Bind:
    """A query attribute among the binds."""
    return f"{name.decode(codec, 'backslashreplace'):.256}={'NULL' if value is None else value}"


def decode_block(data: bytes, position: int, count: int, *, named: bool) -> ParameterBlock:
    """NULL bitmap, flag and types (each with a name where query attributes are agreed on). Raises Short, Malformed."""
    if not count:
        return ParameterBlock(0, b"", [], position)
    end = position + (count + 7) // 8
    if end >= len(data):
        raise Short
    nulls, flag = data[position:end], data[end]
    position = end + 1
    if flag not in (0, 1):
        raise Malformed("the flag for new types is neither 0 nor 1")
    if not flag:
        return ParameterBlock(count, nulls, None, position)
    types = []
    names = []
    for _ in range(count):
        if position + 2 > len(data):
            raise Short
        types.append(data[position] | data[position + 1] << 8)
        position += 2
        if named:
            name, position = lenenc_bytes(data, position)
            names.append(name)
    return ParameterBlock(count, nulls, types, position, names)


class BindReader:
    """Decodes the values of one execution as their bytes arrive.

    `feed` takes the bytes in order; `binds` are the values known so far, `taken()` those since it was last asked.
    Values beyond BINDS_LIMIT are not kept and their bytes not looked at: the last one says how many bytes there were,
    with their digest. `row` > 0: the values are rows of a bulk
    execution, that many in a row, each behind an indicator byte.
    """

    __slots__ = (
        "_buffer", "_codec", "_digest", "_given", "_index", "_long_data", "_nulls", "_over", "_rest", "_row", "_size",
        "_skip", "_types", "binds", "detail", "names",
    )  # fmt: skip

    def __init__(
        self, types: list[int], nulls: bytes, long_data: dict[int, LongData], codec: str, *, row: int = 0
    ) -> None:
        self._types = types
        self._nulls = nulls
        self._long_data = long_data
        self._codec = codec
        self._row = row
        self._buffer = b""
        self._index = 0
        self._skip = 0
        self._digest = hashlib.sha256()
        self._size = 0
        self._given = 0
        self._over = False
        self._rest = 0
        self.binds: list[Bind] = []
        self.detail: list[str] = []
        self.names: dict[int, bytes] = {}
        """Which values are no binds but query attributes, and their names."""

    def taken(self) -> tuple[Bind, ...]:
        new = tuple(self.binds)
        self._given += len(new)
        self.binds = []
        return new

    def _keep(self, value: Bind) -> None:
        if self.names and self._index in self.names:
            value = named_bind(self.names[self._index], value, self._codec)
        self._size += len(value) if value is not None else 4
        self.binds.append(value)
        self._index += 1
        if self._size > BINDS_LIMIT and (self._row or self._index < len(self._types)):
            self._over = True

    def feed(self, data: bytes, *, last: bool) -> None:
        """Raises Malformed when the values are not what their types say, or end too early at the last bytes."""
        if self._skip:
            part = data[: self._skip]
            self._digest.update(part)
            self._skip -= len(part)
            data = data[len(part) :]
            if not self._skip:
                self.detail.append(f"bind {self._given + len(self.binds)}: sha256 {self._digest.hexdigest()}")
                self._digest = hashlib.sha256()
        if self._over:
            self._not_kept(data, last=last)
            return
        buffer = self._buffer + data if self._buffer else data
        position = 0
        count = len(self._types)
        try:
            while not self._skip and not self._over:
                if self._row:
                    if position >= len(buffer):
                        break
                    position = self._bulk_value(buffer, position)
                    continue
                index = self._index
                if index >= count:
                    break
                if index in self._long_data:
                    held = self._long_data[index]
                    self._keep(
                        long_value(held.prefix, held.length, held.digest.hexdigest(), self._codec)
                        if held.length > len(held.prefix)
                        else text_of(held.prefix, self._codec)
                    )
                elif self._nulls[index >> 3] >> (index & 7) & 1:
                    self._keep(None)
                else:
                    position = self._value(self._types[index], buffer, position)
        except Short:
            pass
        self._buffer = b"" if self._over else buffer[position:]
        if self._over:
            self._not_kept(buffer[position:], last=last)
        if last and not self._over and (self._skip or self._buffer or (not self._row and self._index < count)):
            raise Malformed("the bind values do not fit their types")

    def _not_kept(self, data: bytes, *, last: bool) -> None:
        """Counts bytes of values beyond the limit."""
        self._rest += len(data)
        if not self._skip:
            self._digest.update(data)
        if last and (self._rest or not self._row):
            self.binds.append(f"… ({self._rest} bytes more, sha256 {self._digest.hexdigest()})")

    def _value(self, kind: int, buffer: bytes, position: int) -> int:
        try:
            value, position = decode_value(kind, buffer, position, self._codec)
        except Short:
            if kind & 0xFF not in TEXTS:
                raise
            length, start = lenenc_int(buffer, position)
            if length <= BIND_LIMIT or len(buffer) - start < BIND_LIMIT:
                raise
            # A long value whose end is not here yet: record what is known and let the rest stream through.
            here = buffer[start:]
            self._digest = hashlib.sha256(here)
            self._skip = length - len(here)
            self._keep(long_value(here[:BIND_LIMIT], length, None, self._codec))
            return len(buffer)
        self._keep(value)
        return position

    def _bulk_value(self, buffer: bytes, position: int) -> int:
        indicator = buffer[position]
        kind = self._types[self._index % self._row]
        if indicator == 0:
            return self._value(kind, buffer, position + 1)
        if indicator > 3:
            raise Malformed("a bulk execution with an unknown indicator")
        self._keep((None, "DEFAULT", "(unchanged)")[indicator - 1])
        return position + 1
