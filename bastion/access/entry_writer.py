"""Writes declared entries into the store. Every function runs in the transaction of `declared.apply`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bastion.store import schema
from bastion.store.moments import to_text
from bastion.vault import Vault

from . import documents as d
from . import sealing
from .identity import read_public_key
from .settings import write_section
from .stored_entries import setting_value


@dataclass(frozen=True)
class Change:
    """One entry to create, update or delete. `secrets` are the new ones by their place in the entry, in clear."""

    action: str
    kind: str
    name: str
    entry: d.Entry | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class EntryWriter:
    """Carries changes out."""

    def __init__(self, connection: sa.Connection, vault: Vault, by: str, at: str) -> None:
        self._connection = connection
        self._vault = vault
        self._by = by
        self._at = at

    def carry_out(self, change: Change) -> None:
        """Makes one change. What it refers to must be there already."""
        if change.action == "delete":
            self._delete(change)
            return
        match change.entry:
            case d.User() as entry:
                self._user(entry, change.secrets)
            case d.Group() as entry:
                self._group(entry)
            case d.Domain() as entry:
                self._domain(entry, change.secrets)
            case d.Database() as entry:
                self._database(entry, change.secrets)
            case d.DatabaseGroup() as entry:
                self._database_group(entry)
            case d.Grant() as entry:
                self._grant(entry)
            case d.Policy() as entry:
                self._policy(entry)
            case entry:
                assert entry is not None
                write_section(self._connection, change.name, setting_value(entry), self._at)

    # ------------------------------------------------------------------------------------------------------- helpers

    def _id(self, table: sa.Table, name: str) -> int:
        found: int = self._connection.execute(sa.select(table.c.id).where(table.c.name == name)).scalar_one()
        return found

    def _put(self, table: sa.Table, name: str, values: dict[str, Any], **when_new: Any) -> int:
        """Updates or inserts the row of that name; answers with its id."""
        changed = self._connection.execute(table.update().where(table.c.name == name).values(values)).rowcount
        if changed == 0:
            self._connection.execute(table.insert().values(name=name, **values, **when_new))
        return self._id(table, name)

    def _replace(self, table: sa.Table, owner: sa.Column[Any], owner_id: int, rows: list[dict[str, Any]]) -> None:
        self._connection.execute(table.delete().where(owner == owner_id))
        if rows:
            self._connection.execute(table.insert(), [{owner.name: owner_id, **row} for row in rows])

    # ------------------------------------------------------------------------------------------------------ identity

    def _user(self, user: d.User, secrets: Mapping[str, str]) -> None:
        values: dict[str, Any] = {
            "display": user.display,
            "comment": user.comment,
            "totp": user.totp,
            "valid_from": None if user.valid_from is None else to_text(user.valid_from.at),
            "valid_until": None if user.valid_until is None else to_text(user.valid_until.at),
            "locked": user.locked,
            "locked_by": self._by if user.locked else "",
            "language": user.language,
            "changed_at": self._at,
        }
        if "password" in secrets:  # already a hash: hashing takes time that a transaction does not have
            values |= {"password_hash": secrets["password"], "password_changed_at": self._at}
        user_id = self._put(schema.users, user.name, values, created_at=self._at)
        roles, keys = schema.user_roles, schema.user_keys
        self._replace(roles, roles.c.user_id, user_id, [{"role": role} for role in user.roles])
        rows: dict[str, dict[str, Any]] = {}
        for line in user.keys:
            algorithm, blob, comment = read_public_key(line)
            rows.setdefault(blob, {"algorithm": algorithm, "blob": blob, "comment": comment})
        self._replace(keys, keys.c.user_id, user_id, list(rows.values()))

    def _group(self, group: d.Group) -> None:
        group_id = self._put(schema.groups, group.name, {"comment": group.comment})
        members = schema.group_members
        rows = [{"user_id": self._id(schema.users, name)} for name in group.members]
        self._replace(members, members.c.group_id, group_id, rows)

    # -------------------------------------------------------------------------------------------------------- assets

    def _domain(self, domain: d.Domain, secrets: Mapping[str, str]) -> None:
        domain_id = self._put(schema.network_domains, domain.name, {"comment": domain.comment})
        table = schema.proxies
        kept = {
            row.place: row for row in self._connection.execute(sa.select(table).where(table.c.domain_id == domain_id))
        }
        rows: list[dict[str, Any]] = []
        for place, proxy in enumerate(domain.proxies):
            before = kept.get(place)
            sealed: dict[str, str | None] = {"secret": None, "key": None}
            for column, declared, where, context in (
                ("secret", proxy.password, "password", sealing.proxy_secret_context),
                ("key", proxy.key, "key", sealing.proxy_key_context),
            ):
                new = secrets.get(f"proxies[{place}].{where}")
                if new is not None:
                    sealed[column] = self._vault.seal(new, context(domain.name, place))
                elif declared is not None and before is not None:
                    sealed[column] = before._mapping[column]
            rows.append(
                {
                    "place": place,
                    "kind": proxy.type,
                    "host": proxy.host,
                    "port": proxy.port,
                    "login": proxy.user,
                    "host_key": proxy.host_key,
                    **sealed,
                }
            )
        self._replace(table, table.c.domain_id, domain_id, rows)

    def _database(self, database: d.Database, secrets: Mapping[str, str]) -> None:
        values: dict[str, Any] = {
            "engine": database.engine,
            "platform": database.platform,
            "host": database.host,
            "port": database.port,
            "domain_id": None if database.domain is None else self._id(schema.network_domains, database.domain),
            "tls_mode": database.tls.mode,
            "tls_ca": None if database.tls.ca is None else database.tls.ca.text,
            "tls_pin": database.tls.pin or None,
            "allowed_names": database.databases,
            "service": database.service,
            "sid": database.sid,
            "production": database.production,
            "comment": database.comment,
        }
        database_id = self._put(schema.databases, database.name, values, options={})
        self._accounts(database, database_id, secrets)

    def _accounts(self, database: d.Database, database_id: int, secrets: Mapping[str, str]) -> None:
        """Accounts keep their rows, since tokens hang on them; those that are not declared go, and their tokens end."""
        table = schema.accounts
        of_this = table.c.database_id == database_id
        names = [account.label for account in database.accounts]
        self._connection.execute(table.delete().where(of_this, table.c.name.not_in(names)))
        known = set(self._connection.scalars(sa.select(table.c.name).where(of_this)))
        for account, name in zip(database.accounts, names, strict=True):
            if name not in known:
                row = {"database_id": database_id, "name": name, "any_login": account.any}
                self._connection.execute(table.insert().values(row))
            this = sa.and_(of_this, table.c.name == name)
            new = secrets.get(f"accounts.{name}.password")
            if new is not None:
                sealed = self._vault.seal(new, sealing.account_context(database.name, name))
                values = {"secret": sealed, "secret_changed_at": self._at}
                self._connection.execute(table.update().where(this).values(values))
            elif account.password is None:
                self._connection.execute(table.update().where(this).values(secret=None))
            for column, declared, where, context in (
                ("certificate", account.certificate, "certificate", sealing.account_certificate_context),
                ("certificate_key", account.key, "key", sealing.account_key_context),
            ):
                new = secrets.get(f"accounts.{name}.{where}")
                if new is not None:
                    sealed = self._vault.seal(new, context(database.name, name))
                    self._connection.execute(table.update().where(this).values({column: sealed}))
                elif declared is None:
                    self._connection.execute(table.update().where(this).values({column: None}))

    def _database_group(self, group: d.DatabaseGroup) -> None:
        group_id = self._put(schema.database_groups, group.name, {"comment": group.comment})
        members = schema.database_group_members
        rows = [{"database_id": self._id(schema.databases, name)} for name in group.members]
        self._replace(members, members.c.group_id, group_id, rows)

    # --------------------------------------------------------------------------------------------- grants, policies

    def _grant(self, grant: d.Grant) -> None:
        version = self._next_version(schema.grant_versions, grant.name, d.written(grant))
        values: dict[str, Any] = {
            "version": version,
            "valid_from": None if grant.valid_from is None else to_text(grant.valid_from.at),
            "valid_until": None if grant.valid_until is None else to_text(grant.valid_until.at),
            "replication": grant.replication,
            "comment": grant.comment,
        }
        grant_id = self._put(schema.grants, grant.name, values)
        s, o, a = schema.grant_subjects, schema.grant_objects, schema.grant_accounts
        self._replace(
            s,
            s.c.grant_id,
            grant_id,
            [self._reference(to, "user_id", schema.users, schema.groups, "everyone") for to in grant.to],
        )
        self._replace(
            o,
            o.c.grant_id,
            grant_id,
            [
                self._reference(on, "database_id", schema.databases, schema.database_groups, "everything")
                for on in grant.on
            ],
        )
        self._replace(a, a.c.grant_id, grant_id, [{"name": name} for name in grant.accounts])

    def _reference(self, text: str, one: str, table: sa.Table, groups: sa.Table, everything: str) -> dict[str, Any]:
        """The columns of `*`, `group:NAME` or `NAME`."""
        row: dict[str, Any] = {one: None, "group_id": None, everything: text == "*"}
        if text.startswith("group:"):
            row["group_id"] = self._id(groups, text.removeprefix("group:"))
        elif text != "*":
            row[one] = self._id(table, text)
        return row

    def _policy(self, policy: d.Policy) -> None:
        document = d.written(policy)
        version = self._next_version(schema.policy_versions, policy.name, document)
        values = {
            "priority": policy.priority,
            "version": version,
            "document": document,
            "changed_at": self._at,
        }
        self._put(schema.policies, policy.name, values)

    def _next_version(self, table: sa.Table, name: str, document: dict[str, Any] | None) -> int:
        last = self._connection.scalar(sa.select(sa.func.max(table.c.version)).where(table.c.name == name))
        version: int = (last or 0) + 1
        row = {"name": name, "version": version, "document": document, "at": self._at, "by": self._by}
        self._connection.execute(table.insert().values(row))
        return version

    # ------------------------------------------------------------------------------------------------------ removal

    def _delete(self, change: Change) -> None:
        if change.kind == "setting":
            write_section(self._connection, change.name, None, self._at)
            return
        table = TABLES[change.kind]
        if change.kind == "grant":
            self._next_version(schema.grant_versions, change.name, None)
        elif change.kind == "policy":
            self._next_version(schema.policy_versions, change.name, None)
        self._connection.execute(table.delete().where(table.c.name == change.name))


TABLES: dict[str, sa.Table] = {
    "domain": schema.network_domains,
    "database": schema.databases,
    "database-group": schema.database_groups,
    "user": schema.users,
    "group": schema.groups,
    "grant": schema.grants,
    "policy": schema.policies,
}
