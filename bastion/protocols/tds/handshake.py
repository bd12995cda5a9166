"""LOGIN7: read by its offsets, and built anew for the database ([MS-TDS] 2.2.6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from .codec import Malformed, unpack_u16, unpack_u32
from .constants import TDS8, TDS72, TDS74

LONGEST_NAME = 128
"""Characters of each name."""

_FIXED = struct.Struct("<IIIIII4BiI")
_INTEGRATED, _USER_TYPE = 0x80, 0x70
_CHANGE_PASSWORD, _USER_INSTANCE, _EXTENSION = 0x01, 0x04, 0x10

FEDERATED_FEATURE = 0x02
CARRIED_FEATURES = frozenset((0x0A,))
"""Feature extensions that change nothing about what is read here: UTF-8 collations."""

_END_OF_FEATURES = 0xFF


@dataclass(frozen=True, slots=True)
class Login7:
    """A login as the client asks for it. `repr` shows no secret.

    numbers   packet size, version of the client program, its process id, connection id
    options   OptionFlags1, OptionFlags2, TypeFlags, OptionFlags3
    features  id -> data
    """

    version: int
    numbers: tuple[int, int, int, int]
    options: tuple[int, int, int, int]
    zone: int
    locale: int
    host: str
    user: str
    password: str = field(repr=False)
    program: str
    server: str
    library: str
    language: str
    database: str
    client_id: bytes
    attached: str
    features: dict[int, bytes] = field(default_factory=dict, repr=False)
    has_sspi: bool = False

    @property
    def integrated(self) -> bool:
        return bool(self.options[1] & _INTEGRATED) or self.has_sspi

    @property
    def federated(self) -> bool:
        return FEDERATED_FEATURE in self.features

    @property
    def changes_password(self) -> bool:
        return bool(self.options[3] & _CHANGE_PASSWORD)

    @property
    def user_instance(self) -> bool:
        return bool(self.options[3] & _USER_INSTANCE)


def scrambled(password: str) -> bytes:
    """A password as LOGIN7 has it: no encryption, each byte with its halves changed over and XORed."""
    return bytes(((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5 for byte in password.encode("utf-16-le", "replace"))


def unscrambled(data: bytes) -> str:
    clear = bytes((byte ^ 0xA5) << 4 & 0xF0 | (byte ^ 0xA5) >> 4 for byte in data)
    return clear.decode("utf-16-le", "replace")


def decode_login7(data: bytes) -> Login7:
    """A LOGIN7 message. Raises Malformed."""
    if len(data) < 86:
        raise Malformed("a LOGIN7 that is too short")
    found = _FIXED.unpack_from(data)
    length = found[0]
    if length > len(data):
        raise Malformed("a LOGIN7 that is longer than its message")

    def part(at: int, unit: int, most: int) -> bytes:
        offset, count = unpack_u16(data, at)[0], unpack_u16(data, at + 2)[0]
        if not count:
            return b""
        if count > most or offset + unit * count > length:
            raise Malformed("a LOGIN7 with a field beyond its end, or longer than any")
        return data[offset : offset + unit * count]

    def name(at: int, most: int = LONGEST_NAME) -> str:
        return part(at, 2, most).decode("utf-16-le", "replace")

    # The fixed part is longer from 7.2 on; where the data begin tells, since old clients name new versions too.
    starts = [unpack_u16(data, at)[0] for at in (36, 40, 44, 48, 52, 60, 64, 68) if unpack_u16(data, at + 2)[0]]
    extended = found[1] >= TDS72 or found[1] == TDS8
    extended = extended and length >= 94 and min(starts, default=94) >= 94
    features: dict[int, bytes] = {}
    if found[9] & _EXTENSION:
        pointer = part(56, 1, 4)
        if len(pointer) != 4:
            raise Malformed("a LOGIN7 whose extension is not where it says")
        features = _features(data[:length], unpack_u32(pointer)[0])
    sspi = unpack_u16(data, 80)[0]
    return Login7(
        version=found[1],
        numbers=(found[2], found[3], found[4], found[5]),
        options=(found[6], found[7], found[8], found[9]),
        zone=found[10],
        locale=found[11],
        host=name(36),
        user=name(40),
        password=unscrambled(part(44, 2, LONGEST_NAME)),
        program=name(48),
        server=name(52),
        library=name(60),
        language=name(64),
        database=name(68),
        client_id=data[72:78],
        attached=name(82, 260) if extended or len(data) >= 86 else "",
        features=features,
        has_sspi=bool(sspi),
    )


def _features(data: bytes, position: int) -> dict[int, bytes]:
    features: dict[int, bytes] = {}
    while True:
        if position >= len(data):
            raise Malformed("feature extensions without an end")
        if data[position] == _END_OF_FEATURES:
            return features
        if position + 5 > len(data):
            raise Malformed("a feature extension that is cut off")
        size = unpack_u32(data, position + 1)[0]
        if position + 5 + size > len(data):
            raise Malformed("a feature extension beyond the login's end")
        features[data[position]] = data[position + 5 : position + 5 + size]
        position += 5 + size


def for_server(theirs: Login7, person: str, user: str, password: str, *, strict: bool) -> Login7:
    """The client's wishes under another account, with the person behind the program's name, and less that may be asked.

    `strict`: the database is spoken to with TDS 8.0.
    """
    first, second, kind, third = theirs.options
    shown = f" ({person})"[:LONGEST_NAME]
    program = (theirs.program or "casemate")[: LONGEST_NAME - len(shown)] + shown
    features = {number: data for number, data in theirs.features.items() if number in CARRIED_FEATURES}
    third &= ~(_CHANGE_PASSWORD | _USER_INSTANCE | _EXTENSION)
    version = TDS74 if theirs.version == TDS8 and not strict else theirs.version
    return replace(
        theirs,
        version=version,
        options=(first, second & ~(_INTEGRATED | _USER_TYPE), kind, third | (_EXTENSION if features else 0)),
        user=user,
        password=password,
        program=program,
        attached="",
        features=features,
        has_sspi=False,
    )


def encode_login7(login: Login7) -> bytes:
    """The message's data."""
    extended = login.version >= TDS72 or login.version == TDS8
    start = 94 if extended else 86
    body = bytearray()
    pairs: dict[int, bytes] = {}

    def put(at: int, data: bytes, count: int) -> None:
        pairs[at] = (start + len(body)).to_bytes(2, "little") + count.to_bytes(2, "little")
        body.extend(data)

    def put_name(at: int, value: str) -> None:
        encoded = value.encode("utf-16-le", "replace")
        put(at, encoded, len(encoded) // 2)

    put_name(36, login.host)
    put_name(40, login.user)
    secret = scrambled(login.password)
    put(44, secret, len(secret) // 2)
    put_name(48, login.program)
    put_name(52, login.server)
    pointer_at = len(body)
    put(56, bytes(4) if login.features else b"", 4 if login.features else 0)
    put_name(60, login.library)
    put_name(64, login.language)
    put_name(68, login.database)
    put(78, b"", 0)
    put_name(82, login.attached)
    if extended:
        put(86, b"", 0)
    if login.features:
        body[pointer_at : pointer_at + 4] = (start + len(body)).to_bytes(4, "little")
        for number, data in login.features.items():
            body += bytes((number,)) + len(data).to_bytes(4, "little") + data
        body.append(_END_OF_FEATURES)
    head = bytearray(
        _FIXED.pack(start + len(body), login.version, *login.numbers, *login.options, login.zone, login.locale)
    )
    for at in (36, 40, 44, 48, 52, 56, 60, 64, 68):
        head += pairs[at]
    head += login.client_id + pairs[78] + pairs[82]
    if extended:
        head += pairs[86] + bytes(4)
    return bytes(head + body)
