"""`audit verify` says where the record was altered: in the journal, or in the store that questions are asked of."""

from __future__ import annotations

import json
import sqlite3
import subprocess

import pytest

from tests.servers.bastion_process import BastionProcess, CommandFailed, program


@pytest.fixture
def some_record(bastion: BastionProcess) -> BastionProcess:
    bastion.casemate("alice", "databases", "--json")
    bastion.casemate("auditor", "sessions", "--json")
    return bastion


def verify(bastion: BastionProcess) -> dict[str, object]:
    """The proof, printed whether or not it is one."""
    done = subprocess.run(
        [*program(), "audit", "verify", "--json", "--config", str(bastion.configuration)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    proof: dict[str, object] = json.loads(done.stdout)
    assert done.returncode == (0 if proof["intact"] else 1)
    return proof


def test_a_store_that_was_altered_is_found_and_the_difference_named(some_record: BastionProcess) -> None:
    before = verify(some_record)
    assert (before["intact"], before["store"]) == (True, "")
    store = next(some_record.folder.rglob("*.sqlite3"))
    with sqlite3.connect(store, timeout=60) as connection:
        (number,) = connection.execute("SELECT max(number) FROM acts WHERE act = 'login'").fetchone()
        connection.execute("UPDATE acts SET user = 'mallory' WHERE number = ?", (number,))
    connection.close()
    after = verify(some_record)
    assert after["intact"] is False
    assert "'mallory'" in str(after["store"])
    assert "the journal says" in str(after["store"])
    with pytest.raises(CommandFailed) as failed:
        some_record.casemate("auditor", "audit", "verify")
    assert failed.value.exit_code == 1
    with sqlite3.connect(store, timeout=60) as connection:
        connection.execute("DELETE FROM acts WHERE number = ?", (number,))
    connection.close()
    assert "was removed there" in str(verify(some_record)["store"])
