"""Reads the values of parameters as they pass: short ones whole, of long ones beginning, length and digest.

[MS-TDS] 2.2.6.6, 2.2.5.5.5 (table-valued parameters).
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind

from .codec import Malformed, Short, b_varchar, unpack_u16, unpack_u32, unpack_u64
from .type_info import How, TypeInfo, read_type
from .values import beginning_of, value_text

LONGEST_HEAD = 64 * 1024
"""Bytes of a name or a type; what claims to be longer is none."""

LONGEST_NUMBER = 64
"""Bytes of a value that is read as a whole number."""

_NULL_CHUNKS = 0xFFFFFFFFFFFFFFFF
_VARIANT = 0x62
_NULL = (None,)

T = TypeVar("T")
Steps = Generator[None, None, T]

Text = Callable[[str], None]


class Input:
    """The data of a message as far as they have come. A reader that wants more yields."""

    __slots__ = ("_data", "_last", "_position")

    def __init__(self) -> None:
        self._data = b""
        self._position = 0
        self._last = False

    def feed(self, data: bytes, *, last: bool) -> None:
        """More data."""
        self._data = self._data[self._position :] + data
        self._position = 0
        self._last = last

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def more(self, wanted: int) -> Steps[None]:
        """Waits until there are `wanted` bytes. Raises Malformed where they do not come."""
        while self.left < wanted:
            if self._last:
                raise Malformed("a message that ends within a parameter")
            yield

    def at_end(self) -> Steps[bool]:
        """Whether the message ends here."""
        while not self.left and not self._last:
            yield
        return not self.left

    def peek(self) -> int:
        """The next byte, which is there."""
        return self._data[self._position]

    def here(self, read: Callable[[bytes, int], tuple[T, int]]) -> T | None:
        """What `read` makes of the data that are here; None where it needs more of them: `parsed` waits for these.

        Nearly every message is here whole, and asking so takes a fraction of what waiting does.
        """
        try:
            found, self._position = read(self._data, self._position)
        except Short:
            return None
        return found

    def value_here(self, info: TypeInfo, room: int) -> tuple[bytes | None] | None:
        """A short value, or that it is NULL; None where it is not here whole, or longer than `room`."""
        data, start = self._data, self._position
        how = info.how
        if how == How.BYTE:
            if start >= len(data):
                return None
            size = data[start]
            start += 1
            is_null = not size
        elif how == How.SHORT:
            if start + 2 > len(data):
                return None
            size = data[start] | data[start + 1] << 8
            start += 2
            is_null = size == 0xFFFF
        elif how == How.FIXED:
            size, is_null = info.size, False
        else:
            return None
        if is_null:
            self._position = start
            return _NULL
        end = start + size
        if size > room or end > len(data):
            return None
        self._position = end
        return (data[start:end],)

    def take(self, count: int) -> Steps[bytes]:
        if self.left < count:
            yield from self.more(count)
        start, self._position = self._position, self._position + count
        return self._data[start : self._position]

    def some(self, most: int) -> Steps[bytes]:
        """At least one byte, at most `most`: what is here."""
        if not self.left:
            yield from self.more(1)
        return (yield from self.take(min(most, self.left)))

    def parsed(self, read: Callable[[bytes, int], tuple[T, int]]) -> Steps[T]:
        """What `read` makes of the data; it raises Short where it needs more of them."""
        while True:
            try:
                found, self._position = read(self._data, self._position)
            except Short:
                if self._last or self.left > LONGEST_HEAD:
                    raise Malformed("a message that ends within a parameter") from None
                yield
            else:
                return found


class KeptBinds:
    """The values of one execution as the record keeps them, within its limits."""

    __slots__ = ("_digest", "_kept", "_more", "_more_bytes", "values")

    def __init__(self) -> None:
        self.values: list[Bind] = []
        self._kept = 0
        self._more = 0
        self._more_bytes = 0
        self._digest: Any = None

    def room(self) -> int:
        """Bytes that may still be kept of a value."""
        return min(BIND_LIMIT, max(BINDS_LIMIT - self._kept, 0))

    def add(self, value: Bind, size: int) -> None:
        """One more. `size`: bytes that the record keeps of it."""
        self._kept += size
        self.values.append(value)

    def add_rest(self, size: int, digest: bytes) -> None:
        """One that there is no room for."""
        self._digest = self._digest or hashlib.sha256()
        self._digest.update(digest)
        self._more += 1
        self._more_bytes += size

    def finish(self) -> None:
        """What the record says of the rest."""
        if self._more:
            digest = self._digest.hexdigest()
            self.values.append(f"… ({self._more} values more, {self._more_bytes} bytes, sha256 {digest})")
            self._more = 0


def read_info(data: bytes, position: int) -> tuple[TypeInfo, int]:
    return read_type(data, position, of_parameter=True)


def read_value(source: Input, info: TypeInfo, name: str, binds: KeptBinds) -> Steps[None]:
    """Reads a value into `binds`."""
    prefix = f"{name}=" if name else ""
    if info.how == How.TABLE:
        binds.add(prefix + (yield from _table(source, info)), 64)
        return
    room = binds.room()
    value_here = source.value_here(info, room)
    if value_here is not None:
        value = value_here[0]
        said = None if value is None else value_text(info, value)
        binds.add(None if said is None else prefix + said, 0 if value is None else len(value))
        return
    size, kept, digest = yield from _contents(source, info, room)
    if size is None:
        binds.add(None, 0)
    elif size > len(kept):
        if not room:
            binds.add_rest(size, digest)
            return
        beginning = f"{prefix}{beginning_of(kept, info.codec)}… ({size} bytes, sha256 {digest.hex()})"
        binds.add(beginning, len(kept))
    else:
        shown = value_text(info, kept)
        binds.add(None if shown is None else prefix + shown, size)


def read_number(source: Input, info: TypeInfo) -> Steps[int | None]:
    """A value that stands for a handle or an operation; None where it is NULL or no whole number."""
    value_here = source.value_here(info, LONGEST_NUMBER)
    if value_here is not None:
        if value_here[0] is None:
            return None
        kept = value_here[0]
    else:
        size, kept, _ = yield from _contents(source, info, LONGEST_NUMBER)
        if size is None or size > len(kept):
            return None
    shown = value_text(info, kept)
    try:
        return int(shown) if shown is not None else None
    except ValueError:
        return None


def read_text(source: Input, info: TypeInfo, text: Text) -> Steps[None]:
    """Hands a text on, part by part as it comes. Raises Malformed where it is none."""
    if not info.codec:
        raise Malformed("a statement that is no text")
    value_here = source.value_here(info, LONGEST_HEAD)
    if value_here is not None:
        if value_here[0] is not None:
            text(_whole_text(value_here[0], info.codec))
        return
    decoder = codecs.getincrementaldecoder(info.codec)("backslashreplace")
    size = 0

    def pass_on(part: bytes) -> None:
        nonlocal size
        size += len(part)
        text(decoder.decode(part))

    if not (yield from _each_part(source, info, pass_on)):
        return
    if info.codec == "utf-16-le" and size & 1:
        raise Malformed("a text with half a character")
    text(decoder.decode(b"", True))


def _whole_text(data: bytes, codec: str) -> str:
    if codec == "utf-16-le" and len(data) & 1:
        raise Malformed("a text with half a character")
    return data.decode(codec, "backslashreplace")


def skip_value(source: Input, info: TypeInfo) -> Steps[None]:
    """Passes a value that is not for the record."""
    if info.how == How.TABLE:
        yield from _table(source, info)
    elif source.value_here(info, LONGEST_HEAD) is None:
        yield from _each_part(source, info, lambda _: None)


def _contents(source: Input, info: TypeInfo, room: int) -> Steps[tuple[int | None, bytes, bytes]]:
    """The size of a value (None: NULL), its first bytes as far as there is room, and its digest where it is longer."""
    kept = bytearray()
    size = 0
    digest: Any = None

    def keep(part: bytes) -> None:
        nonlocal size, digest
        size += len(part)
        if digest is None:
            if size <= room:
                kept.extend(part)
                return
            digest = hashlib.sha256(kept)
            kept.extend(part[: room - len(kept)])
        digest.update(part)

    if not (yield from _each_part(source, info, keep)):
        return None, b"", b""
    return size, bytes(kept), b"" if digest is None else digest.digest()


def _each_part(source: Input, info: TypeInfo, part: Callable[[bytes], None]) -> Steps[bool]:
    """Hands the bytes of a value on; False where it is NULL."""
    how = info.how
    left = 0
    if how == How.FIXED:
        left = info.size
    elif how == How.BYTE:
        left = (yield from source.take(1))[0]
        if not left:
            return False
    elif how == How.SHORT:
        left = unpack_u16((yield from source.take(2)))[0]
        if left == 0xFFFF:
            return False
    elif how == How.LONG:
        left = unpack_u32((yield from source.take(4)))[0]
        if left == 0xFFFFFFFF or (info.kind == _VARIANT and not left):
            return False
    elif how == How.POINTED:
        pointer = (yield from source.take(1))[0]
        if not pointer:
            return False
        yield from source.take(pointer + 8)
        left = unpack_u32((yield from source.take(4)))[0]
    else:
        total = unpack_u64((yield from source.take(8)))[0]
        if total == _NULL_CHUNKS:
            return False
        while left := unpack_u32((yield from source.take(4)))[0]:
            yield from _parts(source, left, part)
        return True
    yield from _parts(source, left, part)
    return True


def _parts(source: Input, left: int, part: Callable[[bytes], None]) -> Steps[None]:
    while left > 0:
        data = yield from source.some(left)
        part(data)
        left -= len(data)


def _table(source: Input, info: TypeInfo) -> Steps[str]:
    """A table-valued parameter: how many rows it has, and its first ones."""
    count = unpack_u16((yield from source.take(2)))[0]
    columns: list[TypeInfo] = []
    if count != 0xFFFF:
        for _ in range(count):
            columns.append((yield from source.parsed(_column)))
    while (token := (yield from source.take(1))[0]) != 0x00:
        # Hints of an order or of unique columns.
        if token not in (0x10, 0x11):
            raise Malformed("a table-valued parameter with an unknown part")
        hints = unpack_u16((yield from source.take(2)))[0]
        yield from source.take(hints * (3 if token == 0x10 else 2))
    rows = 0
    shown: list[str] = []
    room = BIND_LIMIT
    while (token := (yield from source.take(1))[0]) != 0x00:
        if token != 0x01:
            raise Malformed("a table-valued parameter with an unknown part")
        rows += 1
        binds = KeptBinds()
        for column in columns:
            yield from read_value(source, column, "", binds)
        if room > 0:
            line = "(" + ", ".join("NULL" if value is None else value for value in binds.values) + ")"
            shown.append(line[:room])
            room -= len(line)
    said = f"{info.name or 'table'}: {rows} rows of {len(columns)} columns"
    return f"{said}: {', '.join(shown)}{'…' if room < 0 else ''}" if shown else said


def _column(data: bytes, position: int) -> tuple[TypeInfo, int]:
    info, position = read_type(data, position + 6, of_parameter=True)
    _, position = b_varchar(data, position)
    return info, position
