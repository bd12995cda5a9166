"""A workstation keeps the bastion's checkpoints, and notices a record that was put back, rewritten or is another's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backends.link import Target
from backends.witness import MOST, Broken, Witness
from bastion.api import messages as m
from bastion.api.methods import Method
from bastion.api.witness import Checkpointed, CheckpointRequest
from bastion.audit.chain import anchor_line, read_anchors
from bastion.audit.journal import Journal
from bastion.audit.segments import segments_of
from bastion.audit.verify import verify
from bastion.audit.witness import first_number, hash_of

from .journal_samples import KEY, OTHER_KEY, lines_of, open_journal, opened, sent

TARGET = Target("alice", "bastion.example.com", 60022)


class OfJournal:
    """A link to a bastion that has nothing but a journal."""

    def __init__(self, journal: Journal) -> None:
        self.target = TARGET
        self.hello = m.Hello(
            user="alice", roles=[], version="1", bastion=m.Address(host="x", port=1), node=journal.node, ask="",
            token_validity=1, token_longest=1,
        )  # fmt: skip
        self.journal = journal

    async def call(self, method: Method, params: m.Message) -> object:
        assert method.name == "audit.checkpoint"
        assert isinstance(params, CheckpointRequest)
        assert self.journal.last_checkpoint is not None
        return Checkpointed(
            text=anchor_line(self.journal.last_checkpoint), hash=hash_of(self.journal.folder, params.number),
            first=first_number(self.journal.folder), last=self.journal.number,
        )  # fmt: skip


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "kept")


def more(journal: Journal, texts: int = 5) -> None:
    for seq in range(1, texts + 1):
        journal.append(sent(seq, f"SELECT {seq}"))
    journal.checkpoint()


@pytest.mark.parametrize("segment_bytes", [1500, 64 * 1024 * 1024])
def test_the_hash_of_every_record_is_found(tmp_path: Path, segment_bytes: int) -> None:
    journal = open_journal(tmp_path, segment_bytes=segment_bytes)
    more(journal, 20)
    lines = lines_of(tmp_path)
    assert len(segments_of(tmp_path)) > 1 or segment_bytes > 1500
    assert [hash_of(tmp_path, line.number) for line in lines] == [line.hash.hex() for line in lines]
    assert [hash_of(tmp_path, number) for number in (0, -1, len(lines) + 1, 10**30)] == [""] * 4
    assert first_number(tmp_path) == 1
    journal.close("over")


async def test_what_is_kept_is_an_anchor(tmp_path: Path, witness: Witness) -> None:
    journal = open_journal(tmp_path / "j")
    link = OfJournal(journal)
    for _ in range(3):
        more(journal)
        assert await witness.look(link) is None
    assert await witness.look(link) is None  # nothing new: nothing is kept twice
    file = witness.file_of(TARGET, "n1")
    assert len(file.read_text().splitlines()) == 3
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_anchors(file)[-1] == journal.last_checkpoint
    journal.close("over")
    proof = verify(tmp_path / "j", None, file)
    assert (proof.intact, proof.key_from) == (True, "anchor")
    assert proof.anchored_to == read_anchors(file)[-1].number


async def test_only_so_many_are_kept(tmp_path: Path, witness: Witness) -> None:
    journal = open_journal(tmp_path / "j")
    link = OfJournal(journal)
    for _ in range(MOST + 5):
        more(journal, 1)
        assert await witness.look(link) is None
    kept = [json.loads(line)["number"] for line in witness.file_of(TARGET, "n1").read_text().splitlines()]
    assert len(kept) == MOST
    assert kept == sorted(kept)
    assert journal.last_checkpoint is not None
    assert kept[-1] == journal.last_checkpoint.number
    journal.close("over")


async def test_a_record_that_was_put_back_is_noticed_also_when_it_has_grown_again(
    tmp_path: Path, witness: Witness
) -> None:
    journal = open_journal(tmp_path / "j")
    more(journal)
    journal.close("for a copy")
    shutil.copytree(tmp_path / "j", tmp_path / "copy")
    journal = open_journal(tmp_path / "j")
    more(journal, 20)
    assert await witness.look(OfJournal(journal)) is None
    journal.close("over")
    kept = witness.file_of(TARGET, "n1").read_bytes()
    journal = open_journal(tmp_path / "copy")
    broken = await witness.look(OfJournal(journal))
    assert isinstance(broken, Broken)
    assert (broken.why, broken.last) == ("back", journal.number)
    more(journal, 100)
    broken = await witness.look(OfJournal(journal))
    assert isinstance(broken, Broken)
    assert broken.why == "changed"
    assert witness.file_of(TARGET, "n1").read_bytes() == kept  # the evidence stays
    journal.close("over")


async def test_another_key_and_a_checkpoint_that_nobody_signed_are_noticed(tmp_path: Path, witness: Witness) -> None:
    journal = open_journal(tmp_path / "j")
    more(journal)
    link = OfJournal(journal)
    assert await witness.look(link) is None
    journal.close("over")
    other = Journal.open(tmp_path / "other", "n1", OTHER_KEY)
    more(other, 50)
    broken = await witness.look(OfJournal(other))
    assert isinstance(broken, Broken)
    assert broken.why == "key"
    other.close("over")

    class Liar(OfJournal):
        async def call(self, method: Method, params: m.Message) -> object:
            said = await super().call(method, params)
            assert isinstance(said, Checkpointed)
            fields = json.loads(said.text)
            fields["number"] += 1000
            said.text = json.dumps(fields)
            return said

    broken = await witness.look(Liar(journal))
    assert isinstance(broken, Broken)
    assert broken.why == "unsigned"


async def test_what_retention_has_deleted_since_is_no_alarm(tmp_path: Path, witness: Witness) -> None:
    journal = open_journal(tmp_path / "j", segment_bytes=1500)
    journal.append(opened())
    more(journal)
    assert await witness.look(OfJournal(journal)) is None
    more(journal, 30)
    for segment in segments_of(tmp_path / "j")[:-1]:
        segment.path.unlink()
    assert first_number(tmp_path / "j") > 5
    assert await witness.look(OfJournal(journal)) is None
    journal.close("over")


async def test_a_file_that_cannot_be_read_or_written_keeps_nobody_from_work(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j", "n/1 ö", KEY)
    more(journal)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    assert await Witness(blocked).look(OfJournal(journal)) is None
    witness = Witness(tmp_path / "kept")
    file = witness.file_of(TARGET, "n/1 ö")
    assert file.parent == tmp_path / "kept"
    file.parent.mkdir()
    file.write_bytes(b"\xff\x00 no line of ours\n{}\n")
    assert await witness.look(OfJournal(journal)) is None
    assert len(file.read_text().splitlines()) == 1
    journal.close("over")
