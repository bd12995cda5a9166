"""The only reasons for which a test may skip, and on which machines each is accepted.

A test skips with `excuses.skip("name")` and in no other way. In CI (`CI` set in the environment) the run fails when
a test skipped for a reason that its machine has no excuse for, or for a reason that is not in this table.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest


def _is_debian() -> bool:
    return shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def _can_install() -> bool:
    """Whether `make test` can put Debian packages here by itself."""
    return _is_debian() and os.geteuid() == 0


def _may_mount() -> bool:
    """Root with CAP_SYS_ADMIN: bit 21 of the effective capabilities."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("CapEff:") and int(line.split()[1], 16) >> 21 & 1 for line in lines)


@dataclass(frozen=True)
class Excuse:
    """`reason` is shown in pytest's summary; `accepted` says whether CI takes it on this machine."""

    reason: str
    accepted: Callable[[], bool]


EXCUSES: dict[str, Excuse] = {
    "no-mysql-9.7": Excuse(
        "MySQL 9.7 is not on this machine: `make test` fetches it with debootstrap, which takes root on Debian",
        lambda: not _can_install(),
    ),
    "mysql-9.7-needs-root": Excuse(
        "MySQL 9.7 runs inside a tree of its own (chroot), which takes root", lambda: os.geteuid() != 0
    ),
    "no-postgresql-18": Excuse(
        "PostgreSQL 18 with TLS is not on this machine: `make test` fetches it with debootstrap, which takes root on "
        "Debian",
        lambda: not _can_install(),
    ),
    "postgresql-18-needs-root": Excuse(
        "PostgreSQL 18 with TLS runs inside a tree of its own (chroot), which takes root", lambda: os.geteuid() != 0
    ),
    "no-mariadb-11.8": Excuse(
        "MariaDB 11.8 is not on this machine: `make test` fetches it with debootstrap, which takes root on Debian",
        lambda: not _can_install(),
    ),
    "mariadb-11.8-needs-root": Excuse(
        "MariaDB 11.8 runs inside a tree of its own (chroot), which takes root", lambda: os.geteuid() != 0
    ),
    "no-mariadb": Excuse("MariaDB is not on this machine: install mariadb-server", lambda: not _can_install()),
    "no-openssh": Excuse(
        "OpenSSH is not on this machine: install openssh-client and -server", lambda: not _can_install()
    ),
    "no-psql": Excuse("psql is not on this machine: install postgresql-client", lambda: not _can_install()),
    "no-dbd-mariadb": Excuse(
        "Perl's DBD::MariaDB is not on this machine: install libdbd-mariadb-perl", lambda: not _can_install()
    ),
    "no-java": Excuse(
        "Java is not on this machine: install default-jre-headless, and ecj or a JDK", lambda: not _can_install()
    ),
    "no-jdbc-postgresql": Excuse(
        "PostgreSQL's JDBC driver is not on this machine: install libpostgresql-jdbc-java", lambda: not _can_install()
    ),
    "no-jdbc-mariadb": Excuse(
        "MariaDB's JDBC driver is not on this machine: install libmariadb-java", lambda: not _can_install()
    ),
    "no-mysqlclient": Excuse(
        "mysqlclient is not built: `make test` does it where libmariadb-dev and a C compiler are",
        lambda: not _can_install(),
    ),
    "no-node-drivers": Excuse("the drivers for Node.js could not be fetched: `make test` does it", lambda: False),
    "no-oracledb-suite": Excuse(
        "python-oracledb's own tests are not here: tests/drivers/prepare_python_oracledb fetches them", lambda: True
    ),
    "no-freetds": Excuse("FreeTDS's programs are not on this machine: install freetds-bin", lambda: not _can_install()),
    "no-jtds": Excuse("jTDS is not on this machine: install libjtds-java", lambda: not _can_install()),
    "no-microsoft-odbc": Excuse(
        "Microsoft's ODBC driver or what loads it is not on this machine: its wheel is for Linux on x86-64 and ARM, "
        "the loader is Debian's libodbc2",
        lambda: sys.platform != "linux" or not _can_install(),
    ),
    "no-tmux": Excuse("tmux is not on this machine: install tmux", lambda: not _can_install()),
    "no-captures": Excuse(
        "the captures of real SQL Server and Oracle traffic are not part of the sources", lambda: True
    ),
    "no-small-disks": Excuse(
        "mounting a small file system takes root, and a machine that lets it", lambda: not _may_mount()
    ),
    "linux-only": Excuse("this reads /proc, which only Linux has", lambda: not Path("/proc/self").exists()),
}


def skip(name: str) -> NoReturn:
    """Skips the test for the reason of that name in EXCUSES."""
    pytest.skip(EXCUSES[name].reason)


def unexcused(reasons: Iterable[str]) -> list[str]:
    """Those of pytest's skip reasons that this machine has no excuse for."""
    accepted = {excuse.reason for excuse in EXCUSES.values() if excuse.accepted()}
    return sorted({reason for reason in reasons if reason.removeprefix("Skipped: ") not in accepted})
