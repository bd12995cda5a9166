"""ALL_HEADERS, which stand in front of requests from TDS 7.2 on ([MS-TDS] 2.2.5.3)."""

from __future__ import annotations

from .codec import Malformed, Short, unpack_u32

LONGEST = 64 * 1024

_USUAL = b"\x16\0\0\0\x12\0\0\0"
"""22 bytes in all, and one header of 18, that of the transaction: what nearly every request has."""


def read_headers(data: bytes, position: int) -> tuple[bool, int]:
    """True, and the position behind the headers. Raises Short, and Malformed where their lengths are not consistent.

    They are not skipped by their total alone: what hides behind a wrong one would be read as something else here than
    by the server.
    """
    if data.startswith(_USUAL, position) and position + 22 <= len(data):
        return True, position + 22
    if position + 4 > len(data):
        raise Short
    total = unpack_u32(data, position)[0]
    if total < 4 or total > LONGEST:
        raise Malformed("headers of an impossible length")
    end = position + total
    if end > len(data):
        raise Short
    at = position + 4
    while at < end:
        size = unpack_u32(data, at)[0] if end - at >= 6 else 0
        if size < 6 or at + size > end:
            raise Malformed("a header of an impossible length")
        at += size
    return True, end
