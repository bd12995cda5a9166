"""A journal whose disk was full goes on by itself, and says later what happened meanwhile."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bastion.audit import owed as owed_module
from bastion.audit.journal import Journal, JournalFailed
from bastion.audit.records import Act, AnyRecord, LoginRefused, SessionClosed, StatementDone, StatementSent
from bastion.audit.verify import verify

from .journal_samples import AT, closed, done, lines_of, open_journal, opened, records_of, sent
from .test_journal import failing_writes  # noqa: F401 - a fixture

FULL = OSError(errno.ENOSPC, "No space left on device")


def filled(folder: Path, failing_writes: list[int | OSError], error: int | OSError = FULL) -> Journal:  # noqa: F811
    """A journal with a session and one statement, whose second one could not be recorded."""
    journal = open_journal(folder)
    journal.append(opened(), sent(1))
    failing_writes.append(error)
    with pytest.raises(JournalFailed, match="it then goes on by itself"):
        journal.append(sent(2))
    return journal


def since(folder: Path) -> list[AnyRecord]:
    """What was recorded behind the first statement, without checkpoints."""
    records = records_of(folder)
    at = min(n for n, record in enumerate(records) if isinstance(record, StatementSent) and record.seq == 1)
    return [record for record in records[at + 1 :] if record.__struct_config__.tag != "checkpoint"]


@pytest.mark.parametrize("error", [FULL, 17], ids=["nothing written", "half written"])
def test_it_goes_on_when_there_is_room(
    tmp_path: Path, failing_writes: list[int | OSError], error: int | OSError  # noqa: F811
) -> None:  # fmt: skip
    journal = filled(tmp_path, failing_writes, error)
    for record in (done(1), closed(), LoginRefused(at=AT, user="x", method="password", source="s", code="login-failed"),
                   sent(3), opened("s2"), closed("s2")):  # fmt: skip
        with pytest.raises(JournalFailed):
            journal.append(record)
    assert journal.try_again()
    assert journal.failure is None
    journal.append(opened("s3"), sent(1, "SELECT 3", session="s3"))
    resumed, *late, _, statement = since(tmp_path)
    assert isinstance(resumed, Act)
    assert (resumed.act, resumed.subject) == ("journal-resumed", "n1")
    assert resumed.detail["recorded_late"] == 3
    assert resumed.detail["lost"] == 0
    # What was never sent is not on record; what happened is: the outcome, the end, who was turned away.
    assert [type(record) for record in late] == [StatementDone, SessionClosed, LoginRefused]
    assert isinstance(statement, StatementSent)
    assert statement.text == "SELECT 3"
    journal.close("over")
    proof = verify(tmp_path, None)
    assert (proof.intact, proof.unwitnessed) == (True, 0)


def test_what_was_delayed_when_the_disk_was_full_is_recorded_late(
    tmp_path: Path, failing_writes: list[int | OSError]  # noqa: F811
) -> None:  # fmt: skip
    journal = open_journal(tmp_path, checkpoint_records=4)
    journal.append(opened(), sent(1))
    journal._chain((done(1), sent(2), done(2), done(3)))  # as append_soon does
    failing_writes.append(FULL)
    with pytest.raises(JournalFailed):
        journal.append(sent(3))
    assert journal.try_again()
    resumed, *late = since(tmp_path)
    assert isinstance(resumed, Act)
    assert late == [done(1), sent(2), done(2), done(3)]
    journal.close("over")
    assert verify(tmp_path, None).intact


def test_a_disk_that_is_still_full_changes_nothing(
    tmp_path: Path, failing_writes: list[int | OSError], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    journal = filled(tmp_path, failing_writes)
    with pytest.raises(JournalFailed):
        journal.append(closed())
    before = lines_of(tmp_path)
    monkeypatch.setattr(owed_module, "ROOM", 2**62)
    assert not journal.try_again()
    monkeypatch.undo()
    failing_writes_again = [FULL]
    monkeypatch.setattr(owed_module, "ROOM", 0)
    real = journal._write

    def write(records: tuple[AnyRecord, ...]) -> None:
        if failing_writes_again and not records:  # what came late, behind the note
            journal._owe(journal._records, records)
            raise journal._fail(str(failing_writes_again.pop()), wants_room=True)
        real(records)

    monkeypatch.setattr(journal, "_write", write)
    assert not journal.try_again()
    assert journal.failure is not None
    assert lines_of(tmp_path)[: len(before)] == before
    assert journal.try_again()
    assert [record.reason for record in since(tmp_path) if isinstance(record, SessionClosed)] == ["quit"]
    journal.close("over")
    assert verify(tmp_path, None).intact


def test_only_so_much_is_kept_and_the_rest_is_counted(
    tmp_path: Path, failing_writes: list[int | OSError], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(owed_module, "MOST", 5)
    journal = filled(tmp_path, failing_writes)
    for seq in range(8):
        with pytest.raises(JournalFailed):
            journal.append(done(seq))
    assert journal.try_again()
    resumed, *late = since(tmp_path)
    assert isinstance(resumed, Act)
    assert (resumed.detail["recorded_late"], resumed.detail["lost"]) == (5, 3)
    assert late == [done(seq) for seq in range(5)]
    journal.close("over")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error")])
def test_what_is_no_want_of_room_is_not_tried_again(
    tmp_path: Path, failing_writes: list[int | OSError], error: OSError  # noqa: F811
) -> None:  # fmt: skip
    journal = open_journal(tmp_path)
    journal.append(opened())
    failing_writes.append(error)
    with pytest.raises(JournalFailed, match="then restart the bastion"):
        journal.append(sent(1))
    assert not journal.try_again()
    journal.close("over")
    assert not journal.try_again()
