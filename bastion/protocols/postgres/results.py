"""Decodes the kept bytes of one statement's answer (documentation, "Message Formats": the messages marked B)."""

from __future__ import annotations

import struct

from bastion.protocols.contract import Leg, ProtocolError
from bastion.protocols.results import Column, Columns, Ended, Parts, Row, Said

from .character_sets import codec_for
from .codec import database_error, error_fields
from .values import value_text

_head = struct.Struct(">cI")
_field = struct.Struct(">IhIhih")

_Field = tuple[int, bool]
"""Type OID, and whether the values are in binary."""

TYPES = {
    16: "boolean", 17: "bytea", 18: "char", 19: "name", 20: "bigint", 21: "smallint", 23: "integer", 25: "text",
    26: "oid", 114: "json", 142: "xml", 600: "point", 650: "cidr", 700: "real", 701: "double precision", 790: "money",
    829: "macaddr", 869: "inet", 1000: "boolean[]", 1005: "smallint[]", 1007: "integer[]", 1009: "text[]",
    1014: "character[]", 1015: "character varying[]", 1016: "bigint[]", 1021: "real[]", 1022: "double precision[]",
    1042: "character", 1043: "character varying", 1082: "date", 1083: "time", 1114: "timestamp",
    1184: "timestamp with time zone", 1186: "interval", 1231: "numeric[]", 1266: "time with time zone", 1560: "bit",
    1562: "bit varying", 1700: "numeric", 2249: "record", 2278: "void", 2950: "uuid", 3802: "jsonb",
}  # fmt: skip
"""OIDs of pg_type.dat and the names that SQL gives the types."""


def decode(data: bytes, codec: str, *, described: bytes = b"", formats: bytes = b"") -> Parts:
    """The parts of a statement's answer.

    described   begins with the RowDescription that holds where `data` has rows before any
    formats     result formats as Bind has them: none, one for all columns, or one a column; they go before those of a
                description, which was perhaps made before the Bind

    Raises ProtocolError for bytes that are no answer of PostgreSQL.
    """
    fields: list[_Field] | None = None
    before: Columns | None = None
    if described[:1] == b"T":
        before, fields = _described(described[5:], codec, formats)
    position, end = 0, len(data)
    begun = False
    while end - position >= 5:
        kind, size = _head.unpack_from(data, position)
        following = position + 1 + size
        if size < 4:
            raise ProtocolError(Leg.SERVER, f"a message of length {size}", data[position:])
        if following > end:
            return
        body = data[position + 5 : following]
        position = following
        if kind == b"D":
            if not begun:
                begun = True
                if fields is None or before is None:
                    before, fields = _unknown(body, formats)
                yield before
            yield _row(body, fields or [], codec)
        elif kind == b"T":
            before, fields = _described(body, codec, formats)
            begun = True
            yield before
        elif kind == b"C":
            tag = body.rstrip(b"\0").decode(codec, "backslashreplace")
            count = tag.rpartition(" ")[2]
            yield Ended(tag, int(count) if count.isascii() and count.isdigit() else None)
            begun, fields = False, None
        elif kind == b"d":
            yield [_copied(body, codec)]
        elif kind == b"H":
            yield Columns((Column("COPY", "binary" if body[:1] == b"\1" else "text"),))
        elif kind == b"E":
            yield database_error(body)
        elif kind == b"N":
            said = error_fields(body)
            yield Said(said.get("V") or said.get("S", ""), said.get("C", ""), said.get("M", ""))
        elif kind == b"I":
            yield Ended("", None)
        elif kind == b"s":
            yield Ended("(a page; more was to come)", None)
        elif kind == b"V":
            yield Columns((Column("result", ""),))
            yield _row(b"\0\1" + body, [(0, False)], codec)
        elif kind == b"G":
            yield Said("INFO", "", "The server asked for the client's data (COPY IN), which are not kept.")
        elif kind == b"S" and body.startswith(b"client_encoding\0"):
            codec = codec_for(body[16:].rstrip(b"\0").decode("ascii", "replace"))


def _described(body: bytes, codec: str, formats: bytes) -> tuple[Columns, list[_Field]]:
    columns: list[Column] = []
    fields: list[_Field] = []
    try:
        count = struct.unpack_from(">H", body)[0]
        position = 2
        for index in range(count):
            end = body.index(0, position)
            name = body[position:end].decode(codec, "backslashreplace")
            _table, _attribute, oid, _size, _modifier, form = _field.unpack_from(body, end + 1)
            position = end + 1 + _field.size
            columns.append(Column(name, TYPES.get(oid, f"oid {oid}")))
            fields.append((oid, _binary(formats, index, form == 1)))
    except (struct.error, ValueError):
        raise ProtocolError(Leg.SERVER, "a description of columns that cannot be read", body) from None
    return Columns(tuple(columns)), fields


def _unknown(body: bytes, formats: bytes) -> tuple[Columns, list[_Field]]:
    """Rows whose description was not kept: as many columns as the first one has."""
    count = struct.unpack_from(">H", body)[0] if len(body) >= 2 else 0
    columns = Columns(tuple(Column(f"column {index + 1}", "") for index in range(count)))
    return columns, [(0, _binary(formats, index, False)) for index in range(count)]


def _binary(formats: bytes, index: int, described: bool) -> bool:
    if not formats:
        return described
    at = 0 if len(formats) == 2 else 2 * index
    return formats[at : at + 2] == b"\0\1"


def _row(body: bytes, fields: list[_Field], codec: str) -> Row:
    row: Row = []
    try:
        count = struct.unpack_from(">H", body)[0]
        position = 2
        for index in range(count):
            size = struct.unpack_from(">i", body, position)[0]
            position += 4
            if size < 0:
                row.append(None)
                continue
            if position + size > len(body):
                raise ValueError
            oid, binary = fields[index] if index < len(fields) else (0, False)
            row.append(value_text(oid, binary, body[position : position + size], codec))
            position += size
    except (struct.error, ValueError):
        raise ProtocolError(Leg.SERVER, "a row that cannot be read", body) from None
    return row


def _copied(body: bytes, codec: str) -> str:
    """A piece of COPY data: a line in the text formats; what is no text, in hexadecimal."""
    try:
        text = body.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return "\\x" + body.hex()
    return text.removesuffix("\n") if "\0" not in text else "\\x" + body.hex()
