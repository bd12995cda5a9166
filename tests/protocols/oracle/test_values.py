"""Values as an auditor reads them, from bytes as servers and drivers write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.protocols.oracle import constants as c
from bastion.protocols.oracle.codec import Dialect, Malformed, Reader
from bastion.protocols.oracle.columns import Described
from bastion.protocols.oracle.values import (
    binary_float,
    date,
    interval_of_days,
    interval_of_years,
    number,
    rowid,
    shown,
)
from tests.servers.oracle.columns import encode_number

THIN = Dialect(field_version=24, big_chunks=True)


@pytest.mark.parametrize(("data", "text"), [
    ("80", "0"), ("c102", "1"), ("c12b", "42"), ("c2020b", "110"), ("c40202", "1010000"), ("c104 0f", "3.14"),
    ("c0 1a", "0.25"), ("3e 64 5a 66", "-1.11"), ("3e 3b 66", "-42"), ("c402", "1000000"), ("bf 02", "0.0001"),
    ("ff65", "Infinity"), ("00", "-1e126"),
])  # fmt: skip
def test_numbers(data: str, text: str) -> None:
    assert number(bytes.fromhex(data)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6))
def test_any_number(value: Decimal) -> None:
    assert Decimal(number(encode_number(value))) == value


@pytest.mark.parametrize(("data", "text"), [
    ("787c030f0f1f2e", "2024-03-15 14:30:45"),
    ("787c030f0f1f2e075bca00", "2024-03-15 14:30:45.123456"),
    # 19c sends UTC and the zone, 23ai the local time (0x40 in the hour of the zone)
    ("787c030f0a012e00000000195a", "2024-03-15 14:30:45 +05:30"),
    ("787c030f0f1f2e00000000595a", "2024-03-15 14:30:45 +05:30"),
    ("787c030f0f1f2e000000008123", "2024-03-15 14:30:45 (zone 8123)"),
])  # fmt: skip
def test_dates(data: str, text: str) -> None:
    assert date(bytes.fromhex(data)) == text


def test_other_types() -> None:
    assert binary_float(bytes.fromhex("c00c000000000000")) == "3.5"
    assert binary_float(bytes.fromhex("3ff3ffffffffffff")) == "-3.5"
    assert binary_float(bytes.fromhex("c0600000")) == "3.5"
    assert interval_of_days(bytes.fromhex("800000023f3d3e80000000")) == "+2 03:01:02"
    assert interval_of_years(bytes.fromhex("7fffffff39")) == "-1-03"
    assert rowid(0x12345, 4, 171, 0) == "AAASNFAAEAAAACrAAA"


def test_what_is_damaged_is_shown_as_its_bytes() -> None:
    assert shown(THIN, Described(c.DATE, 7), b"\1\2") == "0x0102"
    assert shown(THIN, Described(c.VARCHAR, 10), b"\xff") == "\\xff"
    assert shown(THIN, Described(c.VARCHAR, 10, form=2), "数".encode("utf-16-be")) == "数"
    assert shown(THIN, Described(c.VARCHAR, 10), None) is None


def test_byte_strings_in_one_piece_and_in_chunks() -> None:
    for data, value in ((b"\3abc", b"abc"), (b"\0", None), (b"\xff", None), (b"\xfd\1", None),
                        (b"\xfe\1\2ab\1\1c\0", b"abc")):  # fmt: skip
        reader = Reader(data, THIN)
        assert reader.byte_string() == value
        assert reader.position == len(data)
    short = Reader(b"\xfe\2ab\1c\0", Dialect())
    assert short.byte_string() == b"abc"
    with pytest.raises(Malformed):
        Reader(b"\x7f", THIN).universal()
