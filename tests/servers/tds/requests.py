"""Requests as a client sends them: batches, procedure calls, transaction manager requests. [MS-TDS] 2.2.5.3, 2.2.6."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from .decoding import Reader, WireType, read_type, read_value
from .encoding import Value
from .packets import ProtocolError
from .versions import Version


@dataclass(frozen=True)
class Parameter:
    """Of a procedure call. `output`: its value is sent back."""

    name: str
    output: bool
    default: bool
    type: WireType
    value: Value


@dataclass(frozen=True)
class Call:
    """A procedure call by name; those known by number get theirs."""

    name: str
    parameters: tuple[Parameter, ...]
    flags: int = 0
    by_number: bool = False


NUMBERED = {
    1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec",
    6: "sp_cursorunprepare", 7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql",
    11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare",
}  # fmt: skip

NO_METADATA = 0x02


def without_headers(data: bytes, version: Version) -> bytes:
    """What is behind ALL_HEADERS. Raises ProtocolError where they are not right."""
    if not version.wide:
        return data
    if len(data) < 4:
        raise ProtocolError("a request without headers")
    total = struct.unpack_from("<I", data)[0]
    if not 4 <= total <= len(data):
        raise ProtocolError(f"headers of {total} bytes in a request of {len(data)}")
    at = 4
    while at < total:
        length = struct.unpack_from("<I", data, at)[0] if at + 6 <= total else 0
        if length < 6 or at + length > total:
            raise ProtocolError("a header of a request lies outside the headers")
        at += length
    return data[total:]


def read_batch(data: bytes, version: Version) -> str:
    """The text of a SQL batch."""
    text = without_headers(data, version)
    if len(text) % 2:
        raise ProtocolError("a batch of half characters")
    return text.decode("utf-16-le", "surrogatepass")


def read_calls(data: bytes, version: Version) -> list[Call]:
    """The calls of an RPC message."""
    reader = Reader(without_headers(data, version))
    ends = (0xFF, 0xFE) if version.wide else (0x80, 0xFF)
    calls = []
    while reader.left:
        calls.append(_read_call(reader, version, ends))
    if not calls:
        raise ProtocolError("an RPC without a call")
    return calls


def _read_call(reader: Reader, version: Version, ends: tuple[int, int]) -> Call:
    length = reader.number("H")
    numbered = length == 0xFFFF
    if numbered:
        number = reader.number("H")
        name = NUMBERED.get(number, f"procedure number {number}")
    else:
        name = reader.take(2 * length).decode("utf-16-le", "replace")
    flags = reader.number("H")
    parameters = []
    while reader.left:
        if reader.data[reader.at] in ends:
            reader.take(1)
            break
        parameter = reader.short_text()
        status = reader.number("B")
        wire = read_type(reader, version)
        value = read_value(reader, wire)
        parameters.append(Parameter(parameter, bool(status & 1), bool(status & 2), wire, value))
    return Call(name, tuple(parameters), flags, numbered)


@dataclass(frozen=True)
class TransactionRequest:
    """`begin` also after a commit or rollback, where the client asks for a new one."""

    kind: str
    name: str = ""
    begin: bool = False
    isolation: int = field(default=0)


_TRANSACTION_KINDS = {0: "address", 1: "propagate", 5: "begin", 6: "promote", 7: "commit", 8: "rollback", 9: "save"}


def read_transaction(data: bytes, version: Version) -> TransactionRequest:
    """A transaction manager request."""
    reader = Reader(without_headers(data, version))
    kind = _TRANSACTION_KINDS.get(reader.number("H"), "unknown")
    if kind == "begin":
        isolation = reader.number("B")
        return TransactionRequest(kind, _name(reader), isolation=isolation)
    if kind in ("commit", "rollback"):
        name = _name(reader)
        return TransactionRequest(kind, name, bool(reader.left and reader.number("B") & 1))
    if kind == "save":
        return TransactionRequest(kind, _name(reader))
    return TransactionRequest(kind)


def _name(reader: Reader) -> str:
    """A name whose length is told in bytes."""
    return reader.take(reader.number("B")).decode("utf-16-le", "replace") if reader.left else ""
