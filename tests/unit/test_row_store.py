"""The rows of a result: in memory up to a budget, then sealed on disk under a quota; sorted and filtered there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from backends import arrangement, arrow
from backends.arrangement import Arrangement, NoNumber, Sort, arrange, parse
from backends.connection import BudgetReached, ResultBegan, ResultEnded, RowsArrived, follow
from backends.interface import Column, Kind, Row
from backends.row_store import PIECE, ResultSpace, RowStore
from backends.spill import SpillBroken, SpillFolder, SpillFull, remove_left_behind

from .test_backends_run import Scripted

NUMBERS = (Column("n", "numeric", Kind.NUMBER), Column("t", "text", Kind.TEXT))
SECRET = "a-secret-of-the-database"


def store_of(folder: Path, columns: tuple[Column, ...], rows: list[Row], memory: int = 0) -> RowStore:
    """The rows in a store that keeps at most `memory` bytes in memory."""
    store = RowStore(columns, ResultSpace(SpillFolder(folder), memory=memory, cache=PIECE))
    store.append(arrow.batch(columns, rows))
    return store


def column(store: RowStore, arrangement: Arrangement, index: int = 0) -> list[str | None]:
    """The values of a column in the order of an arrangement."""
    arranged = arrange(store, arrangement)
    assert arranged is not None
    return [store.value(arranged[place], index) for place in range(len(arranged))]


# ------------------------------------------------------------------------------------------------------ memory and disk


def test_rows_beyond_the_memory_lie_sealed_on_disk_and_come_back_exactly(tmp_path: Path) -> None:
    columns = (Column("t", "text", Kind.TEXT), Column("u", "text", Kind.TEXT))
    rows: list[Row] = [(f"{SECRET} {number}", None if number % 3 else "") for number in range(20_000)]
    space = ResultSpace(SpillFolder(tmp_path), memory=100_000, cache=PIECE)
    store = RowStore(columns, space)
    opened: list[int] = []
    for start in range(0, len(rows), 1000):
        store.append(arrow.batch(columns, rows[start : start + 1000]))
        opened = opened or [file.fileno() for file in _files_of(store)]
    assert store.rows == 20_000
    assert space.in_memory <= 100_000
    assert store.on_disk > 500_000
    on_disk = os.pread(opened[0], space.folder.used, 0)
    assert len(on_disk) == space.folder.used > 0
    assert SECRET.encode() not in on_disk
    for number in (0, 1, 999, 1000, 12_345, 19_999):
        assert store.values(number) == list(rows[number])
    assert next(batch.num_rows for _first, batch in store.batches()) > 0
    assert sum(batch.num_rows for _first, batch in store.batches(12_345)) == 12_345
    store.close()
    assert (space.folder.used, space.in_memory) == (0, 0)


def _files_of(store: RowStore) -> list[object]:
    return [store._file._file] if store._file is not None else []


def test_a_million_rows_stay_within_the_budgets(tmp_path: Path) -> None:
    """Counted, not timed: what is in memory, in the cache, and how large the largest piece is."""
    columns = tuple(Column(f"c{number}", "text", Kind.TEXT) for number in range(4))
    space = ResultSpace(SpillFolder(tmp_path), memory=8_000_000, cache=2_000_000)
    store = RowStore(columns, space)
    batch = arrow.batch(columns, [(str(number), "some text", None, "x" * 20) for number in range(20_000)])
    for _ in range(50):
        store.append(batch)
    assert store.rows == 1_000_000
    assert space.in_memory <= 8_000_000
    assert store.bytes > 40_000_000
    assert store.on_disk >= store.bytes - 8_000_000
    for number in range(0, 1_000_000, 4_999):
        assert store.value(number, 0) == str(number % 20_000)
    assert store._cached <= 2_000_000
    assert max(piece.nbytes for piece in store._cache.values()) <= 2 * PIECE
    store.close()


def test_the_quota_ends_a_result_as_truncated_and_what_is_there_stays(tmp_path: Path) -> None:
    space = ResultSpace(SpillFolder(tmp_path, quota=200_000), memory=0)
    backend = Scripted(30_000)
    stores: list[RowStore] = []

    def keep(columns: object) -> RowStore:
        stores.append(RowStore(columns, space))  # type: ignore[arg-type]
        return stores[-1]

    events = list(follow(backend, "select 1", backend.cancel, sys.maxsize, keep=keep))
    assert [type(event) for event in events if not isinstance(event, RowsArrived)] == [
        ResultBegan, BudgetReached, ResultEnded,
    ]  # fmt: skip
    ended = events[-1]
    assert isinstance(ended, ResultEnded)
    assert ended.truncated
    assert backend.cancelled
    assert ended.rows == stores[0].rows > 100
    assert stores[0].values(stores[0].rows - 1)[1] == "x" * 90
    assert space.folder.used <= 200_000


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    store = store_of(tmp_path, NUMBERS, [("1", "a")])
    [file] = _files_of(store)
    os.pwrite(file.fileno(), b"\xff", 30)  # type: ignore[attr-defined]
    with pytest.raises(SpillBroken, match="Run the statement again"):
        store.value(0, 0)


def test_no_file_is_left_by_a_process_that_was_killed(tmp_path: Path) -> None:
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.unit.test_row_store import store_of, NUMBERS\n"
        "from pathlib import Path\n"
        f"store = store_of(Path({str(tmp_path)!r}), NUMBERS, [('1', 'a')] * 5000)\n"
        "print(store.on_disk, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        [left] = tmp_path.glob("run-*")
        assert [file.name for file in left.iterdir()] == ["in-use"]
        assert left.stat().st_mode & 0o777 == 0o700
        assert remove_left_behind(tmp_path) == 0, "a living process keeps its folder"
        process.send_signal(signal.SIGKILL)
    store = store_of(tmp_path, NUMBERS, [("1", "a")])
    assert not left.exists(), "the next run removes it"
    store.space.close()
    assert list(tmp_path.glob("run-*")) == []


def test_without_a_folder_the_memory_is_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    space = ResultSpace(SpillFolder(tmp_path / "file" / "below"), memory=1000)
    store = RowStore(NUMBERS, space)
    store.append(arrow.batch(NUMBERS, [("1", "a")]))
    with pytest.raises(SpillFull):
        store.append(arrow.batch(NUMBERS, [("2", "b" * 2000)]))
    assert store.rows == 1


# ------------------------------------------------------------------------------------------------- sorting, filtering


def test_numbers_sort_as_numbers_and_null_is_last_either_way(tmp_path: Path) -> None:
    values = ["10", "9", None, "-2.5", "1e3", "NaN", "Infinity", "12345678901234567890.2", "12345678901234567890.1"]
    store = store_of(tmp_path, NUMBERS, [(value, "") for value in values])
    up = ["-2.5", "9", "10", "1e3", "12345678901234567890.1", "12345678901234567890.2", "Infinity", "NaN", None]
    assert column(store, Arrangement(sorts=(Sort(0),))) == up
    down = column(store, Arrangement(sorts=(Sort(0, True),)))
    assert down[-1] is None
    assert [value for value in down if value not in (None, "NaN")] == [v for v in up[::-1] if v not in (None, "NaN")]


def test_large_integers_are_not_rounded(tmp_path: Path) -> None:
    values = ["9007199254740993", "9007199254740992", "-1"]
    store = store_of(tmp_path, NUMBERS, [(value, "") for value in values])
    assert column(store, Arrangement(sorts=(Sort(0),))) == ["-1", "9007199254740992", "9007199254740993"]
    assert column(store, Arrangement(parse("n > 9007199254740992", NUMBERS))) == ["9007199254740993"]


@pytest.mark.parametrize(
    ("type_name", "values"),
    [
        ("timestamptz", ["2025-12-31 23:00:00.5+00", "2026-01-01 01:30:00+02", "2026-01-01 00:00:00+00"]),
        ("timestamp", ["2025-12-31 23:00:00", "2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.1"]),
        ("date", ["0999-12-31", "2025-12-31", "2026-01-01"]),
        ("time", ["-838:59:59", "-00:00:01.5", "9:00:00", "100:00:00"]),
        ("interval", ["-1 days", "00:00:10", "1 day 02:00:00", "1 mon", "1 year 2 mons"]),
    ],
)
def test_times_sort_as_times(tmp_path: Path, type_name: str, values: list[str]) -> None:
    columns = (Column("t", type_name, Kind.TIME),)
    store = store_of(tmp_path, columns, [(value,) for value in [*values[1:], None, values[0]]])
    assert column(store, Arrangement(sorts=(Sort(0),))) == [*values, None]


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable_and_the_sort_before_breaks_ties(tmp_path: Path, descending: bool) -> None:
    rows: list[Row] = [(str(number % 7), f"{number % 3}") for number in range(3000)]
    store = store_of(tmp_path, NUMBERS, rows)
    arranged = arrange(store, Arrangement(sorts=(Sort(1, descending),)))
    assert arranged is not None
    expected = sorted(range(3000), key=lambda number: -(number % 3) if descending else number % 3)
    assert arranged.numbers.to_pylist() == expected
    both = arrange(store, Arrangement(sorts=(Sort(1), Sort(0, descending))))
    assert both is not None
    assert [(rows[number][1], rows[number][0]) for number in both.numbers.to_pylist()] == [
        (str(t), str(n)) for t in range(3) for n in (range(6, -1, -1) if descending else range(7))
        for _ in range(sum(1 for row in rows if row == (str(n), str(t))))
    ]  # fmt: skip


def test_long_texts_are_compared_by_their_beginning_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.arrangement.KEY_BYTES", 100_000)
    columns = (Column("t", "text", Kind.TEXT),)
    rows: list[Row] = [(f"{9999 - number:04}" + "x" * 500,) for number in range(2000)]
    store = store_of(tmp_path, columns, rows)
    arranged = arrange(store, Arrangement(sorts=(Sort(0),)))
    assert arranged is not None
    assert arranged.cut
    assert arranged.numbers.to_pylist() == list(range(1999, -1, -1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MÜL", ["1"]),
        ("n = 2", ["2"]),
        ("n=2.0", ["2"]),
        ("N >= 2 and t is not null", ["2", "4", "10"]),
        ("t is null", ["3"]),
        ("t = ''", ["4"]),
        ("t != ''", ["1", "2", "10"]),
        ("t !~ a", ["1", "4"]),
        ("t ~ and", ["2", "10"]),
        ("me and you", ["10"]),
        ("\"t\" = 'it''s me and you'", []),
        ("%", []),
        ("x = 3", []),
    ],
)
def test_filters(tmp_path: Path, text: str, found: list[str]) -> None:
    rows: list[Row] = [("1", "Müller"), ("2", "sand"), ("3", None), ("4", ""), ("10", "it's me and you")]
    store = store_of(tmp_path, NUMBERS, rows)
    assert column(store, Arrangement(parse(text, NUMBERS))) == found


def test_a_text_is_no_number_to_compare_with() -> None:
    with pytest.raises(NoNumber) as raised:
        parse("n > many", NUMBERS)
    assert (raised.value.column, raised.value.value) == ("n", "many")
    assert parse("  ", NUMBERS) is None


def test_arranging_can_be_stopped(tmp_path: Path) -> None:
    store = store_of(tmp_path, NUMBERS, [("1", "a")] * 10)
    assert arrange(store, Arrangement(sorts=(Sort(0),)), lambda: True) is None


def test_gathering_reads_rows_in_any_order(tmp_path: Path) -> None:
    store = store_of(tmp_path, NUMBERS, [(str(number), "x" * 100) for number in range(10_000)])
    wanted = [9_999, 0, 5_000, 5_000, 1]
    assert store.gather(pa.array(wanted, pa.int32())).column(0).to_pylist() == [str(number) for number in wanted]
    assert store.gather(pa.array([], pa.int32())).num_rows == 0


def test_values_that_are_cut_are_counted(tmp_path: Path) -> None:
    columns = (Column("t", "text", Kind.TEXT),)
    rows: list[Row] = [("x" * arrow.CELL_CHARACTERS,), ("x" * (arrow.CELL_CHARACTERS + 1),), ("上" * 400_000,)]
    assert store_of(tmp_path, columns, rows).cut == 1


def test_rows_with_long_values_come_in_small_batches() -> None:
    gatherer = arrow.Gatherer((NUMBERS[1],))
    sizes = [
        made.nbytes for _ in range(200) if (made := gatherer.add([("x" * 1_000_000,)])) is not None
    ]  # fmt: skip
    assert len(sizes) > 10
    assert max(sizes) < 2 * arrow.CHUNK_BYTES


def test_widths_are_cells_and_not_bytes(tmp_path: Path) -> None:
    columns = tuple(Column(str(number), "text", Kind.TEXT) for number in range(4))
    store = store_of(tmp_path, columns, [("abc", "上海", "e\u0301", None), ("", "数据库", "\x1b[1m", None)])
    assert store.widest == [3, 6, 4, 4]


def test_what_is_sorted_by_does_not_hold_the_other_columns(tmp_path: Path) -> None:
    columns = [Column("id", "int4", Kind.NUMBER), Column("filler", "text", Kind.TEXT)]
    store = RowStore(columns, ResultSpace(SpillFolder(tmp_path), memory=0))
    store.append(arrow.batch(columns, [(str(number), "x" * 500) for number in range(2000)]))
    assert store.on_disk
    before = pa.total_allocated_bytes()
    keys = [arrangement._own(batch.column(0)) for _first, batch in store.batches()]
    assert pa.total_allocated_bytes() - before < 50_000, "a whole piece is a megabyte"
    assert sum(len(key) for key in keys) == 2000
    store.close()
