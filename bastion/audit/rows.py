"""What records become in the store: a batch of them is folded into as few rows and changes as it takes.

A statement that is sent and answered within one batch is one insert. Folding knows nothing of threads or times; it
is also what `comparison` replays to see whether the store still says what the journal says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from bastion.protocols.sql_shape import shape_digest
from bastion.store import schema

from .long_texts import taken_apart
from .records import (
    Act,
    AnyRecord,
    CancelSent,
    ClientNamed,
    JournalRepaired,
    LoggedIn,
    LoginRefused,
    NodeStarted,
    NodeStopped,
    RawBytes,
    Recording,
    SessionClosed,
    SessionLoggedIn,
    SessionOpened,
    SessionRefused,
    StatementDone,
    StatementExtended,
    StatementRefused,
    StatementSent,
    StorageAlarm,
    Tombstone,
)
from .tombstones import deletion_of

LARGEST = 2**63 - 1
"""Counts beyond it (a database may say anything) are kept as this: the store's integers end here."""

LONGEST_TEXT = 16 * 1024 * 1024
"""Characters of a statement's text that the store keeps. The journal has every one of them."""

INSERTED_TOGETHER = (256, 64, 16, 4, 1)
"""Rows of one INSERT; SQLite takes 32,766 values in one."""

Row = dict[str, Any]
StatementKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Owner:
    """What a statement's row repeats of its session."""

    user: str
    database: str
    account: str
    engine: str = ""
    """For the digest of a statement's shape; the row does not repeat it."""


UNKNOWN = Owner("", "", "")


def storable(text: str) -> str:
    """PostgreSQL's text takes no NUL character: the picture of one stands in."""
    return text.replace("\0", "\u2400") if "\0" in text else text


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _binds(binds: list[str | None] | None) -> list[str | None] | None:
    return None if binds is None else [_storable(one) for one in binds]


def _count(number: int | None) -> int | None:
    return None if number is None else min(number, LARGEST)


def digest_of(text: str) -> str:
    """SHA-256 of a whole statement's text, in hex: equal statements are found by it."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


NO_DIGESTS: Row = {"text_digest": "", "digest": ""}


def digests_of(text: str, engine: str) -> Row:
    """The digests of a whole statement's text: of itself, and of its shape."""
    return {"text_digest": digest_of(text), "digest": shape_digest(text, engine)}


@dataclass(slots=True)
class Batch:
    """Rows to insert and changes to rows of earlier batches, in the order in which they must be done."""

    node: str
    owner_of: Callable[[str], Owner]
    """Who a session belongs to that was opened in an earlier batch."""
    owners: dict[str, Owner] = field(default_factory=dict)
    sessions: dict[str, Row] = field(default_factory=dict)
    session_changes: dict[str, Row] = field(default_factory=dict)
    statements: dict[StatementKey, Row] = field(default_factory=dict)
    statement_changes: dict[StatementKey, Row] = field(default_factory=dict)
    more_text: dict[StatementKey, list[str]] = field(default_factory=dict)
    more_binds: dict[StatementKey, list[str | None]] = field(default_factory=dict)
    acts: list[Row] = field(default_factory=list)

    def take(self, records: Iterable[tuple[int, AnyRecord]]) -> None:
        """Folds records with their numbers, in order."""
        for number, record in records:
            fold = _FOLDS.get(type(record))
            if fold is not None:
                fold(self, number, record)

    # ----------------------------------------------------------------------------------------------------- statements

    def _sent(self, _number: int, record: StatementSent) -> None:
        text = storable(record.text)
        self._statement(
            record.session,
            record.seq,
            at=record.at,
            schema=storable(record.schema),
            operation=record.operation,
            kind=record.statement_kind,
            text=text,
            complete=record.complete,
            binds=_binds(record.binds),
            verdict=record.verdict,
            tool=record.tool,
            state="sent",
        )

    def _refused(self, _number: int, record: StatementRefused) -> None:
        text = storable(record.text)
        key = (record.session, record.seq)
        if key in self.statements:
            self.statements[key].update(state="refused", verdict=record.code, error=storable(record.error))
            return
        self._statement(
            record.session,
            record.seq,
            at=record.at,
            schema=storable(record.schema),
            kind=record.statement_kind,
            text=text,
            binds=_binds(record.binds),
            verdict=record.code,
            state="refused",
            error=storable(record.error),
        )

    def _statement(self, session: str, seq: int, **values: Any) -> None:
        owner = self.owners.get(session)
        if owner is None:
            owner = self.owners[session] = self.owner_of(session)
        if values.get("complete", True):
            values |= digests_of(values["text"], owner.engine)
        self.statements[session, seq] = {
            **_STATEMENT, "session": session, "seq": seq,
            "user": owner.user, "database": owner.database, "account": owner.account, **values,
        }  # fmt: skip
        self._session(session)["statements"] = seq

    def _extended(self, _number: int, record: StatementExtended) -> None:
        key = (record.session, record.seq)
        row = self._statement_row(key)
        if record.statement_kind:
            row["kind"] = record.statement_kind
        if record.binds is not None:
            if "binds" in row:
                row["binds"] = [*(row["binds"] or ()), *(_binds(record.binds) or ())]
            else:
                self.more_binds.setdefault(key, []).extend(_binds(record.binds) or ())
        if record.text:
            if "text" in row:
                engine = self.owners.get(record.session, UNKNOWN).engine
                _lengthen(row, row["text"], storable(record.text), record.complete, engine)
            else:
                self.more_text.setdefault(key, []).append(storable(record.text))
                row["complete"] = record.complete

    def _done(self, _number: int, record: StatementDone) -> None:
        row = self._statement_row((record.session, record.seq))
        row["state"] = record.state
        row["rows"] = _count(record.rows)
        row["error"] = _storable(record.error)
        row["duration_ms"] = record.duration_ms
        row["bytes_down"] = _count(record.bytes_down)

    def _statement_row(self, key: StatementKey) -> Row:
        row = self.statements.get(key)
        if row is None:
            row = self.statement_changes.setdefault(key, {})
        return row

    # ------------------------------------------------------------------------------------------------------- sessions

    def _opened(self, _number: int, record: SessionOpened) -> None:
        row = {
            name: storable(getattr(record, name))
            for name in ("session", "user", "source", "token", "database", "account", "engine", "node", "purpose")
        }
        self.sessions[record.session] = {**_SESSION, **row, "state": "opening", "started_at": record.at}
        self.owners[record.session] = Owner(row["user"], row["database"], row["account"], row["engine"])

    def _logged_in(self, _number: int, record: SessionLoggedIn) -> None:
        row = self._session(record.session)
        row["state"] = "live"
        for name in ("login", "client", "catalog", "schema", "server_version", "database_tls"):
            row[name] = storable(getattr(record, name))

    def _named(self, _number: int, record: ClientNamed) -> None:
        self._session(record.session)["client"] = storable(record.client)

    def _session_refused(self, _number: int, record: SessionRefused) -> None:
        row = self._session(record.session)
        row.update(state="refused", ended_at=record.at, end_reason=storable(record.error) or record.code)
        for name in ("login", "client"):
            if getattr(record, name):
                row[name] = storable(getattr(record, name))

    def _closed(self, _number: int, record: SessionClosed) -> None:
        self._session(record.session).update(
            state=record.state,
            ended_at=record.at,
            end_reason=storable(record.reason),
            statements=_count(record.statements),
            bytes_up=_count(record.bytes_up),
            bytes_down=_count(record.bytes_down),
            unattributed_bytes=_count(record.unattributed_bytes),
            backend=record.backend,
            messages=record.messages or None,
        )

    def _session(self, session: str) -> Row:
        row = self.sessions.get(session)
        if row is None:
            row = self.session_changes.setdefault(session, {})
        return row

    # ----------------------------------------------------------------------------------------------------------- acts

    def _act(
        self, number: int, record: AnyRecord, act: str, user: str, source: str, subject: str, **detail: Any
    ) -> None:
        self.acts.append(
            {
                "node": self.node,
                "number": number,
                "at": record.at,
                "kind": type(record).__struct_config__.tag,
                "act": act,
                "user": storable(user),
                "source": source,
                "subject": storable(subject),
                "detail": {
                    storable(name): storable(value) if isinstance(value, str) else value
                    for name, value in detail.items()
                },
            }
        )

    def _acted(self, number: int, record: Act) -> None:
        self._act(number, record, record.act, record.user, record.source, record.subject)
        self.acts[-1]["detail"] = {
            storable(name): storable(value) if isinstance(value, str) else value
            for name, value in record.detail.items()
        }

    def _login(self, number: int, record: LoggedIn) -> None:
        self._act(number, record, "login", record.user, record.source, "", method=record.method)

    def _login_refused(self, number: int, record: LoginRefused) -> None:
        self._act(
            number, record, "login-refused", record.user, record.source, "", method=record.method, code=record.code
        )

    def _cancel(self, number: int, record: CancelSent) -> None:
        self._act(
            number, record, "cancel", record.by, "", record.session,
            seq=record.seq, reason=record.reason, confirmed=record.confirmed,
        )  # fmt: skip

    def _raw(self, number: int, record: RawBytes) -> None:
        self._act(
            number, record, "raw-bytes", "", "", record.session,
            leg=record.leg, reason=record.reason, made=record.made, data=record.data,
        )  # fmt: skip

    def _recording(self, number: int, record: Recording) -> None:
        """Only what was lost is worth a row; the file itself says what it holds."""
        if record.cut and record.state == "closed":
            self._act(
                number, record, "recording-cut", "", "", record.session,
                why=record.cut, kept=_count(record.kept), left_out=_count(record.left_out),
            )  # fmt: skip

    def _node_started(self, number: int, record: NodeStarted) -> None:
        self._act(number, record, "start", "", "", record.node, version=record.version, public_key=record.public_key)

    def _node_stopped(self, number: int, record: NodeStopped) -> None:
        self._act(number, record, "stop", "", "", record.node, reason=record.reason)

    def _tombstone(self, number: int, record: Tombstone) -> None:
        deletion = deletion_of(record)
        self._act(
            number, record, "deletion", "", "", deletion.rule, before=deletion.before, records=deletion.records,
            sessions=deletion.sessions, recordings=" ".join(one.id for one in deletion.recordings),
        )  # fmt: skip

    def _alarm(self, number: int, record: StorageAlarm) -> None:
        self._act(
            number, record, "storage-alarm", "", "", record.folder, state=record.state, used=_count(record.used),
            total=_count(record.total), percent=record.percent,
        )  # fmt: skip

    def _repaired(self, number: int, record: JournalRepaired) -> None:
        self._act(number, record, "repair", "", "", record.segment, bytes_cut=record.bytes_cut)


_FOLDS: dict[type, Callable[[Batch, int, Any], None]] = {
    StatementSent: Batch._sent,
    StatementDone: Batch._done,
    StatementExtended: Batch._extended,
    StatementRefused: Batch._refused,
    SessionOpened: Batch._opened,
    SessionLoggedIn: Batch._logged_in,
    ClientNamed: Batch._named,
    SessionRefused: Batch._session_refused,
    SessionClosed: Batch._closed,
    Act: Batch._acted,
    LoggedIn: Batch._login,
    LoginRefused: Batch._login_refused,
    CancelSent: Batch._cancel,
    RawBytes: Batch._raw,
    NodeStarted: Batch._node_started,
    NodeStopped: Batch._node_stopped,
    JournalRepaired: Batch._repaired,
    Recording: Batch._recording,
    Tombstone: Batch._tombstone,
    StorageAlarm: Batch._alarm,
}

_STATEMENT: Row = {
    "operation": "", "complete": True, "binds": None, "tool": "", "rows": None, "error": None, "duration_ms": None,
    "bytes_down": 0, **NO_DIGESTS,
}  # fmt: skip
_SESSION: Row = {
    "client": "", "login": "", "ended_at": None, "end_reason": None, "statements": 0, "bytes_up": 0, "bytes_down": 0,
    "unattributed_bytes": 0, "catalog": "", "schema": "", "server_version": "", "database_tls": "",
    "backend": "", "messages": None,
}  # fmt: skip


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    """Inserts rows that may be there already (a store that was put back to an earlier state and refilled).

    To SQLite many rows go in one statement, straight to the driver: it lets the event loop's thread run while a
    statement works, and takes the interpreter back after each, so one a row would cost the data path dearly.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
        return
    names = tuple(column.name for column in table.columns if column.name in rows[0])
    json_columns = [place for place, name in enumerate(names) if isinstance(table.c[name].type, sa.JSON)]
    values_of = itemgetter(*names)
    start = 0
    for size in INSERTED_TOGETHER:
        while len(rows) - start >= size:
            values = list(chain.from_iterable(map(values_of, rows[start : start + size])))
            for column in json_columns:
                for place in range(column, len(values), len(names)):
                    if values[place] is not None:
                        values[place] = msgspec.json.encode(values[place]).decode()
            connection.exec_driver_sql(_insert_text(table.name, names, size), tuple(values))
            start += size


@cache
def _insert_text(table: str, names: tuple[str, ...], rows: int) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    row = f"({', '.join('?' * len(names))})"
    return f'INSERT INTO "{table}" ({columns}) VALUES {", ".join([row] * rows)} ON CONFLICT DO NOTHING'  # noqa: S608 - our names


def write(connection: sa.Connection, batch: Batch) -> None:
    """Does the batch. The caller moves the cursor in the same transaction."""
    _insert(connection, schema.sessions, list(batch.sessions.values()))
    _insert(connection, schema.texts, taken_apart(batch.statements.values()))
    _insert(connection, schema.statements, list(batch.statements.values()))
    _insert(connection, schema.acts, batch.acts)
    _update(connection, schema.sessions, [({"session": key}, row) for key, row in batch.session_changes.items()])
    for (session, seq), parts in batch.more_text.items():
        engine = batch.owner_of(session).engine
        _lengthen_stored(connection, session, seq, "".join(parts), batch.statement_changes[session, seq], engine)
    for key, binds in batch.more_binds.items():
        batch.statement_changes[key]["binds"] = [*_stored_binds(connection, *key), *binds]
    _insert(connection, schema.texts, taken_apart(batch.statement_changes.values()))
    _update(
        connection,
        schema.statements,
        [({"session": session, "seq": seq}, row) for (session, seq), row in batch.statement_changes.items() if row],
    )


def _update(connection: sa.Connection, table: sa.Table, changes: list[tuple[Row, Row]]) -> None:
    """One statement for all changes of the same columns; rows of a table are not touched twice, so order is free."""
    by_columns: dict[tuple[str, ...], list[Row]] = {}
    for key, row in changes:
        parameters = {f"key_{name}": value for name, value in key.items()} | {
            f"new_{name}": value for name, value in row.items()
        }
        by_columns.setdefault(tuple(row), []).append(parameters)
    for columns, rows in by_columns.items():
        keys = [name.removeprefix("key_") for name in rows[0] if name.startswith("key_")]
        statement = (
            sa.update(table)
            .where(*(table.c[name] == sa.bindparam(f"key_{name}") for name in keys))
            .values({name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in columns})
        )
        connection.execute(statement, rows)


def _stored_binds(connection: sa.Connection, session: str, seq: int) -> list[str | None]:
    table = schema.statements
    query = sa.select(table.c.binds).where((table.c.session == session) & (table.c.seq == seq))
    return connection.scalar(query) or []


def _lengthen(row: Row, text: str, more: str, complete: bool, engine: str) -> None:
    """Appends to a text, up to what the store keeps of one. A text that is cut is never complete and has no digest."""
    cut = len(text) + len(more) > LONGEST_TEXT
    row["text"] = text + more[: LONGEST_TEXT - len(text)]
    row["complete"] = complete and not cut
    row.update(digests_of(row["text"], engine) if row["complete"] else NO_DIGESTS)


def _lengthen_stored(connection: sa.Connection, session: str, seq: int, more: str, change: Row, engine: str) -> None:
    """Appends text to a statement whose beginning is in the store."""
    table = schema.statements
    row = (table.c.session == session) & (table.c.seq == seq)
    length = connection.scalar(sa.select(sa.func.length(table.c.text)).where(row)) or 0
    if length >= LONGEST_TEXT:
        change["complete"] = False
        return
    text = (connection.scalar(sa.select(table.c.text).where(row)) if length else "") or ""
    _lengthen(change, text, more, change.get("complete", True), engine)
