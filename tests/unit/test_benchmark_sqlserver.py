"""What answers in SQL Server's place in the benchmarks is what its clients understand, and what they are counted by."""

from __future__ import annotations

from collections.abc import Iterator

import pymssql
import pytest

from benchmarks import tds_clients
from benchmarks.databases import SqlserverDatabase
from benchmarks.processes import BenchmarkFailed
from benchmarks.tds_answers import ACCOUNT, ALL_ROWS, BLOB, POINT


@pytest.fixture(scope="module")
def answers() -> Iterator[SqlserverDatabase]:
    database = SqlserverDatabase(rows=1000, megabytes=1)
    yield database
    database.remove()


def test_a_driver_reads_the_answers(answers: SqlserverDatabase) -> None:
    settings = {"server": answers.host, "port": str(answers.port), "user": ACCOUNT, "login_timeout": 60}
    # Only the number: the driver has the words for the first failed login of a process alone.
    with pytest.raises(pymssql.OperationalError, match="18456"):
        pymssql.connect(**settings, password="wrong")
    with pymssql.connect(**settings, password=answers.password, autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute(POINT.format(7))
        assert cursor.fetchall() == [(4711,)]
        cursor.execute(ALL_ROWS)
        assert cursor.fetchall() == [(4711, 1, 0, " " * 84)] * 1000
        cursor.execute(BLOB)
        assert cursor.fetchall() == [(b"\x5a" * 1_000_000,)]
        with pytest.raises(pymssql.Error, match="There is no answer ready"):
            cursor.execute("select 1")


@pytest.mark.parametrize("prepared", [False, True])
def test_statements_are_counted_with_their_times(answers: SqlserverDatabase, prepared: bool) -> None:
    done, times = tds_clients.statement_times(answers, answers.port, 3, 0.05, prepared=prepared)
    assert done.amount == len(times) >= 3
    assert times == sorted(times)
    assert times[0] > 0


def test_long_answers_and_loads_are_read_to_their_end(answers: SqlserverDatabase) -> None:
    assert tds_clients.all_rows(answers, answers.port, 1000).amount == 1000
    assert tds_clients.blob(answers, answers.port, 1).amount == 1
    data = tds_clients.bulk_data(1)
    assert tds_clients.bulk_load(answers, answers.port, data).amount == len(data) / 1e6
    with pytest.raises(BenchmarkFailed, match="of at least"):
        tds_clients.blob(answers, answers.port, 2)
