"""The tokens of an answer that are read, each from its bytes ([MS-TDS] 2.2.7)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from bastion.protocols.contract import DatabaseError

from .codec import Malformed, Short, b_varchar, unpack_i32, unpack_u16, us_varchar
from .constants import TDS72, Token
from .type_info import How, TypeInfo, read_type

SHORT_LENGTH = frozenset(
    (Token.TABNAME, Token.COLINFO, Token.ORDER, Token.ERROR, Token.INFO, Token.LOGINACK, Token.ENVCHANGE, Token.SSPI)
)
"""Tokens with a length of two bytes."""

LONG_LENGTH = frozenset((Token.SESSIONSTATE, Token.FEDAUTHINFO))
"""Tokens with a length of four bytes."""

DONES = frozenset((Token.DONE, Token.DONEPROC, Token.DONEINPROC))

_wide_done = struct.Struct("<HHQ").unpack_from
_narrow_done = struct.Struct("<HHI").unpack_from


def done_size(version: int) -> int:
    """Bytes of a DONE token."""
    return 13 if version >= TDS72 else 9


def read_done(data: bytes, position: int, version: int) -> tuple[int, int, int]:
    """Status, command and count of the DONE token at `position`, which is whole."""
    status, command, count = (_wide_done if version >= TDS72 else _narrow_done)(data, position + 1)
    return status, command, count


class Saying(NamedTuple):
    """ERROR or INFO. `level` is its class."""

    number: int
    state: int
    level: int
    message: str
    server: str
    procedure: str
    line: int

    @property
    def error(self) -> DatabaseError:
        return DatabaseError(str(self.number), self.message)


def read_saying(body: bytes, version: int) -> Saying:
    """The body of an ERROR or INFO token. Raises Malformed."""
    try:
        number = unpack_i32(body)[0]
        state, level = body[4], body[5]
        message, position = us_varchar(body, 6)
        server, position = b_varchar(body, position)
        procedure, position = b_varchar(body, position)
    except (Short, struct.error, IndexError):
        raise Malformed("a message of the server that ends too early") from None
    line = int.from_bytes(body[position : position + (4 if version >= TDS72 else 2)], "little")
    return Saying(number, state, level, message, server, procedure, line)


class EnvChange(NamedTuple):
    """A change of the session. `new` are the bytes behind the type, old value included."""

    kind: int
    new: bytes

    @property
    def text(self) -> str:
        """The new value where it is text. Raises Malformed."""
        try:
            return b_varchar(self.new, 0)[0]
        except Short:
            raise Malformed("a change of the session that ends too early") from None

    @property
    def route(self) -> tuple[str, int]:
        """Host and port where it says to connect elsewhere. Raises Malformed."""
        try:
            if self.new[2]:
                raise Malformed("a redirect to something that is not TCP")
            return us_varchar(self.new, 5)[0], unpack_u16(self.new, 3)[0]
        except (Short, struct.error, IndexError):
            raise Malformed("a redirect that ends too early") from None


class LoginAck(NamedTuple):
    """`version` as LOGIN7 has it; `place` is where in the body it stands."""

    version: int
    program: str
    release: str


def read_login_ack(body: bytes) -> LoginAck:
    """The body of LOGINACK. Raises Malformed."""
    try:
        program, position = b_varchar(body, 5)
        major, minor, high, low = body[position : position + 4]
    except (Short, ValueError):
        raise Malformed("a confirmation of the login that ends too early") from None
    return LoginAck(int.from_bytes(body[1:5], "big"), program.rstrip("\0"), f"{major}.{minor}.{high << 8 | low}")


class ReturnValue(NamedTuple):
    """RETURNVALUE without its value, which follows."""

    ordinal: int
    name: str
    info: TypeInfo


def read_return_value(data: bytes, position: int, version: int) -> tuple[ReturnValue, int]:
    """The head of a RETURNVALUE token and the position of its value. Raises Short and Malformed."""
    if position + 3 > len(data):
        raise Short
    ordinal = unpack_u16(data, position + 1)[0]
    name, position = b_varchar(data, position + 3)
    position += 1 + (6 if version >= TDS72 else 4)
    # Its text types are told as those of parameters are: without a pointer into a table.
    info, position = read_type(data, position, of_parameter=False)
    if info.how == How.POINTED:
        info = info._replace(how=How.LONG)
    return ReturnValue(ordinal, name, info), position


def read_feature_acks(data: bytes, position: int) -> int:
    """The position behind a FEATUREEXTACK token. Raises Short."""
    position += 1
    while True:
        if position >= len(data):
            raise Short
        if data[position] == 0xFF:
            return position + 1
        if position + 5 > len(data):
            raise Short
        position += 5 + int.from_bytes(data[position + 1 : position + 5], "little")
