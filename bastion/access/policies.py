"""Which control policy says what of a person at a database. The highest priority that says something decides it."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from bastion.store import schema


@dataclass(frozen=True)
class Rules:
    """What the policies say together. `versions` names every policy that decided something, with its version."""

    client_password: str = "any"
    at_expiry: str = "finish"
    versions: dict[str, int] = field(default_factory=dict)


ENFORCED = ("client_password", "at_expiry")
"""Parts of a policy that this version enforces."""


def rules_for(connection: sa.Connection, user_id: int, user: str, database_id: int, database: str) -> Rules:
    """The rules for that person at that database."""
    p, g, gm, dg, dm = (
        schema.policies,
        schema.groups,
        schema.group_members,
        schema.database_groups,
        schema.database_group_members,
    )
    policies = connection.execute(
        sa.select(p.c.name, p.c.version, p.c.document).order_by(p.c.priority, p.c.changed_at.desc(), p.c.name)
    ).all()
    if not policies:
        return Rules()
    groups = connection.scalars(sa.select(g.c.name).join(gm, gm.c.group_id == g.c.id).where(gm.c.user_id == user_id))
    subjects = {"*", user, *(f"group:{name}" for name in groups)}
    collections = connection.scalars(
        sa.select(dg.c.name).join(dm, dm.c.group_id == dg.c.id).where(dm.c.database_id == database_id)
    )
    objects = {"*", database, *(f"group:{name}" for name in collections)}
    said: dict[str, str] = {}
    versions: dict[str, int] = {}
    for policy in policies:
        document = policy.document
        if subjects.isdisjoint(document["to"]) or objects.isdisjoint(document["on"]):
            continue
        for part in ENFORCED:
            if part in document and part not in said:
                said[part] = document[part]
                versions[policy.name] = policy.version
    return Rules(**said, versions=versions)
