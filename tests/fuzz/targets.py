"""The fuzz targets by name. Importing this makes the readers' limits small for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import small_limits  # noqa: F401  isort: skip - before any reader
from . import (
    mysql_login,
    mysql_session,
    oracle_login,
    oracle_session,
    postgres_login,
    postgres_session,
    tds_login,
    tds_session,
)

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """`one_input` raises where something does not hold; `seeds` are inputs to begin with."""

    one_input: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


TARGETS = {
    "postgres-session": Target(postgres_session.one_input, postgres_session.seeds),
    "postgres-login": Target(postgres_login.one_input, postgres_login.seeds),
    "mysql-session": Target(mysql_session.one_input, mysql_session.seeds),
    "mysql-login": Target(mysql_login.one_input, mysql_login.seeds),
    "tds-session": Target(tds_session.one_input, tds_session.seeds),
    "tds-login": Target(tds_login.one_input, tds_login.seeds),
    "oracle-session": Target(oracle_session.one_input, oracle_session.seeds),
    "oracle-login": Target(oracle_login.one_input, oracle_login.seeds),
}


def findings(name: str) -> list[Path]:
    """What the target's runs have found so far."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
