"""Reads a Bind message (documentation, "Message Formats", Bind): names, formats, values; whole, or as it passes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Generator
from typing import Any

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind, Leg, ProtocolError

from .exchange import Exchange, Portal
from .values import bind_text

_short = struct.Struct(">H")
_count = struct.Struct(">i")

LONGEST_NAME = 64 * 1024
"""Bytes of the name of a portal or statement (the server cuts them at 63)."""


class _Rest:
    """The values behind those that are kept: how many, their bytes, and the digest of these, one behind the other."""

    def __init__(self) -> None:
        self.count = self.size = 0
        self.digest: Any = None

    def begin(self) -> None:
        """One more value; all behind it belong to the rest too."""
        self.digest = self.digest or hashlib.sha256()
        self.count += 1

    def add(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)

    def add_null(self, binds: list[Bind]) -> None:
        if self.count:
            self.count += 1
        else:
            binds.append(None)

    def finish(self, binds: list[Bind]) -> None:
        """What the record says of the rest."""
        if self.count:
            binds.append(f"… ({self.count} values more, {self.size} bytes, sha256 {self.digest.hexdigest()})")


def read_bind(body: bytes, exchange: Exchange) -> tuple[bytes, Portal]:
    """The name of the portal and the portal that a whole Bind makes. Raises ProtocolError."""
    try:
        name_end = body.index(0)
        statement_end = body.index(0, name_end + 1)
        position = statement_end + 1
        count = _short.unpack_from(body, position)[0]
        formats = struct.unpack_from(f">{count}H", body, position + 2) if count else ()
        position += 2 + 2 * count
        count = _short.unpack_from(body, position)[0]
        position += 2
        statement = body[name_end + 1 : statement_end]
        prepared = exchange.prepared.get(statement)
        types = prepared.types if prepared is not None else ()
        binds: list[Bind] = []
        kept = 0
        rest = _Rest()
        for index in range(count):
            size = _count.unpack_from(body, position)[0]
            position += 4
            if size < 0:
                rest.add_null(binds)
                continue
            if position + size > len(body):
                raise ProtocolError(Leg.CLIENT, "a Bind message whose values are longer than itself")
            kept += min(size, BIND_LIMIT)
            value = body[position : position + size]
            if kept > BINDS_LIMIT:
                rest.begin()
                rest.add(value)
            else:
                binds.append(bind_text(_type(types, index), _binary(formats, index), value, exchange.codec))
            position += size
        rest.finish(binds)
        results = _short.unpack_from(body, position)[0]
    except (ValueError, struct.error) as error:
        raise ProtocolError(Leg.CLIENT, "a Bind message that cannot be read") from error
    if position + 2 + 2 * results != len(body):
        raise ProtocolError(Leg.CLIENT, "a Bind message that does not end where it says")
    return body[:name_end], Portal(prepared, statement, tuple(binds), len(body), formats=body[position + 2 :])


class BindReader:
    """Reads a Bind message that passes in parts, keeping of each value what the record keeps."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._buffer = b""
        self._position = 0
        self._steps = self._read()
        self._done = False
        self._name = b""
        self._portal: Portal | None = None
        next(self._steps)

    def feed(self, chunk: bytes) -> None:
        """More of the body."""
        if not self._done:
            try:
                self._steps.send(chunk)
                return
            except StopIteration:
                self._done = True
                chunk = self._buffer[self._position :]
        if chunk:
            raise ProtocolError(Leg.CLIENT, "a Bind message that does not end where it says")

    def finish(self) -> tuple[bytes, Portal]:
        """The portal, at the end of the body. Raises ProtocolError where the message ended elsewhere."""
        if self._portal is None or self._position != len(self._buffer):
            raise ProtocolError(Leg.CLIENT, "a Bind message that does not end where it says")
        return self._name, self._portal

    def _more(self) -> Generator[None, bytes, None]:
        """What was read is let go of once a part, not once a value: a part may hold tens of thousands of them."""
        chunk = yield
        self._buffer = self._buffer[self._position :] + chunk
        self._position = 0

    def _take(self, count: int) -> Generator[None, bytes, bytes]:
        while len(self._buffer) - self._position < count:
            yield from self._more()
        start, self._position = self._position, self._position + count
        return self._buffer[start : self._position]

    def _string(self) -> Generator[None, bytes, bytes]:
        while (end := self._buffer.find(b"\0", self._position)) < 0:
            if len(self._buffer) - self._position > LONGEST_NAME:
                raise ProtocolError(Leg.CLIENT, "a Bind message with an endless name")
            yield from self._more()
        start, self._position = self._position, end + 1
        return self._buffer[start:end]

    def _read(self) -> Generator[None, bytes, None]:
        name = yield from self._string()
        statement = yield from self._string()
        prepared = self._exchange.prepared.get(statement)
        types = prepared.types if prepared is not None else ()
        binds, kept = yield from self._values(types)
        results = _short.unpack((yield from self._take(2)))[0]
        wanted = yield from self._take(2 * results)
        held = min(kept, BINDS_LIMIT) + 64 * len(binds) + len(wanted)
        self._name, self._portal = name, Portal(prepared, statement, tuple(binds), held, formats=wanted)

    def _values(self, types: tuple[int, ...]) -> Generator[None, bytes, tuple[list[Bind], int]]:
        """Formats and values: as the record keeps them, and the bytes that it keeps."""
        count = _short.unpack((yield from self._take(2)))[0]
        formats = struct.unpack(f">{count}H", (yield from self._take(2 * count)))
        count = _short.unpack((yield from self._take(2)))[0]
        binds: list[Bind] = []
        kept = 0
        rest = _Rest()
        for index in range(count):
            size = _count.unpack((yield from self._take(4)))[0]
            if size < 0:
                rest.add_null(binds)
                continue
            start = yield from self._take(min(size, BIND_LIMIT))
            kept += len(start)
            if kept > BINDS_LIMIT:
                rest.begin()
                rest.add(start)
                yield from self._pass(size - len(start), rest.digest)
                rest.size += size - len(start)
                continue
            text = bind_text(_type(types, index), _binary(formats, index), start, self._exchange.codec, size)
            if size > BIND_LIMIT:
                digest = hashlib.sha256(start)
                yield from self._pass(size - len(start), digest)
                text = f"{text.removesuffix(')')}, sha256 {digest.hexdigest()})"
            binds.append(text)
        rest.finish(binds)
        return binds, kept

    def _pass(self, left: int, digest: Any) -> Generator[None, bytes, None]:
        """Adds the next `left` bytes to a digest and lets go of them."""
        while left > 0:
            if self._position == len(self._buffer):
                yield from self._more()
            part = self._buffer[self._position : self._position + left]
            digest.update(part)
            self._position += len(part)
            left -= len(part)


class ArgumentReader(BindReader):
    """Reads a FunctionCall message, whole or as it passes. Of its arguments the types are not known."""

    def arguments(self) -> tuple[Bind, ...]:
        """The arguments, at the end of the body. Raises ProtocolError where the message ended elsewhere."""
        if not self._done or self._position != len(self._buffer):
            raise ProtocolError(Leg.CLIENT, "a FunctionCall message that does not end where it says")
        return self._arguments

    def _read(self) -> Generator[None, bytes, None]:
        self._arguments: tuple[Bind, ...] = ()
        yield from self._take(4)
        binds, _ = yield from self._values(())
        yield from self._take(2)
        self._arguments = tuple(binds)


def parameter_types(tail: bytes) -> tuple[int, ...]:
    """The types behind a Parse's text. Raises ProtocolError."""
    count = _short.unpack_from(tail)[0] if len(tail) >= 2 else -1
    if len(tail) != 2 + 4 * count:
        raise ProtocolError(Leg.CLIENT, "a Parse message that does not end where it says")
    return struct.unpack_from(f">{count}I", tail, 2) if count else ()


def _type(types: tuple[int, ...], index: int) -> int:
    return types[index] if index < len(types) else 0


def _binary(formats: tuple[int, ...], index: int) -> bool:
    if not formats:
        return False
    return bool(formats[0] if len(formats) == 1 else formats[index] if index < len(formats) else 0)
