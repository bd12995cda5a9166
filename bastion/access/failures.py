"""Failed logins, counted in the store for user names (known or not) and for source addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from bastion.store import schema
from bastion.store.moments import from_text, maybe_from_text, to_text

from .settings import LockoutSettings

USER, SOURCE = "user", "source"

NAMES_KEPT = 100_000
"""Rows of one kind at most: whoever tries names at random does not fill the disk."""

LONGEST_DELAY = 4.0
"""Seconds that an answer is held back at most."""


@dataclass(frozen=True)
class Failures:
    """What is remembered of a name. `locked_until` is None when it is not locked now."""

    tries: int
    locked_until: datetime | None


NONE = Failures(0, None)


def remembered(connection: sa.Connection, kind: str, name: str, at: datetime, lockout: LockoutSettings) -> Failures:
    """The failures that still count."""
    table = schema.login_failures
    row = connection.execute(sa.select(table).where(table.c.kind == kind, table.c.name == name)).one_or_none()
    if row is None:
        return NONE
    locked_until = maybe_from_text(row.locked_until)
    if locked_until is not None:
        # After the lock has passed the count begins anew.
        return Failures(row.tries, locked_until) if locked_until > at else NONE
    if from_text(row.last_at) + timedelta(seconds=lockout.period) <= at:
        return NONE
    return Failures(row.tries, None)


def count(connection: sa.Connection, kind: str, name: str, at: datetime, lockout: LockoutSettings) -> Failures:
    """Counts one more; locks the name when that is one too many."""
    table = schema.login_failures
    before = remembered(connection, kind, name, at, lockout)
    if before.locked_until is not None:
        return before
    tries = before.tries + 1
    limit = lockout.tries if kind == USER else lockout.source_tries
    locked_until = at + timedelta(seconds=lockout.period) if limit and tries >= limit else None
    moment = to_text(at)
    values = {"tries": tries, "last_at": moment, "locked_until": to_text(locked_until) if locked_until else None}
    known = sa.and_(table.c.kind == kind, table.c.name == name)
    if connection.execute(table.update().where(known).values(values)).rowcount == 0:
        _make_room(connection, kind, at, lockout)
        connection.execute(table.insert().values(kind=kind, name=name, first_at=moment, **values))
    return Failures(tries, locked_until)


def forget(connection: sa.Connection, kind: str, name: str) -> None:
    """Clears the count of a name: its person has logged in, or an administrator unlocks it."""
    table = schema.login_failures
    connection.execute(table.delete().where(table.c.kind == kind, table.c.name == name))


def delay(tries: int) -> float:
    """Seconds to hold an answer back after that many failures: 0.25, 0.5, 1, … at most LONGEST_DELAY."""
    return 0.0 if tries <= 0 else min(0.25 * 2 ** min(tries - 1, 10), LONGEST_DELAY)


def _make_room(connection: sa.Connection, kind: str, at: datetime, lockout: LockoutSettings) -> None:
    table = schema.login_failures
    kept = connection.scalar(sa.select(sa.func.count()).where(table.c.kind == kind)) or 0
    if kept < NAMES_KEPT:
        return
    old = to_text(at - timedelta(seconds=lockout.period))
    connection.execute(table.delete().where(table.c.kind == kind, table.c.last_at < old))
    oldest = sa.select(table.c.name).where(table.c.kind == kind).order_by(table.c.last_at).limit(NAMES_KEPT // 10)
    connection.execute(table.delete().where(table.c.kind == kind, table.c.name.in_(oldest)))
