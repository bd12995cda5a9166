"""How many statements or sessions a filter finds: exactly, or that there are at least so many."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import schema
from bastion.store.interruption import Interrupted, Interruption

from . import search
from .search_conditions import statement_conditions
from .session_search import session_conditions

COUNTED = 10_000
"""Counted exactly up to here."""

SECONDS = 2.0
"""Counting goes on for so long; what it has then is said as `at least`."""


def count_statements(connection: sa.Connection, wanted: m.StatementFilter, interruption: Interruption) -> m.Count:
    """Raises Refused; Interrupted only where somebody gave it up."""
    everything = msgspec.structs.replace(wanted, order="", after=0, after_value=None, limit=0)
    found = 0
    try:
        with interruption.of(connection):
            if _plain(connection, everything):
                table = schema.statements
                rows = sa.select(table.c.id).where(*statement_conditions(connection, everything)).limit(COUNTED + 1)
                found = connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0
            else:
                for _row in search.found_in_order(connection, everything, COUNTED + 1, interruption):
                    found += 1
                    if found > COUNTED:
                        break
    except Interrupted as error:
        if not error.late:
            raise
        return m.Count(count=found, exact=False)
    return m.Count(count=min(found, COUNTED), exact=found <= COUNTED)


def _plain(connection: sa.Connection, wanted: m.StatementFilter) -> bool:
    """Whether the statements' own columns answer it."""
    return not (wanted.words or wanted.none_of or wanted.any_of or wanted.source or search.asked(connection, wanted))


def count_sessions(connection: sa.Connection, wanted: m.SessionFilter, interruption: Interruption) -> m.Count:
    """The same of sessions."""
    rows = sa.select(schema.sessions.c.id).where(*session_conditions(wanted)).limit(COUNTED + 1)
    try:
        with interruption.of(connection):
            found = connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0
    except Interrupted as error:
        if not error.late:
            raise
        return m.Count(count=0, exact=False)
    return m.Count(count=min(found, COUNTED), exact=found <= COUNTED)
