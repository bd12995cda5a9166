"""The chain and the signatures, computed a second time here from what docs/journal-format.md says."""

from __future__ import annotations

import base64
import json
import struct
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bastion.audit import chain
from bastion.audit.records import Act, StatementSent

from .journal_samples import AT, KEY, OTHER_KEY, lines_of, sent, small_journal


def test_a_verifier_written_from_the_documented_format_alone_agrees(tmp_path: Path) -> None:
    small_journal(tmp_path)
    previous = sha256(b"\0\0\0\x13casemate.journal.v1" + b"\0\0\0\x02n1").digest()
    hashes = [previous]
    checkpoints = 0
    content = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.journal")))
    for raw in content.split(b"\n")[:-1]:
        number, digest, blind, body = raw.split(b" ", 3)
        leaf = sha256(b"\0" + blind + b" " + body).digest()
        previous = sha256(b"\1" + previous + leaf + struct.pack(">Q", int(number))).digest()
        hashes.append(previous)
        assert previous.hex() == digest.decode()
        record = json.loads(body)
        if record["kind"] == "checkpoint":
            checkpoints += 1
            assert record["number"] == int(number) - 1
            assert record["hash"] == hashes[-2].hex()
            signed = b"".join(
                struct.pack(">I", len(field)) + field
                for field in (
                    b"casemate.journal.checkpoint.v1",
                    b"n1",
                    struct.pack(">Q", record["number"]),
                    hashes[-2],
                    record["at"].encode(),
                )
            )
            KEY.public_key().verify(base64.b64decode(record["signature"]), signed)
    assert checkpoints == 2
    assert len(hashes) == 11


def test_a_chain_belongs_to_its_node() -> None:
    assert chain.genesis("n1") != chain.genesis("n2")
    assert chain.genesis("n1") != chain.genesis("n11")


@given(
    st.builds(
        StatementSent, at=st.just(AT), session=st.text(), seq=st.integers(0, 2**40), operation=st.text(),
        statement_kind=st.text(), schema=st.text(), text=st.text(), complete=st.booleans(),
        binds=st.none() | st.lists(st.none() | st.text()), verdict=st.text(), tool=st.text(),
    )
)  # fmt: skip
def test_canonical_bytes_come_back_as_the_same_record_and_the_same_bytes(record: StatementSent) -> None:
    body = chain.canonical_bytes(record)
    assert b"\n" not in body
    assert chain.record_from(body) == record
    assert chain.canonical_bytes(chain.record_from(body)) == body


def test_bytes_that_are_not_utf_8_are_written_out() -> None:
    record = sent(text=b"SELECT '\x80'".decode("utf-8", "surrogateescape"), binds=["\udcff", None])
    with pytest.raises(UnicodeEncodeError):
        chain.canonical_bytes(record)
    clean = chain.encodable(record)
    assert isinstance(clean, StatementSent)
    assert clean.text == "SELECT '\\udc80'"
    assert clean.binds == ["\\udcff", None]
    act = Act(at=AT, user="a", source="", act="x", subject="", detail={"k": "\udc80", "n": 1})
    assert chain.encodable(act).detail == {"k": "\\udc80", "n": 1}  # type: ignore[union-attr]


def test_a_checkpoint_holds_only_as_it_was_signed() -> None:
    good = chain.sign_checkpoint(KEY, "n1", 7, b"\1" * 32, AT)
    key = chain.public_bytes(KEY)
    assert chain.checkpoint_fault(good, key) is None
    assert chain.checkpoint_fault(good, chain.public_bytes(OTHER_KEY)) == "it is signed with another key"
    changes = {"node": "n2", "number": 8, "hash": "02" * 32, "at": AT.replace("9", "8"), "signature": "AAAA"}
    for name, value in changes.items():
        assert chain.checkpoint_fault(msgspec.structs.replace(good, **{name: value}), key) is not None, name
    for name, value in {"hash": "zz", "public_key": "?", "signature": "é"}.items():
        assert chain.checkpoint_fault(msgspec.structs.replace(good, **{name: value}), key) is not None, name


def test_a_checkpoint_goes_through_an_anchor_file(tmp_path: Path) -> None:
    first = chain.sign_checkpoint(KEY, "n1", 7, b"\1" * 32, AT)
    second = chain.sign_checkpoint(KEY, "n1", 9, b"\2" * 32, AT)
    path = tmp_path / "anchor"
    path.write_text(chain.anchor_line(second) + "\n\n" + chain.anchor_line(first) + "\n")
    assert chain.read_anchors(path) == [first, second]


@pytest.mark.parametrize("content", ["", "\n", "x", "[]", "{}", '{"node": "n1"}', '"a"', "\x00"])
def test_what_is_no_anchor_is_said_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "anchor"
    path.write_text(content)
    with pytest.raises(chain.AnchorUnreadable, match="anchor"):
        chain.read_anchors(path)


def test_a_public_key_is_read_in_base64_pem_and_raw(tmp_path: Path) -> None:
    raw = chain.public_bytes(KEY)
    path = tmp_path / "key"
    for content in (
        raw,
        base64.b64encode(raw) + b"\n",
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        path.write_bytes(content)
        assert chain.read_public_key(path) == raw
    for content in (b"", b"AAAA", b"-----BEGIN nothing", b"\xff" * 31):
        path.write_bytes(content)
        with pytest.raises(chain.KeyUnreadable):
            chain.read_public_key(path)


def test_lines_of_a_small_journal_are_numbered_without_a_gap(tmp_path: Path) -> None:
    small_journal(tmp_path)
    assert [line.number for line in lines_of(tmp_path)] == list(range(1, 11))
