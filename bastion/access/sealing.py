"""What every sealed column is bound to, and the renewal of all of them after a rotation of the master key."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bastion.store import schema
from bastion.vault import Vault

TOKEN_DIGEST = "token"
"""Purpose of the digest that tokens are found by."""


def account_context(database: str, account: str) -> str:
    """For the hosted password of an account."""
    return f"account:{database}:{account}"


def account_certificate_context(database: str, account: str) -> str:
    """For the certificate that an account shows its database."""
    return f"account-certificate:{database}:{account}"


def account_key_context(database: str, account: str) -> str:
    """For that certificate's private key."""
    return f"account-key:{database}:{account}"


def token_text_context(token_id: str) -> str:
    """For a token's text."""
    return f"token:{token_id}"


def token_secret_context(token_id: str) -> str:
    """For the password that was given with a token's request."""
    return f"token-secret:{token_id}"


def proxy_secret_context(domain: str, place: int) -> str:
    """For the password of a domain's proxy."""
    return f"proxy:{domain}:{place}"


def proxy_key_context(domain: str, place: int) -> str:
    """For the private key of a domain's proxy."""
    return f"proxy-key:{domain}:{place}"


def totp_context(user: str) -> str:
    """For a user's TOTP secret."""
    return f"totp:{user}"


def personal_context(user: str, kind: str, key: str) -> str:
    """For something that a person keeps."""
    return f"personal:{user}:{kind}:{key}"


def reseal_all(connection: sa.Connection, vault: Vault) -> int:
    """Seals every secret of the store with the current key; answers with how many were changed. Then `Vault.retire`.

    One transaction: on an error (NotSealed) nothing is changed.
    """
    changed = 0

    def renew(table: sa.Table, column: str, row: Any, context: str) -> int:
        sealed = row._mapping[column]
        if sealed is None or vault.is_current(sealed):
            return 0
        value = {column: vault.reseal(sealed, context)}
        connection.execute(table.update().where(table.c.id == row.id).values(value))
        return 1

    users, accounts, proxies, tokens = schema.users, schema.accounts, schema.proxies, schema.tokens
    for row in connection.execute(sa.select(users.c.id, users.c.name, users.c.totp_secret)).all():
        changed += renew(users, "totp_secret", row, totp_context(row.name))
    of_databases = sa.select(accounts, schema.databases.c.name.label("database")).join(schema.databases)
    for row in connection.execute(of_databases).all():
        changed += renew(accounts, "secret", row, account_context(row.database, row.name))
        changed += renew(accounts, "certificate", row, account_certificate_context(row.database, row.name))
        changed += renew(accounts, "certificate_key", row, account_key_context(row.database, row.name))
    of_domains = sa.select(proxies, schema.network_domains.c.name.label("domain")).join(schema.network_domains)
    for row in connection.execute(of_domains).all():
        changed += renew(proxies, "secret", row, proxy_secret_context(row.domain, row.place))
        changed += renew(proxies, "key", row, proxy_key_context(row.domain, row.place))
    for row in connection.execute(sa.select(tokens.c.id, tokens.c.sealed, tokens.c.secret)).all():
        changed += renew(tokens, "sealed", row, token_text_context(row.id))
        changed += renew(tokens, "secret", row, token_secret_context(row.id))
    kept = schema.personal_state
    places = sa.select(kept.c.user_id, users.c.name, kept.c.kind, kept.c.key).join(users)
    for place in connection.execute(places).all():  # the values one by one: they may be large
        here = sa.and_(kept.c.user_id == place.user_id, kept.c.kind == place.kind, kept.c.key == place.key)
        sealed = connection.scalars(sa.select(kept.c.value).where(here)).one()
        if not vault.is_current(sealed):
            fresh = vault.reseal(sealed, personal_context(place.name, place.kind, place.key))
            connection.execute(kept.update().where(here).values(value=fresh))
            changed += 1
    return changed
