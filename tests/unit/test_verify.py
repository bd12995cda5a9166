"""What the offline verifier finds, and where it says it is."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.api import messages as m
from bastion.audit import chain
from bastion.audit import verify as verify_module
from bastion.audit.segments import Line, segments_of
from bastion.audit.verify import NothingToVerify, last_checkpoint, verify

from .journal_samples import KEY, OTHER_KEY, done, open_journal, sent, small_journal

PUBLIC = chain.public_bytes(KEY)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    small_journal(folder)
    return folder


def only_segment(folder: Path) -> Path:
    (segment,) = segments_of(folder)
    return segment.path


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Changes the lines of the journal's one segment."""
    path = only_segment(folder)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def rechained(lines: list[bytes], key: Ed25519PrivateKey | None = None) -> list[bytes]:
    """What somebody does who can write the folder: numbers and hashes anew; with the key, the checkpoints too."""
    head = chain.genesis("n1")
    out = []
    for number, raw in enumerate(lines, 1):
        line = Line.parse(raw)
        assert line is not None
        body = line.body
        if key is not None and body.startswith(b'{"kind":"checkpoint"'):
            record = chain.record_from(body)
            body = chain.canonical_bytes(chain.sign_checkpoint(key, "n1", number - 1, head, record.at))
        line = dataclasses.replace(line, number=number, body=body)
        head = line.hash_after(head)
        out.append(dataclasses.replace(line, hash=head).written())
    return out


def broken(proof: m.Proof) -> tuple[int | None, str]:
    assert not proof.intact
    assert proof.reason
    return proof.broken_at, proof.reason


def test_a_good_journal(journal: Path) -> None:
    proof = verify(journal, PUBLIC)
    assert (proof.intact, proof.records, proof.proved_to, proof.unwitnessed) == (True, 10, 10, 0)
    assert (proof.broken_at, proof.file, proof.reason) == (None, None, None)
    assert proof.key_from == "given"
    assert proof.proved_at
    assert proof.proved_at.endswith("Z")


def test_records_after_the_last_checkpoint_are_not_witnessed(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for seq in range(1, 4):
        journal.append(sent(seq))
    proof = verify(tmp_path, PUBLIC)
    assert (proof.intact, proof.records, proof.proved_to, proof.unwitnessed) == (True, 5, 2, 3)
    journal.close("over")


def test_every_byte_that_is_changed_is_found_in_its_record(journal: Path) -> None:
    path = only_segment(journal)
    content = path.read_bytes()
    record = 1
    for position, byte in enumerate(content):
        path.write_bytes(content[:position] + bytes([byte ^ 1]) + content[position + 1 :])
        proof = verify(journal, PUBLIC)
        assert not proof.intact, position
        assert proof.broken_at == record, position
        assert proof.file == str(path)
        assert proof.proved_to <= record - 1
        if byte == 0x0A:
            record += 1
    assert record == 11


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_run_of_bytes_put_in_or_taken_out_is_found(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_journal(folder)
        path = only_segment(folder)
        content = path.read_bytes()
        start = data.draw(st.integers(0, len(content) - 1))
        end = data.draw(st.integers(start, len(content)))
        new = data.draw(st.binary(max_size=40))
        changed = content[:start] + new + content[end:]
        path.write_bytes(changed)
        proof = verify(folder, PUBLIC)
        if changed == content:
            assert proof.intact
        elif content.startswith(changed) and (changed == b"" or changed.endswith(b"\n")):
            # Cut at the end of a record: only an anchor can tell, but for a cut that leaves nothing at all.
            assert proof.intact == (changed != b"")
        else:
            assert proof.broken_at is not None
            # At the latest the record after the last whole one before the change.
            assert proof.broken_at <= content.count(b"\n", 0, start) + 1


def test_a_record_taken_out(journal: Path) -> None:
    rewrite(journal, lambda lines: lines[:4] + lines[5:])
    assert broken(verify(journal, PUBLIC)) == (5, "record 5 was removed: record 6 stands in its place")


def test_a_record_put_in(journal: Path) -> None:
    rewrite(journal, lambda lines: [*lines[:4], lines[2], *lines[4:]])
    assert broken(verify(journal, PUBLIC)) == (
        5,
        "record 3 stands in the place of record 5: it was put in or moved",
    )


def test_records_that_changed_places(journal: Path) -> None:
    rewrite(journal, lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]])
    assert broken(verify(journal, PUBLIC)) == (5, "record 5 was moved: record 6 stands in its place")


def test_records_that_changed_places_and_numbers(journal: Path) -> None:
    def swap(lines: list[bytes]) -> list[bytes]:
        fifth, sixth = lines[4].replace(b"5 ", b"6 ", 1), lines[5].replace(b"6 ", b"5 ", 1)
        return [*lines[:4], sixth, fifth, *lines[6:]]

    rewrite(journal, swap)
    number, reason = broken(verify(journal, PUBLIC))
    assert number == 5
    assert "changed or put in" in reason


def test_a_changed_record_with_the_chain_computed_anew_breaks_at_the_checkpoint(journal: Path) -> None:
    rewrite(journal, lambda lines: rechained([line.replace(b"SELECT 2", b"SELECT 3") for line in lines]))
    number, reason = broken(verify(journal, PUBLIC))
    assert number == 10
    assert "one of the records 3 to 9 was changed" in reason


def test_all_checkpoints_taken_out_and_the_chain_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path)
    for seq in range(1, 101):
        journal.append(sent(seq))
    journal.close("over")
    monkeypatch.setattr(verify_module, "LONGEST_UNSIGNED", 100)
    assert verify(tmp_path, PUBLIC).intact is False
    monkeypatch.setattr(verify_module, "LONGEST_UNSIGNED", 102)
    assert verify(tmp_path, PUBLIC).intact
    rewrite(tmp_path, lambda lines: rechained([line for line in lines if b'"kind":"checkpoint"' not in line]))
    monkeypatch.setattr(verify_module, "LONGEST_UNSIGNED", 99)
    number, reason = broken(verify(tmp_path, PUBLIC))
    assert number == 100
    assert "no checkpoint" in reason
    proof = verify(tmp_path, PUBLIC)
    assert proof.proved_to == 0


def test_a_checkpoint_of_a_foreign_key(journal: Path) -> None:
    rewrite(journal, lambda lines: rechained(lines, OTHER_KEY))
    number, reason = broken(verify(journal, PUBLIC))
    assert number == 2
    assert "another key" in reason
    assert verify(journal, chain.public_bytes(OTHER_KEY)).intact


def test_a_checkpoint_with_a_wrong_signature(journal: Path) -> None:
    def forge(lines: list[bytes]) -> list[bytes]:
        before, line = Line.parse(lines[8]), Line.parse(lines[9])
        assert before is not None
        assert line is not None
        line = dataclasses.replace(line, body=line.body.replace(b'"signature":"', b'"signature":"AAAA'))
        return [*lines[:9], dataclasses.replace(line, hash=line.hash_after(before.hash)).written()]

    rewrite(journal, forge)
    number, reason = broken(verify(journal, PUBLIC))
    assert number == 10
    assert "signature does not hold" in reason


# ------------------------------------------------------------------------------------------------------------- format 1


def in_format_1(folder: Path) -> None:
    """The same records as a journal of format 1."""
    head, number = chain.genesis("n1"), 0

    def change(lines: list[bytes]) -> list[bytes]:
        nonlocal head, number
        out = []
        for raw in lines:
            line = Line.parse(raw)
            assert line is not None
            body, number = line.body, number + 1
            if body.startswith(b'{"kind":"checkpoint"'):
                body = chain.canonical_bytes(
                    chain.sign_checkpoint(KEY, "n1", number - 1, head, chain.record_from(body).at)
                )
            head = chain.next_hash(head, body, number)
            out.append(b"%d %s %s\n" % (number, head.hex().encode(), body))
        return out

    rewrite(folder, change)


def test_a_journal_of_format_1_verifies_and_goes_on_in_format_2(journal: Path) -> None:
    in_format_1(journal)
    assert verify(journal, PUBLIC).proved_to == 10
    open_journal(journal).close("went on")
    lines = [Line.parse(raw) for raw in only_segment(journal).read_bytes().splitlines(keepends=True)]
    assert [line.format for line in lines if line is not None] == [1] * 10 + [2] * 5
    assert verify(journal, PUBLIC).proved_to == 15


def test_the_journal_never_goes_back_to_format_1(journal: Path) -> None:
    def back(lines: list[bytes]) -> list[bytes]:
        before, line = Line.parse(lines[7]), Line.parse(lines[8])
        assert before is not None
        assert line is not None
        old = dataclasses.replace(line, blind=b"")
        return [*lines[:8], dataclasses.replace(old, hash=old.hash_after(before.hash)).written()]

    rewrite(journal, back)
    assert broken(verify(journal, PUBLIC))[0] == 9


# ------------------------------------------------------------------------------------------------------------- segments


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    journal = open_journal(folder, segment_bytes=1500)
    for seq in range(1, 25):
        journal.append(sent(seq))
    journal.close("over")
    assert len(segments_of(folder)) >= 5
    return folder


def test_a_segment_that_is_missing(segmented: Path) -> None:
    segments = segments_of(segmented)
    for index in (0, 2):
        content = segments[index].path.read_bytes()
        segments[index].path.unlink()
        number, reason = broken(verify(segmented, PUBLIC))
        assert number == segments[index].first or index == 0
        assert "missing" in reason or "do not say whose" in reason
        segments[index].path.write_bytes(content)
    assert verify(segmented, PUBLIC).intact


def test_the_last_segment_that_is_missing_needs_the_anchor(segmented: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    handed_out = last_checkpoint(segmented)
    assert handed_out is not None
    anchor.write_text(chain.anchor_line(handed_out))
    last = segments_of(segmented)[-1]
    last.path.unlink()
    assert verify(segmented, PUBLIC).intact
    number, reason = broken(verify(segmented, PUBLIC, anchor))
    assert number == last.first
    assert f"the anchor witnessed record {handed_out.number}" in reason


def test_a_segment_that_was_renamed(segmented: Path) -> None:
    segment = segments_of(segmented)[2]
    segment.path.rename(segmented / f"{segment.first - 1:020d}.journal")
    number, reason = broken(verify(segmented, PUBLIC))
    assert number == segment.first
    assert "renamed" in reason


def test_a_segment_that_ends_early(segmented: Path) -> None:
    segment, following = segments_of(segmented)[2:4]
    lines = segment.path.read_bytes().splitlines(keepends=True)
    segment.path.write_bytes(b"".join(lines[:-1]))
    number, reason = broken(verify(segmented, PUBLIC))
    assert number == following.first - 1
    assert "missing" in reason


# -------------------------------------------------------------------------------------------------------------- anchors


def anchor_of(folder: Path, path: Path) -> int:
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None
    path.write_text(chain.anchor_line(checkpoint) + "\n")
    return checkpoint.number


def test_an_anchor_that_holds(journal: Path, tmp_path: Path) -> None:
    number = anchor_of(journal, tmp_path / "anchor")
    open_journal(journal).close("went on")
    proof = verify(journal, None, tmp_path / "anchor")
    assert proof.intact
    assert proof.anchored_to == number == 9
    assert proof.key_from == "anchor"


def test_a_tail_that_was_cut_off_is_only_seen_with_an_anchor(journal: Path, tmp_path: Path) -> None:
    anchor_of(journal, tmp_path / "anchor")
    rewrite(journal, lambda lines: lines[:6])
    assert verify(journal, PUBLIC).intact
    number, reason = broken(verify(journal, PUBLIC, tmp_path / "anchor"))
    assert number == 7
    assert reason == "the journal ends with record 6, but the anchor witnessed record 9: the end was cut off"


def test_a_tail_that_was_cut_off_and_grown_again_does_not_pass_the_anchor(journal: Path, tmp_path: Path) -> None:
    anchor_of(journal, tmp_path / "anchor")
    rewrite(journal, lambda lines: lines[:4])
    again = open_journal(journal)
    for seq in range(1, 9):
        again.append(sent(seq))
    again.close("over")
    assert verify(journal, PUBLIC).intact
    number, reason = broken(verify(journal, PUBLIC, tmp_path / "anchor"))
    assert number == 9
    assert "not the one that the anchor witnessed" in reason


def test_even_the_holder_of_the_key_cannot_pass_the_anchor(journal: Path, tmp_path: Path) -> None:
    anchor_of(journal, tmp_path / "anchor")
    rewrite(journal, lambda lines: rechained([line.replace(b"SELECT 2", b"SELECT 3") for line in lines], KEY))
    assert verify(journal, PUBLIC).intact
    number, reason = broken(verify(journal, PUBLIC, tmp_path / "anchor"))
    assert number == 9
    assert "with the node's key" in reason


def test_several_anchors_narrow_it_down(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    lines = []
    for _ in range(3):
        small_journal(folder)
        checkpoint = last_checkpoint(folder)
        assert checkpoint is not None
        lines.append(chain.anchor_line(checkpoint))
    (tmp_path / "anchor").write_text("\n".join(lines))
    numbers = [one.number for one in chain.read_anchors(tmp_path / "anchor")]
    assert verify(folder, None, tmp_path / "anchor").anchored_to == numbers[-1]

    def change(lines: list[bytes]) -> list[bytes]:
        later = [line.replace(b'"seq":2', b'"seq":9') for line in lines[numbers[0] + 1 :]]
        return rechained(lines[: numbers[0] + 1] + later, KEY)

    rewrite(folder, change)
    number, reason = broken(verify(folder, None, tmp_path / "anchor"))
    assert number == numbers[1]
    assert f"one of the records {numbers[0] + 1} to {numbers[1]} " in reason


def test_the_anchor_of_another_key_or_node_is_no_proof(journal: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor.write_text(chain.anchor_line(chain.sign_checkpoint(OTHER_KEY, "n1", 5, b"\0" * 32, "x")))
    with pytest.raises(chain.AnchorUnreadable, match="another key"):
        verify(journal, PUBLIC, anchor)
    anchor.write_text(chain.anchor_line(chain.sign_checkpoint(KEY, "n9", 5, b"\0" * 32, "x")))
    number, reason = broken(verify(journal, PUBLIC, anchor))
    assert number == 1
    assert "the anchor is of n9" in reason


# ---------------------------------------------------------------------------------------------------- what is not there


def test_an_empty_folder_is_no_good_journal(tmp_path: Path) -> None:
    number, reason = broken(verify(tmp_path, PUBLIC))
    assert number == 1
    assert "holds no journal" in reason
    with pytest.raises(NothingToVerify):
        verify(tmp_path / "nowhere", PUBLIC)
    with pytest.raises(NothingToVerify, match=r"node\.pub"):
        verify(tmp_path, None)


def test_an_emptied_segment_is_no_good_journal(journal: Path) -> None:
    only_segment(journal).write_bytes(b"")
    assert broken(verify(journal, PUBLIC))[0] == 1


def test_the_folders_own_key_is_taken_and_told(journal: Path) -> None:
    assert verify(journal, None).key_from == "folder"
    assert verify(journal, (journal / "node.pub").read_bytes()).key_from == "given"


def test_a_journal_that_is_being_written_may_end_in_half_a_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(sent(1))
    path = only_segment(tmp_path)
    with path.open("ab") as file:
        file.write(b'4 0000 {"kind"')
    assert verify(tmp_path, PUBLIC).intact
    os.close(journal._lock)
    number, reason = broken(verify(tmp_path, PUBLIC))
    assert number == 4
    assert "in the middle of record 4" in reason


def test_the_chain_of_another_node_is_refused(journal: Path) -> None:
    path = only_segment(journal)
    path.write_bytes(path.read_bytes().replace(b'"node":"n1"', b'"node":"n2"'))
    assert broken(verify(journal, PUBLIC))[0] == 1


async def test_a_flood_of_outcomes_in_one_turn_is_signed_as_often_as_all_else(tmp_path: Path) -> None:
    """A database answers a pipeline of small statements in one read: many outcomes before the next append."""
    journal = open_journal(tmp_path)
    for seq in range(1, 6_001):
        journal.append_soon(done(seq))
    journal.append_soon(*(done(seq) for seq in range(6_001, 12_001)))
    journal.close("the test is over")
    proof = verify(tmp_path, PUBLIC)
    assert (proof.intact, proof.reason) == (True, None)
    assert proof.records > 12_000
