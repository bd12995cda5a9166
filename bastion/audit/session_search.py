"""Questions of the record: sessions by filters, from the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema

from .rows import storable
from .search_conditions import checked_lists, checked_words, contains, moment

PAGE = 1000
"""Sessions in one answer at most."""

METHOD = "sessions.list"
LISTED = ("user", "database", "account", "source", "token", "state")
SEARCHED = ("client", "server_version", "login", "end_reason", "source", "user", "database")
ORDERS = {"statements": "statements", "bytes": "bytes_down"}

_FIELDS = [name for name in m.Session.__struct_fields__ if name != "id" and name in schema.sessions.c]


def find_sessions(connection: sa.Connection, wanted: m.SessionFilter) -> list[m.Session]:
    """Sessions in the order of the record, newest first, or largest first; 1,000 at most.

    Raises Refused for a filter that cannot be understood.
    """
    table = schema.sessions
    query = sa.select(table.c.session, *(table.c[name] for name in _FIELDS)).where(*session_conditions(wanted))
    limit = min(wanted.limit, PAGE) if wanted.limit > 0 else PAGE
    if wanted.order and wanted.order not in ORDERS:
        raise Refused("invalid-params", method=METHOD, detail=f"order is one of {', '.join(ORDERS)}")
    size = table.c[ORDERS[wanted.order]] if wanted.order else None
    downwards = wanted.newest or size is not None
    if wanted.after is not None:
        place = sa.select(table.c.id, *([] if size is None else [size])).where(table.c.session == wanted.after)
        last = connection.execute(place).first()
        if last is None:
            raise Refused("invalid-params", method=METHOD, detail="after is no session on record")
        beyond = table.c.id < last[0] if downwards else table.c.id > last[0]
        query = query.where(beyond if size is None else (size < last[1]) | ((size == last[1]) & beyond))
    order: list[sa.ColumnElement[Any]] = [] if size is None else [size.desc()]
    order.append(table.c.id.desc() if downwards else table.c.id)
    return [_session(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def session_conditions(wanted: m.SessionFilter) -> Iterator[sa.ColumnElement[bool]]:
    """What a session has to meet. Raises Refused."""
    table = schema.sessions
    checked_lists(wanted.any_of, LISTED, METHOD)
    checked_lists(wanted.none_of, (*LISTED, "words"), METHOD)
    if wanted.live:
        yield table.c.state.in_(("opening", "live"))
    if wanted.id is not None:
        yield table.c.session == storable(wanted.id)
    for name in LISTED:
        one = getattr(wanted, name)
        for asked in (None if one is None else [one], wanted.any_of.get(name)):
            if asked:
                yield table.c[name].in_([storable(value) for value in asked])
        if excluded := wanted.none_of.get(name):
            yield table.c[name].not_in([storable(value) for value in excluded])
    if wanted.client is not None:
        yield contains(table.c.client, storable(wanted.client))
    since, until = moment(wanted.since, "since", METHOD), moment(wanted.until, "until", METHOD)
    if since is not None:
        # What was at work then is meant too, not only what began then.
        yield (table.c.started_at >= since) | sa.func.coalesce(table.c.ended_at >= since, sa.true())
    if until is not None:
        yield table.c.started_at < until
    for word in checked_words(wanted.words, METHOD):
        yield _said(word)
    for word in checked_words(wanted.none_of.get("words", ()), METHOD):
        yield sa.not_(_said(word))
    if wanted.unattributed is not None:
        yield table.c.unattributed_bytes > 0 if wanted.unattributed else table.c.unattributed_bytes == 0


def _said(word: str) -> sa.ColumnElement[bool]:
    columns = (schema.sessions.c[name] for name in SEARCHED)
    return sa.or_(*(contains(sa.func.coalesce(column, ""), word) for column in columns))


def _session(row: sa.Row[Any]) -> m.Session:
    return m.Session(id=row[0], **dict(zip(_FIELDS, row[1:], strict=True)))
