"""Following a statement: first rows at once, a byte budget, what is cancelled then and what is not."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncssh
import pytest

from backends import arrow
from backends.catalog import Catalog
from backends.connection import BudgetReached, ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed, follow
from backends.headless import _printer
from backends.host_keys import HostKeys, describe
from backends.interface import (
    Backend,
    Column,
    DatabaseError,
    Event,
    Finished,
    Kind,
    Rows,
    ServerFacts,
    Started,
    TransactionState,
)
from backends.link import Target
from backends.mysql import _position

COLUMNS = (Column("n", "int4", Kind.NUMBER), Column("t", "text", Kind.TEXT))


class Scripted(Backend):
    """A backend whose statements give `chunks` chunks of 100 rows."""

    engine = "postgresql"

    def __init__(self, chunks: int, state: TransactionState = TransactionState.NONE) -> None:
        self.chunks, self.state = chunks, state
        self.cancelled = False
        self.given = 0

    def execute(self, text: str) -> Iterator[Event]:
        yield Started(COLUMNS)
        for _ in range(self.chunks):
            if self.cancelled:
                raise DatabaseError("canceling statement", code="57014", cancelled=True)
            self.given += 1
            yield Rows([(str(i), "x" * 90) for i in range(100)])
        yield Finished(f"SELECT {self.chunks * 100}", self.chunks * 100)

    def cancel(self) -> bool:
        self.cancelled = True
        return True

    def connect(self) -> ServerFacts:
        return ServerFacts("", "")

    def transaction(self) -> TransactionState:
        return self.state

    def set_autocommit(self, on: bool) -> None: ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    @property
    def catalog(self) -> Catalog:
        raise NotImplementedError

    def close(self) -> None: ...

    def abandon(self) -> None: ...


def run(backend: Scripted, text: str, budget: int = arrow.BYTE_BUDGET) -> list[RunEvent]:
    return list(follow(backend, text, backend.cancel, budget))


def kept(events: Sequence[RunEvent]) -> int:
    return sum(event.batch.num_rows for event in events if isinstance(event, RowsArrived))


def test_the_first_rows_come_at_once_and_all_rows_come() -> None:
    events = run(Scripted(500), "select 1")
    assert isinstance(events[0], ResultBegan)
    assert isinstance(events[1], RowsArrived)
    assert events[1].batch.num_rows == 100
    assert kept(events) == 50_000
    assert isinstance(events[-1], ResultEnded)
    assert (events[-1].rows, events[-1].truncated) == (50_000, False)


def test_a_plain_read_over_the_budget_is_cancelled() -> None:
    backend = Scripted(10_000)
    events = run(backend, "select 1", budget=1_000_000)
    [reached] = [event for event in events if isinstance(event, BudgetReached)]
    assert reached.cancelling
    assert isinstance(events[-1], ResultEnded)
    assert (events[-1].truncated, events[-1].cancelled) == (True, True)
    assert events[-1].rows == kept(events) == reached.rows
    assert backend.given < 10_000


@pytest.mark.parametrize(
    ("text", "state"),
    [("insert into t select 1 returning *", TransactionState.NONE), ("select 1", TransactionState.OPEN)],
    ids=["write", "in a transaction"],
)
def test_what_cancelling_would_undo_is_read_to_its_end(text: str, state: TransactionState) -> None:
    backend = Scripted(2_000, state)
    events = run(backend, text, budget=1_000_000)
    assert not backend.cancelled
    assert backend.given == 2_000
    assert isinstance(events[-1], ResultEnded)
    assert events[-1].truncated
    assert events[-1].rows == kept(events) < 200_000


def test_an_error_keeps_the_rows_before_it() -> None:
    backend = Scripted(3)
    events = []
    for event in follow(backend, "select 1", backend.cancel):
        events.append(event)
        if isinstance(event, RowsArrived):
            backend.cancelled = True
    assert kept(events) == 100
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.cancelled


def test_values_are_kept_as_the_server_wrote_them() -> None:
    columns = (Column("b", "blob", Kind.BINARY), Column("t", "text", Kind.TEXT))
    made = arrow.batch(columns, [(b"\x00\xff", "\ud800 lone"), (None, None), (b"", "x" * (arrow.CELL_CHARACTERS + 5))])
    assert made.column(0).to_pylist() == ["0x00ff", None, "0x"]
    assert made.column(1).to_pylist()[0] == "? lone"
    assert len(made.column(1).to_pylist()[2]) == arrow.CELL_CHARACTERS + 1


def test_rows_without_a_screen() -> None:
    columns = (
        Column("id", "int8", Kind.NUMBER), Column("id", "numeric", Kind.NUMBER),
        Column("ok", "bool", Kind.BOOLEAN), Column("名", "text", Kind.TEXT),
    )  # fmt: skip
    made = arrow.batch(columns, [("1", "0.10", "t", "数据\x1b[2J"), ("2", "NaN", None, None)])
    shown = {}
    for format in ("table", "json", "csv"):
        out = io.StringIO()
        _printer(format, columns, out)(made)
        shown[format] = out.getvalue().splitlines()
    assert shown["json"] == [
        '{"id": 1, "id_2": 0.10, "ok": true, "名": "数据\\u001b[2J"}',
        '{"id": 2, "id_2": "NaN", "ok": null, "名": null}',
    ]
    assert shown["csv"] == ["id,id,ok,名", "1,0.10,t,数据\x1b[2J", "2,NaN,,"]
    assert shown["table"][0] == "id  id    ok    名"
    assert shown["table"][2] == " 1  0.10  t     数据␛[2J"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice@db", Target("alice", "db", 60022)),
        ("alice@db:22", Target("alice", "db", 22)),
        ("a.b@c@[2001:db8::1]:60023", Target("a.b@c", "2001:db8::1", 60023)),
        ("alice@[::1]", Target("alice", "::1", 60022)),
    ],
)
def test_targets(text: str, expected: Target) -> None:
    assert Target.parse(text) == expected
    assert Target.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["db", "@db", "alice@", "alice@db:0", "alice@db:x", "alice@[::1"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match=r"\."):
        Target.parse(text)


def test_host_keys_are_known_by_host_and_port(tmp_path: Path) -> None:
    key, other = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(2))
    keys = HostKeys([tmp_path / "new" / "known_hosts", tmp_path / "absent"])
    assert keys.trusted("db", 60022) == ([], [])
    keys.remember(describe("db", 60022, key))
    keys.remember(describe("db", 22, other))
    assert (tmp_path / "new" / "known_hosts").stat().st_mode & 0o777 == 0o600
    assert keys.trusted("db", 60022)[0] == [key]
    assert keys.trusted("db", 22)[0] == [other]
    # The key of the machine's own sshd says nothing about another port.
    assert keys.trusted("db", 60023)[0] == []


def test_one_unreadable_line_hides_no_other(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    file = tmp_path / "known_hosts"
    file.write_text(f"@@@ nonsense\n{describe('db', 60022, key).line}\ndb ssh-ed25519 AAAA\n")
    assert HostKeys([file]).trusted("db", 60022)[0] == [key]


def test_where_mysql_points() -> None:
    text = "select 1,\n  frm t\n where"
    assert _position("… the right syntax to use near 'frm t\n where' at line 2", text) == text.index("frm")
    assert _position("… near '' at line 3", text) == len(text)
    assert _position("Unknown column 'x' in 'field list'", text) is None
