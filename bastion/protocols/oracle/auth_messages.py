"""The messages of a login (AUTH), read with the places of their values, so that some can be put in the place of others.

Everything else stays as it came: flags, order, and how a client of Oracle's own writes lengths (three times what they
are, for the conversion of characters).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import constants as c
from .codec import LONG_LENGTH, Dialect, Malformed, Reader

MOST_PAIRS = 1000
_CHUNK = 200
_REPEATED = "AUTH_APPCTX_"
"""Entries of an application context are all under the same names. What is looked at must otherwise be what counts."""


@dataclass(repr=False)
class Pair:
    """A named value. `begin` and `end` are the places of the value with its lengths; `flags` a number behind it."""

    value: str
    begin: int
    end: int
    length: int
    flags: int


@dataclass(repr=False)
class AuthMessage:
    """A message of either side. `user_at`: where the user's length stands; `text_at`: where the user itself does."""

    content: bytes
    dialect: Dialect
    pairs: dict[str, Pair] = field(default_factory=dict)
    function: int = 0
    sequence: int = 0
    mode: int = 0
    user: str = ""
    user_at: tuple[int, int] = (0, 0)
    text_at: tuple[int, int] = (0, 0)
    user_length: int = 0

    def value(self, name: str) -> str:
        """'' where there is none."""
        pair = self.pairs.get(name)
        return "" if pair is None else pair.value

    def values(self) -> dict[str, str]:
        return {name: pair.value for name, pair in self.pairs.items()}

    def changed(self, values: dict[str, str], user: str | None = None) -> bytes:
        """The message with other values for names that it has, and another user."""
        changes: list[tuple[int, int, bytes]] = []
        for name, value in values.items():
            pair = self.pairs.get(name)
            if pair is not None and pair.value != value:
                changes.append((pair.begin, pair.end, self._counted(value, pair)))
        if user is not None and user != self.user:
            data = user.encode(self.dialect.codec, "replace")
            old = len(self.user.encode(self.dialect.codec, "replace"))
            length = len(data) * (3 if old and self.user_length == 3 * old else 1)
            changes.append((*self.user_at, _number(length, self.dialect)))
            changes.append((*self.text_at, _text(data, self.dialect) if self.dialect.counted_texts else data))
        content = self.content
        for begin, end, data in sorted(changes, reverse=True):
            content = content[:begin] + data + content[end:]
        return content

    def _counted(self, value: str, pair: Pair) -> bytes:
        data = value.encode(self.dialect.codec, "replace")
        old = len(pair.value.encode(self.dialect.codec, "replace"))
        length = len(data) * (3 if old and pair.length == 3 * old else 1)
        return _number(length, self.dialect) + (_text(data, self.dialect) if data else b"")


def read_request(content: bytes, dialect: Dialect) -> AuthMessage:
    """A client's message, first or second phase. Raises Short and Malformed."""
    reader = Reader(content, dialect)
    if reader.ub1() != c.CALL:
        raise Malformed("something else than a login")
    message = AuthMessage(content, dialect, function=reader.ub1(), sequence=reader.ub1())
    if message.function not in (c.AUTH_PHASE_ONE, c.AUTH_PHASE_TWO):
        raise Malformed("another call where a login should be")
    if dialect.has_token:
        reader.ub8()
    reader.pointer()
    begin = reader.position
    message.user_length = reader.ub4()
    message.user_at = (begin, reader.position)
    message.mode = reader.ub4()
    reader.pointer()
    count = reader.ub4()
    reader.pointer()
    reader.pointer()
    begin = reader.position
    if message.user_length:
        data = reader.long_form() if dialect.counted_texts else reader.raw(message.user_length)
        message.user = reader.text(data)
    message.text_at = (begin, reader.position)
    _read_pairs(reader, count, message)
    if reader.position < len(content):
        raise Malformed("bytes behind the end of a login's message")
    return message


def read_answer(content: bytes, dialect: Dialect) -> tuple[AuthMessage, int]:
    """A server's message, and where it ends. Raises Short and Malformed."""
    reader = Reader(content, dialect)
    if reader.ub1() != c.PARAMETERS:
        raise Malformed("something else than an answer to a login")
    message = AuthMessage(content, dialect)
    _read_pairs(reader, reader.ub2(), message)
    return message, reader.position


def _read_pairs(reader: Reader, count: int, message: AuthMessage) -> None:
    if not 0 <= count <= MOST_PAIRS:
        raise Malformed(f"a login with {count} values")
    for _ in range(count):
        name = reader.text(reader.counted())
        if name in message.pairs and not name.startswith(_REPEATED):
            raise Malformed("a login that gives the same value twice")
        begin = reader.position
        length = reader.ub4()
        value = reader.text(reader.long_form()) if length else ""
        end = reader.position
        message.pairs[name] = Pair(value, begin, end, length, reader.ub4())


def _number(value: int, dialect: Dialect) -> bytes:
    if dialect.native_ub4:
        return value.to_bytes(4, "little")
    size = (value.bit_length() + 7) // 8
    return bytes((size,)) + value.to_bytes(size, "big")


def _text(data: bytes, dialect: Dialect) -> bytes:
    if len(data) < 253:
        return bytes((len(data),)) + data
    parts = [bytes((LONG_LENGTH,))]
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        parts.append((_number(len(part), dialect) if dialect.big_chunks else bytes((len(part),))) + part)
    parts.append(_number(0, dialect) if dialect.big_chunks else b"\0")
    return b"".join(parts)
