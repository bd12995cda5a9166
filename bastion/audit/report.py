"""A report over the record: what was done by a person, in a database, in a period."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from bastion.api.refusals import Refused
from bastion.api.reports import Report, ReportAct, ReportCount, ReportRequest, ReportStatement
from bastion.store import schema

from .long_texts import statements_with_texts, whole_text
from .rows import storable
from .search_conditions import moment
from .words import tables_of

DEFINITIONS = ("create", "alter", "drop", "truncate", "rename", "grant", "revoke", "comment", "reindex", "analyze")
"""Kinds of statements that change what there is, or who may."""

MOST_SHAPES = 3000
MOST_NAMES = 40
MOST_STATEMENTS = 10
MOST_DEFINITIONS = 200
TEXT = 400
"""Characters of a statement in a report."""

_TEXT_READ = 64 * 1024


def report(wanted: ReportRequest, made_by: str, made_at: str, node: str) -> Callable[[sa.Connection], Report]:
    """The figures, as work for the store. Raises Refused for a period that is none."""
    since, until = _moment(wanted.since, "since"), _moment(wanted.until, "until")
    if since >= until:
        raise Refused("invalid-params", method="audit.report", detail="since is not before until")

    def work(connection: sa.Connection) -> Report:
        return _Report(connection, wanted, since, until).made(made_by, made_at, node)

    return work


class _Report:
    def __init__(self, connection: sa.Connection, wanted: ReportRequest, since: str, until: str) -> None:
        self._connection = connection
        self._wanted = wanted
        self._since, self._until = since, until
        table = schema.statements
        self._which = [table.c.at >= since, table.c.at < until, *self._whose(table)]

    def _whose(self, table: sa.Table) -> Iterable[sa.ColumnElement[bool]]:
        if self._wanted.user is not None:
            yield table.c.user == storable(self._wanted.user)
        if self._wanted.database is not None:
            yield table.c.database == storable(self._wanted.database)

    def made(self, made_by: str, made_at: str, node: str) -> Report:
        table = schema.statements
        sessions = self._sessions()
        tables, left_out = self._tables()
        ddl = [*self._which, table.c.kind.in_(DEFINITIONS)]
        refused = table.c.verdict != "allowed"
        count = sa.select(sa.func.count()).select_from(table).where(*ddl)
        return Report(
            user=self._wanted.user,
            database=self._wanted.database,
            since=self._since,
            until=self._until,
            made_by=made_by,
            made_at=made_at,
            node=node,
            **sessions,
            kinds=self._by(table.c.kind),
            people=self._by(table.c.user),
            databases=self._by(table.c.database),
            tables=tables,
            errors=self._by(table.c.error, table.c.error.is_not(None), ~refused),
            refusals=self._by(table.c.verdict, refused),
            longest=self._statements(table.c.duration_ms.desc(), table.c.duration_ms.is_not(None)),
            largest=self._statements(table.c.rows.desc(), table.c.rows > 0),
            definitions=self._statements(table.c.id, table.c.kind.in_(DEFINITIONS), most=MOST_DEFINITIONS),
            definitions_total=self._connection.scalar(count) or 0,
            acts=self._acts(),
            shapes_left_out=left_out,
        )

    def _sessions(self) -> dict[str, Any]:
        table = schema.sessions
        which = [table.c.started_at >= self._since, table.c.started_at < self._until, *self._whose(table)]
        states = sa.select(table.c.state, sa.func.count()).where(*which).group_by(table.c.state)
        sums = sa.select(
            sa.func.count(sa.distinct(table.c.source)),
            sa.func.count(sa.distinct(table.c.client)),
            sa.func.coalesce(sa.func.sum(table.c.bytes_down), 0),
            sa.func.coalesce(sa.func.sum(table.c.unattributed_bytes), 0),
        ).where(*which)
        sources, clients, down, unattributed = self._connection.execute(sums).one()
        return {
            "sessions": {str(state): int(number) for state, number in self._connection.execute(states)},
            "sources": sources, "clients": clients, "bytes_down": int(down), "unattributed_bytes": int(unattributed),
        }  # fmt: skip

    def _by(self, column: sa.ColumnElement[Any], *more: sa.ColumnElement[bool]) -> list[ReportCount]:
        """Statements by a column, the most first."""
        table = schema.statements
        number = sa.func.count()
        query = (
            sa.select(
                column, number,
                sa.func.count(table.c.error),
                sa.func.coalesce(sa.func.sum(table.c.rows), 0),
                sa.func.coalesce(sa.func.sum(table.c.duration_ms), 0.0),
            )
            .where(*self._which, *more).group_by(column).order_by(number.desc(), column).limit(MOST_NAMES)
        )  # fmt: skip
        return [
            ReportCount(
                name=str(row[0])[:TEXT], statements=row[1], failed=row[2], rows=int(row[3]), milliseconds=float(row[4])
            )
            for row in self._connection.execute(query)
        ]

    def _tables(self) -> tuple[list[ReportCount], int]:
        """The tables that are named, by the shapes of the statements; and how many shapes were not looked at."""
        table, sessions = schema.statements, schema.sessions
        number = sa.func.count()
        shapes = (
            sa.select(
                sa.func.min(table.c.id).label("example"), number.label("number"),
                sa.func.count(table.c.error).label("failed"),
                sa.func.coalesce(sa.func.sum(table.c.rows), 0).label("rows"),
                sa.func.coalesce(sa.func.sum(table.c.duration_ms), 0.0).label("ms"),
            )
            .where(*self._which, table.c.digest != "").group_by(table.c.digest).order_by(number.desc())
        )  # fmt: skip
        found = self._connection.execute(shapes).all()
        looked, left_out = found[:MOST_SHAPES], max(len(found) - MOST_SHAPES, 0)
        text = sa.func.substr(whole_text, 1, _TEXT_READ)
        joined = statements_with_texts().outerjoin(sessions, sessions.c.session == table.c.session)
        counts: dict[str, ReportCount] = {}
        for start in range(0, len(looked), 500):
            part = {row.example: row for row in looked[start : start + 500]}
            query = sa.select(table.c.id, text, sessions.c.engine).select_from(joined).where(table.c.id.in_(part))
            for id, words, engine in self._connection.execute(query):
                shape = part[id]
                for name in tables_of(words, engine or ""):
                    count = counts.setdefault(name, ReportCount(name=name, statements=0))
                    count.statements += shape.number
                    count.failed += shape.failed
                    count.rows += int(shape.rows)
                    count.milliseconds += float(shape.ms)
        most = sorted(counts.values(), key=lambda one: (-one.statements, one.name))
        return most[:MOST_NAMES], left_out

    def _statements(
        self, order: sa.ColumnElement[Any], *more: sa.ColumnElement[bool], most: int = MOST_STATEMENTS
    ) -> list[ReportStatement]:
        table = schema.statements
        names = ("at", "user", "database", "session", "seq", "kind", "rows", "error")
        query = sa.select(
            *(table.c[name] for name in names), table.c.duration_ms, sa.func.substr(table.c.text, 1, TEXT + 1)
        ).where(*self._which, *more)
        return [
            ReportStatement(
                **dict(zip(names, row, strict=False)), milliseconds=row[8],
                text=row[9] if len(row[9]) <= TEXT else row[9][:TEXT] + "…",
            )
            for row in self._connection.execute(query.order_by(order, table.c.id).limit(most))
        ]  # fmt: skip

    def _acts(self) -> list[ReportAct]:
        """What these people did beside statements; with a database, what was done with its sessions' record."""
        acts, sessions = schema.acts, schema.sessions
        which = [acts.c.at >= self._since, acts.c.at < self._until, acts.c.user != ""]
        whose: list[sa.ColumnElement[bool]] = []
        if self._wanted.user is not None or self._wanted.database is not None:
            whose.append(acts.c.subject.in_(sa.select(sessions.c.session).where(*self._whose(sessions))))
        if self._wanted.user is not None and self._wanted.database is None:
            whose.append(acts.c.user == storable(self._wanted.user))
        if whose:
            which.append(sa.or_(*whose))
        number = sa.func.count()
        query = (
            sa.select(acts.c.act, acts.c.user, number).where(*which).group_by(acts.c.act, acts.c.user)
            .order_by(acts.c.act, number.desc(), acts.c.user).limit(MOST_NAMES * 3)
        )  # fmt: skip
        return [ReportAct(act=row[0], user=row[1], count=row[2]) for row in self._connection.execute(query)]


def _moment(text: str, field: str) -> str:
    return moment(text, field, "audit.report") or ""
