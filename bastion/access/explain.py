"""Why a person can or cannot work with a database: everything that `admit` asks, judged to the end and put into words.

Nothing is opened and nothing is changed. What is not the person's stays unsaid: a database without a grant and one that
does not exist read alike.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import from_text, without_fraction
from bastion.vault import NotSealed, Vault

from . import grants, sealing
from .identity import find_user, refuse_unfit

ASKED = 3
"""Administrators who are named as those to ask."""

LIKE = 3
"""Names of one's databases that are offered for one that is not."""


@dataclass(frozen=True)
class Place:
    """Where the database is and how its TLS is; for trying to reach it."""

    engine: str
    host: str
    port: int
    domain: str
    tls_mode: str
    tls_ca: str | None
    tls_pin: str | None
    certificate: str | None = field(default=None, repr=False)
    certificate_key: str | None = field(default=None, repr=False)


@dataclass
class Judged:
    """The checks so far. `place` None: it may not be tried. `known`: the person has or had a grant for it."""

    checks: list[m.Check]
    account: str | None = None
    place: Place | None = None
    known: bool = False

    def say(self, stage: str, state: str, code: str, **params: Any) -> None:
        self.checks.append(m.Check(stage=stage, state=state, code=code, params=params))

    def refuse(self, stage: str, refused: Refused, **more: Any) -> None:
        self.say(stage, "no", refused.code, **{**refused.params, **more})


def judge(
    connection: sa.Connection, vault: Vault, at: datetime, user_name: str, database: str, account: str | None
) -> Judged:
    """Person, grant, account and token, in that order; what depends on one that is not so is left out."""
    judged = Judged([], account)
    ask = administrators(connection)
    user = find_user(connection, user_name)
    try:
        user = refuse_unfit(user, user_name, at)
    except Refused as refused:
        by = "" if user is None else user.locked_by
        judged.refuse("person", refused, ask=ask, **({} if refused.code == "user-locked-until" else {"by": by}))
        return judged
    roles = schema.user_roles
    held = set(connection.scalars(sa.select(roles.c.role).where(roles.c.user_id == user.id)))
    if "operator" not in held:
        judged.say("person", "no", "role-missing", role="operator", user=user_name, ask=ask)
    else:
        judged.say("person", "ok", "person-fit", user=user_name, until=_shown(user.valid_until))
    found = grants.reaches(connection, user.id, database)
    judged.known = bool(found)
    try:
        now = grants.holding(found, database, at)
    except Refused as refused:
        judged.refuse("grant", refused, ask=ask, like=_alike(connection, user.id, database, at))
        return judged
    ends = grants.latest_end(now)
    names = ", ".join(dict.fromkeys(reach.grant for reach in now))
    judged.say("grant", "ok", "grant-holds", grants=names, until=_moment(ends))
    try:
        chosen, _given = grants.choose_account(connection, found, database, account, at)
    except Refused as refused:
        judged.refuse("account", refused, ask=ask)
        if refused.code != "account-needed":
            return judged
        chosen = None
    row = _database(connection, now[0].database_id)
    if chosen is not None:
        judged.account = chosen.name
        hosted = grants.is_hosted(chosen)
        code = "account-hosted" if hosted else "account-any" if chosen.any_login else "account-not-hosted"
        judged.say("account", "ok" if hosted else "note", code, account=chosen.name)
        _token(connection, judged, user, chosen, at, database)
    judged.place = _place(vault, row, chosen)
    return judged


def _token(
    connection: sa.Connection, judged: Judged, user: sa.Row[Any], account: sa.Row[Any], at: datetime, database: str
) -> None:
    """The last token of that account: to be requested where there is none or it is over."""
    table = schema.tokens
    query = (
        sa.select(table)
        .where(table.c.user_id == user.id, table.c.account_id == account.id)
        .order_by(table.c.current.desc(), table.c.issued_at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        judged.say("token", "note", "token-none", database=database)
    elif row.revoked_at is not None:
        at_text = without_fraction(row.revoked_at)
        judged.say("token", "note", "token-revoked", at=at_text, by=row.revoked_by, database=database)
    elif from_text(row.expires_at) <= at:
        judged.say("token", "note", "token-expired", at=without_fraction(row.expires_at), database=database)
    else:
        left = max(0, row.renewals_allowed - row.renewals_used)
        judged.say("token", "ok", "token-live", until=without_fraction(row.expires_at), renewals=left)


def _database(connection: sa.Connection, database_id: int) -> sa.Row[Any]:
    d, n = schema.databases, schema.network_domains
    query = sa.select(d, n.c.name.label("domain")).outerjoin(n).where(d.c.id == database_id)
    return connection.execute(query).one()


def _place(vault: Vault, row: sa.Row[Any], account: sa.Row[Any] | None) -> Place:
    certificate = key = None
    if account is not None and account.certificate is not None:
        try:
            certificate = vault.open(account.certificate, sealing.account_certificate_context(row.name, account.name))
            key = vault.open(account.certificate_key, sealing.account_key_context(row.name, account.name))
        except NotSealed:
            certificate = key = None
    return Place(
        engine=row.engine,
        host=row.host,
        port=row.port,
        domain=row.domain or "",
        tls_mode=row.tls_mode,
        tls_ca=row.tls_ca,
        tls_pin=row.tls_pin,
        certificate=certificate,
        certificate_key=key,
    )


def administrators(connection: sa.Connection) -> str:
    """Names of those who may grant; '' where there are none."""
    users, roles = schema.users, schema.user_roles
    query = (
        sa.select(users.c.name)
        .join(roles, roles.c.user_id == users.c.id)
        .where(roles.c.role == "administrator", sa.not_(users.c.locked))
        .order_by(users.c.name)
        .limit(ASKED)
    )
    return ", ".join(connection.scalars(query))


def _alike(connection: sa.Connection, user_id: int, name: str, at: datetime) -> str:
    """Databases of the person's with a name like that one; '' where there are none."""
    ids = {reach.database_id for reach in grants.reaches(connection, user_id) if reach.holds(at)}
    table = schema.databases
    names = [row.name for row in connection.execute(sa.select(table.c.id, table.c.name)) if row.id in ids]
    folded = {each.lower(): each for each in names if each != name}
    near = difflib.get_close_matches(name.lower(), folded, LIKE, 0.7)
    return ", ".join(folded[each] for each in near)


def _shown(text: str | None) -> str:
    return "" if text is None else without_fraction(text)


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")
