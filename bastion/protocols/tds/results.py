"""Decodes the kept bytes of one statement's answer: packets, tokens, rows ([MS-TDS] 2.2.7)."""

from __future__ import annotations

import struct

from bastion.protocols.contract import Leg, ProtocolError
from bastion.protocols.results import Column, Columns, Ended, Parts, Row, Said

from .answer import read_formats
from .codec import Malformed, Short, b_varchar, unpack_i32, unpack_u16, unpack_u32, unpack_u64
from .constants import (
    DONE_COUNT,
    DONE_ERROR,
    HEADER,
    HIGHEST_INFORMATION,
    TDS72,
    TDS74,
    Token,
)
from .token_reader import NO_COLUMNS
from .tokens import (
    DONES,
    LONG_LENGTH,
    SHORT_LENGTH,
    done_size,
    read_done,
    read_feature_acks,
    read_return_value,
    read_saying,
)
from .type_info import How, TypeInfo, read_column, read_type, type_name
from .values import value_text

_NULL_CHUNKS = 0xFFFFFFFFFFFFFFFF
_VARIANT = 0x62

Described = tuple[tuple[TypeInfo, ...], Columns]


def decode(data: bytes, *, described: bytes = b"", formats: bytes = b"") -> Parts:
    """The parts of a statement's answer, as far as the bytes reach.

    described   begins with the description that holds where `data` has rows and tells no columns
    formats     as `answer.formats_of` made them

    Raises ProtocolError for bytes that are no answer of SQL Server.
    """
    version, left, described_left = read_formats(formats) or (TDS74, 0, 0)
    try:
        known = _first_description(contents(described, described_left), version) if described else None
        yield from _parts(contents(data, left), version, known)
    except (Malformed, struct.error, IndexError) as error:
        raise ProtocolError(Leg.SERVER, f"an answer that cannot be read: {error}", data) from None


def contents(data: bytes, left: int) -> bytes:
    """What is in the packets; `left` are the data of a packet that began before. A torn packet counts as far as it is
    here.
    """
    parts = [data[:left]]
    position = left
    while position + HEADER <= len(data):
        length = data[position + 2] << 8 | data[position + 3]
        if length < HEADER:
            raise Malformed("a packet that is shorter than its header")
        parts.append(data[position + HEADER : position + length])
        position += length
    return b"".join(parts)


def _first_description(data: bytes, version: int) -> Described | None:
    if data[:1] != bytes((Token.COLMETADATA,)):
        return None
    try:
        return _description(data, 0, version)[0]
    except Short:
        return None


def _description(data: bytes, position: int, version: int) -> tuple[Described | None, int]:
    """The columns, None where they are not told. Raises Short and Malformed."""
    if position + 3 > len(data):
        raise Short
    count = unpack_u16(data, position + 1)[0]
    position += 3
    if count == NO_COLUMNS:
        return None, position
    infos: list[TypeInfo] = []
    columns: list[Column] = []
    for _ in range(count):
        info, name, position = read_column(data, position, version)
        infos.append(info)
        columns.append(Column(name, type_name(info)))
    return (tuple(infos), Columns(tuple(columns))), position


def _parts(data: bytes, version: int, known: Described | None) -> Parts:
    position, end = 0, len(data)
    current: Described | None = None
    computed: dict[int, Described] = {}
    try:
        while position < end:
            token = data[position]
            if token in (Token.ROW, Token.NBCROW):
                if current is None:
                    if known is None:
                        yield Said("INFO", "", "What follows are rows; the description of their columns was not kept.")
                        return
                    current = known
                    yield current[1]
                row, position = read_row(data, position + 1, current[0], with_bits=token == Token.NBCROW)
                yield row
            elif token == Token.COLMETADATA:
                found, position = _description(data, position, version)
                current = found
                if found is not None and found[0]:
                    known = found
                    yield found[1]
            elif token in DONES:
                if position + done_size(version) > end:
                    return
                status, _, count = read_done(data, position, version)
                position += done_size(version)
                ended = token == Token.DONEINPROC or current is not None or status & DONE_COUNT
                if ended or (token == Token.DONE and not status & DONE_ERROR):
                    yield Ended("", count if status & DONE_COUNT else None)
                current = None
            elif token == Token.RETURNVALUE:
                head, after = read_return_value(data, position, version)
                value, position = read_value(data, after, head.info)
                yield Columns((Column(head.name or "(result)", type_name(head.info)),))
                yield [value]
                yield Ended("OUTPUT", None)
                current = None
            elif token == Token.RETURNSTATUS:
                if position + 5 > end:
                    return
                status = unpack_i32(data, position + 1)[0]
                position += 5
                if status:
                    yield Said("RETURN", str(status), f"The procedure returned {status}.")
            elif token == Token.ALTMETADATA:
                position = _computed_description(data, position, version, computed)
            elif token == Token.ALTROW:
                shape = computed[unpack_u16(data, position + 1)[0]]
                yield shape[1]
                row, position = read_row(data, position + 3, shape[0], with_bits=False)
                yield row
            elif token == Token.FEATUREEXTACK:
                position = read_feature_acks(data, position)
            elif token in SHORT_LENGTH or token in LONG_LENGTH:
                wide = token in LONG_LENGTH
                head_size = 5 if wide else 3
                if position + head_size > end:
                    return
                size = (unpack_u32 if wide else unpack_u16)(data, position + 1)[0]
                body = data[position + head_size : position + head_size + size]
                position += head_size + size
                if position > end:
                    return
                if token in (Token.ERROR, Token.INFO):
                    saying = read_saying(body, version)
                    if token == Token.ERROR and saying.level > HIGHEST_INFORMATION:
                        yield saying.error
                    else:
                        yield Said("INFO", str(saying.number), saying.message)
            else:
                raise Malformed(f"a token of the unknown kind {token:#04x}")
    except Short:
        return


def _computed_description(data: bytes, position: int, version: int, computed: dict[int, Described]) -> int:
    count, number = unpack_u16(data, position + 1)[0], unpack_u16(data, position + 3)[0]
    position += 6 + 2 * data[position + 5]
    infos: list[TypeInfo] = []
    columns: list[Column] = []
    for _ in range(count):
        info, position = read_type(data, position + 3 + (6 if version >= TDS72 else 4), of_parameter=False)
        name, position = b_varchar(data, position)
        infos.append(info)
        columns.append(Column(name or "(computed)", type_name(info)))
    computed[number] = (tuple(infos), Columns(tuple(columns)))
    return position


def read_row(data: bytes, position: int, infos: tuple[TypeInfo, ...], *, with_bits: bool) -> tuple[Row, int]:
    """A row's values and the position behind it. Raises Short and Malformed."""
    bits = b""
    if with_bits:
        size = (len(infos) + 7) >> 3
        bits = data[position : position + size]
        if len(bits) < size:
            raise Short
        position += size
    row: Row = []
    for index, info in enumerate(infos):
        if bits and bits[index >> 3] >> (index & 7) & 1:
            row.append(None)
            continue
        value, position = read_value(data, position, info)
        row.append(value)
    return row, position


def read_value(data: bytes, position: int, info: TypeInfo) -> tuple[str | None, int]:
    """A value and the position behind it. Raises Short and Malformed."""
    try:
        if info.how == How.CHUNKS:
            return _chunks(data, position, info)
        if info.how == How.FIXED:
            size = info.size
        elif info.how == How.BYTE:
            size, position = data[position], position + 1
            if not size:
                return None, position
        elif info.how == How.SHORT:
            size, position = unpack_u16(data, position)[0], position + 2
            if size == 0xFFFF:
                return None, position
        elif info.how == How.LONG:
            size, position = unpack_u32(data, position)[0], position + 4
            if size == 0xFFFFFFFF or (info.kind == _VARIANT and not size):
                return None, position
        else:
            pointer = data[position]
            if not pointer:
                return None, position + 1
            position += 1 + pointer + 8
            size, position = unpack_u32(data, position)[0], position + 4
    except (IndexError, struct.error):
        raise Short from None
    if position + size > len(data):
        raise Short
    return value_text(info, data[position : position + size]), position + size


def _chunks(data: bytes, position: int, info: TypeInfo) -> tuple[str | None, int]:
    total = unpack_u64(data, position)[0]
    position += 8
    if total == _NULL_CHUNKS:
        return None, position
    parts: list[bytes] = []
    while size := unpack_u32(data, position)[0]:
        position += 4
        if position + size > len(data):
            raise Short
        parts.append(data[position : position + size])
        position += size
    return value_text(info, b"".join(parts)), position + 4
