"""What people may reach: grants of users and groups to databases, database groups and accounts, with their dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import maybe_from_text, to_text, without_fraction

ANY = "*"
"""In a grant: every account. As an account's name: whatever login the operator types."""


@dataclass(frozen=True)
class Reach:
    """One grant that gives a person one database: `account` is a name, or ANY for all of them."""

    grant: str
    version: int
    database_id: int
    account: str
    valid_from: datetime | None
    valid_until: datetime | None
    replication: bool

    def holds(self, at: datetime) -> bool:
        """Whether it is within its dates."""
        return not self.is_ahead(at) and not self.has_ended(at)

    def is_ahead(self, at: datetime) -> bool:
        """Whether it has not begun."""
        return self.valid_from is not None and self.valid_from > at

    def has_ended(self, at: datetime) -> bool:
        """Whether it is over."""
        return self.valid_until is not None and self.valid_until <= at

    def gives(self, account: str) -> bool:
        """Whether that account is in it."""
        return self.account in (ANY, account)


def reaches(connection: sa.Connection, user_id: int, database: str | None = None) -> list[Reach]:
    """Every grant of the person, by name, group or for all, whatever its dates; of one database or all."""
    g, s, o, a, d = (
        schema.grants,
        schema.grant_subjects,
        schema.grant_objects,
        schema.grant_accounts,
        schema.databases,
    )
    members, assets = schema.group_members, schema.database_group_members
    groups = sa.select(members.c.group_id).where(members.c.user_id == user_id)
    mine = sa.select(s.c.grant_id).where(s.c.everyone | (s.c.user_id == user_id) | s.c.group_id.in_(groups))
    in_group = sa.exists().where(assets.c.group_id == o.c.group_id, assets.c.database_id == d.c.id)
    query = (
        sa.select(
            g.c.name, g.c.version, d.c.id, a.c.name.label("account"), g.c.valid_from, g.c.valid_until, g.c.replication
        )
        .select_from(g)
        .join(o, o.c.grant_id == g.c.id)
        .join(a, a.c.grant_id == g.c.id)
        .join(d, o.c.everything | (o.c.database_id == d.c.id) | in_group)
        .where(g.c.id.in_(mine))
        .distinct()
        .order_by(g.c.name)
    )
    if database is not None:
        query = query.where(d.c.name == database)
    return [
        Reach(
            row.name,
            row.version,
            row.id,
            row.account,
            maybe_from_text(row.valid_from),
            maybe_from_text(row.valid_until),
            bool(row.replication),
        )
        for row in connection.execute(query)
    ]


def latest_end(found: list[Reach]) -> datetime | None:
    """When the last of them ends; None: one is open-ended. `found` is not empty."""
    ends = [reach.valid_until for reach in found]
    return None if None in ends else max(end for end in ends if end is not None)


def holding(found: list[Reach], database: str, at: datetime) -> list[Reach]:
    """Those that hold now. Raises Refused: `grant-not-yet`, `grant-ended`, `database-not-authorized`."""
    now = [reach for reach in found if reach.holds(at)]
    if now:
        return now
    starts = [reach.valid_from for reach in found if reach.is_ahead(at) and reach.valid_from is not None]
    if starts:
        raise Refused("grant-not-yet", database=database, at=_shown(min(starts)))
    ends = [reach.valid_until for reach in found if reach.valid_until is not None]
    if ends:
        raise Refused("grant-ended", database=database, at=_shown(max(ends)))
    raise Refused("database-not-authorized", database=database)


def accounts_of(connection: sa.Connection, database_id: int) -> list[sa.Row[Any]]:
    """The accounts of a database by name, the `any` account last."""
    table = schema.accounts
    query = sa.select(table).where(table.c.database_id == database_id).order_by(table.c.any_login, table.c.name)
    return list(connection.execute(query))


def is_hosted(account: sa.Row[Any]) -> bool:
    """Whether the bastion has what the account logs in with: its password, or the certificate that it shows."""
    return account.secret is not None or account.certificate is not None


def choose_account(
    connection: sa.Connection, found: list[Reach], database: str, asked: str | None, at: datetime
) -> tuple[sa.Row[Any], list[Reach]]:
    """The account to use, and the grants that give it now.

    Raises Refused as `holding`, and `account-needed` (several, none asked for) or `account-not-authorized`.
    """
    now = holding(found, database, at)
    accounts = accounts_of(connection, now[0].database_id)
    granted = [account for account in accounts if any(reach.gives(account.name) for reach in now)]
    names = ", ".join(account.name for account in granted)
    if asked is None:
        if len(granted) == 1:
            chosen = granted[0]
        elif granted:
            raise Refused("account-needed", database=database, accounts=names)
        else:
            raise Refused("account-not-authorized", account="-", database=database, accounts="-")
    else:
        matching = [account for account in granted if account.name == asked]
        if not matching:
            if any(account.name == asked for account in accounts):
                holding([reach for reach in found if reach.gives(asked)] or now, database, at)
            raise Refused("account-not-authorized", account=asked, database=database, accounts=names or "-")
        chosen = matching[0]
    return chosen, [reach for reach in now if reach.gives(chosen.name)]


def _shown(moment: datetime) -> str:
    return without_fraction(to_text(moment))
