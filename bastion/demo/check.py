"""The main job without a screen: log in, get a token, tunnel, query, and find the query on record.

Everything goes the way that an operator's own tools go: the `casemate` commands, OpenSSH's `ssh -N -L` (where it is
installed, else `casemate tunnel`), and a stock driver at the end of the tunnel.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from .children import Child, ChildFailed
from .databases import DemoDatabase
from .declared import AUDITOR, OPERATOR
from .demo_bastion import HOST, DemoBastion, program
from .folder import DemoFolder

_QUERIES = {
    "orders": "SELECT status, count(*) FROM orders GROUP BY status ORDER BY count(*) DESC",
    "warehouse": "SELECT shift, movements FROM picks_per_shift ORDER BY shift",
}


class CheckFailed(Exception):
    """A step of the main job did not do what it should. The message says which and what was seen."""


class Check:
    """One walk through the main job. `say` gets a line for each thing seen."""

    def __init__(self, bastion: DemoBastion, folder: DemoFolder) -> None:
        self._bastion = bastion
        self._folder = folder

    def run(self, databases: Sequence[DemoDatabase]) -> None:
        """Raises CheckFailed or ChildFailed."""
        listed = self._casemate(OPERATOR, "databases", "--json")
        _say("log in", f"{OPERATOR}@{HOST}:{self._bastion.port}")
        _say("databases", ", ".join(f"{each['name']} ({each['engine']})" for each in listed))
        missing = {database.name for database in databases} - {each["name"] for each in listed}
        if missing:
            raise CheckFailed(f"{OPERATOR} does not see: {', '.join(sorted(missing))}")
        for database in databases:
            self._walk(database)
        proof = self._one(self._casemate(AUDITOR, "audit", "verify", "--json"), "audit verify")
        if not proof["intact"]:
            raise CheckFailed(f"the record does not hold: {proof}")
        _say("proof", f"{proof['records']} records, none changed, removed, inserted or moved")

    def _walk(self, database: DemoDatabase) -> None:
        token = self._one(self._casemate(OPERATOR, "token", database.name, "--json"), "token")
        _say("token", f"{database.name} as {token['account']}, until {token['expires_at']}")
        marker = f"check_{secrets.token_hex(6)}"
        query = f"{_QUERIES[database.name]} /* {marker} */"
        with self._tunnel(database, token) as (port, how):
            _say("tunnel", how)
            rows = _query(database, port, query)
        _say("query", query)
        for row in rows:
            _say("", "  ".join(str(value) for value in row))
        if not rows:
            raise CheckFailed(f"the query on {database.name} gave no rows")
        found = self._find(marker)
        wanted = {"user": OPERATOR, "database": database.name, "text": query, "state": "done", "rows": len(rows)}
        wrong = {name: found[name] for name, value in wanted.items() if found[name] != value}
        if wrong:
            raise CheckFailed(f"the record of the query on {database.name} is not as expected: {wrong}")
        _say(
            "record",
            f"session {found['session']} no. {found['seq']}: {found['user']} on {found['database']} as "
            f"{found['account']}, {found['kind']}, {found['rows']} rows, {found['duration_ms']:.1f} ms",
        )

    def _casemate(self, person: str, *words: str) -> list[dict[str, Any]]:
        """The objects that a command prints, one a line."""
        done = subprocess.run(
            [*program(), *words, "--bastion", f"{person}@{HOST}:{self._bastion.port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._bastion.environment({"CASEMATE_PASSWORD": self._folder.password(person)}),
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise CheckFailed(
                f"`casemate {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()[-800:]}"
            )
        return [json.loads(line) for line in done.stdout.splitlines()]

    @staticmethod
    def _one(objects: list[dict[str, Any]], what: str) -> dict[str, Any]:
        if len(objects) != 1:
            raise CheckFailed(f"`casemate {what} --json` printed {len(objects)} objects instead of one")
        return objects[0]

    def _find(self, marker: str) -> dict[str, Any]:
        end = time.monotonic() + 10
        while True:
            found = self._casemate(AUDITOR, "audit", "search", marker, "--json")
            done = [each for each in found if each["state"] != "sent"]
            if done:
                return done[-1]
            if time.monotonic() > end:
                raise CheckFailed(f"the query with {marker} is not in the record, or without its outcome: {found}")
            time.sleep(0.1)

    @contextlib.contextmanager
    def _tunnel(self, database: DemoDatabase, token: dict[str, Any]) -> Iterator[tuple[int, str]]:
        """A local port that leads to the database, and how it came about."""
        port = self._folder.port(f"tunnel-{database.name}")
        with tempfile.TemporaryDirectory(prefix="casemate-demo-") as place:
            ssh = shutil.which("ssh")
            target = f"{port}:{token['host']}:{token['port']}"
            if ssh is not None:
                up = Path(place) / "up"
                command = [ssh, *self._ssh_options(up), "-N", "-L", f"{HOST}:{target}", f"{OPERATOR}@{HOST}"]
                environment = self._askpass(Path(place), str(token["token"]))
                how = f"ssh -N -L {target} {OPERATOR}@{HOST} -p {self._bastion.port}, the token as the password"
            else:
                bastion = f"{OPERATOR}@{HOST}:{self._bastion.port}"
                command = [*program(), "tunnel", database.name, "--bastion", bastion, "--listen", f"{HOST}:{port}"]
                environment = self._bastion.environment({"CASEMATE_PASSWORD": self._folder.password(OPERATOR)})
                how = f"casemate tunnel {database.name} (OpenSSH's ssh is not installed)"
            child = Child(
                "The tunnel", command, Path(place) / "tunnel.log", environment=environment, pipe_output=ssh is None
            )
            try:
                if ssh is None:
                    child.first_line(limit=30)
                else:
                    child.wait_until(up.exists, limit=30)
                yield port, how
            finally:
                child.stop()

    def _ssh_options(self, up: Path) -> list[str]:
        """`up` appears when the tunnel stands. A try to connect would be a session of its own, on record."""
        options = {
            "PermitLocalCommand": "yes",
            "LocalCommand": f"touch {shlex.quote(str(up))}",
            "UserKnownHostsFile": f'"{self._bastion.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "PubkeyAuthentication": "no",
            "NumberOfPasswordPrompts": "1",
            "ExitOnForwardFailure": "yes",
            "ConnectTimeout": "15",
        }
        words = ["-F", "none", "-p", str(self._bastion.port)]
        return words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    @staticmethod
    def _askpass(place: Path, token: str) -> dict[str, str]:
        """An environment in which `ssh` gets the token without a terminal and without it in a process list."""
        script = place / "askpass"
        script.touch(mode=0o700)
        script.write_text('#!/bin/sh\nprintf "%s\\n" "$CASEMATE_DEMO_TOKEN"\n')
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "USER", "LANG")}
        return {
            **kept,
            "SSH_ASKPASS": str(script),
            "SSH_ASKPASS_REQUIRE": "force",
            "DISPLAY": os.environ.get("DISPLAY", ":0"),
            "CASEMATE_DEMO_TOKEN": token,
        }


def _say(what: str, seen: str) -> None:
    print(f"{what:<10} {seen}", flush=True)


def _query(database: DemoDatabase, port: int, query: str) -> list[tuple[Any, ...]]:
    try:
        if database.engine == "postgresql":
            with psycopg.connect(
                host=HOST, port=port, dbname=database.catalog, user="me", password="", connect_timeout=20
            ) as connection:
                return connection.execute(query.encode()).fetchall()
        with (
            pymysql.connect(host=HOST, port=port, user="me", database=database.catalog, connect_timeout=20) as maria,
            maria.cursor() as cursor,
        ):
            cursor.execute(query)
            return list(cursor.fetchall())
    except (psycopg.Error, pymysql.Error) as error:
        raise CheckFailed(f"the query on {database.name} failed: {str(error).strip()}") from error


__all__ = ["Check", "CheckFailed", "ChildFailed"]
