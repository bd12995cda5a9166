"""Binary bind values, made by psycopg's own dumpers: an encoder that shares nothing with the reader."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import Json, Jsonb

from bastion.protocols.contract import BIND_LIMIT
from bastion.protocols.postgres.character_sets import codec_for
from bastion.protocols.postgres.values import bind_text, value_text


def dumped(value: Any) -> tuple[int, bytes]:
    """The type's OID and the binary form, as psycopg sends them."""
    transformer = Transformer()
    dumper = transformer.get_dumper(value, PyFormat.BINARY)
    data = dumper.dump(value)
    assert data is not None
    return dumper.oid, bytes(data)


def dumped_as(name: str, value: Any) -> tuple[int, bytes]:
    """The same for a type that is not the value's first choice."""
    info = psycopg.adapters.types[name]
    dumper = psycopg.adapters.get_dumper_by_oid(info.oid, psycopg.pq.Format.BINARY)(type(value), Transformer())
    data = dumper.dump(value)
    assert data is not None
    return info.oid, bytes(data)


def read(value: Any) -> str:
    oid, data = dumped(value)
    return bind_text(oid, True, data, "utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1, "-1"),
        (32767, "32767"),
        (-2147483648, "-2147483648"),
        (2**63 - 1, "9223372036854775807"),
        (2**70, "1180591620717411303424"),
        (0.1, "0.1"),
        (1.0, "1"),
        (-1e300, "-1e+300"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ("text 订单", "text 订单"),
        ("", ""),
        (b"\x00\xff", "\\x00ff"),
        (dt.date(2026, 2, 28), "2026-02-28"),
        (dt.date(1, 1, 1), "0001-01-01"),
        (dt.date.max, "9999-12-31"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 678), "2026-01-02 03:04:05.000678"),
        (dt.datetime(1969, 12, 31, 23, 59, 59), "1969-12-31 23:59:59"),
        (
            dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2026-01-02 01:04:05+00:00",
        ),
        (dt.time(1, 2, 3), "01:02:03"),
        (dt.time(23, 59, 59, 999999), "23:59:59.999999"),
        (dt.time(1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=-5, minutes=-30))), "01:02:03-05:30"),
        (dt.timedelta(days=3, seconds=3661, microseconds=5), "3 days 01:01:01.000005"),
        (dt.timedelta(0), "00:00:00"),
        (Decimal("0"), "0"),
        (Decimal("0.00001"), "0.00001"),
        (Decimal("-12345678.90"), "-12345678.90"),
        (Decimal("1e20"), "100000000000000000000"),
        (Decimal("NaN"), "NaN"),
        (Decimal("Infinity"), "Infinity"),
        (Decimal("-Infinity"), "-Infinity"),
        (uuid.UUID("12345678-1234-5678-1234-567812345678"), "12345678-1234-5678-1234-567812345678"),
        (Json({"a": [1, "é"]}), '{"a": [1, "\\u00e9"]}'),
        (Jsonb({"a": None}), '{"a": null}'),
        ([1, None, 3], "{1,NULL,3}"),
        ([True, False], "{true,false}"),
        (["a", "b c", 'q"', "", "NULL", "x,y", "back\\slash"], '{a,"b c","q\\"","","NULL","x,y","back\\\\slash"}'),
        ([Decimal("1.50")], "{1.50}"),
        ([dt.date(2026, 1, 1)], "{2026-01-01}"),
        ([b"\x01"], '{"\\\\x01"}'),
        ([uuid.UUID(int=1)], "{00000000-0000-0000-0000-000000000001}"),
        ([], "{}"),
    ],
)
def test_what_psycopg_sends(value: Any, text: str) -> None:
    oid, data = dumped(value)
    shown = bind_text(oid, True, data, "utf-8")
    if value == []:
        assert shown in ("{}", "\\x" + data.hex())
    else:
        assert shown == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("float4", 0.1, "0.1"),
        ("float4", 16777216.0, "1.6777216e+07"),
        ("float4", float("nan"), "NaN"),
        ("float4", 3.4028235e38, "3.4028235e+38"),
        ("oid", 4294967295, "4294967295"),
        ("varchar", "v", "v"),
        ("name", "n", "n"),
    ],
)
def test_types_beside_the_first_choice(name: str, value: Any, text: str) -> None:
    oid, data = dumped_as(name, value)
    shown = bind_text(oid, True, data, "utf-8")
    if name == "float4" and value == value:
        assert float(shown) == pytest.approx(value, rel=1e-7)
    assert shown == text


@pytest.mark.parametrize(
    ("oid", "data", "text"),
    [
        (1082, "7fffffff", "infinity"),
        (1082, "80000000", "-infinity"),
        (1114, "7fffffffffffffff", "infinity"),
        (1184, "8000000000000000", "-infinity"),
        (1083, (86_400_000_000).to_bytes(8, "big").hex(), "24:00:00"),
        (1186, "ffffffff25c992c0" + "00000002" + "0000000e", "1 year 2 mons 2 days -01:01:01"),
        (790, (12345).to_bytes(8, "big").hex(), "12345"),
        (3220, "0000000100000abc", "1/ABC"),
        (1700, "0001 0001 0000 0000 0001".replace(" ", ""), "10000"),
        # A number of 131,072 digits in ten bytes is shown as it came.
        (1700, "0001 7fff 0000 0000 0001".replace(" ", ""), "\\x00017fff000000000001"),
        (23, "00", "\\x00"),
        (2950, "00", "\\x00"),
        (99999, "c0ffee", "\\xc0ffee"),
        # Two dimensions, and an array whose count is a lie.
        (1007, "000000020000000000000017", "\\x000000020000000000000017"),
        (1007, "0000000100000000000000177fffffff00000001", "\\x0000000100000000000000177fffffff00000001"),
    ],
)  # fmt: skip
def test_forms_that_psycopg_does_not_send(oid: int, data: str, text: str) -> None:
    assert bind_text(oid, True, bytes.fromhex(data), "utf-8") == text


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.integers(-(2**80), 2**80),
        st.decimals(allow_nan=False, allow_infinity=False, places=7),
        st.floats(allow_nan=False, allow_infinity=False),
        st.dates(),
        st.datetimes(),
        st.uuids(),
        st.binary(max_size=200),
    )
)
def test_values_read_back(value: Any) -> None:
    text = read(value)
    if isinstance(value, bytes):
        assert text == "\\x" + value.hex()
    elif isinstance(value, dt.datetime):
        assert dt.datetime.fromisoformat(text) == value
    elif isinstance(value, dt.date):
        assert dt.date.fromisoformat(text) == value
    else:
        assert type(value)(text) == value


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**60), max_value=10**60))
def test_numbers_read_back(value: Decimal) -> None:
    text = read(value)
    assert text.startswith("\\x") or Decimal(text) == value


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.integers(-(2**60), 2**60), min_size=1, max_size=30))
def test_arrays_read_back(values: list[int | None]) -> None:
    if all(value is None for value in values):
        return
    assert read(values) == "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100))
def test_text_in_both_formats(text: str) -> None:
    for binary in (False, True):
        assert bind_text(25, binary, text.encode(), "utf-8") == text


@pytest.mark.parametrize("oid", [0, 600_000, 3614, 3615])
def test_a_type_that_is_not_decoded_is_shown_as_bytes(oid: int) -> None:
    assert bind_text(oid, True, b"\x02\x20", "utf-8") == "\\x0220"


def test_arrays_in_arrays_are_no_arrays() -> None:
    """The server never sends them, and a reader that follows them has no end."""
    value = b"\0\0\0\x01"
    for _ in range(5_000):
        value = struct.pack(">iiIiii", 1, 0, 1007, 1, 1, len(value)) + value
    assert value_text(1007, True, value, "utf-8") == "\\x" + value.hex()


def test_long_values_are_cut_with_length_and_digest() -> None:
    import hashlib

    value = "é".encode() * 50_000
    text = bind_text(25, False, value, "utf-8")
    digest = hashlib.sha256(value).hexdigest()
    assert text == "é" * (BIND_LIMIT // 4) + f"… (100000 bytes, sha256 {digest})"
    assert len(text) < BIND_LIMIT


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("UTF8", "utf-8"), ("utf-8", "utf-8"), ("unicode", "utf-8"), ("SQL_ASCII", "utf-8"), ("LATIN1", "latin-1"),
        ("GBK", "gbk"), ("GB18030", "gb18030"), ("SJIS", "cp932"), ("WIN1252", "cp1252"), ("EUC_TW", "utf-8"),
        ("", "utf-8"), ("../../etc", "utf-8"),
    ],
)  # fmt: skip
def test_client_encodings(encoding: str, codec: str) -> None:
    assert codec_for(encoding) == codec
