"""kill -9 in the middle of appending: what was acknowledged is on record, what follows is whole, and it all holds."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.audit.journal import Journal
from bastion.audit.records import SessionClosed, StatementSent
from bastion.audit.verify import verify
from tests.unit.journal_samples import KEY, open_journal, records_of

WRITER = """
import sys
from pathlib import Path
from tests.unit.journal_samples import open_journal, opened, sent

journal = open_journal(Path(sys.argv[1]), segment_bytes=int(sys.argv[2]), checkpoint_records=20)
journal.append(opened(sys.argv[3]))
seq = 0
while True:
    seq += 1
    journal.append(sent(seq, "SELECT '" + "x" * (seq * 7919 % 30000) + "'", sys.argv[3]))
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("segment_bytes", [100_000, 64 * 1024 * 1024])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, segment_bytes: int) -> None:
    chance = random.Random(segment_bytes)
    acknowledged: dict[str, int] = {}
    for round_ in range(5):
        session = f"s{round_}"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(segment_bytes), session],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(chance.randrange(20, 200)):
            line = writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        said = [line, *writer.stdout.read().splitlines()]
        assert writer.wait(60) == -signal.SIGKILL
        # The last line may have been cut by the kill itself.
        acknowledged[session] = int(said[-2] if len(said) > 1 else said[-1])
    open_journal(tmp_path, segment_bytes=segment_bytes).close("over")
    proof = verify(tmp_path, None)
    assert proof.intact, proof.reason
    assert proof.unwitnessed == 0
    records = records_of(tmp_path)
    for session, last in acknowledged.items():
        seqs = [record.seq for record in records if isinstance(record, StatementSent) and record.session == session]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= last
        (ending,) = [record for record in records if isinstance(record, SessionClosed) and record.session == session]
        assert (ending.state, ending.statements) == ("lost", len(seqs))


def test_the_lock_of_a_killed_process_does_not_stay(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), "100000", "s1"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.wait(60)
    writer.stdout.close()
    Journal.open(tmp_path, "n1", KEY).close("over")
