"""Large objects by their locators, and the operations on them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .columns import BLOB, CLOB
from .wire import Wire, number, string

READ, LENGTH, TRIM, WRITE = 0x2, 0x1, 0x20, 0x40
CREATE, FREE, CHUNK_SIZE, OPEN, CLOSE, IS_OPEN = 0x110, 0x111, 0x4000, 0x8000, 0x10000, 0x11000
CHUNK = 8060


@dataclass
class Lob:
    """`data` in units of `width` bytes: those of text are UTF-16 (big-endian)."""

    data: bytes
    width: int
    is_open: bool = False

    @property
    def value(self) -> str | bytes:
        return self.data.decode("utf-16-be", "surrogatepass") if self.width == 2 else self.data

    @property
    def length(self) -> int:
        return len(self.data) // self.width


class WrongLocator(Exception):
    """No LOB has that locator."""


class Lobs:
    """Those of one connection."""

    def __init__(self) -> None:
        self._known: dict[bytes, Lob] = {}

    def add(self, value: str | bytes | float, kind: int) -> bytes:
        """The locator of a new one, which holds that."""
        text = kind == CLOB
        data = value if isinstance(value, bytes) else str(value).encode("utf-16-be" if text else "utf-8", "replace")
        if text and isinstance(value, bytes):
            data = value.decode("utf-8", "replace").encode("utf-16-be")
        locator = bytearray(os.urandom(40))
        locator[4:8] = b"\0\0\x80\0" if text else b"\0\0\0\0"
        self._known[bytes(locator)] = Lob(data, 2 if text else 1)
        return bytes(locator)

    def value(self, locator: bytes) -> str | bytes:
        """What a bind with that locator stands for."""
        lob = self._known.get(locator)
        return "" if lob is None else lob.value

    def column(self, value: str | bytes | float | None, kind: int) -> bytes:
        """A value of a row."""
        if value is None:
            return number(0)
        locator = self.add(value, kind)
        return number(len(locator)) + number(self._known[locator].length) + number(CHUNK) + string(locator)

    def free_many(self, wire: Wire) -> None:
        """The list that comes ahead of a call."""
        wire.byte()
        size = wire.number()
        wire.byte()
        for _ in range(3):
            wire.number()
        wire.take(3)
        wire.number()
        wire.byte()
        wire.number()
        wire.number()
        wire.number()
        wire.byte()
        for _ in range(3):
            wire.byte()
            wire.number()
        for _ in range(size // 40):
            self._known.pop(wire.take(40), None)

    def operate(self, wire: Wire) -> bytes:
        """Reads an operation and does it; the messages of the answer. Raises WrongLocator."""
        has_source, source = wire.byte(), wire.number()
        has_target, target = wire.byte(), wire.number()
        wire.number()
        wire.number()
        has_set = wire.byte()
        wire.take(2)
        operation = wire.number()
        wire.take(2)
        offset, kind = wire.number(), wire.number()
        has_amount = wire.byte()
        wire.take(6)
        locator = wire.take(source) if has_source else b""
        if has_target:
            wire.take(target)
        if has_set:
            wire.number()
        written = None
        if operation == WRITE:
            assert wire.byte() == 0x0E
            written = wire.string() or b""
        amount = wire.number() if has_amount else 0
        if operation == CREATE:
            return b"\x08" + self.add(b"" if kind == BLOB else "", kind) + number(873) + b"\1"
        lob = self._known.get(locator)
        if lob is None:
            raise WrongLocator
        message, flag, begin = b"", b"", max(0, offset - 1) * lob.width
        if operation == READ:
            part = lob.data[begin : begin + amount * lob.width]
            message, amount = b"\x0e" + string(part), len(part) // lob.width
        elif operation == LENGTH:
            amount = lob.length
        elif operation == CHUNK_SIZE:
            amount = CHUNK
        elif operation == TRIM:
            lob.data = lob.data[: amount * lob.width]
        elif operation == FREE:
            del self._known[locator]
        elif operation == WRITE and written is not None:
            filled = lob.data[:begin].ljust(begin, b"\0" if lob.width == 1 else b" ")
            lob.data = filled + written + lob.data[begin + len(written) :]
        elif operation in (OPEN, CLOSE):
            lob.is_open = operation == OPEN
        elif operation == IS_OPEN:
            flag = bytes((lob.is_open,))
        return message + b"\x08" + locator + (number(amount) if has_amount else b"") + flag
