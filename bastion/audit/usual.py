"""What is out of the ordinary about a session, beside the person's own sessions before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from bastion.store import schema

LOOKED_AT = 500
"""Sessions of a person that are looked at, the newest."""

HABIT = 10
"""Sessions from which on a person has habits: of somebody new nothing is unusual."""

HOURS = 2
"""Hours of the day around the session's, of which none was ever worked in, for its hour to be unusual."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A session that is looked at. `started_at` as messages have it."""

    session: str
    user: str
    database: str
    source: str
    started_at: str


def unusual(asked: Sequence[Asked]) -> Callable[[sa.Connection], dict[str, tuple[str, ...]]]:
    """By session the codes of what is unusual: `first-time`, `new-source`, `unusual-hour` (all hours are UTC)."""

    def work(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
        before: dict[str, list[tuple[str, str, str, str]]] = {}
        for user in {each.user for each in asked}:
            before[user] = _sessions_of(connection, user)
        return {each.session: _compared(each, before[each.user]) for each in asked}

    return work


def _sessions_of(connection: sa.Connection, user: str) -> list[tuple[str, str, str, str]]:
    table = schema.sessions
    query = (
        sa.select(table.c.session, table.c.database, table.c.source, table.c.started_at)
        .where(table.c.user == user, table.c.state != "refused")
        .order_by(table.c.started_at.desc())
        .limit(LOOKED_AT)
    )
    return [(row.session, row.database, row.source, row.started_at) for row in connection.execute(query)]


def _compared(asked: Asked, sessions: list[tuple[str, str, str, str]]) -> tuple[str, ...]:
    earlier = [each for each in sessions if each[0] != asked.session and each[3] < asked.started_at]
    if len(earlier) < HABIT:
        return ()
    found = []
    if all(database != asked.database for _, database, _, _ in earlier):
        found.append("first-time")
    if all(source != asked.source for _, _, source, _ in earlier):
        found.append("new-source")
    hour = int(asked.started_at[11:13])
    if all(HOURS < (int(at[11:13]) - hour) % 24 < 24 - HOURS for _, _, _, at in earlier):
        found.append("unusual-hour")
    return tuple(found)
