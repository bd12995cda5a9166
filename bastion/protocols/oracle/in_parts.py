"""Messages that are longer than what is held: read as they pass.

Such a reader is a generator over a `Reader` whose bytes come and go: it yields where it needs more of them than there
are, and whoever drives it sets `data` and `position` anew before it goes on. What it has read is never read again.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator
from typing import TypeVar

from .codec import ESCAPE_LENGTH, LONG_LENGTH, Reader, Short

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Yields for more bytes; returns what was read. Raises Malformed."""

Take = Callable[[bytes], None]
"""Is given the bytes of a value as they come."""


def once_here(reader: Reader, read: Callable[[Reader], T]) -> Steps[T]:
    """What `read` makes of the next bytes, once all that it needs are there."""
    while True:
        begin = reader.position
        try:
            return read(reader)
        except Short:
            reader.position = begin
        yield


def run(reader: Reader, size: int, take: Take) -> Steps[None]:
    """So many bytes, given to `take`."""
    while size:
        here = min(size, len(reader.data) - reader.position)
        if here:
            take(reader.raw(here))
            size -= here
        if size:
            yield


def byte_string(reader: Reader, take: Take) -> Steps[bool]:
    """A byte string, given to `take`; whether it was one: False for null."""
    length = yield from once_here(reader, Reader.ub1)
    if length < ESCAPE_LENGTH:
        yield from run(reader, length, take)
        return length > 0
    if length == LONG_LENGTH:
        size = yield from once_here(reader, Reader.chunk)
        while size:
            yield from run(reader, size, take)
            size = yield from once_here(reader, Reader.chunk)
        return True
    if length == ESCAPE_LENGTH:
        yield from once_here(reader, Reader.ub1)
    return False


def counted(reader: Reader, take: Take) -> Steps[None]:
    """A length, and where it is not 0 a byte string."""
    if (yield from once_here(reader, Reader.ub4)):
        yield from byte_string(reader, take)


def nobody(_data: bytes) -> None:
    """Takes bytes that nobody wants."""


class Texts:
    """Puts a text together that comes in parts of bytes, as `Reader.text` would have made it of all of them."""

    def __init__(self, codec: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)("backslashreplace")
        self._zeros = 0

    def part(self, data: bytes) -> str:
        """The text of these bytes, without zeros at their end: they may be those of the whole text."""
        stripped = data.rstrip(b"\0")
        if not stripped:
            self._zeros += len(data)
            return ""
        before, self._zeros = self._zeros, len(data) - len(stripped)
        return self._decoder.decode(bytes(before) + stripped)

    def last(self) -> str:
        """What was left of a letter."""
        return self._decoder.decode(b"", True)
