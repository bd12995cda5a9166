"""Bind values by their types, as an auditor reads them."""

from __future__ import annotations

import struct

import pytest

from bastion.protocols.mysql.codec import Malformed, Short
from bastion.protocols.mysql.values import UNSIGNED, decode_value


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (1, b"\xff", "-1"), (1 | UNSIGNED, b"\xff", "255"),
        (2, b"\x00\x80", "-32768"), (2 | UNSIGNED, b"\xff\xff", "65535"), (13, b"\xea\x07", "2026"),
        (3, b"\xff\xff\xff\xff", "-1"), (3 | UNSIGNED, b"\xff\xff\xff\xff", "4294967295"), (9, b"\x05\0\0\0", "5"),
        (8, b"\xff" * 8, "-1"), (8 | UNSIGNED, b"\xff" * 8, "18446744073709551615"),
        (4, struct.pack("<f", 1.5), "1.5"), (5, struct.pack("<d", 0.1), "0.1"),
        (246, b"\x0512.50", "12.50"), (0, b"\x011", "1"),
        (253, "\u8ba2\u5355".encode().join([b"\x06", b""]), "订单"), (254, b"\x00", ""), (15, b"\x02ab", "ab"),
        (245, b"\x07{\"a\":1}", '{"a":1}'),
        (252, b"\x03\xff\x00\x01", "0xff0001"), (253, b"\x02a\0", "0x6100"), (255, b"\x02\xc3\x28", "0xc328"),
        (10, b"\x04\xea\x07\x0b\x16", "2026-11-22"), (10, b"\x00", "0000-00-00"),
        (12, b"\x00", "0000-00-00 00:00:00"), (12, b"\x04\xea\x07\x0b\x16", "2026-11-22 00:00:00"),
        (12, b"\x07\xea\x07\x0b\x16\x0c\x22\x38", "2026-11-22 12:34:56"),
        (7, b"\x0b\xea\x07\x0b\x16\x0c\x22\x38\x40\xe2\x01\x00", "2026-11-22 12:34:56.123456"),
        (11, b"\x00", "00:00:00"), (11, b"\x08\x01\x02\0\0\0\x03\x04\x05", "-51:04:05"),
        (11, b"\x0c\x00\x00\0\0\0\x03\x04\x05\x40\xe2\x01\x00", "03:04:05.123456"),
        (6, b"", None),
    ],
)  # fmt: skip
def test_a_value(kind: int, data: bytes, expected: str | None) -> None:
    assert decode_value(kind, data + b"rest", 0, "utf-8") == (expected, len(data))


@pytest.mark.parametrize(
    ("kind", "data"), [(1, b""), (8, b"1234567"), (253, b"\x05abc"), (12, b"\x07\xea"), (253, b"\xfc\x01")]
)
def test_a_value_that_is_cut(kind: int, data: bytes) -> None:
    with pytest.raises(Short):
        decode_value(kind, data, 0, "utf-8")


@pytest.mark.parametrize(("kind", "data"), [(99, b"\x01a"), (12, b"\x05abcde"), (11, b"\x01a"), (253, b"\xff")])
def test_a_value_that_is_none(kind: int, data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_value(kind, data, 0, "utf-8")
