"""What both sides settle before a login: protocol version and capabilities (PRO), then the forms of data (DTY)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import constants as c
from .character_sets import codec_of
from .codec import Dialect, Malformed, Reader, Short

FIELD_VERSION, BIG_CHUNKS, END_OF_REPLY, NARROW_TYPES, LONGEST_BANNER = 7, 37, 40, 27, 256
"""Where in the capabilities these stand; bytes of a banner at most."""

LONG_STRINGS = 6
"""Where the server's run-time capabilities say (4) that a string may have 32,767 bytes; else it may have 4,000."""

COUNTED_TEXTS = 0x02
"""In the client's conversion flags: its texts have lengths of their own (seen in captures of five clients)."""

UB2, UB4, SB1, POINTER = 25, 26, 27, 32
"""Types of the table that say how C types travel."""
UNIVERSAL = 1

MOST_TYPES = 2000


@dataclass(frozen=True)
class Protocol:
    """One side's PRO. `capabilities` are the server's; a client says its own with the data types."""

    banner: str
    capabilities: bytes = b""
    run_time: bytes = b""
    character_set: int = 0


@dataclass(frozen=True)
class DataTypes:
    """One side's DTY. `table`: for each type the forms that it can take, (conversion, representation), best first."""

    table: Mapping[int, tuple[tuple[int, int], ...]]
    character_set: int = 0
    conversion: int = 0
    capabilities: bytes = b""
    run_time: bytes = b""


def protocol_request(reader: Reader) -> Protocol:
    """The client's PRO, behind its type. Raises Short and Malformed."""
    while reader.ub1():
        pass
    return Protocol(_banner(reader))


def protocol_answer(reader: Reader) -> Protocol:
    """The server's PRO, behind its type. Raises Short and Malformed."""
    reader.skip(2)
    banner = _banner(reader)
    character_set = _little(reader)
    reader.skip(1)
    reader.skip(_little(reader) * 5)
    reader.skip(int.from_bytes(reader.raw(2), "big"))
    return Protocol(banner, reader.raw(reader.ub1()), reader.raw(reader.ub1()), character_set)


def data_types_request(reader: Reader) -> DataTypes:
    """The client's DTY, behind its type. Raises Short and Malformed."""
    character_set = _little(reader)
    reader.skip(2)
    conversion = reader.ub1()
    capabilities = reader.raw(reader.ub1())
    run_time = reader.raw(reader.ub1())
    if _has_zone(run_time):
        reader.skip(11)
        if _has_zone_version(capabilities):
            reader.skip(4)
    if _has_zone_version(capabilities):
        reader.skip(2)  # the national character set
    narrow = len(capabilities) > NARROW_TYPES and not capabilities[NARROW_TYPES]
    return DataTypes(_table(reader, narrow), character_set, conversion, capabilities, run_time)


def data_types_answer(reader: Reader, asked: DataTypes) -> DataTypes:
    """The server's DTY, behind its type. Raises Short and Malformed."""
    if _has_zone(asked.run_time):
        reader.skip(11)
        if _has_zone_version(asked.capabilities):
            reader.skip(4)
    narrow = len(asked.capabilities) > NARROW_TYPES and not asked.capabilities[NARROW_TYPES]
    return DataTypes(_table(reader, narrow))


def agreed(server: Protocol, asked: DataTypes, answered: DataTypes, field_version: int | None = None) -> Dialect:
    """The dialect of the calls that follow. `field_version`: where it is settled elsewhere (fast authentication)."""
    ours, theirs = asked.capabilities, server.capabilities

    def both(index: int, bit: int) -> bool:
        return len(ours) > index and len(theirs) > index and bool(ours[index] & theirs[index] & bit)

    def native(kind: int) -> bool:
        forms = answered.table.get(kind) or asked.table.get(kind)
        return forms is not None and len(forms) > 0 and forms[0][1] != UNIVERSAL

    versions = [each[FIELD_VERSION] for each in (ours, theirs) if len(each) > FIELD_VERSION]
    return Dialect(
        field_version=min(versions, default=0) if field_version is None else field_version,
        native_ub2=native(UB2),
        native_ub4=native(UB4),
        native_sb1=native(SB1),
        native_pointer=native(POINTER),
        big_chunks=both(BIG_CHUNKS, 0x20),
        counted_texts=bool(asked.conversion & COUNTED_TEXTS),
        new_end_of_call=bool(answered.table.get(c.NEW_END_OF_CALL)),
        end_of_reply=both(END_OF_REPLY, 0x20),
        codec=codec_of(asked.character_set),
        longest_string=32767 if len(server.run_time) > LONG_STRINGS and server.run_time[LONG_STRINGS] & 4 else 4000,
    )


def _banner(reader: Reader) -> str:
    end = reader.data.find(b"\0", reader.position, reader.position + LONGEST_BANNER)
    if end < 0:
        if len(reader.data) - reader.position >= LONGEST_BANNER:
            raise Malformed("a banner without an end")
        raise Short
    banner = bytes(reader.data[reader.position : end])
    reader.position = end + 1
    return banner.decode("ascii", "backslashreplace")


def _little(reader: Reader) -> int:
    return int.from_bytes(reader.raw(2), "little")


def _has_zone(run_time: bytes) -> bool:
    return len(run_time) > 1 and bool(run_time[1] & 1)


def _has_zone_version(capabilities: bytes) -> bool:
    return len(capabilities) > BIG_CHUNKS and bool(capabilities[BIG_CHUNKS] & 2)


def _table(reader: Reader, narrow: bool) -> dict[int, tuple[tuple[int, int], ...]]:
    def number() -> int:
        return reader.ub1() if narrow else int.from_bytes(reader.raw(2), "big")

    table: dict[int, tuple[tuple[int, int], ...]] = {}
    while kind := number():
        if len(table) > MOST_TYPES:
            raise Malformed("a table of types without an end")
        forms = []
        if conversion := number():
            while conversion:
                forms.append((conversion, number()))
                conversion = number()
        table[kind] = tuple(forms)
    return table
