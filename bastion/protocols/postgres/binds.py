"""Reads a Bind message (documentation, "Message Formats", Bind): names, formats, values; whole, or as it passes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Generator

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind, Leg, ProtocolError

from .exchange import Exchange, Portal
from .values import bind_text

_short = struct.Struct(">H")
_count = struct.Struct(">i")

LONGEST_NAME = 64 * 1024
"""Bytes of the name of a portal or statement (the server cuts them at 63)."""


def read_bind(body: bytes, exchange: Exchange) -> tuple[bytes, Portal]:
    """The name of the portal and the portal that a whole Bind makes. Raises ProtocolError."""
    try:
        name_end = body.index(0)
        statement_end = body.index(0, name_end + 1)
        position = statement_end + 1
        formats = struct.unpack_from(f">{_short.unpack_from(body, position)[0]}H", body, position + 2)
        position += 2 + 2 * len(formats)
        count = _short.unpack_from(body, position)[0]
        position += 2
        prepared = exchange.prepared.get(body[name_end + 1 : statement_end])
        types = prepared.types if prepared is not None else ()
        binds: list[Bind] = []
        kept = 0
        for index in range(count):
            size = _count.unpack_from(body, position)[0]
            position += 4
            if size < 0:
                binds.append(None)
                continue
            if position + size > len(body):
                raise ProtocolError(Leg.CLIENT, "a Bind message whose values are longer than itself")
            kept += min(size, BIND_LIMIT)
            if kept > BINDS_LIMIT:
                binds.append(f"({size} bytes)")
            else:
                value = body[position : position + size]
                binds.append(bind_text(_type(types, index), _binary(formats, index), value, exchange.codec))
            position += size
    except (ValueError, struct.error) as error:
        raise ProtocolError(Leg.CLIENT, "a Bind message that cannot be read") from error
    return body[:name_end], Portal(prepared, tuple(binds))


class BindReader:
    """Reads a Bind message that passes in parts, keeping of each value what the record keeps."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._buffer = b""
        self._steps = self._read()
        self._done = False
        self.name = b""
        self.portal: Portal | None = None
        next(self._steps)

    def feed(self, chunk: bytes) -> None:
        """More of the body."""
        if not self._done:
            try:
                self._steps.send(chunk)
            except StopIteration:
                self._done = True

    def finish(self) -> tuple[bytes, Portal]:
        """The portal, at the end of the body. Raises ProtocolError where the message ended too early."""
        if self.portal is None:
            raise ProtocolError(Leg.CLIENT, "a Bind message that ends in the middle")
        return self.name, self.portal

    def _take(self, count: int) -> Generator[None, bytes, bytes]:
        while len(self._buffer) < count:
            self._buffer += yield
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _string(self) -> Generator[None, bytes, bytes]:
        while (end := self._buffer.find(b"\0")) < 0:
            if len(self._buffer) > LONGEST_NAME:
                raise ProtocolError(Leg.CLIENT, "a Bind message with an endless name")
            self._buffer += yield
        taken, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return taken

    def _read(self) -> Generator[None, bytes, None]:
        name = yield from self._string()
        statement = yield from self._string()
        prepared = self._exchange.prepared.get(statement)
        types = prepared.types if prepared is not None else ()
        count = _short.unpack((yield from self._take(2)))[0]
        formats = struct.unpack(f">{count}H", (yield from self._take(2 * count)))
        count = _short.unpack((yield from self._take(2)))[0]
        binds: list[Bind] = []
        kept = 0
        for index in range(count):
            size = _count.unpack((yield from self._take(4)))[0]
            if size < 0:
                binds.append(None)
                continue
            start = yield from self._take(min(size, BIND_LIMIT))
            digest = hashlib.sha256(start)
            left = size - len(start)
            while left > 0:
                if not self._buffer:
                    self._buffer += yield
                digest.update(self._buffer[:left])
                passed = min(left, len(self._buffer))
                self._buffer = self._buffer[passed:]
                left -= passed
            kept += len(start)
            if kept > BINDS_LIMIT:
                binds.append(f"({size} bytes, sha256 {digest.hexdigest()})")
                continue
            text = bind_text(_type(types, index), _binary(formats, index), start, self._exchange.codec, size)
            if size > BIND_LIMIT:
                text = f"{text.removesuffix(')')}, sha256 {digest.hexdigest()})"
            binds.append(text)
        self.name, self.portal = name, Portal(prepared, tuple(binds))


def _type(types: tuple[int, ...], index: int) -> int:
    return types[index] if index < len(types) else 0


def _binary(formats: tuple[int, ...], index: int) -> bool:
    if not formats:
        return False
    return bool(formats[0] if len(formats) == 1 else formats[index] if index < len(formats) else 0)
