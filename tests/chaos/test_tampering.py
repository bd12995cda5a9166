"""Hundreds of random edits, deletions, swaps, truncations and insertions: each that can be found is found.

What an anchor or a later checkpoint covers is found, and where; of what none covers it is said that nobody vouches for
it; and where nothing was done nothing is found. A failure names the seed of what was done: `CASEMATE_SEED=…` does it
alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from bastion.api import messages as m
from bastion.audit.audit import Audit
from bastion.audit.bundle import BundleMaker, Wanted
from bastion.audit.bundle_verifier import Broken, Findings, examine
from bastion.audit.chain import public_bytes
from bastion.audit.comparison import with_store
from bastion.audit.records import Act, AnyRecord, Recording, StatementRefused
from bastion.audit.segments import segments_of
from bastion.audit.verify import verify
from bastion.store.store import Store, sqlite_url
from tests.unit.journal_samples import AT, KEY, closed, done, lines_of, logged_in, open_journal, opened, sent
from tests.unit.recording_stage import stage_in

from .tampering import (
    Tampered,
    anchors_of,
    as_anchor,
    copied,
    tamper_with_bundle,
    tamper_with_journal,
    tamper_with_recordings,
    tamper_with_store,
)

SEED = os.environ.get("CASEMATE_SEED")
OPEN_WITNESSED = 2
"""Chunks that the journal witnessed of the recording that is open; the file has more."""


class Evidence:
    """A journal in several files, all of it signed, the store that was filled from it, and three recordings.

    `young` is the same journal a little earlier, as a crash would leave it: its last records have no checkpoint yet.
    """

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.young = folder / "young"
        self.store = folder / "state.db"
        self.recordings = folder / "recordings"
        self.bundle = folder / "evidence.zip"

    async def made(self) -> None:
        folder = self.journal.parent
        store = Store.open(sqlite_url(self.store))
        store.migrate()
        journal = open_journal(self.journal, segment_bytes=14_000, checkpoint_records=25)
        audit = Audit(journal, store)
        await audit.start()
        chance = random.Random("the evidence")
        async with stage_in(folder) as stage:
            for number in range(1, 7):
                name = f"s{number}"
                journal.append(opened(name, user=f"user{number}"), logged_in(name))
                recorded = stage.session(name) if number % 2 else None
                for seq in range(1, 9):
                    text = f"UPDATE orders SET state = '已付' WHERE id = {chance.randrange(10**6)}"
                    if seq == 5:
                        text += " -- 1" * 1200
                    journal.append(sent(seq, text, name, binds=["a", None, str(seq)]), done(seq, name))
                    if recorded is not None and seq % 2:
                        recorded.answer(seq, chance.randbytes(150))
                        await recorded.recording.settled()
                        if number == 5 and seq == 3:
                            journal.append(_as_open(recorded.recording))
                if recorded is not None and number != 5:
                    kept = await recorded.recording.close(recorded.position)
                    assert kept is not None
                    journal.append(kept)
                journal.append(closed(name, 8))
                journal.append(Act(at=AT, user=f"user{number}", source="x", act="token-issued", subject=name))
            journal.append(
                StatementRefused(at=AT, session="s6", seq=9, statement_kind="drop", schema="public",
                                 text="DROP TABLE t", binds=None, code="statement-denied", error="not here")
            )  # fmt: skip
            journal.checkpoint()
            journal.append(opened("s7"), logged_in("s7"))
            for seq in range(1, 8):
                journal.append(sent(seq, f"SELECT {seq}", "s7"), done(seq, "s7"))
            copied(self.journal, self.young)
            (self.young / "lock").unlink()
            await audit.settle()
            await audit.stop()
            wanted = Wanted("s1", "eve", results=True, screens=True, written=journal.number)
            maker = BundleMaker(store, stage.vault, KEY, "n1", self.journal, stage.folder, folder, wanted)
            self.bundle.write_bytes(b"".join(maker.parts()))
            store.close()
            journal.close("over")
            # What is there is what was witnessed; the open one has more.
            copied(stage.folder, folder / "kept")
        shutil.rmtree(self.recordings)
        (folder / "kept").rename(self.recordings)
        for leftover in self.recordings.iterdir():
            assert leftover.suffix == ".recording", leftover
        assert len(segments_of(self.journal)) > 3


def _as_open(recording: object) -> AnyRecord:
    """What the journal says of a recording in mid-session."""
    record = recording._track.record("open")  # type: ignore[attr-defined]
    assert isinstance(record, Recording)
    assert record.chunks == OPEN_WITNESSED
    return record


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    evidence = Evidence(tmp_path_factory.mktemp("evidence"))
    asyncio.run(evidence.made())
    return evidence


def seeds(what: str, few: int, many: int) -> list[object]:
    """A few for every run, and the rest of the many, which are slow."""
    if SEED is not None:
        return [pytest.param([SEED], id="one")] if SEED.startswith(what) else []
    return [
        pytest.param([f"{what}-{number}" for number in range(few)], id=f"{few}"),
        pytest.param([f"{what}-{number}" for number in range(few, many)], id=f"{many - few}", marks=pytest.mark.slow),
    ]


@pytest.mark.parametrize("several", seeds("journal", 60, 300))
def test_a_journal(evidence: Evidence, tmp_path: Path, several: list[str]) -> None:
    for seed in several:
        chance = random.Random(seed)
        original = chance.choice((evidence.journal, evidence.young))
        folder = copied(original, tmp_path / "journal")
        anchors = anchors_of(evidence.journal)
        kept = chance.choice((None, None, anchors[-1], chance.choice(anchors)))
        if original is evidence.young and kept is not None and kept.number > len(lines_of(original)):
            kept = anchors[-4]
        anchor = None if kept is None else as_anchor(tmp_path / "anchor", kept)
        done_to = tamper_with_journal(folder, chance)
        proof = verify(folder, public_bytes(KEY), anchor)
        told = f"CASEMATE_SEED={seed}: {done_to.what} ({done_to.hand}), first {done_to.first}, anchor " + (
            f"{None if kept is None else kept.number}; {proof}"
        )
        _judge(done_to, proof, 0 if kept is None else kept.number, original, told)


def _judge(done_to: Tampered, proof: m.Proof, anchored: int, original: Path, told: str) -> None:
    before = len(lines_of(original))
    signed = [number for number, line in enumerate(lines_of(original), 1) if b'"kind":"checkpoint"' in line.body]
    if not done_to.first:  # nothing is another: nothing is found
        assert proof.intact, told
        assert (proof.records, proof.proved_to) == (before, signed[-1]), told
        return
    # Never is what was changed said to be proved by a checkpoint that the hand could not make.
    if done_to.hand != "key":
        assert proof.proved_to < done_to.first, told
    assert proof.anchored_to is None or proof.anchored_to < done_to.first, told
    covered = anchored >= done_to.first
    if done_to.cut_to is not None:
        if covered and proof.broken_at != 1:
            assert (proof.intact, proof.broken_at) == (False, done_to.cut_to + 1), told
        elif done_to.cut_to > 1:
            assert proof.intact, told
    elif done_to.hand == "bytes":
        assert not proof.intact, told
        # The first records say whose journal it is; where they do not, none of it can be read.
        assert proof.broken_at == done_to.first or (proof.broken_at == 1 and done_to.first <= 8), told
    else:
        later = [
            number for number, line in enumerate(done_to.lines, 1)
            if number >= done_to.first and b'"kind":"checkpoint"' in line.body
        ] if done_to.hand == "chain" else []  # fmt: skip
        finds = sorted([*later[:1], *([anchored] if covered else [])])
        if finds:
            assert not proof.intact, told
            assert proof.broken_at == min(finds[0], len(done_to.lines) + 1), told
        else:
            assert proof.intact, told
    if proof.intact:
        # The tail that nobody vouches for: counted, to the last record.
        assert proof.unwitnessed == proof.records - proof.proved_to, told
        if done_to.hand != "key" and done_to.cut_to is None:
            assert proof.records - proof.unwitnessed < done_to.first <= proof.records + 1, told


@pytest.mark.parametrize("several", seeds("store", 20, 120))
def test_a_store(evidence: Evidence, tmp_path: Path, several: list[str]) -> None:
    for seed in several:
        path = tmp_path / "state.db"
        shutil.copy(evidence.store, path)
        what, key = tamper_with_store(path, random.Random(seed))
        told = f"CASEMATE_SEED={seed}: {what}"
        store = Store.open(sqlite_url(path))
        proof = with_store(verify(evidence.journal, public_bytes(KEY)), store, evidence.journal)
        store.close()
        assert not proof.intact, told
        assert proof.store is not None, told
        assert f" {key} " in proof.store.split(";")[0] + " ", f"{told}; {proof.store}"


@pytest.mark.parametrize("several", seeds("recordings", 20, 80))
def test_recordings(evidence: Evidence, tmp_path: Path, several: list[str]) -> None:
    begins = _begin_of_unwitnessed(evidence.recordings / "s5.recording")
    for seed in several:
        folder = copied(evidence.recordings, tmp_path / "recordings")
        what, whose, place = tamper_with_recordings(folder, random.Random(seed))
        proof = verify(evidence.journal, public_bytes(KEY), None, folder)
        told = f"CASEMATE_SEED={seed}: {what}; {proof}"
        if whose == {"s5"} and place >= begins:
            # Behind what the journal witnessed of it nobody vouches for anything, and it is counted so.
            assert proof.intact, told
            assert proof.recordings_unwitnessed <= 1, told
        elif whose:
            assert not proof.intact, told
            assert any(str(proof.recording).startswith(f"session {each}: ") for each in whose), told
        else:
            assert proof.intact, told


def _begin_of_unwitnessed(path: Path) -> int:
    from bastion.audit.recording_file import CHAIN_BYTES, RecordingReader

    with RecordingReader(path) as reader:
        frames = list(reader.frames())
    assert len(frames) > OPEN_WITNESSED
    last = frames[OPEN_WITNESSED - 1]
    return last.offset + last.length + CHAIN_BYTES


@pytest.mark.parametrize("several", seeds("bundle", 15, 80))
def test_a_bundle_of_evidence(evidence: Evidence, tmp_path: Path, several: list[str]) -> None:
    original, path = evidence.bundle.read_bytes(), tmp_path / "evidence.zip"
    path.write_bytes(original)
    assert isinstance(examine(path, public_bytes(KEY)), Findings)
    for seed in several:
        what, changed = tamper_with_bundle(original, random.Random(seed))
        path.write_bytes(changed)
        if changed == original:
            examine(path, public_bytes(KEY))
            continue
        with pytest.raises(Broken):
            pytest.fail(f"CASEMATE_SEED={seed}: {what}: {examine(path, public_bytes(KEY))}")


def test_where_nothing_was_done_nothing_is_found(evidence: Evidence, tmp_path: Path) -> None:
    for number, kept in enumerate([None, *anchors_of(evidence.journal)]):
        folder = copied(evidence.journal, tmp_path / "journal")
        store = Store.open(sqlite_url(Path(shutil.copy(evidence.store, tmp_path / f"{number}.db"))))
        anchor = None if kept is None else as_anchor(tmp_path / "anchor", kept)
        proof = with_store(verify(folder, public_bytes(KEY), anchor, evidence.recordings), store, folder)
        store.close()
        assert (proof.intact, proof.unwitnessed, proof.reason, proof.store, proof.recording) == (
            True, 0, None, "", "",
        ), proof  # fmt: skip
        assert proof.anchored_to == (None if kept is None else kept.number)
        assert proof.recordings_unwitnessed == 1  # the one that is open
    young = verify(evidence.young, public_bytes(KEY))
    assert young.intact
    assert young.unwitnessed == len(lines_of(evidence.young)) - young.proved_to == 16
