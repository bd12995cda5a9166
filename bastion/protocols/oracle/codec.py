"""Numbers, texts and byte strings of TTC, in the form that a connection has agreed on.

A number is one length byte and as many bytes, big-endian ("universal"), or a C type of the client's machine ("native",
little-endian): which, for each C type, both sides settle when they negotiate data types. Thin drivers speak universal
throughout; Oracle's own client library native where it can. Seen in captures of both.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from functools import cached_property
from struct import Struct

NULL_LENGTHS = (0, 255)
LONG_LENGTH = 254
ESCAPE_LENGTH = 253
"""Lengths of a byte string that are none: null, in chunks, and (for a null of BOOLEAN) a byte that says more."""

_U16 = Struct("<H").unpack_from
_U32 = Struct("<I").unpack_from
_S16 = Struct("<h").unpack_from
_S32 = Struct("<i").unpack_from


class Short(Exception):
    """The bytes end before the value does."""


class Malformed(Exception):
    """The bytes cannot be what they should be; the message says what."""


@dataclass(frozen=True)
class Dialect:
    """What the two sides have agreed on.

    field_version   decides which fields the messages have (`constants` of the source call it TTC field version)
    native_*        the C type stands in the client machine's own form
    big_chunks      the length of a chunk of a long byte string is a number, not a byte
    counted_texts   a text of a call has a length of its own in front; else the call's header alone says it
    new_end_of_call the end of a call has two more fields
    end_of_reply    a message of its own says that a reply is over
    codec           Python's name of the client's character set
    longest_string  bytes of a bind beyond which it travels behind the others of its row
    """

    field_version: int = 0
    native_ub2: bool = False
    native_ub4: bool = False
    native_sb1: bool = False
    native_pointer: bool = False
    big_chunks: bool = False
    counted_texts: bool = True
    new_end_of_call: bool = False
    end_of_reply: bool = False
    codec: str = "utf-8"
    longest_string: int = 32767

    @cached_property
    def as_json(self) -> str:
        """All of it, in the order of its fields."""
        return json.dumps(astuple(self), separators=(",", ":"))

    @property
    def has_token(self) -> bool:
        """Whether every function has a token behind its sequence number."""
        return self.field_version >= 18


class Reader:
    """Reads one value after the other. Every method raises Short, and Malformed where it says so.

    `position` is where the next value begins.
    """

    __slots__ = ("data", "dialect", "position")

    def __init__(self, data: bytes | bytearray, dialect: Dialect, position: int = 0) -> None:
        self.data = data
        self.dialect = dialect
        self.position = position

    def raw(self, size: int) -> bytes:
        """So many bytes. Raises Malformed for less than none."""
        if size < 0:
            raise Malformed(f"a length of {size} bytes")
        end = self.position + size
        if end > len(self.data):
            raise Short
        value = bytes(self.data[self.position : end])
        self.position = end
        return value

    def skip(self, size: int) -> None:
        """Past so many bytes. Raises Malformed for less than none: reading would begin again there, without end."""
        if size < 0:
            raise Malformed(f"a length of {size} bytes")
        if self.position + size > len(self.data):
            raise Short
        self.position += size

    def ub1(self) -> int:
        try:
            value = self.data[self.position]
        except IndexError:
            raise Short from None
        self.position += 1
        return value

    def universal(self) -> int:
        """A number of up to eight bytes behind its length; 0x80 in the length: negative. Raises Malformed."""
        length = self.ub1()
        if not length:
            return 0
        size = length & 0x7F
        if size > 8:
            raise Malformed(f"a number of {size} bytes")
        value = int.from_bytes(self.raw(size), "big")
        return -value if length & 0x80 else value

    def ub2(self) -> int:
        return self._native(_U16, 2) if self.dialect.native_ub2 else self.universal()

    def sb2(self) -> int:
        return self._native(_S16, 2) if self.dialect.native_ub2 else self.universal()

    def ub4(self) -> int:
        return self._native(_U32, 4) if self.dialect.native_ub4 else self.universal()

    def sb4(self) -> int:
        return self._native(_S32, 4) if self.dialect.native_ub4 else self.universal()

    def ub8(self) -> int:
        return self.universal()

    def sb1(self) -> int:
        if not self.dialect.native_sb1:
            return self.universal()
        value = self.ub1()
        return value - 256 if value > 127 else value

    def pointer(self) -> bool:
        """Whether what it stands for is there."""
        return any(self.raw(8)) if self.dialect.native_pointer else self.ub1() != 0

    def byte_string(self) -> bytes | None:
        """A length and as many bytes, or chunks of such; None for null."""
        length = self.ub1()
        if length < ESCAPE_LENGTH:
            return self.raw(length) if length else None
        if length == LONG_LENGTH:
            return self._chunks()
        if length == ESCAPE_LENGTH:
            self.skip(1)
        return None

    def long_form(self) -> bytes:
        """The bytes of `byte_string`, b"" for null."""
        return self.byte_string() or b""

    def skip_byte_string(self) -> None:
        """As `byte_string`, where nobody wants the bytes."""
        length = self.ub1()
        if length < ESCAPE_LENGTH:
            self.skip(length)
        elif length == LONG_LENGTH:
            while size := self.chunk():
                self.skip(size)
        elif length == ESCAPE_LENGTH:
            self.skip(1)

    def counted(self) -> bytes:
        """A length, and where it is not 0 a byte string: only the length of the latter holds."""
        return self.long_form() if self.ub4() else b""

    def text(self, value: bytes) -> str:
        """Never fails: what cannot be read stands there as escapes."""
        return value.rstrip(b"\0").decode(self.dialect.codec, "backslashreplace")

    def _chunks(self) -> bytes:
        chunks = []
        while size := self.chunk():
            chunks.append(self.raw(size))
        return b"".join(chunks)

    def chunk(self) -> int:
        """The length of the next chunk, 0 behind the last one. Raises Malformed."""
        size = self.ub4_of_chunk() if self.dialect.big_chunks else self.ub1()
        if size < 0:
            raise Malformed("a chunk of a negative length")
        return size

    def ub4_of_chunk(self) -> int:
        return self.ub4()

    def _native(self, unpack: object, size: int) -> int:
        position = self.position
        if position + size > len(self.data):
            raise Short
        self.position = position + size
        value: int = unpack(self.data, position)[0]  # type: ignore[operator]
        return value
