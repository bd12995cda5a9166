"""What answers in Oracle's place in the benchmarks is what a driver understands, and what clients are counted by."""

from __future__ import annotations

from collections.abc import Iterator

import oracledb
import pytest

from benchmarks import oracle_clients
from benchmarks.databases import OracleDatabase
from benchmarks.oracle_answers import SERVICE
from benchmarks.processes import BenchmarkFailed
from benchmarks.tds_answers import ACCOUNT, ALL_ROWS, POINT


@pytest.fixture(scope="module")
def answers() -> Iterator[OracleDatabase]:
    database = OracleDatabase(rows=1050)
    yield database
    database.remove()


def test_the_driver_reads_the_answers(answers: OracleDatabase) -> None:
    place = f"{answers.host}:{answers.port}/{SERVICE}"
    with pytest.raises(oracledb.DatabaseError, match="ORA-01017"):
        oracledb.connect(user=ACCOUNT, password="wrong", dsn=place)
    with oracledb.connect(user=ACCOUNT, password=answers.password, dsn=place) as connection:
        cursor = connection.cursor()
        cursor.execute(POINT.format(7))
        assert cursor.fetchall() == [(4711,)]
        for bind in (1, 2):
            cursor.execute(POINT.format(":1"), [bind])
            assert cursor.fetchall() == [(4711,)]
        cursor.execute(ALL_ROWS)
        assert cursor.fetchall() == [(4711, 1, 0, " " * 84)] * 1050
        with pytest.raises(oracledb.DatabaseError, match="There is no answer ready"):
            cursor.execute("select 1 from dual")


@pytest.mark.parametrize("again", [False, True])
def test_statements_are_counted_with_their_times(answers: OracleDatabase, again: bool) -> None:
    done, times = oracle_clients.statement_times(answers, answers.port, 3, 0.05, again=again)
    assert done.amount == len(times) >= 3
    assert times == sorted(times)
    assert times[0] > 0


def test_a_long_result_is_read_to_its_end(answers: OracleDatabase) -> None:
    assert oracle_clients.all_rows(answers, answers.port, 1050).amount == 1050
    with pytest.raises(BenchmarkFailed, match="of at least"):
        oracle_clients.all_rows(answers, answers.port, 1100)
