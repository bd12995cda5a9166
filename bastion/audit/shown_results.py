"""A statement with what was kept of its answer, decoded for an auditor, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.protocols.contract import DatabaseError, ProtocolError
from bastion.protocols.mysql import results as mysql_results
from bastion.protocols.oracle import results as oracle_results
from bastion.protocols.postgres import results as postgres_results
from bastion.protocols.results import Columns, Ended, Parts, Row, Said
from bastion.protocols.tds import results as tds_results
from bastion.store import schema
from bastion.vault import Vault

from .long_texts import statements_with_texts, whole_text
from .recording_file import RecordingDamaged
from .recordings import KeptAnswer, KeptUpload, NotKept, kept_answer, kept_upload
from .search import cut_to_fit

PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of one page as JSON, about: it must fit into a line of the control API."""

STATEMENT_BYTES = 512 * 1024
"""Bytes of the statement itself on a page; a listing shows more of a longer one."""

SENT_BYTES = 1024 * 1024
"""Bytes of data sent in on a page, where they are shown as text; what takes more is shown in hexadecimal."""

PAGE_PARTS = 10_000
"""Rows, and what is said between them, of one page."""

_STATEMENT_FIELDS = list(m.Statement.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement of the record and what is known of its session."""

    statement: m.Statement
    operation: str
    engine: str
    node: str
    session_state: str
    oldest_without_outcome: bool
    cut: str


def asked_for(session: str, number: int) -> Callable[[sa.Connection], Asked]:
    """What the store knows of a statement, as work for it. Raises Refused where there is no such statement."""

    def work(connection: sa.Connection) -> Asked:
        table, sessions, acts = schema.statements, schema.sessions, schema.acts
        query = (
            sa.select(
                *(whole_text if name == "text" else table.c[name] for name in _STATEMENT_FIELDS),
                table.c.operation, sessions.c.engine, sessions.c.node, sessions.c.state,
            )
            .select_from(statements_with_texts().join(sessions, sessions.c.session == table.c.session))
            .where(table.c.session == session, table.c.seq == number)
        )  # fmt: skip
        row = connection.execute(query).first()
        if row is None:
            raise Refused("statement-unknown", session=session[:64], seq=number)
        count = len(_STATEMENT_FIELDS)
        first = connection.scalar(
            sa.select(sa.func.min(table.c.seq)).where(table.c.session == session, table.c.state == "sent")
        )
        cut = connection.scalar(
            sa.select(acts.c.detail).where(acts.c.subject == session, acts.c.act == "recording-cut").limit(1)
        )
        statement = m.Statement(**dict(zip(_STATEMENT_FIELDS, row[:count], strict=True)))
        cut_to_fit(statement, STATEMENT_BYTES)
        operation, engine, node, state = tuple(row)[count:]
        return Asked(statement, operation, engine, node, state, first == number, str(cut["why"]) if cut else "")

    return work


def shown(asked: Asked, folder: Path, vault: Vault, node: str, after: int, limit: int) -> m.StatementResult:
    """The statement with a page of its result: what comes behind the first `after` parts, at most `limit` parts.

    Whatever cannot be shown is said in `kept` and `why`; nothing is raised for it. Raises OSError.
    """
    statement = asked.statement
    answer = m.StatementResult(statement=statement, operation=asked.operation, kept="none", why="", bytes_kept=0)
    answer.bytes_total = statement.bytes_down or None
    if asked.node != node:
        answer.why = "other-node"
        return answer
    if statement.state in ("refused", "skipped"):
        answer.why = "not-run"
        return answer
    try:
        if not after:
            upload = kept_upload(folder, vault, statement.session, statement.seq)
            answer.sent = None if upload is None else _sent(upload)
        found = kept_answer(folder, vault, statement.session, statement.seq, running=asked.oldest_without_outcome)
    except FileNotFoundError:
        answer.why = _why_no_file(asked)
        return answer
    except RecordingDamaged as damaged:
        answer.why = "damaged"
        answer.detail = f"chunk {damaged.chunk}: {damaged}" if damaged.chunk else str(damaged)
        return answer
    if isinstance(found, NotKept):
        answer.why = _why(found.why, asked)
        return answer
    answer.bytes_kept = len(found.data)
    answer.bytes_total = found.total
    if found.total is None:
        answer.kept = "part"
        answer.why = "running" if asked.session_state == "live" else "died"
    elif found.why:
        answer.kept = "part"
        answer.why = _why(found.why, asked)
    else:
        answer.kept = "whole"
    _Page(answer, after, min(limit or PAGE_PARTS, PAGE_PARTS)).fill(_parts(asked, found))
    return answer


def _sent(upload: KeptUpload) -> m.SentData:
    """Data that a client streamed in, as text where they are text: PostgreSQL's binary COPY is not."""
    form, shown = "hex", upload.data.hex()
    if b"\0" not in upload.data:
        text = upload.data.decode(upload.codec, "backslashreplace")
        if len(msgspec.json.encode(text)) <= SENT_BYTES:
            form, shown = "text", text
    return m.SentData(bytes_kept=len(upload.data), bytes_total=upload.total, why=upload.why, form=form, data=shown)


def _why_no_file(asked: Asked) -> str:
    if asked.cut:
        return asked.cut
    if not asked.statement.bytes_down:
        return "no-answer"
    return "died" if asked.session_state == "lost" else "not-recorded"


def _why(why: str, asked: Asked) -> str:
    if why != "missing":
        return why
    if not asked.statement.bytes_down and asked.statement.state != "sent":
        return "no-answer"
    if asked.cut:
        return asked.cut
    if asked.session_state == "lost":
        return "died"
    return "not-yet" if asked.session_state == "live" else "missing"


def _parts(asked: Asked, found: KeptAnswer) -> Parts:
    if asked.engine == "postgresql":
        return postgres_results.decode(found.data, found.codec, described=found.described, formats=found.formats)
    if asked.engine == "sqlserver":
        return tds_results.decode(found.data, described=found.described, formats=found.formats)
    if asked.engine == "oracle":
        return oracle_results.decode(found.data, described=found.described, formats=found.formats)
    return mysql_results.decode(found.data, found.codec, asked.operation, described=found.described)


class _Page:
    """Fills an answer with parts. They are counted, so that the next page begins behind the last one shown; columns
    are not, they are repeated on every page that has rows of theirs."""

    def __init__(self, answer: m.StatementResult, after: int, limit: int) -> None:
        self._answer = answer
        self._after = after
        self._limit = limit
        self._room = PAGE_BYTES
        self._filled = False
        self._count = 0
        self._results = 0
        self._rows = 0
        self._result: m.ResultSet | None = None
        self._columns: Columns | None = None

    def fill(self, parts: Parts) -> None:
        """Takes parts until the page is full."""
        try:
            for part in parts:
                if isinstance(part, Columns):
                    self._columns, self._result = part, None
                    self._results += 1
                    self._rows = 0
                    continue
                self._count += 1
                if isinstance(part, list):
                    self._rows += 1
                if self._count <= self._after:
                    if isinstance(part, Ended):
                        self._results += self._columns is None
                        self._columns, self._result = None, None
                    continue
                if self._count - self._after > self._limit or self._room <= 0:
                    self._answer.next = self._count - 1
                    return
                if not self._show(part):
                    self._answer.next = self._count - 1
                    return
            if self._columns is not None and self._result is None and not self._rows:
                self._open()
        except ProtocolError as error:
            self._answer.detail = f"what was kept cannot be read further: {error.reason}"

    def _show(self, part: Row | Ended | Said | DatabaseError) -> bool:
        """Puts it on the page; False where it is a row for the next one."""
        answer = self._answer
        if isinstance(part, list):
            result = self._result or self._open()
            row = part
            size = len(msgspec.json.encode(row))
            if size > PAGE_BYTES:
                row, size = _cut(row)
            if size > self._room and self._filled:
                return False
            self._room -= size
            self._filled = True
            if not result.rows:
                result.first_row = self._rows
            result.rows.append(row)
        elif isinstance(part, Ended):
            if self._columns is None:
                # A statement without rows.
                self._results += 1
                self._rows = 0
            result = self._result or self._open()
            result.tag, result.count, result.ended = part.tag, part.rows, True
            self._result, self._columns = None, None
        elif isinstance(part, Said):
            answer.said.append(m.Said(severity=part.severity, code=part.code, message=part.message[:10_000]))
            self._room -= min(len(part.message), 10_000)
        else:
            answer.errors.append(str(part)[:10_000])
        return True

    def _open(self) -> m.ResultSet:
        columns = self._columns.columns if self._columns is not None else ()
        self._result = m.ResultSet(
            number=self._results,
            columns=[m.ResultColumn(name=column.name, type=column.type) for column in columns],
            rows=[],
        )
        self._room -= 50 * (len(columns) + 1)
        self._answer.results.append(self._result)
        return self._result


def _cut(row: Row) -> tuple[Row, int]:
    """A row that no page can carry, with its values cut; each says so at its end."""
    room = max(PAGE_BYTES // 8 // len(row), 100)
    cut: Row = [
        value if value is None or len(value) <= room else f"{value[:room]}… (cut: {len(value)} characters in all)"
        for value in row
    ]
    return cut, len(msgspec.json.encode(cut))
