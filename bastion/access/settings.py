"""Settings that are declared and kept in the store; what is not declared has the value that stands here."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.store import schema


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Periods in seconds. A change affects tokens that are issued or renewed afterwards."""

    validity: int = 8 * 3600
    longest: int = 24 * 3600
    renewals: int = 3
    renewal: int = 3600


class LockoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Failed password logins. Periods in seconds.

    tries         of one user name before its password logins are locked for `period`; 0: never
    period        also how long failures are remembered
    source_tries  of one source address before it has to wait; jump hosts and NAT put many people behind one address
    """

    tries: int = 5
    period: int = 30 * 60
    source_tries: int = 100


class AdvertiseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where people reach the bastion; it stands in their ready-made lines."""

    host: str
    port: int = 60022


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What auditors are shown. mask_results: values of results are hidden until a reason is given, on record."""

    mask_results: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    token: TokenSettings = TokenSettings()
    lockout: LockoutSettings = LockoutSettings()
    advertise: AdvertiseSettings | None = None
    audit: AuditSettings = AuditSettings()


SECTIONS = ("token", "lockout", "advertise", "audit")

_GENERATION = "generation"
"""A row of the same table that is no setting: counts the changes of the declared state."""


def read_settings(connection: sa.Connection) -> Settings:
    """The settings in force."""
    table = schema.settings
    rows = connection.execute(sa.select(table.c.key, table.c.value).where(table.c.key.in_(SECTIONS)))
    return msgspec.convert({row.key: row.value for row in rows}, Settings)


def declared_sections(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """The sections that have been declared, as stored."""
    table = schema.settings
    rows = connection.execute(sa.select(table.c.key, table.c.value).where(table.c.key.in_(SECTIONS)))
    return {row.key: row.value for row in rows}


def write_section(connection: sa.Connection, key: str, value: dict[str, Any] | None, at: str) -> None:
    """Puts a section in place; None takes it away, and its defaults hold again."""
    table = schema.settings
    connection.execute(table.delete().where(table.c.key == key))
    if value is not None:
        connection.execute(table.insert().values(key=key, value=value, changed_at=at))


def generation(connection: sa.Connection) -> int:
    """A number that grows with every change of the declared state, on whichever node or by whichever command."""
    table = schema.settings
    value = connection.scalar(sa.select(table.c.value).where(table.c.key == _GENERATION))
    return 0 if value is None else int(value["number"])


def next_generation(connection: sa.Connection, at: str) -> int:
    """Counts one change."""
    number = generation(connection) + 1
    write_section(connection, _GENERATION, {"number": number}, at)
    return number
