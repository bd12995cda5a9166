"""The store's side of retention: what is asked of it, and what goes with the journal's records."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

from bastion.store import schema
from bastion.store.store import Store

from .long_texts import IN_LINE
from .screen_recording import ENDED, OPENED
from .word_index import WordIndex, forget, indexed

TOGETHER = 500
"""Rows of one transaction: others write between two."""


def held(connection: sa.Connection) -> frozenset[str]:
    """The ids of sessions and screens that are held."""
    table = schema.legal_holds
    rows = connection.execute(sa.select(table.c.session, table.c.screen))
    return frozenset(id for row in rows for id in row if id)


def ends_of(ids: list[str]) -> Callable[[sa.Connection], dict[str, str]]:
    """When sessions and screens ended, of those that have, as work for the store."""

    def work(connection: sa.Connection) -> dict[str, str]:
        sessions, acts = schema.sessions, schema.acts
        query = sa.select(sessions.c.session, sessions.c.ended_at).where(
            sessions.c.session.in_(ids), sessions.c.ended_at.is_not(None)
        )
        found = {row.session: row.ended_at for row in connection.execute(query)}
        screens = [id for id in ids if id.startswith("screen-")]
        if not screens:
            return found
        began = sa.select(acts.c.subject, acts.c.at, acts.c.node).where(
            acts.c.act == OPENED, acts.c.subject.in_(screens)
        )
        for row in connection.execute(began).all():
            ended = connection.scalar(
                sa.select(sa.func.max(acts.c.at)).where(acts.c.act == ENDED, acts.c.subject == row.subject)
            )
            # One that a crash ended has no end on record but the next start.
            found_at = ended or connection.scalar(
                sa.select(sa.func.min(acts.c.at)).where(
                    acts.c.kind == "node-started", acts.c.node == row.node, acts.c.at > row.at
                )
            )
            if found_at is not None:
                found[row.subject] = found_at
        return found

    return work


def recording_deleted(session: str) -> Callable[[sa.Connection], bool]:
    """Whether a tombstone names the recording of a session, as work for the store."""
    acts = schema.acts
    said = sa.cast(acts.c.detail, sa.Text).contains(session, autoescape=True)
    query = sa.select(acts.c.id).where(acts.c.user == "", acts.c.kind == "tombstone", said).limit(1)
    return lambda connection: connection.scalar(query) is not None


def delete(store: Store, node: str, sessions: list[str], last: int, acts: list[int], rest: Callable[[], None]) -> None:
    """Takes away sessions with their statements, and the acts of a node up to record `last` but those that stay.

    In many transactions, with `rest` between them. Done again it finds nothing to do.
    """
    words = WordIndex()
    for session in sessions:
        while store.run_now(partial(_statements, words=words, session=session)):
            rest()
    for start in range(0, len(sessions), TOGETHER):
        store.run_now(partial(_sessions, ids=sessions[start : start + TOGETHER]))
        rest()
    keep = frozenset(acts)
    after = 0
    while after < last:
        after = store.run_now(partial(_acts, node=node, after=after, last=last, keep=keep))
        rest()
    store.run_now(_index_anew)


def _sessions(connection: sa.Connection, ids: list[str]) -> None:
    connection.execute(sa.delete(schema.sessions).where(schema.sessions.c.session.in_(ids)))


def _statements(connection: sa.Connection, words: WordIndex, session: str) -> bool:
    """Some statements of a session; whether there may be more."""
    table, texts = schema.statements, schema.texts
    query = sa.select(table.c.id, table.c.digest, table.c.text_digest, sa.func.length(table.c.text).label("length"))
    rows = connection.execute(query.where(table.c.session == session).limit(TOGETHER)).all()
    if not rows:
        return False
    ids = [row.id for row in rows]
    words.remove(connection, ids)
    connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    long = {row.text_digest: row.digest for row in rows if row.length >= IN_LINE and row.text_digest}
    for text_digest, digest in long.items():
        again = sa.select(table.c.id).where(table.c.digest == digest, table.c.text_digest == text_digest).limit(1)
        if connection.scalar(again) is None:
            connection.execute(sa.delete(texts).where(texts.c.digest == text_digest))
    return True


def _acts(connection: sa.Connection, node: str, after: int, last: int, keep: frozenset[int]) -> int:
    """Some acts behind number `after`; behind which to go on."""
    table = schema.acts
    query = sa.select(table.c.id, table.c.number).where(
        table.c.node == node, table.c.number > after, table.c.number <= last
    )
    rows = connection.execute(query.order_by(table.c.number).limit(TOGETHER)).all()
    if not rows:
        return last
    gone: list[Any] = [row.id for row in rows if row.number not in keep]
    if gone:
        connection.execute(sa.delete(table).where(table.c.id.in_(gone)))
    return int(rows[-1].number)


def _index_anew(connection: sa.Connection) -> None:
    """SQLite hands out the numbers of statements again where the last ones went; the index must not know them then."""
    last = connection.scalar(sa.select(sa.func.max(schema.statements.c.id))) or 0
    if connection.dialect.name == "sqlite" and indexed(connection).number > last:
        forget(connection)
