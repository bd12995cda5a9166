"""Alembic's place: `versions/` holds one file a change, run in order by `Store.migrate`."""
