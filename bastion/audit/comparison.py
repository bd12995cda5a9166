"""Whether the store still says what the journal says: rows changed, taken out or put in behind the bastion's back.

The journal is folded anew into a temporary database by the code that fills the store, up to the record that the store
says it has; then the two are walked side by side. So it takes disk, not memory, for a journal of any length.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import schema
from bastion.store.store import Store

from .retention import Plan, pending
from .rows import UNKNOWN, Batch, Owner, write
from .segments import last_number, node_of, records_after, segments_of
from .verify import NothingToVerify

FOLDED = 5000
"""Records that are folded in one transaction."""

FETCHED = 1000
TEXTS = 20
"""Long texts that are compared at a time; one may be of megabytes."""

SHOWN = 200
"""Characters of a value in a difference."""

_TABLES = (schema.sessions, schema.statements, schema.acts)
_NOT_COMPARED = frozenset({"id", "digest"})
"""The digest of a shape is for finding only: it follows from the text, in the way of the version that wrote the row."""
_NOTHING = object()
_LATER = {("sessions", "backend"): "", ("sessions", "messages"): None}
"""What a column holds in rows from before there was such a column; that the journal knows better is no fault then."""
_KEYS = {"sessions": ("session",), "statements": ("session", "seq"), "acts": ("number",)}


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the store does not say what the journal says.

    what     `changed`, `removed` (the journal has it, the store has not), `added` (the store has it, the journal not),
             `cut` (the journal ends before what the store has seen of it)
    """

    table: str
    key: str
    what: str
    column: str = ""
    journal: str = ""
    store: str = ""

    def __str__(self) -> str:
        subject = f"the row {self.key} of {self.table}"
        match self.what:
            case "changed":
                return f"{subject} has the {self.column} {self.store!r}; the journal says {self.journal!r}"
            case "removed":
                return f"{subject} is in the journal, but not in the store: it was removed there"
            case "added":
                return f"{subject} is in the store, but not in the journal: it was put in"
            case _:
                return f"the store has seen record {self.store}, but the journal ends with record {self.journal}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows` agree, up to record `number` of the node; `behind` records are not in the store yet."""

    node: str
    number: int
    behind: int
    rows: int
    difference: Difference | None


def compare_with_store(store: Store, folder: Path) -> Comparison:
    """Compares sessions, statements and acts of the journal's node. `verify` the journal first: it is believed here.

    Works beside a running bastion. Raises NothingToVerify, JournalUnreadable, OSError and what the store raises.
    """
    node = node_of(folder)
    if node is None:
        raise NothingToVerify(f"{folder} holds no journal that says whose it is. Give the journal's folder.")
    with tempfile.TemporaryDirectory(prefix="casemate-verify-") as scratch:
        engine = sa.create_engine(f"sqlite:///{scratch}/journal.db")
        sa.event.listen(engine, "connect", _without_a_care)
        try:
            schema.metadata.create_all(engine, tables=(*_TABLES, schema.texts))
            files = {one.path: one.path.stat().st_ino for one in segments_of(folder)}
            # Most of it before the store is asked for one moment of itself, so that this moment is a short one.
            copied = _fold(engine, folder, node, 0, min(store.read_now(_shipped(node)), last_number(folder)))

            def work(connection: sa.Connection) -> Comparison:
                shipped, last = _shipped(node)(connection), last_number(folder)
                if shipped > last:
                    cut = Difference("shipped", node, "cut", journal=str(last), store=str(shipped))
                    return Comparison(node, last, 0, 0, cut)
                if shipped < copied:
                    raise NothingToVerify("The store was put back to an earlier state meanwhile. Try again.")
                _fold(engine, folder, node, copied, shipped)
                with _any_bytes(connection):
                    rows, difference = _compare(engine, connection, node, pending(folder))
                if difference is not None and not _still_there(files):
                    raise NothingToVerify("Records were deleted by retention meanwhile. Try again.")
                return Comparison(node, shipped, last - shipped, rows, difference)

            return store.read_now(work)
        finally:
            engine.dispose()


def _without_a_care(raw: Any, _entry: object) -> None:
    """The copy is thrown away: nothing of it has to survive a crash."""
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF"):
        raw.execute(f"PRAGMA {pragma}")


def with_store(proof: m.Proof, store: Store, folder: Path) -> m.Proof:
    """A proof of the journal in `folder`, completed by what the store says. A journal that is broken proves nothing."""
    if not proof.intact:
        return proof
    difference = compare_with_store(store, folder).difference
    proof.store = "" if difference is None else str(difference)
    if difference is not None:
        proof.intact = False
        proof.reason = proof.store
    return proof


def _shipped(node: str) -> Any:
    table = schema.shipped
    query = sa.select(table.c.number).where(table.c.node == node)
    return lambda connection: connection.scalar(query) or 0


def _fold(engine: sa.Engine, folder: Path, node: str, number: int, end: int) -> int:
    """Brings the records after `number` up to `end` into the copy; returns `end`."""
    records = records_after(folder, number, end)
    while several := list(islice(records, FOLDED)):
        with engine.begin() as connection:

            def owner_of(session: str, connection: sa.Connection = connection) -> Owner:
                table = schema.sessions
                query = sa.select(table.c.user, table.c.database, table.c.account, table.c.engine).where(
                    table.c.session == session
                )
                row = connection.execute(query).first()
                return Owner(*row) if row is not None else UNKNOWN

            batch = Batch(node, owner_of)
            batch.take(several)
            write(connection, batch)
    return end


def _still_there(files: dict[Path, int]) -> bool:
    return all(path.exists() and path.stat().st_ino == inode for path, inode in files.items())


def _compare(
    engine: sa.Engine, store: sa.Connection, node: str, under_way: Plan | None
) -> tuple[int, Difference | None]:
    agreeing = 0
    with engine.connect() as copy:
        for table in _TABLES:
            columns = [column.name for column in table.columns if column.name not in _NOT_COMPARED]
            for ours, theirs in _side_by_side(
                _rows(copy, table, columns, None), _rows(store, table, columns, node), _KEYS[table.name]
            ):
                difference = _difference(table.name, columns, ours, theirs)
                if difference is not None:
                    if under_way is not None and _being_deleted(under_way, ours or theirs or {}):
                        continue
                    return agreeing, difference
                agreeing += 1
        return agreeing, None if under_way is not None else _compare_texts(copy, store)


def _being_deleted(under_way: Plan, row: dict[str, Any]) -> bool:
    """Whether retention is at work on it: a signed tombstone says that it goes."""
    if "session" in row:
        return row["session"] in under_way.sessions
    return bool(row["number"] <= under_way.last)


def _compare_texts(copy: sa.Connection, store: sa.Connection) -> Difference | None:
    """Of long texts only those that the journal has: the table is all nodes', and nothing leads to any other."""
    table = schema.texts
    last = ""
    while several := _texts(copy, table.c.digest > last):
        stored = _texts(store, table.c.digest.in_(several))
        for digest, text in several.items():
            found = stored.get(digest)
            if found is None:
                return Difference(table.name, digest, "removed")
            if found != text:
                return Difference(table.name, digest, "changed", "text", text[:SHOWN], found[:SHOWN])
        last = max(several)
    return None


def _texts(connection: sa.Connection, which: sa.ColumnElement[bool]) -> dict[str, str]:
    """Long texts by their digests: hexadecimal, so of one order in every database."""
    table = schema.texts
    query = sa.select(table.c.digest, table.c.text).where(which).order_by(table.c.digest).limit(TEXTS)
    return {row.digest: row.text for row in connection.execute(query)}


class _AsFound(sa.types.TypeDecorator[Any]):
    """JSON, or what somebody put in its place: that is a difference to be shown, not a reason to stop."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:
        decode = sa.JSON().dialect_impl(dialect).result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                return value if decode is None else decode(value)
            except (ValueError, TypeError):
                return f"{value!s} (not readable)"

        return process


@contextlib.contextmanager
def _any_bytes(connection: sa.Connection) -> Iterator[None]:
    """Within it, SQLite hands out texts that are not UTF-8 too, so that they can be compared."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    raw.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = str


def _rows(connection: sa.Connection, table: sa.Table, columns: list[str], node: str | None) -> Iterator[dict[str, Any]]:
    """The table in the order of its key, by bytes in every database. With `node`, that node's rows and nobody's."""
    query = sa.select(
        *(
            sa.type_coerce(column, _AsFound).label(name) if isinstance(column.type, sa.JSON) else column
            for name, column in ((name, table.c[name]) for name in columns)
        )
    )
    if node is not None and table is schema.statements:
        sessions = schema.sessions
        query = query.outerjoin(sessions, sessions.c.session == table.c.session).where(
            (sessions.c.node == node) | sessions.c.session.is_(None)
        )
    elif node is not None:
        query = query.where(table.c.node == node)
    for name in _KEYS[table.name]:
        column = table.c[name]
        by_bytes = isinstance(column.type, sa.Text) and connection.dialect.name == "postgresql"
        query = query.order_by(sa.collate(column, "C") if by_bytes else column)
    for row in connection.execution_options(yield_per=FETCHED).execute(query):
        yield dict(zip(columns, row, strict=True))


def _side_by_side(
    ours: Iterator[dict[str, Any]], theirs: Iterator[dict[str, Any]], key: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Rows of the same key together; None where one side has none."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        here = tuple(_in_order(one[name]) for name in key) if one is not None else None
        there = tuple(_in_order(other[name]) for name in key) if other is not None else None
        if there is None or (here is not None and here < there):
            yield one, None
            one = next(ours, None)
        elif here is None or there < here:
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


def _in_order(value: Any) -> tuple[int, Any]:
    """A part of a key as SQLite sorts it, which takes text where a number should be."""
    if isinstance(value, str):
        return 2, value.encode("utf-8", "surrogateescape")
    return (3, value) if isinstance(value, bytes) else (1, value)


def _difference(
    table: str, columns: list[str], ours: dict[str, Any] | None, theirs: dict[str, Any] | None
) -> Difference | None:
    row = ours or theirs or {}
    key = " ".join(str(row[name]) for name in _KEYS[table])
    if theirs is None:
        return Difference(table, key, "removed")
    if ours is None:
        return Difference(table, key, "added")
    for name in columns:
        if ours[name] != theirs[name] and theirs[name] != _LATER.get((table, name), _NOTHING):
            return Difference(table, key, "changed", name, str(ours[name])[:SHOWN], str(theirs[name])[:SHOWN])
    return None
