"""The declared state as it is in the store, in the document's own structs. Secrets are only marked as kept."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.store import schema
from bastion.store.moments import from_text

from . import documents as d
from .settings import declared_sections


def read_stored(connection: sa.Connection) -> dict[str, dict[str, d.Entry]]:
    """Everything that can be declared: by kind and name, in the order in which it is applied."""
    return {
        "domain": _domains(connection),
        "database": _databases(connection),
        "database-group": _database_groups(connection),
        "user": _users(connection),
        "group": _groups(connection),
        "grant": _grants(connection),
        "policy": _policies(connection),
        "setting": _settings(connection),
    }


def _moment(text: str | None) -> d.Moment | None:
    return None if text is None else d.Moment(from_text(text))


def _kept(sealed: str | None) -> d.Secret | None:
    return None if sealed is None else d.KEPT


def _names(connection: sa.Connection, query: sa.Select[Any]) -> dict[int, list[str]]:
    """The second column's values, sorted, by the first column's."""
    found: dict[int, list[str]] = defaultdict(list)
    for key, name in connection.execute(query):
        found[key].append(name)
    return {key: sorted(names) for key, names in found.items()}


def _users(connection: sa.Connection) -> dict[str, d.Entry]:
    users, keys, roles = schema.users, schema.user_keys, schema.user_roles
    lines: dict[int, list[str]] = defaultdict(list)
    for key in connection.execute(sa.select(keys).order_by(keys.c.id)):
        lines[key.user_id].append(f"{key.algorithm} {key.blob} {key.comment}".strip())
    of_user = _names(connection, sa.select(roles.c.user_id, roles.c.role))
    return {
        row.name: d.User(
            name=row.name,
            display=row.display,
            comment=row.comment,
            roles=of_user.get(row.id, []),  # type: ignore[arg-type]
            password=_kept(row.password_hash),
            keys=lines.get(row.id, []),
            totp=row.totp,
            valid_from=_moment(row.valid_from),
            valid_until=_moment(row.valid_until),
            locked=bool(row.locked),
            language=row.language,
        )
        for row in connection.execute(sa.select(users).order_by(users.c.name))
    }


def _groups(connection: sa.Connection) -> dict[str, d.Entry]:
    groups, members, users = schema.groups, schema.group_members, schema.users
    names = _names(connection, sa.select(members.c.group_id, users.c.name).join(users, users.c.id == members.c.user_id))
    return {
        row.name: d.Group(name=row.name, members=names.get(row.id, []), comment=row.comment)
        for row in connection.execute(sa.select(groups).order_by(groups.c.name))
    }


def _domains(connection: sa.Connection) -> dict[str, d.Entry]:
    domains, proxies = schema.network_domains, schema.proxies
    of_domain: dict[int, list[d.Proxy]] = defaultdict(list)
    for row in connection.execute(sa.select(proxies).order_by(proxies.c.domain_id, proxies.c.place)):
        of_domain[row.domain_id].append(
            d.Proxy(
                type=row.kind,
                host=row.host,
                port=row.port,
                user=row.login,
                password=_kept(row.secret),
                key=_kept(row.key),
                host_key=row.host_key,
            )
        )
    return {
        row.name: d.Domain(name=row.name, proxies=of_domain[row.id], comment=row.comment)
        for row in connection.execute(sa.select(domains).order_by(domains.c.name))
    }


def _databases(connection: sa.Connection) -> dict[str, d.Entry]:
    databases, domains, accounts = schema.databases, schema.network_domains, schema.accounts
    of_database: dict[int, list[d.Account]] = defaultdict(list)
    for row in connection.execute(sa.select(accounts)):
        account = d.Account(
            name=None if row.any_login else row.name,
            any=bool(row.any_login),
            password=_kept(row.secret),
            certificate=_kept(row.certificate),
            key=_kept(row.certificate_key),
        )
        of_database[row.database_id].append(account)
    query = sa.select(databases, domains.c.name.label("domain")).outerjoin(domains).order_by(databases.c.name)
    return {
        row.name: d.Database(
            name=row.name,
            engine=row.engine,
            host=row.host,
            platform=row.platform,
            port=row.port,
            domain=row.domain,
            tls=d.Tls(
                mode=row.tls_mode,
                ca=None if row.tls_ca is None else d.Secret("text", row.tls_ca),
                pin=row.tls_pin or "",
            ),
            databases=row.allowed_names,
            service=row.service,
            sid=row.sid,
            production=bool(row.production),
            accounts=sorted(of_database[row.id], key=lambda account: (account.any, account.name or "")),
            comment=row.comment,
        )
        for row in connection.execute(query)
    }


def _database_groups(connection: sa.Connection) -> dict[str, d.Entry]:
    groups, members, databases = schema.database_groups, schema.database_group_members, schema.databases
    names = _names(
        connection,
        sa.select(members.c.group_id, databases.c.name).join(databases, databases.c.id == members.c.database_id),
    )
    return {
        row.name: d.DatabaseGroup(name=row.name, members=names.get(row.id, []), comment=row.comment)
        for row in connection.execute(sa.select(groups).order_by(groups.c.name))
    }


def _grants(connection: sa.Connection) -> dict[str, d.Entry]:
    grants, s, o, a = schema.grants, schema.grant_subjects, schema.grant_objects, schema.grant_accounts
    group = sa.literal("group:")
    everything = sa.literal("*")
    subject = sa.case(
        (s.c.everyone, everything), (s.c.user_id.is_not(None), schema.users.c.name), else_=group + schema.groups.c.name
    )
    to = _names(
        connection,
        sa.select(s.c.grant_id, subject).outerjoin(schema.users).outerjoin(schema.groups),
    )
    item = sa.case(
        (o.c.everything, everything),
        (o.c.database_id.is_not(None), schema.databases.c.name),
        else_=group + schema.database_groups.c.name,
    )
    on = _names(
        connection,
        sa.select(o.c.grant_id, item).outerjoin(schema.databases).outerjoin(schema.database_groups),
    )
    accounts = _names(connection, sa.select(a.c.grant_id, a.c.name))
    return {
        row.name: d.Grant(
            name=row.name,
            to=to.get(row.id, []),
            on=on.get(row.id, []),
            accounts=accounts.get(row.id, []),
            valid_from=_moment(row.valid_from),
            valid_until=_moment(row.valid_until),
            replication=bool(row.replication),
            comment=row.comment,
        )
        for row in connection.execute(sa.select(grants).order_by(grants.c.name))
    }


def _policies(connection: sa.Connection) -> dict[str, d.Entry]:
    table = schema.policies
    return {
        row.name: msgspec.convert(row.document, d.Policy, dec_hook=d.read_special)
        for row in connection.execute(sa.select(table).order_by(table.c.name))
    }


def _settings(connection: sa.Connection) -> dict[str, d.Entry]:
    found: dict[str, d.Entry] = {}
    for name, value in declared_sections(connection).items():
        if name == "token":
            found[name] = d.Token(
                validity=d.Period(value["validity"]),
                longest=d.Period(value["longest"]),
                renewals=value["renewals"],
                renewal=d.Period(value["renewal"]),
            )
        elif name == "lockout":
            found[name] = d.Lockout(
                tries=value["tries"], period=d.Period(value["period"]), source_tries=value["source_tries"]
            )
        elif name == "audit":
            found[name] = d.Audit(mask_results=value["mask_results"])
        else:
            found[name] = d.Advertise(host=value["host"], port=value["port"])
    return found


def setting_value(entry: d.Entry) -> dict[str, Any]:
    """A section of the settings as it is stored: periods in seconds, nothing left out."""
    return {
        each.name: value.seconds if isinstance(value := getattr(entry, each.name), d.Period) else value
        for each in msgspec.structs.fields(entry)
    }
