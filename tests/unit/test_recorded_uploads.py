"""What a client streams into a statement: its beginning is kept beside the results, and shown with its direction."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bastion.audit import recorder as recorder_module
from bastion.audit.recorder import RecordingLimits
from bastion.audit.recording_file import RecordingDamaged, RecordingReader
from bastion.audit.recordings import KeptAnswer, KeptUpload, kept_upload
from bastion.protocols.contract import ClientData, Note, StatementBegins, StatementExtends
from bastion.sessions.record import SessionRecord

from .recording_stage import Stage, stage_in


class Journal:
    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, *records: Any) -> asyncio.Future[None] | None:
        self.records += records
        return None

    def append_soon(self, *records: Any) -> None:
        self.records += records


def uploaded(stage: Stage, number: int) -> KeptUpload | None:
    return kept_upload(stage.folder, stage.vault, "s1", number)


async def test_the_beginning_is_kept_beside_the_answer_of_the_same_statement(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"before")
        session.recording.sent_in(2, b"1\tx\n", 4)
        session.recording.sent_in(2, b"2\ty\n", 4)
        session.recording.sent_in(2, b"", 1_000_000)
        session.answer(2, b"COPY 2")
        session.recording.sent_in(3, b"whole", 5)
        session.answer(3, b"COPY 1")
        record = await session.recording.close(session.position)
        assert uploaded(stage, 2) == KeptUpload(b"1\tx\n2\ty\n", 1_000_008, "upload", "utf-8")
        assert uploaded(stage, 3) == KeptUpload(b"whole", 5, "", "utf-8")
        assert uploaded(stage, 1) is None
        for number, data in {1: b"before", 2: b"COPY 2", 3: b"COPY 1"}.items():
            answer = stage.kept(number)
            assert isinstance(answer, KeptAnswer)
            assert (answer.data, answer.why) == (data, "")
        # The numbers of the record are the server's bytes, as before.
        assert record is not None
        assert (record.kept, record.left_out) == (session.position, 0)
        assert b"1\tx" not in stage.file().read_bytes()


async def test_it_is_there_while_the_statement_still_takes_data(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.answer(1, b"before")
        session.side.running = 2
        session.recording.sent_in(2, b"first", 5)
        await session.recording.settled()
        assert uploaded(stage, 2) == KeptUpload(b"first", 5, "", "utf-8")
        session.recording.sent_in(2, b" second", 7)
        await session.recording.settled()
        assert uploaded(stage, 2) == KeptUpload(b"first second", 12, "", "utf-8")
        running = stage.kept(2, running=True)
        assert isinstance(running, KeptAnswer)
        assert (running.data, running.total) == (b"", None)
        await session.recording.close(session.position)


async def test_it_counts_against_the_sessions_limit_and_says_what_the_disk_did_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage_in(tmp_path, RecordingLimits(per_session=10)) as stage:
        session = stage.session()
        session.recording.sent_in(1, b"12345678", 8)
        session.recording.sent_in(2, b"abcdefgh", 8)
        await session.recording.close(0)
        assert uploaded(stage, 2) == KeptUpload(b"ab", 8, "session", "utf-8")
    (tmp_path / "2").mkdir()
    async with stage_in(tmp_path / "2") as stage:
        session = stage.session()
        session.recording.sent_in(1, b"kept", 4)
        session.recording.flush()
        monkeypatch.setattr(recorder_module, "WAITING_OF_SESSION", 0)
        session.recording.sent_in(1, b"lost", 4)
        session.recording.flush()
        monkeypatch.undo()
        session.recording.sent_in(1, b"", 100)
        await session.recording.close(0)
        assert uploaded(stage, 1) == KeptUpload(b"kept", 108, "behind", "utf-8")


async def test_it_is_in_the_chain(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        session = stage.session()
        session.recording.sent_in(1, b"evidence", 8)
        record = await session.recording.close(0)
        assert record is not None
        assert record.chunks == 1
        with RecordingReader(stage.file()) as reader:
            assert [link.hex() for _, link in reader.links()] == [record.hash]
        content = bytearray(stage.file().read_bytes())
        content[-40] ^= 1
        stage.file().write_bytes(content)
        with pytest.raises(RecordingDamaged):
            uploaded(stage, 1)


def test_the_journal_counts_and_the_recording_gets_the_data() -> None:
    journal = Journal()
    kept: list[tuple[int, bytes, int]] = []

    class Kept:
        def sent_in(self, number: int, data: bytes, counted: int) -> None:
            kept.append((number, data, counted))

    record = SessionRecord(journal, "s1", "postgresql", lambda secret: "digest")
    record.uploads = Kept()
    notes: tuple[Note, ...] = (
        StatementBegins(1, "query", "copy t from stdin"),
        StatementExtends(1, data_bytes=4),
        ClientData(1, b"1\tx\n"),
    )
    record.before(notes)
    record.before((ClientData(1, b"more"),))
    assert [type(each).__name__ for each in journal.records] == ["StatementSent", "StatementExtended"]
    assert kept == [(1, b"", 4), (1, b"1\tx\n", 0), (1, b"more", 0)]
