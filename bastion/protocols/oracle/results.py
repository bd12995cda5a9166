"""Decodes the kept bytes of one statement's answer: packets, descriptions, rows."""

from __future__ import annotations

import json

from bastion.protocols.contract import DatabaseError, Leg, ProtocolError
from bastion.protocols.results import Column, Columns, Ended, Parts, Row

from . import constants as c
from .codec import Dialect, Malformed, Reader, Short
from .columns import Described
from .framing import Packets
from .replies import Expected, ReplyReader


def formats_of(dialect: Dialect, expected: Expected) -> bytes:
    """What the bytes do not say themselves: the dialect, and the call that they answer."""
    binds = _listed(expected.binds) if expected.out else []
    call = (
        expected.function,
        expected.counts_rows,
        expected.returning,
        expected.locators,
        expected.operation,
        expected.amount,
    )
    given = () if expected.given is None else (_listed(expected.given),)
    said = json.dumps((call, binds, *given), separators=(",", ":"))
    return f"[{dialect.as_json},{said[1:]}".encode()


def _listed(binds: tuple[Described, ...]) -> list[tuple[int, int, bool, int]]:
    return [(bind.kind, bind.size, bind.array, bind.form) for bind in binds]


def decode(data: bytes, *, described: bytes = b"", formats: bytes = b"") -> Parts:
    """The parts of a statement's answer, as far as the bytes reach.

    described  begins with the description that holds where `data` has rows and tells no columns
    formats    as `formats_of` made them

    Raises ProtocolError for bytes that are no answer of Oracle.
    """
    try:
        dialect, call, binds, given = _read_formats(formats)
        expected = Expected(
            call[0], binds=binds, counts_rows=bool(call[1]), returning=bool(call[2]), locators=call[3],
            operation=call[4], amount=len(call) < 6 or bool(call[5]), given=given, out=given,
        )  # fmt: skip
        if described:
            expected.columns = _description(_whole(described), dialect)
        yield from _parts(data, dialect, expected)
    except (Malformed, ValueError, TypeError, IndexError) as error:
        raise ProtocolError(Leg.SERVER, f"an answer that cannot be read: {error}", data) from None


_Binds = tuple[Described, ...]


def _read_formats(formats: bytes) -> tuple[Dialect, list[int], _Binds, _Binds | None]:
    if not formats:
        return Dialect(field_version=24, big_chunks=True), [c.EXECUTE, 0, 0, 0, 0], (), None
    dialect, call, binds, *more = json.loads(formats)
    given = tuple(Described(*bind) for bind in more[0]) if more else None
    return Dialect(*dialect), call, tuple(Described(*bind) for bind in binds), given


def _contents(data: bytes) -> list[bytearray]:
    """The contents of replies: what a marker has made void begins anew. The lengths tell whether they are wide."""
    packets = Packets(wide=data[:2] == b"\0\0")
    packets.feed(data)
    contents = [bytearray()]
    while (found := packets.next()) is not None:
        if found.kind == c.MARKER:
            contents.append(bytearray())
        elif found.kind == c.DATA:
            contents[-1] += found.content
    if len(packets.rest) > c.HEADER + 2:  # a torn packet counts as far as it is here
        contents[-1] += packets.rest[c.HEADER + 2 :]
    return contents


def _whole(described: bytes) -> bytes:
    """A session's first packet comes without its first byte (`server_side`): its type is one place too early then."""
    return b"\0" + described if described[3:4] == bytes((c.DATA,)) and described[:1] == b"\0" else described


def _description(data: bytes, dialect: Dialect) -> tuple[Described, ...]:
    expected = Expected(c.EXECUTE)
    for content in _contents(data):
        reader, reply = Reader(content, dialect), ReplyReader(expected)
        try:
            while not expected.described and reader.position < len(content):
                reply.read(reader)
        except Short:
            continue
    return expected.columns


def _parts(data: bytes, dialect: Dialect, expected: Expected) -> Parts:
    rows: list[Row] = []
    told = False
    for content in _contents(data):
        reader = Reader(content, dialect)
        reply = ReplyReader(expected, lambda row: rows.append(list(row)))
        while reader.position < len(content) and not reply.over:
            try:
                kind = reply.read(reader)
            except Short:
                break
            if kind == c.DESCRIBE or (rows and not told):
                told = True
                yield Columns(tuple(Column(each.name, c.TYPES.get(each.kind, "")) for each in _shown(expected)))
            yield from rows
            rows.clear()
            if kind in (c.ERROR, c.STATUS) and expected.ended is not None:
                ended = expected.ended
                if ended.failed:
                    yield DatabaseError(f"ORA-{ended.error:05d}", ended.message, ended.position or None)
                else:
                    yield Ended("", expected.rows if expected.columns else ended.rows)


def _shown(expected: Expected) -> tuple[Described, ...]:
    """Values that come back have no names: they are the binds in their order."""
    if expected.out is None:
        return expected.columns
    return tuple(
        Described(bind.kind, bind.size, bind.array, bind.form, f":{place}")
        for place, bind in enumerate(expected.out, 1)
    )
