"""Runs the migrations inside this process, on a connection that is already in a transaction."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from .store import StoreUnusable

MIGRATIONS = Path(__file__).parent / "migrations"


def configuration(connection: sa.Connection) -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection) -> None:
    """Brings the store to the newest revision of this version."""
    config = configuration(connection)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise StoreUnusable(
            f"The store is at revision {current}, which this version does not know: a newer casemate has used it. "
            "Start that version, or restore a backup from before it."
        )
    command.upgrade(config, "head")


def revision(connection: sa.Connection) -> str | None:
    """The revision that the store is at; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()
