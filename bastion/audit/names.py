"""Names that occur in the record, for whoever types a filter: the most recent, a bounded number of each."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema

from .long_texts import IN_LINE, statements_with_texts, whole_text
from .word_index import LONGEST as LONGEST_TEXT
from .words import tables_of

SESSIONS = 5000
"""Sessions that are looked at, the newest."""

STATEMENTS = 2000
"""Statements whose tables and kinds are looked at, the newest."""

MOST = 500
"""Names of a kind."""

LONGEST = 100
"""Characters of a name that is offered."""


def names(user: str | None) -> Callable[[sa.Connection], m.AuditNames]:
    """Of everybody's sessions, or of one person's."""

    def work(connection: sa.Connection) -> m.AuditNames:
        sessions, statements = schema.sessions, schema.statements
        newest = (
            sa.select(sessions.c.user, sessions.c.database, sessions.c.account, sessions.c.source, sessions.c.client)
            .order_by(sessions.c.id.desc())
            .limit(SESSIONS)
        )
        shapes = (
            sa.select(sa.func.substr(statements.c.text, 1, IN_LINE), statements.c.kind, sessions.c.engine)
            .select_from(statements.outerjoin(sessions, sessions.c.session == statements.c.session))
            .order_by(statements.c.id.desc())
            .limit(STATEMENTS)
        )
        if user is not None:
            newest, shapes = newest.where(sessions.c.user == user), shapes.where(statements.c.user == user)
        found: list[dict[str, None]] = [{} for _ in range(5)]
        for row in connection.execute(newest):
            for place, value in zip(found, row, strict=True):
                place[value] = None
        tables: dict[str, None] = {}
        kinds: dict[str, None] = {}
        seen: set[tuple[str, str]] = set()
        for text, kind, engine in connection.execute(shapes):
            kinds[kind] = None
            if (text, engine) not in seen:
                seen.add((text, engine))
                tables.update(dict.fromkeys(sorted(tables_of(text, engine or ""))))
        users, databases, accounts, sources, clients = found
        return m.AuditNames(
            users=_few(users), databases=_few(databases), accounts=_few(accounts), sources=_few(sources),
            clients=_few(clients), tables=_few(tables), kinds=_few(kinds),
        )  # fmt: skip

    return work


def tables_named(session: str, seq: int, user: str | None) -> Callable[[sa.Connection], m.AuditNames]:
    """The tables of one statement, of `user` where one is given. Raises Refused where there is none such."""

    def work(connection: sa.Connection) -> m.AuditNames:
        table, sessions = schema.statements, schema.sessions
        query = (
            sa.select(whole_text, sessions.c.engine)
            .select_from(statements_with_texts().outerjoin(sessions, sessions.c.session == table.c.session))
            .where(table.c.session == session, table.c.seq == seq)
        )
        row = connection.execute(query if user is None else query.where(table.c.user == user)).first()
        if row is None:
            raise Refused("statement-unknown", session=session[:64], seq=seq)
        return m.AuditNames(tables=_few(dict.fromkeys(sorted(tables_of(row[0][:LONGEST_TEXT], row[1] or "")))))

    return work


def _few(found: dict[str, None]) -> list[str]:
    return [name for name in found if name and len(name) <= LONGEST and name.isprintable()][:MOST]
