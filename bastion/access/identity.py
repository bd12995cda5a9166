"""Who somebody is: people of the store, their passwords and keys, and what a failed login costs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import from_text
from bastion.store.store import Store

from . import failures, user_locks
from .failures import SOURCE, USER
from .passwords import TRIED_AT_MOST, PasswordChecks, is_outdated
from .settings import read_settings

ROLES = ("operator", "approver", "auditor", "administrator")

LONGEST_NAME = 128
"""Characters of a user name; whatever is longer is nobody's."""


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in. `roles` of ROLES."""

    name: str
    roles: frozenset[str]
    id: int = 0
    """Of the user in the store; 0 for nobody of it."""

    @property
    def key(self) -> str:
        """Who it is, apart from whoever had or will have the same name."""
        return f"{self.id}:{self.name}"


def find_user(connection: sa.Connection, name: str) -> sa.Row[Any] | None:
    """The user's row, None for nobody. `lock_until`, `lock_by` and `lock_reason` are those of an auditor's lock."""
    users = schema.users
    query = sa.select(users, *user_locks.COLUMNS).outerjoin_from(users, schema.user_locks, user_locks.OF_USER)
    return connection.execute(query.where(users.c.name == name)).one_or_none()


def refuse_unfit(user: sa.Row[Any] | None, name: str, at: datetime) -> sa.Row[Any]:
    """The user's row; raises Refused where that person may do nothing now.

    `user-locked` (by an administrator), `user-locked-until` (by an auditor, for a time), `user-not-valid`.
    """
    if user is None:
        raise Refused("user-not-valid", user=name)
    if user.locked:
        raise Refused("user-locked", user=name)
    user_locks.refuse_locked(user, at)
    if user.valid_from is not None and from_text(user.valid_from) > at:
        raise Refused("user-not-valid", user=name)
    if user.valid_until is not None and from_text(user.valid_until) <= at:
        raise Refused("user-not-valid", user=name)
    return user


def person_of(connection: sa.Connection, name: str, at: datetime) -> Person:
    """The person as they are now. Raises Refused as `refuse_unfit` does."""
    user = refuse_unfit(find_user(connection, name), name, at)
    table = schema.user_roles
    roles = connection.scalars(sa.select(table.c.role).where(table.c.user_id == user.id))
    return Person(user.name, frozenset(roles), user.id)


def read_public_key(line: str) -> tuple[str, str, str]:
    """Algorithm, base64 of the wire form, and comment of a public key as OpenSSH writes it. Raises ValueError.

    RFC 4253 section 6.6: the wire form begins with the algorithm's name as a string, which is checked.
    """
    parts = line.strip().split(None, 2)
    if len(parts) < 2:
        raise ValueError("a public key reads: ALGORITHM BASE64 [COMMENT]")
    algorithm, text = parts[0], parts[1]
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the public key is not base64") from None
    size = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + size] != algorithm.encode() or len(blob) <= 4 + size:
        raise ValueError(f"the public key is not one of the kind {algorithm}")
    return algorithm, base64.b64encode(blob).decode(), parts[2] if len(parts) > 2 else ""


class Identity:
    """Logins by password and by key."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._checks = PasswordChecks()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def password_login(self, name: str, password: str, source: str) -> Person:
        """The person, when the password is theirs.

        Raises Refused: `login-failed` alike for an unknown name, a wrong password and a locked user, after the same
        work and the same delay; `too-many-tries` for a source that failed too often; `user-not-valid` and
        `user-locked-until` only to whoever knew the password. An empty password costs nothing and counts as nothing:
        clients try it first.
        """
        if not password:
            raise Refused("login-failed")
        if not 0 < len(name) <= LONGEST_NAME or "\0" in name:
            name = ("?" + name.replace("\0", "?"))[:LONGEST_NAME]  # nobody's, and counted like anybody's
        await self._refuse_source(source)
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:  # one at a time for a name, so that parallel tries cannot outrun the count
            hold_back, outcome = await self._try(name, password, source)
        if isinstance(outcome, Refused):
            await asyncio.sleep(hold_back)
            raise outcome
        return outcome

    async def _try(self, name: str, password: str, source: str) -> tuple[float, Person | Refused]:
        def look(connection: sa.Connection) -> tuple[str | None, bool]:
            user = find_user(connection, name)
            before = failures.remembered(connection, USER, name, self._clock(), read_settings(connection).lockout)
            return (None if user is None else user.password_hash), before.locked_until is not None

        stored, locked = await self._store.read(look)
        fits = len(password) <= TRIED_AT_MOST
        right = await self._checks.check(stored if fits else None, password if fits else "")
        fresh = await self._checks.rehash(password) if right and stored and is_outdated(stored) else None

        def decide(connection: sa.Connection) -> tuple[float, Person | Refused]:
            at = self._clock()
            lockout = read_settings(connection).lockout
            user = find_user(connection, name)
            current = user is not None and user.password_hash == stored
            barred = user is not None and user.locked
            if not right or locked or barred or not current:
                by_user = failures.count(connection, USER, name, at, lockout)
                failures.count(connection, SOURCE, source, at, lockout)
                return failures.delay(by_user.tries), Refused("login-failed")
            failures.forget(connection, USER, name)
            failures.forget(connection, SOURCE, source)
            if fresh is not None:
                table = schema.users
                connection.execute(table.update().where(table.c.name == name).values(password_hash=fresh))
            try:
                return 0.0, person_of(connection, name, at)
            except Refused as refused:
                return 0.0, refused

        return await self._store.run(decide)

    async def key_login(self, name: str, public_key: str) -> Person | None:
        """The person, when the key is one of theirs; None otherwise, and for who is locked by an administrator.

        Raises Refused (`user-locked-until`, `user-not-valid`) for who may not log in now: to be told to nobody before
        the key is proved. Costs nothing and counts as nothing: clients offer all their keys, and have proved none yet.
        """
        try:
            _algorithm, blob, _comment = read_public_key(public_key)
        except ValueError:
            return None

        def look(connection: sa.Connection) -> Person | Refused | None:
            users, keys = schema.users, schema.user_keys
            owned = sa.select(keys.c.id).join(users).where(users.c.name == name, keys.c.blob == blob)
            if connection.execute(owned).first() is None:
                return None
            try:
                return person_of(connection, name, self._clock())
            except Refused as refused:
                return None if refused.code == "user-locked" else refused

        if not 0 < len(name) <= LONGEST_NAME or "\0" in name:
            return None
        found = await self._store.read(look)
        if isinstance(found, Refused):
            raise found
        return found

    async def person(self, name: str) -> Person:
        """The person as they are now. Raises Refused (`user-locked`, `user-not-valid`)."""
        return await self._store.read(lambda connection: person_of(connection, name, self._clock()))

    async def count_source(self, source: str) -> float:
        """Counts a failed login that was not by password; answers with the seconds to hold its refusal back."""

        def work(connection: sa.Connection) -> float:
            lockout = read_settings(connection).lockout
            return failures.delay(failures.count(connection, SOURCE, source, self._clock(), lockout).tries)

        return await self._store.run(work)

    async def refuse_source(self, source: str) -> None:
        """Raises Refused (`too-many-tries`) while that source has to wait."""
        await self._refuse_source(source)

    async def _refuse_source(self, source: str) -> None:
        def look(connection: sa.Connection) -> Refused | None:
            at = self._clock()
            before = failures.remembered(connection, SOURCE, source, at, read_settings(connection).lockout)
            if before.locked_until is None:
                return None
            return Refused("too-many-tries", seconds=max(1, round((before.locked_until - at).total_seconds())))

        refused = await self._store.read(look)
        if refused is not None:
            raise refused

    async def lock_until(self, name: str, until: datetime | None, by: str, reason: str) -> bool:
        """Locks a user for a time (None: unlocks, and forgets failed logins too). False where that was not so.

        Raises Refused (`user-unknown`).
        """

        def work(connection: sa.Connection) -> bool:
            if find_user(connection, name) is None:
                raise Refused("user-unknown", user=name[:LONGEST_NAME])
            if until is not None:
                user_locks.lock(connection, name, until, by, reason, self._clock())
                return True
            failures.forget(connection, USER, name)
            return user_locks.unlock(connection, name)

        return await self._store.run(work)

    async def locks(self) -> list[sa.Row[Any]]:
        """The locks of now, the one that ends first first."""
        return await self._store.read(lambda connection: user_locks.held(connection, self._clock()))

    def close(self) -> None:
        """Ends the password threads."""
        self._checks.close()
