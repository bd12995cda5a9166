"""Recordings: what is kept of each statement, up to the limits, sealed, and said to be missing where it is."""

from __future__ import annotations

import asyncio
import random
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.audit import recorder as recorder_module
from bastion.audit.recorder import RecordingLimits
from bastion.audit.recording_file import RecordingDamaged, RecordingReader
from bastion.audit.recordings import KeptAnswer, NotKept, kept_answer
from bastion.sessions import recording as recording_module
from bastion.vault import Vault

from .recording_stage import Session, stage_in


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


async def test_every_statement_gets_its_own_bytes_back(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        # Two statements that end in one piece, and words of the server between them that belong to none.
        session.piece(b"two!--three", (2, 7, 4), (3, 0, 5))
        session.answer(4, random_bytes(300_000))
        session.answer(5, b"five")
        record = await session.recording.close(session.position)
        assert record is not None
        assert (record.state, record.cut, record.kept, record.left_out) == ("closed", "", session.position, 0)
        for number, data in {1: b"one", 2: b"two!", 3: b"three", 5: b"five", 4: session.answers[4]}.items():
            kept = stage.kept(number)
            assert isinstance(kept, KeptAnswer)
            assert (kept.data, kept.total, kept.why) == (data, len(data), "")
        assert stage.kept(6) == NotKept("missing")


async def test_nothing_of_the_data_is_readable_in_the_file_and_nobody_else_may_open_it(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"the salary of the director " * 50)
        await session.recording.close(session.position)
        assert b"salary" not in stage.file().read_bytes()
        assert stat.S_IMODE(stage.file().stat().st_mode) == 0o600
        assert stat.S_IMODE(stage.folder.stat().st_mode) == 0o700
        assert stage.file().stat().st_size < 1000
        other = Vault.create(tmp_path / "other.key")
        with pytest.raises(RecordingDamaged, match="its key does not open"):
            kept_answer(stage.folder, other, "s1", 1)


@pytest.mark.parametrize("read", [1000, 16_384, 256_000])
async def test_of_a_long_answer_exactly_the_limit_is_kept_and_the_next_one_whole(tmp_path: Path, read: int) -> None:
    limits = RecordingLimits(per_statement=300_000)
    async with stage_in(tmp_path, limits) as stage:
        session = stage.session()
        session.answer(1, random_bytes(1_500_000), read=read)
        session.answer(2, b"short")
        session.answer(3, random_bytes(300_000, 2))
        record = await session.recording.close(session.position)
        long, short, fitting = stage.kept(1), stage.kept(2), stage.kept(3)
        assert isinstance(long, KeptAnswer)
        assert isinstance(short, KeptAnswer)
        assert isinstance(fitting, KeptAnswer)
        assert long.data == session.answers[1][:300_000]
        assert (long.total, long.why) == (1_500_000, "statement")
        assert (short.data, short.why) == (b"short", "")
        assert (fitting.data, fitting.why) == (session.answers[3], "")
        assert record is not None
        assert (record.kept, record.left_out, record.cut) == (600_005, 1_200_000, "")


async def test_what_is_far_beyond_the_limit_is_not_even_handed_over(tmp_path: Path) -> None:
    async with stage_in(tmp_path, RecordingLimits(per_statement=10_000)) as stage:
        session = stage.session()
        track = session.recording._track
        for _ in range(2000):
            session.piece(bytes(16_384))
        assert track.handed < 1_000_000
        session.piece(b"end", (1, 0, 2000 * 16_384 + 3))
        record = await session.recording.close(session.position)
        assert record is not None
        assert record.kept + record.left_out == session.position
        assert record.kept == 10_000


async def test_the_limit_of_the_session_ends_the_recording_and_says_so(tmp_path: Path) -> None:
    async with stage_in(tmp_path, RecordingLimits(per_statement=60_000, per_session=100_000)) as stage:
        session = stage.session()
        for number in range(1, 5):
            session.answer(number, random_bytes(40_000, number))
            await session.recording.settled()
        record = await session.recording.close(session.position)
        third = stage.kept(3)
        assert isinstance(third, KeptAnswer)
        assert (third.data, third.why) == (session.answers[3][:20_000], "session")
        assert stage.kept(4) == NotKept("session")
        assert record is not None
        assert (record.kept, record.left_out, record.cut) == (100_000, 60_000, "")
        assert session.recording._items == []


async def test_a_session_without_answers_leaves_no_file_and_no_record(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        assert await session.recording.close(0) is None
        assert list(stage.folder.iterdir()) == []


async def test_a_login_made_anew_is_not_kept(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        session.piece(b"nonce-of-the-server", kind="authentication")
        session.piece(b"proof", (2, 0, 24), kind="authentication")
        session.answer(3, b"three")
        await session.recording.close(session.position)
        assert stage.kept(2) == NotKept("authentication")
        third = stage.kept(3)
        assert isinstance(third, KeptAnswer)
        assert third.data == b"three"
        with RecordingReader(stage.file()) as reader:
            reader.unlock(stage.vault)
            assert all(b"nonce" not in reader.chunk(frame).data for frame in reader.frames())


async def test_a_disk_that_does_not_follow_cuts_the_recording_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_OF_SESSION", 300_000)
    stuck, go_on = threading.Event(), threading.Event()
    async with stage_in(tmp_path) as stage:
        write = stage.recorder._do

        def slow(job: object) -> None:
            stuck.set()
            go_on.wait(60)
            write(job)  # type: ignore[arg-type]

        monkeypatch.setattr(stage.recorder, "_do", slow)
        session = stage.session()
        for number in range(1, 101):
            session.answer(number, random_bytes(16_000, number))
        waiting = session.recording._track.handed - session.recording._track.taken
        held = sum(item.size for item in session.recording._items if not isinstance(item, recorder_module.LeftOut))
        assert stuck.wait(60)
        assert waiting + held < 300_000 + recording_module.HANDED_OVER + 20_000
        go_on.set()
        await session.recording.settled()
        session.answer(101, b"after it has caught up")
        session.answer(102, b"and after that")
        record = await session.recording.close(session.position)
        assert record is not None
        assert record.cut == "behind"
        assert record.kept + record.left_out == session.position
        first, last = stage.kept(1), stage.kept(102)
        assert isinstance(first, KeptAnswer)
        assert isinstance(last, KeptAnswer)
        assert (first.data, last.data) == (session.answers[1], b"and after that")
        assert stage.kept(50) == NotKept("behind")


async def test_a_disk_that_fails_cuts_the_recording_and_leaves_the_others_alone(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session, other = stage.session("s1"), stage.session("s2")
        session.answer(1, b"before")
        other.answer(1, b"other")
        await session.recording.settled()
        stage.file("s1").write_bytes(stage.file("s1").read_bytes() + b"x")  # somebody else writes to it
        session.answer(2, b"lost")
        record = await session.recording.close(session.position)
        assert record is not None
        assert record.cut.startswith("failed: it has")
        assert (record.kept, record.left_out) == (6, 4)
        before, others = stage.kept(1), await other.recording.close(5)
        assert isinstance(before, KeptAnswer)
        assert before.data == b"before"
        assert others is not None
        assert others.cut == ""


async def test_a_folder_that_is_gone_is_told_in_the_record(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        stage.folder.rmdir()
        session = stage.session()
        session.answer(1, b"lost")
        record = await session.recording.close(4)
        assert record is not None
        assert (record.chunks, record.kept, record.left_out) == (0, 0, 4)
        assert record.cut == "failed: No such file or directory"


async def test_what_a_session_holds_is_written_by_itself_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_SECONDS", 0.01)
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        async with asyncio.timeout(60):
            while not stage.witnessed:
                await asyncio.sleep(0.01)
        kept = stage.kept(1)
        assert isinstance(kept, KeptAnswer)
        assert kept.data == b"one"
        [record] = stage.witnessed
        assert (record.state, record.chunks, record.kept) == ("open", 1, 3)
        assert stage.recorder.holding == {}


async def test_the_running_statement_can_be_looked_at_before_it_ends(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        session.piece(b"the first rows")
        await session.recording.settled()
        kept = stage.kept(2, running=True)
        assert isinstance(kept, KeptAnswer)
        assert (kept.data, kept.total) == (b"the first rows", None)
        assert stage.kept(2) == NotKept("missing")


async def test_a_session_that_ends_in_haste_is_still_closed_on_record(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        session.recording.forget(session.position)
        await stage.recorder.stop()
        await asyncio.sleep(0)
        assert [(record.state, record.kept) for record in stage.witnessed[-1:]] == [("closed", 3)]


async def test_a_description_that_came_earlier_is_found_again(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.piece(b"prepared:DESCRIPTION")
        session.piece(b"rows", (2, 0, 4), described=9, formats=b"\0\1")
        await session.recording.close(session.position)
        kept = stage.kept(2)
        assert isinstance(kept, KeptAnswer)
        assert (kept.data, kept.described[:11], kept.formats) == (b"rows", b"DESCRIPTION", b"\0\1")


async def test_what_a_crash_left_half_written_is_passed_over(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"one")
        await session.recording.settled()
        session.answer(2, random_bytes(5000))
        await session.recording.close(session.position)
        content = stage.file().read_bytes()
        for cut in (1, 40, 4000):
            stage.file().write_bytes(content[:-cut])
            first = stage.kept(1)
            assert isinstance(first, KeptAnswer)
            assert first.data == b"one"
            assert stage.kept(2) == NotKept("missing")


def test_no_id_of_a_session_leads_out_of_the_folder(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "key")
    for session in ("../master", "a/b", "", "x" * 65, "s1.recording"):
        with pytest.raises(ValueError):
            kept_answer(tmp_path, vault, session, 1)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 40)), min_size=1, max_size=25),
    reads=st.lists(st.integers(1, 3000), min_size=1, max_size=10),
    per_statement=st.integers(100, 3000),
    flushes=st.sets(st.integers(0, 60)),
)
def test_of_every_statement_the_beginning_is_kept_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[tuple[int, int]],
    reads: list[int],
    per_statement: int,
    flushes: set[int],
) -> None:
    """Answers, each with some bytes before it that belong to none, read in pieces of any length."""
    stream, bounds = b"", {}
    for number, (size, before) in enumerate(sizes, 1):
        start = len(stream) + before
        stream += random_bytes(before + size, number)
        bounds[number] = (start, start + size)

    async def run() -> None:
        async with stage_in(tmp_path_factory.mktemp("r"), RecordingLimits(per_statement=per_statement)) as stage:
            session = Session(stage.recorder)
            position = index = 0
            while position < len(stream):
                upto = min(position + reads[index % len(reads)], len(stream))
                ends = [
                    (number, upto - end, end - start)
                    for number, (start, end) in bounds.items()
                    if position < end <= upto
                ]
                session.piece(stream[position:upto], *ends)
                if index in flushes:
                    session.side.running = 1  # nothing may rest on a pause between statements
                    session.recording.flush()
                position, index = upto, index + 1
            record = await session.recording.close(len(stream))
            assert record is not None
            assert record.kept + record.left_out == len(stream)
            for number, (start, end) in bounds.items():
                kept = stage.kept(number)
                size, before = end - start, sizes[number - 1][1]
                assert isinstance(kept, KeptAnswer)
                assert kept.total == size
                assert stream[start:].startswith(kept.data)
                assert len(kept.data) == min(size, max(per_statement - before, 0))
                assert kept.why == ("" if len(kept.data) == size else "statement")

    asyncio.run(run())
