"""Stores on SQLite and PostgreSQL, and the bastion's state on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest

from bastion.access import passwords
from bastion.store.store import Store
from tests.unit.bastion_state import BastionState, Stores


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Makes migrated stores."""
    return Stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Store]:
    """A migrated, empty store: every test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        opened = stores.sqlite()
    else:
        opened = stores.postgres(request.getfixturevalue("postgres_server"))
    yield opened
    opened.close()


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost next to nothing: real ones take 64 MiB and most of the tests' time."""
    hasher = argon2.PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", hasher)


@pytest.fixture
def state(store: Store, tmp_path: Path, cheap_passwords: None) -> Iterator[BastionState]:
    """Store, vault, access rules, a clock that stands still; nothing is declared yet."""
    made = BastionState(store, tmp_path)
    yield made
    made.close()
