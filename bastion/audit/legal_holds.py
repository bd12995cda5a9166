"""Legal holds: sessions that retention leaves alone until they are released. Each hold and release is in the chain."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema

from .screen_recording import screen_of

MOST = 10_000
"""Holds at one time."""


def holds(connection: sa.Connection) -> list[m.LegalHold]:
    """All of them, the oldest first."""
    table, sessions = schema.legal_holds, schema.sessions
    query = (
        sa.select(table, sessions.c.user, sessions.c.database, sessions.c.started_at)
        .select_from(table.outerjoin(sessions, sessions.c.session == table.c.session))
        .order_by(table.c.id)
    )
    return [
        m.LegalHold(
            session=row.session, screen=row.screen, reason=row.reason, by=row.by, at=row.at, user=row.user or "",
            database=row.database or "", started_at=row.started_at,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def add(session: str, reason: str, by: str, at: str) -> Callable[[sa.Connection], m.LegalHold]:
    """Holds a session, with the screen that it was opened in. Raises Refused where there is none, or it is held."""

    def work(connection: sa.Connection) -> m.LegalHold:
        table, sessions = schema.legal_holds, schema.sessions
        if connection.scalar(sa.select(sessions.c.id).where(sessions.c.session == session)) is None:
            raise Refused("session-unknown", session=session[:64])
        if connection.scalar(sa.select(table.c.id).where(table.c.session == session)) is not None:
            raise Refused("hold-there-already", session=session)
        if (connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0) >= MOST:
            raise Refused("holds-full", limit=MOST)
        found = screen_of(session, "")(connection)
        screen = "" if found is None else found[0].id
        values = {"session": session, "screen": screen, "reason": reason, "by": by, "at": at}
        connection.execute(sa.insert(table).values(values))
        return next(one for one in holds(connection) if one.session == session)

    return work


def remove(session: str) -> Callable[[sa.Connection], m.LegalHold]:
    """Releases it. Raises Refused where it is not held."""

    def work(connection: sa.Connection) -> m.LegalHold:
        found = next((one for one in holds(connection) if one.session == session), None)
        if found is None:
            raise Refused("hold-unknown", session=session[:64])
        table = schema.legal_holds
        connection.execute(sa.delete(table).where(table.c.session == session))
        return found

    return work
