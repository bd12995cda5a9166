"""Locks for a time: what an auditor does to a person. They stand apart from what is declared of the person.

They are kept by name, so that applying documents, or removing a user and declaring them anew, undoes none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import from_text, to_text, without_fraction

_locks = schema.user_locks

COLUMNS = (_locks.c.until.label("lock_until"), _locks.c.by.label("lock_by"), _locks.c.reason.label("lock_reason"))
OF_USER = _locks.c.name == schema.users.c.name


def refuse_locked(user: sa.Row[Any], at: datetime) -> None:
    """Raises Refused (`user-locked-until`) where a lock holds; `user` has COLUMNS."""
    if user.lock_until is not None and from_text(user.lock_until) > at:
        until = without_fraction(user.lock_until)
        raise Refused("user-locked-until", user=user.name, until=until, by=user.lock_by, reason=user.lock_reason)


def lock(connection: sa.Connection, name: str, until: datetime, by: str, reason: str, at: datetime) -> None:
    """Locks, in the place of a lock that is there."""
    unlock(connection, name)
    connection.execute(_locks.insert().values(name=name, until=to_text(until), by=by, reason=reason, at=to_text(at)))


def unlock(connection: sa.Connection, name: str) -> bool:
    """Whether there was a lock."""
    return connection.execute(_locks.delete().where(_locks.c.name == name)).rowcount > 0


def held(connection: sa.Connection, at: datetime) -> list[sa.Row[Any]]:
    """The locks that hold, the one that ends first first."""
    query = sa.select(_locks).where(_locks.c.until > to_text(at)).order_by(_locks.c.until)
    return list(connection.execute(query))
