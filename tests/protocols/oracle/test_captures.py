"""Captures of real clients and servers: read to the last byte in both directions, however the bytes arrive."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.protocols import captures
from tests.servers import excuses

from .conversations import Replayed, packets_of, recorded, replay

SESSIONS = [name for name in captures.named("oracle") if name.endswith("pcapng") and name != "oracle12.pcapng"] or [""]


def replayed(name: str, step: int = 0) -> Replayed:
    if not captures.FOLDER.is_dir() or not name:
        excuses.skip("no-captures")
    [flow] = captures.flows(captures.FOLDER / "oracle" / name)
    return replay(recorded(packets_of(flow)), step)


@pytest.mark.parametrize("name", SESSIONS)
def test_every_byte_belongs_to_a_message_and_every_statement_has_an_outcome(name: str) -> None:
    session = replayed(name)
    assert session.unattributed == 0
    assert session.client is not None
    assert session.client.leaving
    assert not session.exchange.waiting
    assert set(session.ended()) == {note.number for note in session.begun()}
    assert len(session.begun()) >= 2


@pytest.mark.parametrize("name", ["python_thin_cursor_reexec.pcapng", "go_ora_dml.pcapng", "go_ora_binds.pcapng",
                                  "sqlplus_cursor_reexec.pcapng", "go_ora_failed_stmt.pcapng"])  # fmt: skip
def test_the_record_does_not_depend_on_how_the_bytes_arrive(name: str) -> None:
    whole = replayed(name).record()
    for step in (1, 2, 3, 7, 64):
        assert replayed(name, step).record() == whole


def test_a_session_of_statements_that_change_something() -> None:
    table = "dbbat_dml_test"
    assert replayed("go_ora_dml.pcapng").record()[1:] == [
        ("execute", f"DROP TABLE {table}", None, 0, "ORA-00942"),
        ("execute", f"CREATE TABLE {table} (id NUMBER, name VARCHAR2(50))", None, 0, "done"),
        ("execute", f"INSERT INTO {table} VALUES (100, 'single')", None, 1, "done"),
        ("execute", f"INSERT INTO {table} SELECT LEVEL, 'row'||LEVEL FROM dual CONNECT BY LEVEL <= 5", None, 5, "done"),
        ("execute", f"UPDATE {table} SET name = 'updated' WHERE id <= 3", None, 3, "done"),
        ("execute", f"DELETE FROM {table} WHERE id IN (4, 5)", None, 2, "done"),
        ("execute", f"SELECT COUNT(*) FROM {table}", None, 1, "done"),
        ("execute", f"DROP TABLE {table}", None, 0, "done"),
    ]


def test_binds_are_read_by_their_types() -> None:
    record = replayed("go_ora_binds.pcapng").record()
    assert record[1] == ("execute", "SELECT :1 || '-' || :2 AS v FROM dual", ("42", "hello"), 1, "done")


def test_a_cursor_that_is_executed_again_has_its_text() -> None:
    for name, operation in (
        ("python_thin_cursor_reexec.pcapng", "re-execute and fetch"),
        ("go_ora_cursor_reexec.pcapng", "re-execute and fetch"),
        ("sqlplus_cursor_reexec.pcapng", "execute"),
    ):
        again = [line for line in replayed(name).record() if line[1] == "SELECT 1 AS n FROM dual"]
        assert sum(line[0] == operation for line in again) >= 3
        assert {line[4] for line in again} <= {"done", "suspended"}


@pytest.mark.parametrize("name", ["python_thin_midfetch_fail.pcapng", "go_ora_midfetch_fail.pcapng",
                                  "jdbc_thin_midfetch_fail.pcapng", "sqlplus_midfetch_fail.pcapng"])  # fmt: skip
def test_an_error_in_the_middle_of_a_fetch(name: str) -> None:
    record = replayed(name).record()
    failed = next(place for place, line in enumerate(record) if line[4] == "ORA-01722")
    text = record[failed][1]
    pages = [line for line in record[: failed + 1] if line[1] == text]
    assert pages[0][0] == "execute"
    assert {line[0] for line in pages[1:]} == {"fetch"}
    assert {line[4] for line in pages[:-1]} == {"suspended"}
    assert sum(line[3] or 0 for line in pages) > 14_000


def test_errors_in_the_server_s_own_words() -> None:
    session = replayed("go_ora_failed_stmt.pcapng")
    codes = Counter(end.error.code for end in session.ended().values() if end.error)
    assert codes == {"ORA-00942": 2, "ORA-00001": 1, "ORA-01476": 1, "ORA-20001": 1, "ORA-06550": 1}
    said = [str(end.error) for end in session.ended().values() if end.error and end.error.code == "ORA-01476"]
    assert said == ["ORA-01476: divisor is equal to zero"]


def test_the_schema_that_a_server_announces() -> None:
    notes = replayed("dbeaver.pcapng").notes
    assert "TESTADM" in [getattr(note, "schema", None) for note in notes]
