"""`verify` finds every recording that is not the one the journal witnessed, and says which session and chunk."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from bastion.api import messages as m
from bastion.audit.chain import public_bytes
from bastion.audit.journal import Journal
from bastion.audit.recording_file import CHAIN_BYTES, RecordingReader
from bastion.audit.verify import verify

from .journal_samples import KEY
from .recording_stage import stage_in


class Evidence:
    """A journal and two recordings that it witnessed: s1 with four chunks, s2 with one."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.recordings = folder / "recordings"
        self.content = {path.name: path.read_bytes() for path in self.recordings.iterdir()}

    def restore(self) -> None:
        for path in self.recordings.iterdir():
            path.unlink()
        for name, content in self.content.items():
            (self.recordings / name).write_bytes(content)

    def proof(self) -> m.Proof:
        return verify(self.journal, public_bytes(KEY), None, self.recordings)

    def chunk(self, number: int) -> tuple[int, int]:
        """Where a chunk of s1 begins and ends in the file."""
        with RecordingReader(self.recordings / "s1.recording") as reader:
            frame = next(frame for frame in reader.frames() if frame.number == number)
        return frame.offset - len(frame.head), frame.offset + frame.length + CHAIN_BYTES


@pytest.fixture
async def evidence(tmp_path: Path) -> Evidence:
    journal = Journal.open(tmp_path / "journal", "n1", KEY)
    async with stage_in(tmp_path) as stage:
        for name, chunks in (("s1", 4), ("s2", 1)):
            session = stage.session(name)
            for number in range(1, chunks + 1):
                session.answer(number, random.Random(number).randbytes(200))
                await session.recording.settled()
            record = await session.recording.close(session.position)
            assert record is not None
            assert record.chunks == chunks
            journal.append(record)
    journal.close("stopped")
    return Evidence(tmp_path)


def test_untouched_recordings_are_as_witnessed(evidence: Evidence) -> None:
    proof = evidence.proof()
    assert (proof.intact, proof.recordings, proof.recording, proof.recordings_unwitnessed) == (True, 2, "", 0)


def test_without_a_folder_to_look_at_nothing_is_said_of_recordings(evidence: Evidence) -> None:
    proof = verify(evidence.journal, public_bytes(KEY))
    assert (proof.intact, proof.recordings, proof.recording) == (True, None, None)


def test_a_recording_that_was_removed_is_missed(evidence: Evidence) -> None:
    (evidence.recordings / "s2.recording").unlink()
    proof = evidence.proof()
    assert (proof.intact, proof.recording) == (False, "session s2: its recording is missing")
    for path in evidence.recordings.iterdir():
        path.unlink()
    evidence.recordings.rmdir()
    assert evidence.proof().recording == "session s1: its recording is missing"


def test_the_chunk_that_was_altered_is_named(evidence: Evidence) -> None:
    path = evidence.recordings / "s1.recording"
    for number in (1, 3, 4):
        start, end = evidence.chunk(number)
        content = bytearray(evidence.content["s1.recording"])
        content[(start + end) // 2] ^= 1
        path.write_bytes(content)
        proof = evidence.proof()
        assert proof.intact is False
        assert str(proof.recording).startswith(f"session s1: chunk {number} of its recording was altered")
        evidence.restore()


def test_an_end_that_was_cut_off_is_missed(evidence: Evidence) -> None:
    path = evidence.recordings / "s1.recording"
    for cut in (evidence.chunk(4)[0], evidence.chunk(4)[1] - 1):
        path.write_bytes(evidence.content["s1.recording"][:cut])
        assert "cut off: it ends with chunk 3, the journal witnessed 4" in str(evidence.proof().recording)


def test_a_recording_in_the_place_of_another_is_found(evidence: Evidence) -> None:
    (evidence.recordings / "s1.recording").write_bytes(evidence.content["s2.recording"])
    assert evidence.proof().recording == "session s1: its recording was replaced by that of session s2"


def test_chunks_in_another_order_or_put_in_are_found(evidence: Evidence) -> None:
    path, content = evidence.recordings / "s1.recording", evidence.content["s1.recording"]
    second, third, fourth = (slice(*evidence.chunk(number)) for number in (2, 3, 4))
    path.write_bytes(content[: second.start] + content[third] + content[second] + content[third.stop :])
    assert "chunk 2 of its recording was altered" in str(evidence.proof().recording)
    for more in (content[fourth], content[fourth][:50], b"x"):
        path.write_bytes(content + more)
        proof = evidence.proof()
        assert proof.intact is False
        assert str(proof.recording).startswith("session s1: ")


def test_a_recording_whose_chain_was_made_anew_is_not_the_one_that_was_witnessed(evidence: Evidence) -> None:
    path = evidence.recordings / "s1.recording"
    with RecordingReader(path) as reader:
        frames = list(reader.frames())
        link = reader.link
    content = bytearray(evidence.content["s1.recording"])
    content[frames[1].offset] ^= 1
    for frame in frames:
        end = frame.offset + frame.length
        link = sha256(link + bytes(content[frame.offset - len(frame.head) : end])).digest()
        content[end : end + CHAIN_BYTES] = link
    path.write_bytes(content)
    assert evidence.proof().recording == (
        "session s1: its recording was altered: one of the chunks 1 to 4, and the chain made anew"
    )


def test_no_random_edit_goes_unnoticed(evidence: Evidence) -> None:
    edits: list[Callable[[bytearray, random.Random], None]] = [
        lambda content, chance: content.__setitem__(chance.randrange(len(content)), chance.randrange(256)),
        lambda content, chance: content.__delitem__(chance.randrange(len(content))),
        lambda content, chance: content.insert(chance.randrange(len(content)), chance.randrange(256)),
        lambda content, chance: content.__delitem__(slice(chance.randrange(len(content)), None)),
    ]
    chance = random.Random(5)
    done = 0
    while done < 300:
        name = chance.choice(list(evidence.content))
        content = bytearray(evidence.content[name])
        chance.choice(edits)(content, chance)
        if content == evidence.content[name]:
            continue
        done += 1
        (evidence.recordings / name).write_bytes(content)
        proof = evidence.proof()
        assert proof.intact is False
        assert str(proof.recording).startswith(f"session {name.removesuffix('.recording')}: ")
        evidence.restore()


async def test_an_end_that_is_not_witnessed_yet_is_counted_and_not_vouched_for(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", "n1", KEY)
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        await session.recording.settled()
        [record] = stage.witnessed or [session.recording._track.record("open")]
        assert record is not None
        journal.append(record)
        session.answer(2, b"two")
        await session.recording.settled()
        stage.session("s9").answer(1, b"of a session that the journal knows nothing of yet")
    journal.close("killed")
    evidence = Evidence(tmp_path)
    proof = evidence.proof()
    assert (proof.intact, proof.recordings, proof.recordings_unwitnessed) == (True, 1, 2)
    path = evidence.recordings / "s1.recording"
    for torn in (1, 50):
        path.write_bytes(evidence.content["s1.recording"][:-torn])
        assert evidence.proof().intact is True
    content = bytearray(evidence.content["s1.recording"])
    content[evidence.chunk(1)[0] + 60] ^= 1
    path.write_bytes(content)
    assert evidence.proof().intact is False
