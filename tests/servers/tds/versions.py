"""Versions of TDS ([MS-TDS] 2.2.6.4 and 2.2.7.14): what a client asks for and what the server's answer fixes."""

from __future__ import annotations

from enum import IntEnum


class Version(IntEnum):
    """Comparable. 7.3 has an A that knows no NBCROW, which nobody asks for any more."""

    V7_1 = 710
    V7_2 = 720
    V7_3A = 730
    V7_3B = 731
    V7_4 = 740
    V8_0 = 800

    @property
    def wide(self) -> bool:
        """7.2 and later: ALL_HEADERS, row counts of 8 bytes, line numbers of 4, types without a limit."""
        return self >= Version.V7_2


_ASKED = {
    0x71: Version.V7_1,
    0x72: Version.V7_2,
    0x73: Version.V7_3B,
    0x74: Version.V7_4,
    0x08: Version.V8_0,
}
ANSWERED = {
    Version.V7_1: b"\x71\x00\x00\x01",
    Version.V7_2: b"\x72\x09\x00\x02",
    Version.V7_3A: b"\x73\x0a\x00\x03",
    Version.V7_3B: b"\x73\x0b\x00\x03",
    Version.V7_4: b"\x74\x00\x00\x04",
    Version.V8_0: b"\x08\x00\x00\x00",
}
"""The version of LOGINACK, in its order of bytes."""


def asked(number: int) -> Version | None:
    """The version that a LOGIN7's number stands for."""
    if number == 0x730A0003:
        return Version.V7_3A
    return _ASKED.get(number >> 24)
