"""The journal: what is on record when, what a full disk does, who may open it, how it goes on after a crash."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from bastion.audit import journal as journal_module
from bastion.audit.chain import encodable
from bastion.audit.journal import Journal, JournalFailed, JournalForeign, JournalLocked, NotStored
from bastion.audit.records import (
    AnyRecord,
    Checkpoint,
    JournalRepaired,
    NodeStarted,
    NodeStopped,
    SessionClosed,
    StatementSent,
)
from bastion.audit.segments import segments_of
from bastion.audit.verify import verify

from .journal_samples import (
    KEY,
    OTHER_KEY,
    closed,
    done,
    lines_of,
    open_journal,
    opened,
    records_of,
    sent,
    small_journal,
)


def test_an_append_is_in_the_file_when_it_returns(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert journal.append(sent(1)) is None
    assert records_of(tmp_path)[-1] == sent(1)
    journal.close("over")


def test_a_journal_begins_and_ends_with_what_the_node_did(tmp_path: Path) -> None:
    small_journal(tmp_path)
    first, signed, *_, stopped, last = records_of(tmp_path)
    assert isinstance(first, NodeStarted)
    assert isinstance(signed, Checkpoint)
    assert isinstance(stopped, NodeStopped)
    assert stopped.reason == "the test is over"
    assert isinstance(last, Checkpoint)
    assert last.number == 9


def test_listeners_get_what_was_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    heard: list[AnyRecord] = []
    journal.listeners.append(heard.append)
    journal.append(sent(1), done(1))
    assert heard == [sent(1), done(1)]
    journal.close("over")


def test_a_listener_that_fails_breaks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = open_journal(tmp_path)
    heard: list[AnyRecord] = []

    def fail(record: AnyRecord) -> None:
        raise RuntimeError("the watcher has gone")

    journal.listeners += [fail, heard.append]
    journal.append(sent(1))
    assert heard == [sent(1)]
    assert "the watcher has gone" in caplog.text
    journal.close("over")


def test_text_that_is_not_utf_8_is_recorded_all_the_same(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    odd = sent(1, "SELECT '\udc80'")
    journal.append(opened(), odd, done(1))
    assert records_of(tmp_path)[-2] == encodable(odd)
    journal.close("over")
    assert verify(tmp_path, None).intact


def test_appends_of_many_threads_keep_together_and_in_order(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, checkpoint_records=50, segment_bytes=20_000)
    seen: list[tuple[int, int]] = []
    journal.on_written = lambda first, records, size: seen.append((first, len(records)))
    barrier = threading.Barrier(8)

    def work(name: str) -> None:
        barrier.wait()
        for seq in range(1, 101):
            journal.append(sent(seq, session=name), done(seq, session=name))

    threads = [threading.Thread(target=work, args=(f"s{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close("over")
    proof = verify(tmp_path, None)
    assert proof.intact
    records = records_of(tmp_path)
    statements = [record for record in records if not isinstance(record, Checkpoint | NodeStarted | NodeStopped)]
    assert len(statements) == 1600
    last: dict[str, int] = {}
    for one, other in zip(statements[::2], statements[1::2], strict=True):
        assert (one.session, one.seq) == (other.session, other.seq)  # type: ignore[union-attr]
        assert one.seq == last.get(one.session, 0) + 1  # type: ignore[union-attr]
        last[one.session] = one.seq  # type: ignore[union-attr]
    assert [first for first, _ in seen] == sorted(first for first, _ in seen)


def test_segments_are_named_by_their_first_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=2000)
    for seq in range(1, 31):
        journal.append(sent(seq))
    journal.close("over")
    segments = segments_of(tmp_path)
    assert len(segments) > 3
    assert segments[0].path.name == "00000000000000000001.journal"
    for segment in segments:
        assert int(segment.path.read_bytes().split(b" ", 1)[0]) == segment.first
        assert segment.path.stat().st_size <= 2000
        assert segment.path.stat().st_mode & 0o077 == 0
    assert verify(tmp_path, None).intact


def test_a_checkpoint_comes_after_so_many_records_and_when_asked_but_not_twice(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, checkpoint_records=5)
    for seq in range(1, 13):
        journal.append(sent(seq))
    assert [isinstance(record, Checkpoint) for record in records_of(tmp_path)[2:]].count(True) == 2
    journal.checkpoint()
    before = journal.number
    journal.checkpoint()
    assert journal.number == before
    assert journal.last_checkpoint == records_of(tmp_path)[-1]
    journal.close("over")


# --------------------------------------------------------------------------------------------------- when writing fails


@pytest.fixture
def failing_writes(monkeypatch: pytest.MonkeyPatch) -> list[int | OSError]:
    """What the next writes do: an error, or how many bytes they take; real writes when it is empty."""
    plan: list[int | OSError] = []
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if not plan:
            return real(descriptor, data)
        step = plan.pop(0)
        if isinstance(step, OSError):
            raise step
        return real(descriptor, data[:step])

    monkeypatch.setattr(journal_module.os, "write", write)
    return plan


def test_a_full_disk_fails_the_append_and_every_later_one(tmp_path: Path, failing_writes: list[int | OSError]) -> None:
    journal = open_journal(tmp_path)
    journal.append(opened(), sent(1))
    before = lines_of(tmp_path)
    failing_writes.append(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(JournalFailed, match="No space left on device"):
        journal.append(sent(2))
    with pytest.raises(JournalFailed):
        journal.append(sent(3))
    assert journal.failure == "No space left on device"
    journal.close("over")
    assert lines_of(tmp_path) == before

    again = open_journal(tmp_path)
    again.append(sent(1, session="s2"))
    again.close("over")
    assert verify(tmp_path, None).intact
    lost = [record for record in records_of(tmp_path) if isinstance(record, SessionClosed)]
    assert [(record.session, record.state, record.statements) for record in lost] == [("s1", "lost", 1)]


def test_half_a_record_on_a_full_disk_is_taken_back(tmp_path: Path, failing_writes: list[int | OSError]) -> None:
    journal = open_journal(tmp_path)
    journal.append(opened())
    before = lines_of(tmp_path)
    failing_writes.append(17)
    with pytest.raises(JournalFailed, match="disk full"):
        journal.append(sent(1))
    assert lines_of(tmp_path) == before
    journal.close("over")
    assert verify(tmp_path, None).intact


def test_a_really_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for the disk: the kernel itself cuts the write short, then refuses."""
    import resource
    import signal

    journal = open_journal(tmp_path)
    journal.append(opened())
    size = segments_of(tmp_path)[0].path.stat().st_size
    before = lines_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        with pytest.raises(JournalFailed):
            journal.append(sent(1, "SELECT " + "x" * 500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    with pytest.raises(JournalFailed):
        journal.append(sent(2))
    journal.close("over")
    assert lines_of(tmp_path) == before


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.close("over")
    journal.close("twice does no harm")
    with pytest.raises(JournalFailed, match="closed"):
        journal.append(sent(1))


# -------------------------------------------------------------------------------------------------------- who may open


def test_one_writer_and_the_second_is_told_who(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with pytest.raises(JournalLocked, match=f"process {os.getpid()} on "):
        open_journal(tmp_path)
    journal.close("over")
    open_journal(tmp_path).close("free again")


def test_a_failed_opening_lets_go_of_the_lock(tmp_path: Path) -> None:
    small_journal(tmp_path)
    with pytest.raises(JournalForeign):
        Journal.open(tmp_path, "n1", OTHER_KEY)
    open_journal(tmp_path).close("free again")


def test_another_node_or_key_is_refused(tmp_path: Path) -> None:
    small_journal(tmp_path)
    with pytest.raises(JournalForeign, match="belongs to the node n1, not to n2"):
        Journal.open(tmp_path, "n2", KEY)
    with pytest.raises(JournalForeign, match="another key"):
        Journal.open(tmp_path, "n1", OTHER_KEY)


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be opened"):
        open_journal(tmp_path / "file")


# ------------------------------------------------------------------------------------------------------- after a crash


def _crash(journal: Journal) -> None:
    """What the kernel does for a killed process: closes its files, and with that lets go of the lock."""
    os.close(journal._lock)
    os.close(journal._file)


def test_torn_at_every_byte_of_the_last_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "whole")
    journal.append(opened())
    journal.append(sent(1, "SELECT 'é'"))
    whole = segments_of(tmp_path / "whole")[0].path.read_bytes()
    _crash(journal)
    body = whole.rstrip(b"\n")
    last = len(body) - body.rfind(b"\n") - 1 + 1
    assert last > 200
    for cut in range(1, last + 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / "00000000000000000001.journal").write_bytes(whole[:-cut])
        again = open_journal(folder)
        again.append(sent(1, session="s2"))
        again.close("over")
        records = records_of(folder)
        repairs = [record for record in records if isinstance(record, JournalRepaired)]
        if cut == last:
            assert repairs == []
        else:
            assert [repair.bytes_cut for repair in repairs] == [last - cut]
            assert [path.read_bytes() for path in folder.glob("*.torn")] == [whole[-last:-cut]]
        assert not any(isinstance(record, StatementSent) and record.session == "s1" for record in records)
        assert verify(folder, None).intact
        lost = [record.session for record in records if isinstance(record, SessionClosed)]
        assert lost == ["s1"]


NOT_FOLLOWING = b"11 " + b"0" * 64 + b' {"kind":"node-stopped","at":"x","node":"n1","reason":"x"}\n'
"""In the form of a record, but not what follows from the one before: a page that never reached the disk."""


def test_zeros_and_garbage_at_the_end_are_torn_too(tmp_path: Path) -> None:
    for index, tail in enumerate([b"\0" * 4096, b"12 garbage\n", b"\n", b"\xff\xfe" * 9 + b"\n\n", NOT_FOLLOWING]):
        folder = tmp_path / str(index)
        small_journal(folder)
        path = segments_of(folder)[0].path
        with path.open("ab") as file:
            file.write(tail)
        open_journal(folder).close("over")
        assert verify(folder, None).intact
        assert [r.bytes_cut for r in records_of(folder) if isinstance(r, JournalRepaired)] == [len(tail)]


def test_damage_further_up_is_left_for_the_verifier(tmp_path: Path) -> None:
    small_journal(tmp_path)
    path = segments_of(tmp_path)[0].path
    content = path.read_bytes()
    path.write_bytes(content.replace(b"SELECT 2", b"SELECT 3"))
    open_journal(tmp_path).close("over")
    assert not any(isinstance(record, JournalRepaired) for record in records_of(tmp_path))
    proof = verify(tmp_path, None)
    assert (proof.intact, proof.broken_at) == (False, 7)


@pytest.mark.parametrize("note", ["kept", "removed"])
@pytest.mark.parametrize("segment_bytes", [900, 100_000])
def test_sessions_that_a_crash_left_open_are_closed_as_lost(tmp_path: Path, segment_bytes: int, note: str) -> None:
    journal = open_journal(tmp_path, segment_bytes=segment_bytes)
    for index in range(1, 6):
        journal.append(opened(f"s{index}"))
    for seq in range(1, 20):
        journal.append(sent(seq, session="s2"), done(seq, session="s2"))
    journal.append(closed("s3"))
    _crash(journal)
    if note == "removed":
        for path in tmp_path.glob("*.open"):
            path.unlink()
    again = open_journal(tmp_path, segment_bytes=segment_bytes)
    lost = [record for record in records_of(tmp_path) if isinstance(record, SessionClosed) and record.state == "lost"]
    assert {record.session: record.statements for record in lost} == {"s1": 0, "s2": 19, "s4": 0, "s5": 0}
    _crash(again)
    open_journal(tmp_path, segment_bytes=segment_bytes).close("over")
    assert [r for r in records_of(tmp_path) if isinstance(r, SessionClosed) and r.state == "lost"] == lost
    assert verify(tmp_path, None).intact


def test_a_crash_between_a_new_segment_and_its_first_record(tmp_path: Path) -> None:
    small_journal(tmp_path)
    (tmp_path / "00000000000000000011.journal").write_bytes(b"")
    assert verify(tmp_path, None).intact
    open_journal(tmp_path).close("over")
    assert verify(tmp_path, None).intact
    kinds = [type(record).__name__ for record in records_of(tmp_path)[10:]]
    assert kinds == ["SessionClosed", "NodeStarted", "Checkpoint", "NodeStopped", "Checkpoint"]


# ---------------------------------------------------------------------------------------------------------- durability


async def test_synced_is_done_after_fdatasync_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bastion.audit import durability

    syncs = 0
    release = threading.Event()
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        nonlocal syncs
        release.wait(60)
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(durability.os, "fdatasync", fdatasync)
    journal = open_journal(tmp_path, durability="synced")
    waits = [journal.append(sent(seq)) for seq in range(1, 51)]
    assert all(wait is not None and not wait.done() for wait in waits)
    release.set()
    await asyncio.wait_for(asyncio.gather(*waits), 60)  # type: ignore[arg-type]
    assert 1 <= syncs <= 3
    journal.close("over")


async def test_a_failed_sync_fails_the_waits_and_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bastion.audit import durability

    def fdatasync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = open_journal(tmp_path, durability="synced")
    monkeypatch.setattr(durability.os, "fdatasync", fdatasync)
    wait = journal.append(sent(1))
    assert wait is not None
    with pytest.raises(JournalFailed, match="Input/output error"):
        await asyncio.wait_for(wait, 60)
    with pytest.raises(JournalFailed):
        journal.append(sent(2))
    with pytest.raises(JournalFailed):
        journal.close("over")


async def test_stored_waits_for_the_store(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, durability="stored")
    first = journal.append(sent(1))
    second = journal.append(sent(2))
    assert first is not None
    assert second is not None
    journal.stored(journal.number - 1)
    await asyncio.wait_for(first, 60)
    assert not second.done()
    journal.not_stored(NotStored("the store is away"))
    with pytest.raises(NotStored):
        await asyncio.wait_for(second, 60)
    journal.close("over")


def test_without_a_loop_synced_waits_in_the_call(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, durability="synced")
    assert journal.append(sent(1)) is None
    journal.close("over")


async def test_rotation_keeps_up_with_synced(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, durability="synced", segment_bytes=1000)
    waits = [journal.append(sent(seq)) for seq in range(1, 41)]
    await asyncio.wait_for(asyncio.gather(*waits), 60)  # type: ignore[arg-type]
    journal.close("over")
    assert verify(tmp_path, None).intact
