"""The bastion's own words in the forms of Oracle Net and TTC."""

from __future__ import annotations

from bastion.protocols.contract import Refusal

from . import constants as c
from .codec import Dialect
from .framing import data_packets, packet

ORA_NUMBERS = {
    "database-unreachable": 12541,
    "database-tls": 28860,
    "login-timeout": 12170,
    "database-name-not-allowed": 12514,
    "client-token-needed": 1017,
    "too-many-sessions": 18,
    "bastion-stopping": 1089,
    "not-supported": 3001,
    "session-ended": 28,
    "session-ended-by-auditor": 28,
    "token-expired": 28001,
    "held-cancelled": 1013,
}
"""Numbers of Oracle's that clients know; what has none is ORA-01031 (privileges)."""

_NO_PRIVILEGE = 1031
LONGEST_TEXT = 1000


def not_carried(what: str) -> Refusal:
    """Of a call that the bastion does not read."""
    return Refusal(
        "not-supported",
        f"This call does not pass the bastion: {what}. Nothing of it was done; the session goes on.",
    )


def number_of(refusal: Refusal) -> int:
    """Oracle's number for it."""
    return ORA_NUMBERS.get(refusal.code, _NO_PRIVILEGE)


def message_of(refusal: Refusal) -> str:
    """As clients show it."""
    return f"ORA-{number_of(refusal):05d}: {refusal.message[:LONGEST_TEXT]} (The bastion says this, not the database.)"


def connect_refused(refusal: Refusal) -> bytes:
    """A REFUSE in answer to a CONNECT: some clients show its text, all of them the number."""
    text = refusal.message[:LONGEST_TEXT].replace("(", "[").replace(")", "]").replace("=", ":")
    number = number_of(refusal)
    stack = f"(ERROR_STACK=(ERROR=(CODE={number})(EMFI=4)(TEXT={text})))"
    words = f"(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR={number}){stack})"
    data = words.encode("ascii", "replace")
    return packet(c.REFUSE, b"\x01\x00" + len(data).to_bytes(2, "big") + data, wide=False)


class _Writer:
    """The opposite of `codec.Reader`, for what the bastion says itself."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.data = bytearray()

    def raw(self, data: bytes) -> None:
        self.data += data

    def universal(self, value: int) -> None:
        size = (value.bit_length() + 7) // 8
        self.data += bytes((size,)) + value.to_bytes(size, "big")

    def ub2(self, value: int) -> None:
        if self._dialect.native_ub2:
            self.data += value.to_bytes(2, "little")
        else:
            self.universal(value)

    def ub4(self, value: int) -> None:
        if self._dialect.native_ub4:
            self.data += value.to_bytes(4, "little")
        else:
            self.universal(value)

    def sb1(self, value: int) -> None:
        if self._dialect.native_sb1:
            self.data.append(value)
        else:
            self.universal(value)

    def byte_string(self, value: bytes) -> None:
        if len(value) < 253:
            self.data += bytes((len(value),)) + value
            return
        self.data.append(254)
        for start in range(0, len(value), 200):
            part = value[start : start + 200]
            if self._dialect.big_chunks:
                self.ub4(len(part))
            else:
                self.data.append(len(part))
            self.data += part
        if self._dialect.big_chunks:
            self.ub4(0)
        else:
            self.data.append(0)


def call_refused(refusal: Refusal, dialect: Dialect, *, call: int, status: int) -> bytes:
    """The end of a call that was not done (OER), as the client's dialect has it. `status`: the last one seen."""
    writer = _Writer(dialect)
    number = number_of(refusal)
    writer.raw(bytes((c.ERROR,)))
    writer.ub4(status)
    writer.ub2(0)
    writer.ub4(0)
    writer.ub2(number)
    for _ in range(4):  # error of an array, the same again, cursor, position
        writer.ub2(0)
    writer.raw(b"\0")
    for _ in range(3):
        writer.sb1(0)
    writer.raw(b"\0\0")
    writer.ub4(0)  # rowid
    writer.ub2(0)
    writer.raw(b"\0")
    writer.ub4(0)
    writer.ub2(0)
    writer.ub4(0)
    writer.raw(bytes((0, call)))
    writer.ub2(0)
    writer.ub4(0)
    writer.ub2(0)
    for _ in range(3):
        writer.ub4(0)
    if dialect.field_version >= 7:
        writer.ub4(number)
        writer.universal(0)
    if dialect.new_end_of_call:
        writer.ub4(0)
        writer.ub4(0)
    writer.byte_string((message_of(refusal) + "\n").encode(dialect.codec, "replace"))
    if dialect.end_of_reply:
        writer.raw(bytes((c.END_OF_REPLY,)))
    return bytes(writer.data)


def call_refused_packets(refusal: Refusal, dialect: Dialect, *, call: int, status: int, unit: int, wide: bool) -> bytes:
    """The same in packets."""
    flags = c.END_OF_RESPONSE if dialect.end_of_reply else 0
    return data_packets(
        call_refused(refusal, dialect, call=call, status=status), wide=wide, unit=unit, last_flags=flags
    )
