"""Clients of SQL Server, each told where to connect and how to encrypt. They share no code with the test server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import excuses
from .processes import server_folder

JTDS = Path("/usr/share/java/jtds.jar")


@dataclass(frozen=True)
class Address:
    """A login at a server, or at what stands before one. `authority` signed its certificate, `certificate` is it."""

    port: int
    user: str
    password: str
    database: str = "master"
    host: str = "127.0.0.1"
    authority: Path | None = None
    certificate: Path | None = None


def microsoft_driver() -> Path:
    """The library of Microsoft's ODBC driver; skips where it is not there."""
    spec = importlib.util.find_spec("mssql_python_odbc")
    found = (
        sorted(Path(spec.origin).parent.glob("libs/linux/debian_ubuntu/*/lib/libmsodbcsql*"))
        if spec and spec.origin
        else []
    )
    if not found or importlib.util.find_spec("pyodbc") is None:
        excuses.skip("no-microsoft-odbc")
    return found[-1]


def odbc(address: Address, settings: str, *, autocommit: bool = True) -> Any:
    """A connection through Microsoft's ODBC driver. `settings` like `Encrypt=no`."""
    driver = microsoft_driver()
    try:
        import pyodbc
    except ImportError:  # the system's libodbc is not there
        excuses.skip("no-microsoft-odbc")

    return pyodbc.connect(
        f"DRIVER={driver};SERVER={address.host},{address.port};DATABASE={address.database};UID={address.user};"
        f"PWD={{{address.password}}};{settings}",
        timeout=60, autocommit=autocommit,
    )  # fmt: skip


def freetds(program: str, address: Address, encryption: str, words: list[str], typed: str = "", version: str = "7.4",
            ) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Runs one of FreeTDS's programs to its end. `encryption` is off, request or require."""
    path = shutil.which(program)
    if path is None:
        excuses.skip("no-freetds")
    folder = server_folder("freetds")
    configuration = folder / "freetds.conf"
    configuration.write_text(
        f"[there]\nhost = {address.host}\nport = {address.port}\nencryption = {encryption}\ntds version = {version}\n"
        "client charset = UTF-8\n"
    )
    return subprocess.run(
        [path, *words, "-S", "there", "-U", address.user, "-P", address.password],
        input=typed, capture_output=True, text=True, timeout=90, check=False,
        env={"PATH": os.environ["PATH"], "FREETDSCONF": str(configuration), "LC_ALL": "C.UTF-8", "HOME": str(folder)},
    )  # fmt: skip
