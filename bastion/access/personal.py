"""What people keep for themselves: open editors, history, saved queries, favourites. Bounded, sealed, never shared.

A value is text of the workstation's own; only of a statement in the history does the bastion know the form, since it
takes the credentials out of it. Nothing of this is part of the declared state or of the audit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.protocols.sql_text import redact
from bastion.store import schema
from bastion.store.moments import to_text
from bastion.store.store import Store
from bastion.vault import NotSealed, Vault

from . import sealing
from .identity import Person, find_user, refuse_unfit

LONGEST_VALUE = 64 * 1024
"""Bytes of one value in UTF-8."""

MOST_ITEMS = 2000
"""Items of one kind."""

MOST_BYTES = 8 * 1024 * 1024
"""Bytes of everything that one person keeps, keys included."""

PAGE_BYTES = 1024 * 1024
"""Bytes of values on one page of a listing: its line stays far below what the control channel takes."""

HISTORY = "history"
"""The kind whose oldest items make room for new ones."""

ENGINES = frozenset({"mysql", "postgresql", "sqlserver", "oracle"})

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KEY = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\n(.{1,300})")

KEPT = schema.personal_state


class PersonalState:
    """The rules of it. Every method raises Refused: the user's reasons, and `invalid-params` for what has no form."""

    def __init__(self, store: Store, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    async def items(self, person: Person, wanted: methods.PersonalList) -> m.PersonalPage:
        """A page of the person's items of one kind, the last changed first.

        An item that no longer opens (its key was retired too early) is left out rather than hiding the others.
        """
        _check(methods.PERSONAL_LIST.name, wanted.kind)
        if "\0" in wanted.prefix + (wanted.key or ""):  # in no key, and PostgreSQL takes none
            return m.PersonalPage(items=[])
        start: tuple[str, str] | None = None
        if wanted.after is not None:
            found = _CURSOR.fullmatch(wanted.after)
            if found is None:
                raise Refused("invalid-params", method=methods.PERSONAL_LIST.name, detail="after is no cursor")
            start = found[1], found[2]
        limit = wanted.limit if 0 < wanted.limit < MOST_ITEMS else MOST_ITEMS

        def work(connection: sa.Connection) -> m.PersonalPage:
            user = refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            query = (
                sa.select(KEPT)
                .where(KEPT.c.user_id == user.id, KEPT.c.kind == wanted.kind)
                .order_by(KEPT.c.updated_at.desc(), KEPT.c.key)
                .limit(limit + 1)
            )
            if wanted.key is not None:
                query = query.where(KEPT.c.key == wanted.key)
            if wanted.prefix:
                # Not LIKE, which ignores case on SQLite, and not a range, which follows PostgreSQL's collation.
                query = query.where(sa.func.substr(KEPT.c.key, 1, len(wanted.prefix)) == wanted.prefix)
            if start is not None:
                at, key = start
                later = sa.and_(KEPT.c.updated_at == at, KEPT.c.key > key)
                query = query.where((KEPT.c.updated_at < at) | later)
            return self._page(connection.execute(query), person.name, limit)

        return await self._store.read(work)

    def _page(self, rows: sa.CursorResult[tuple[object, ...]], user: str, limit: int) -> m.PersonalPage:
        page = m.PersonalPage(items=[])
        seen, size, last = 0, 0, None
        for row in rows:
            if last is not None and (seen == limit or size + row.size > PAGE_BYTES):
                page.next = f"{last.updated_at}\n{last.key}"
                break
            seen, size, last = seen + 1, size + row.size, row
            try:
                value = self._vault.open(row.value, sealing.personal_context(user, row.kind, row.key))
            except NotSealed:
                continue
            page.items.append(m.PersonalItem(kind=row.kind, key=row.key, value=value, updated_at=row.updated_at))
        rows.close()
        return page

    async def put(self, person: Person, wanted: methods.PersonalPut) -> m.PersonalKept:
        """Keeps a value. Raises Refused also with `personal-too-long` and `personal-full`.

        The oldest statements of the history make room for whatever comes; nothing else is dropped.
        """
        name = methods.PERSONAL_PUT.name
        _check(name, wanted.kind, wanted.key)
        value = wanted.value
        _refuse_long(value)
        if wanted.kind == HISTORY:
            value = await asyncio.to_thread(without_credentials, value)
            _refuse_long(value)
        sealed = self._vault.seal(value, sealing.personal_context(person.name, wanted.kind, wanted.key))
        size = len(value.encode()) + len(wanted.key.encode()) + 64  # so that many small ones are bounded too
        at = to_text(self._clock())

        def work(connection: sa.Connection) -> None:
            user = refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            users = schema.users
            # One at a time for a person, so that two cannot both find the last free place.
            connection.execute(sa.select(users.c.id).where(users.c.id == user.id).with_for_update())
            connection.execute(_place(user.id, wanted.kind, wanted.key))
            _make_room(connection, user.id, wanted.kind, size)
            connection.execute(
                KEPT.insert().values(
                    user_id=user.id, kind=wanted.kind, key=wanted.key, updated_at=at, size=size, value=sealed
                )
            )

        await self._store.run(work)
        return m.PersonalKept(updated_at=at, value=None if value == wanted.value else value)

    async def remove(self, person: Person, wanted: methods.PersonalRemove) -> int:
        """Removes one item, or everything of a kind; answers with how many there were."""
        _check(methods.PERSONAL_REMOVE.name, wanted.kind, wanted.key)

        def work(connection: sa.Connection) -> int:
            user = refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            return connection.execute(_place(user.id, wanted.kind, wanted.key)).rowcount

        return await self._store.run(work)


def without_credentials(value: str) -> str:
    """A value of the history without the credentials of its statement; as it was where there are none.

    Raises Refused (`invalid-params`) for one that is not of the form: what cannot be read cannot be cleaned.
    """
    try:
        entry = msgspec.json.decode(value, type=dict[str, object])
    except msgspec.DecodeError:
        entry = {}
    text, engine = entry.get("text"), entry.get("engine")
    if not isinstance(text, str) or not isinstance(engine, str) or engine not in ENGINES:
        raise Refused(
            "invalid-params",
            method=methods.PERSONAL_PUT.name,
            detail="an entry of the history is a JSON object with `text` and `engine`",
        )
    redacted = redact(text, engine)
    if redacted.text == text:
        return value
    return msgspec.json.encode(entry | {"text": redacted.text}).decode()


def _check(method: str, kind: str, key: str | None = None) -> None:
    if _KIND.fullmatch(kind) is None:
        raise Refused("invalid-params", method=method, detail="a kind is 1 to 32 of a-z, 0-9 and '-'")
    if key is not None and _KEY.fullmatch(key) is None:
        raise Refused("invalid-params", method=method, detail="a key is 1 to 300 characters without control characters")


def _refuse_long(value: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Refused("invalid-params", method=methods.PERSONAL_PUT.name, detail="value is no text") from None
    if size > LONGEST_VALUE:
        raise Refused("personal-too-long", size=size, limit=LONGEST_VALUE)


def _place(user_id: int, kind: str, key: str | None) -> sa.Delete:
    where = sa.and_(KEPT.c.user_id == user_id, KEPT.c.kind == kind)
    return KEPT.delete().where(where if key is None else sa.and_(where, KEPT.c.key == key))


def _make_room(connection: sa.Connection, user_id: int, kind: str, size: int) -> None:
    """For one more item of `kind`. Raises Refused (`personal-full`) where dropping history would not be enough."""
    totals = {
        row.kind: (row.items, row.bytes)
        for row in connection.execute(
            sa.select(KEPT.c.kind, sa.func.count().label("items"), sa.func.sum(KEPT.c.size).label("bytes"))
            .where(KEPT.c.user_id == user_id)
            .group_by(KEPT.c.kind)
        )
    }
    too_many = totals.get(kind, (0, 0))[0] + 1 - MOST_ITEMS
    too_large = sum(int(each[1]) for each in totals.values()) + size - MOST_BYTES
    if too_many <= 0 and too_large <= 0:
        return
    full = Refused("personal-full", items=MOST_ITEMS, size=MOST_BYTES, kind=kind)
    history = totals.get(HISTORY, (0, 0))
    if (too_many > 0 and kind != HISTORY) or too_large > int(history[1]):
        raise full
    oldest = connection.execute(
        sa.select(KEPT.c.key, KEPT.c.size)
        .where(KEPT.c.user_id == user_id, KEPT.c.kind == HISTORY)
        .order_by(KEPT.c.updated_at, KEPT.c.key)
    ).all()
    for row in oldest:
        if (kind != HISTORY or too_many <= 0) and too_large <= 0:
            break
        connection.execute(_place(user_id, HISTORY, row.key))
        too_many, too_large = too_many - 1, too_large - row.size
