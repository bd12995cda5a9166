"""Bulk load: the message behind INSERT BULK. [MS-TDS] 2.2.6.1. Rows are put in as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .decoding import Reader, read_type, read_value
from .encoding import Value
from .packets import IGNORE_MESSAGE, Packet, ProtocolError
from .response import Cancelled
from .script import Simple
from .translation import Translator, name_at, quoted
from .versions import Version

if TYPE_CHECKING:
    from .queries import Queries


class Stream:
    """The message's bytes, packet by packet."""

    def __init__(self, first: Packet, more: Callable[[], Packet]) -> None:
        self._packet, self._more = first, more
        self._data = bytearray(first.data)

    @property
    def over(self) -> bool:
        return self._packet.last

    def read_away(self) -> None:
        """The rest, which nobody wants."""
        while not self._packet.last:
            self._next()

    def _next(self) -> None:
        self._packet = self._more()
        if self._packet.type != 0x07:
            raise Cancelled
        self._data += self._packet.data
        if self._packet.status & IGNORE_MESSAGE:
            raise Cancelled

    def parsed(self, read: Callable[[Reader], Value | object]) -> object:
        """What `read` makes of the front; more packets are taken while it is too short."""
        while True:
            reader = Reader(bytes(self._data))
            try:
                found = read(reader)
            except ProtocolError:
                if self.over:
                    raise
                self._next()
                continue
            del self._data[: reader.at]
            return found

    def ended(self) -> bool:
        """Whether nothing is left."""
        while not self._data and not self.over:
            self._next()
        return not self._data


def load(queries: Queries, statement: Simple, stream: Stream, version: Version) -> int:
    """Puts the rows into the table; how many they were. Raises SqlError, Cancelled."""
    chain, _end = name_at(statement.tokens, 2)
    names = queries._names({})
    table = Translator(names).table_name(chain)
    columns: list[tuple[str, object]] = []
    count = 0

    def metadata(reader: Reader) -> object:
        if reader.number("B") != 0x81:
            raise ProtocolError("a bulk load without metadata")
        found = []
        for _ in range(reader.number("H")):
            reader.take(6 if version.wide else 4)
            wire = read_type(reader, version)
            if wire.token in (0x22, 0x23, 0x63):
                for _part in range(reader.number("B") if version.wide else 1):
                    reader.long_text()
            found.append((reader.short_text(), wire))
        return found

    columns = stream.parsed(metadata)  # type: ignore[assignment]
    wires = [wire for _name, wire in columns]

    def row(reader: Reader) -> object:
        token = reader.number("B")
        if token == 0xFD:
            reader.take(12 if version.wide else 8)
            return None
        nulls = reader.take((len(wires) + 7) // 8) if token == 0xD2 else bytes((len(wires) + 7) // 8)
        if token not in (0xD1, 0xD2):
            raise ProtocolError(f"a row of a bulk load that begins with {token:#x}")
        return tuple(
            None if nulls[index // 8] >> index % 8 & 1 else read_value(reader, wire, in_row=True)  # type: ignore[arg-type]
            for index, wire in enumerate(wires)
        )

    def rows() -> Iterator[tuple[Value, ...]]:
        nonlocal count
        while not stream.ended():
            found = stream.parsed(row)
            if found is None:
                stream.read_away()
                return
            count += 1
            yield found  # type: ignore[misc]

    into = ", ".join(quoted(name) for name, _wire in columns)
    marks = ", ".join("?" * len(columns))
    connection = queries.session.connection
    with connection:
        connection.executemany(f"INSERT INTO {table} ({into}) VALUES ({marks})", rows())
    queries.session.row_count = count
    return count
