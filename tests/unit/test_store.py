"""The store: its shape, its transactions, what happens when several want it at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bastion.store import schema
from bastion.store.migrate import revision
from bastion.store.moments import from_text, now, to_text, without_fraction
from bastion.store.store import Store, StoreUnusable, sqlite_url
from tests.servers.postgres import PostgresServer
from tests.unit.bastion_state import Stores, postgres_url

GROUPS = schema.groups


def add_group(connection: sa.Connection, name: str) -> None:
    connection.execute(GROUPS.insert().values(name=name))


def group_names(connection: sa.Connection) -> list[str]:
    return list(connection.scalars(sa.select(GROUPS.c.name).order_by(GROUPS.c.name)))


def test_migrations_build_exactly_the_tables_of_the_schema(store: Store) -> None:
    differences = store.run_now(
        lambda connection: compare_metadata(
            MigrationContext.configure(
                connection,
                opts={
                    "compare_server_default": False,
                    "include_name": lambda name, kind, _parents: (
                        kind != "table" or not (name or "").startswith(schema.WORDS)
                    ),
                },
            ),
            schema.metadata,
        )
    )
    assert differences == []


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.run_now(lambda connection: add_group(connection, "dba"))
    before = store.read_now(revision)
    store.migrate()
    assert store.read_now(revision) == before is not None
    assert store.read_now(group_names) == ["dba"]


def test_several_nodes_may_migrate_at_once(postgres_server: PostgresServer) -> None:
    Stores.empty_postgres(postgres_server, "casemate_race")
    nodes = [Store.open(postgres_url(postgres_server, "casemate_race")) for _ in range(3)]
    failures: list[Exception] = []

    def migrate(node: Store) -> None:
        try:
            node.migrate()
        except (StoreUnusable, sa.exc.SQLAlchemyError) as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert nodes[0].read_now(group_names) == []
    for node in nodes:
        node.close()


def test_a_store_of_a_newer_version_is_left_alone(store: Store) -> None:
    def at(connection: sa.Connection, number: str) -> None:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :number"), {"number": number})

    now_at = store.read_now(revision)
    assert now_at is not None
    store.run_now(lambda connection: at(connection, "r9999"))
    try:
        with pytest.raises(StoreUnusable, match=r"r9999.*newer"):
            store.migrate()
        assert store.read_now(revision) == "r9999"
    finally:
        store.run_now(lambda connection: at(connection, now_at))  # the PostgreSQL database is used again


def test_work_that_fails_leaves_nothing_behind(store: Store) -> None:
    def work(connection: sa.Connection) -> None:
        add_group(connection, "half")
        raise KeyError("the work fails")

    with pytest.raises(KeyError):
        store.run_now(work)
    assert store.read_now(group_names) == []


def test_foreign_keys_hold(store: Store) -> None:
    row = schema.group_members.insert().values(group_id=1, user_id=1)
    with pytest.raises(sa.exc.IntegrityError):
        store.run_now(lambda connection: connection.execute(row))


def test_reading_work_cannot_write_on_postgresql_and_sees_one_moment(store: Store) -> None:
    seen: list[list[str]] = []

    def read(connection: sa.Connection) -> None:
        seen.append(group_names(connection))
        store.run_now(lambda other: add_group(other, "meanwhile"))
        seen.append(group_names(connection))

    store.read_now(read)
    assert seen == [[], []]
    assert store.read_now(group_names) == ["meanwhile"]
    if not store.is_sqlite:
        with pytest.raises(sa.exc.InternalError, match="read-only"):
            store.read_now(lambda connection: add_group(connection, "no"))


async def test_many_writers_of_two_processes_all_get_their_turn(store: Store) -> None:
    """Each reads, then writes what it read: a command on the bastion's machine beside the bastion itself."""
    store.run_now(lambda connection: connection.execute(schema.shipped.insert().values(node="n1", number=0)))
    other = Store.open(store.engine.url.render_as_string(hide_password=False))
    table = schema.shipped

    def count(connection: sa.Connection) -> None:
        query = sa.select(table.c.number).where(table.c.node == "n1").with_for_update()
        number = connection.scalar(query)
        connection.execute(table.update().values(number=number + 1))

    await asyncio.gather(*(each.run(count) for _ in range(20) for each in (store, other)))
    assert await store.read(lambda connection: connection.scalar(sa.select(table.c.number))) == 40
    other.close()


async def test_work_runs_off_the_event_loop(store: Store) -> None:
    assert await store.run(lambda _connection: threading.current_thread().name.startswith("store"))
    assert await store.read(lambda _connection: threading.current_thread().name.startswith("store"))


def test_sqlite_is_opened_as_it_must_be(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path / "state.db"))

    def pragmas(connection: sa.Connection) -> list[object]:
        names = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert store.read_now(pragmas) == ["wal", 1, 1, 10_000]
    store.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_store_that_is_none_is_refused_with_what_to_give(url: str) -> None:
    with pytest.raises(StoreUnusable, match="sqlite:///"):
        Store.open(url)


def test_one_current_token_a_person_and_account(store: Store) -> None:
    moment = to_text(now())

    def token(connection: sa.Connection, token_id: str, *, current: bool) -> None:
        connection.execute(
            schema.tokens.insert().values(
                id=token_id, digest=token_id, sealed="s", user_id=1, account_id=1, user="alice", database="orders",
                account="app", issued_at=moment, expires_at=moment, current=current,
            )
        )  # fmt: skip

    def prepare(connection: sa.Connection) -> None:
        connection.execute(schema.users.insert().values(id=1, name="alice", created_at=moment, changed_at=moment))
        connection.execute(
            schema.databases.insert().values(id=1, name="orders", engine="mysql", host="h", port=1, options={})
        )
        connection.execute(schema.accounts.insert().values(id=1, database_id=1, name="app"))
        token(connection, "a", current=False)
        token(connection, "b", current=False)
        token(connection, "c", current=True)

    store.run_now(prepare)
    with pytest.raises(sa.exc.IntegrityError):
        store.run_now(lambda connection: token(connection, "d", current=True))


def test_moments_are_text_that_sorts() -> None:
    early, late = from_text("2026-11-22T10:30:00+01:00"), from_text("2026-11-22T09:30:00.5Z")
    assert to_text(early) == "2026-11-22T09:30:00.000000Z"
    assert to_text(early) < to_text(late)
    assert without_fraction(to_text(late)) == "2026-11-22T09:30:00Z"
    with pytest.raises(ValueError, match="zone"):
        to_text(early.replace(tzinfo=None))
