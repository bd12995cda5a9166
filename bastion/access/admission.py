"""May this person open this database with this token now? Everything is read anew, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import from_text, maybe_from_text
from bastion.vault import Vault

from . import grants, sealing
from .identity import find_user, refuse_unfit
from .policies import rules_for
from .tokens import Tokens


@dataclass(frozen=True)
class Admission:
    """All that a session needs, at one moment. `repr` shows no secret.

    account      the database login to use; None: whatever the client types. account_label: the token's, '*' for any
    secret       the password to put in place: hosted, or given with the token's request; None: the client's own
    certificate  what the account shows of itself in TLS to the database (PEM), with its private key
    domain       the network domain's name; '' is direct
    databases    names that may be opened there; empty: all
    expires_at   when the session may no longer be: the token's end, or the user's or the grant's if that is earlier
    grants       name and version of each grant that admits, policies: of each policy that decided something
    """

    token_id: str
    user: str
    database: str
    engine: str
    host: str
    port: int
    tls_mode: str
    tls_ca: str | None
    domain: str
    databases: tuple[str, ...]
    account: str | None
    account_label: str
    secret: str | None = field(repr=False)
    token_text: str = field(repr=False)
    expires_at: datetime
    client_password: str
    allow_replication: bool
    at_expiry: str
    tls_pin: str | None = None
    certificate: str | None = field(default=None, repr=False)
    certificate_key: str | None = field(default=None, repr=False)
    service: str = ""
    sid: str = ""
    production: bool = False
    grants: tuple[tuple[str, int], ...] = ()
    policies: tuple[tuple[str, int], ...] = ()
    redirects: tuple[tuple[str, int], ...] = ()
    """Where else the database may send the connection: databases of that engine which the person may use as well."""


REDIRECTING = ("sqlserver", "oracle")
"""Engines whose databases may send a connection elsewhere during its login."""


def admit(
    connection: sa.Connection,
    tokens: Tokens,
    vault: Vault,
    clock: Callable[[], datetime],
    user_name: str,
    token_id: str,
) -> Admission:
    """The admission. Raises Refused with the reason: user, token, database, grant or account, in that order."""
    at = clock()
    user = refuse_unfit(find_user(connection, user_name), user_name, at)
    row = tokens.own(connection, user_name, token_id)
    database = _database(connection, row)
    found = grants.reaches(connection, user.id, database.name)
    account, given = grants.choose_account(connection, found, database.name, row.account, at)
    if account.id != row.account_id:  # the account was removed and another one of its name made
        raise Refused("token-unknown")
    rules = rules_for(connection, user.id, user.name, database.id, database.name)
    ends = (from_text(row.expires_at), maybe_from_text(user.valid_until), grants.latest_end(given))
    login: str | None = row.login or None if account.any_login else account.name
    return Admission(
        token_id=row.id,
        user=user.name,
        database=database.name,
        engine=database.engine,
        host=database.host,
        port=database.port,
        tls_mode=database.tls_mode,
        tls_ca=database.tls_ca,
        domain=database.domain or "",
        databases=tuple(database.allowed_names or ()),
        account=login,
        account_label=row.account,
        secret=_secret(vault, database.name, account, row),
        token_text=vault.open(row.sealed, sealing.token_text_context(row.id)),
        expires_at=min(end for end in ends if end is not None),
        client_password=rules.client_password,
        allow_replication=any(reach.replication for reach in given),
        at_expiry=rules.at_expiry,
        tls_pin=database.tls_pin,
        certificate=_opened(
            vault, account.certificate, sealing.account_certificate_context(database.name, account.name)
        ),
        certificate_key=_opened(
            vault, account.certificate_key, sealing.account_key_context(database.name, account.name)
        ),
        service=database.service,
        sid=database.sid,
        production=bool(database.production),
        grants=tuple(dict.fromkeys((reach.grant, reach.version) for reach in given)),
        policies=tuple(rules.versions.items()),
        redirects=_redirects(connection, user.id, database, at) if database.engine in REDIRECTING else (),
    )


def _redirects(
    connection: sa.Connection, user_id: int, database: sa.Row[Any], at: datetime
) -> tuple[tuple[str, int], ...]:
    """Addresses, reached in the same way, of this database and of those of its engine that are granted now."""
    d = schema.databases
    granted = {reach.database_id for reach in grants.reaches(connection, user_id) if reach.holds(at)}
    same = d.c.domain_id.is_not_distinct_from(database.domain_id)
    query = sa.select(d.c.id, d.c.host, d.c.port).where(d.c.engine == database.engine, same)
    return tuple((row.host.lower(), row.port) for row in connection.execute(query) if row.id in granted)


def _database(connection: sa.Connection, token: sa.Row[Any]) -> sa.Row[Any]:
    d, n = schema.databases, schema.network_domains
    query = sa.select(d, n.c.name.label("domain")).outerjoin(n).where(d.c.id == token.database_id)
    database = connection.execute(query).one_or_none()
    if database is None:
        raise Refused("database-not-authorized", database=token.database)
    return database


def _opened(vault: Vault, sealed: str | None, context: str) -> str | None:
    return None if sealed is None else vault.open(sealed, context)


def _secret(vault: Vault, database: str, account: sa.Row[Any], token: sa.Row[Any]) -> str | None:
    if account.secret is not None:
        return vault.open(account.secret, sealing.account_context(database, account.name))
    if token.secret is not None:
        return vault.open(token.secret, sealing.token_secret_context(token.id))
    return None
