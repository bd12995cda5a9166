"""Filters that auditors keep under a name, and share with each other. Each is changed by its owner only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.audit_filter import FilterUnreadable, read_sessions, read_statements
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import to_text

LONGEST_NAME = 64
MOST_FILTERS = 200
"""Filters of one owner."""

LISTED = 5000
_TABLE = schema.audit_filters


def listed(owner: str) -> Callable[[sa.Connection], list[m.SavedFilter]]:
    """Those of the owner, then those that others share, by name."""

    def work(connection: sa.Connection) -> list[m.SavedFilter]:
        query = (
            sa.select(_TABLE)
            .where((_TABLE.c.owner == owner) | _TABLE.c.shared)
            .order_by(sa.case((_TABLE.c.owner == owner, 0), else_=1), _TABLE.c.name, _TABLE.c.owner)
            .limit(LISTED)
        )
        return [
            m.SavedFilter(
                name=row.name, owner=row.owner, text=row.text, what=row.what, shared=row.shared,
                changed_at=row.changed_at,
            )
            for row in connection.execute(query)
        ]  # fmt: skip

    return work


def checked(name: str, text: str, what: str) -> str:
    """The name as it is kept. Raises Refused for what cannot be one, and for a line that cannot be read."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "/" in name:
        raise Refused("filter-name", limit=LONGEST_NAME)
    if what not in ("statements", "sessions"):
        raise Refused("invalid-params", method="audit.filters.save", detail="what is statements or sessions")
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text):
        raise Refused("filter-unreadable", detail="it has control characters in it")
    try:
        (read_statements if what == "statements" else read_sessions)(text, now=datetime.now(UTC))
    except FilterUnreadable as error:
        raise Refused("filter-unreadable", detail=str(error)) from error
    return name


def save(owner: str, wanted: m.SavedFilter) -> Callable[[sa.Connection], m.SavedFilter]:
    """Keeps it in the place of one of the same name of the same owner. Raises Refused where the owner has too many."""

    def work(connection: sa.Connection) -> m.SavedFilter:
        connection.execute(_place(owner, wanted.name))
        count = connection.scalar(sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.owner == owner)) or 0
        if count >= MOST_FILTERS:
            raise Refused("filters-full", limit=MOST_FILTERS)
        kept = m.SavedFilter(
            name=wanted.name, owner=owner, text=wanted.text, what=wanted.what, shared=wanted.shared,
            changed_at=to_text(datetime.now(UTC)),
        )  # fmt: skip
        connection.execute(
            _TABLE.insert().values(
                owner=owner, name=kept.name, text=kept.text, what=kept.what, shared=kept.shared,
                changed_at=kept.changed_at,
            )
        )  # fmt: skip
        return kept

    return work


def remove(owner: str, name: str) -> Callable[[sa.Connection], None]:
    """Raises Refused where the owner has none of that name."""

    def work(connection: sa.Connection) -> None:
        if not connection.execute(_place(owner, name)).rowcount:
            raise Refused("filter-unknown", name=name[:LONGEST_NAME])

    return work


def _place(owner: str, name: str) -> sa.Delete:
    return _TABLE.delete().where(_TABLE.c.owner == owner, _TABLE.c.name == name)
