"""Runs the completeness cases by hand, against any bastion, through a tunnel that stands already.

    ssh -N -L 15432:db.example.com:5432 alice@bastion -p 60022          # the token as the password
    CASEMATE_PASSWORD=… python -m tests.end_to_end.completeness postgresql \\
        --port 15432 --catalog scratch --auditor audrey@bastion:60022

The auditor's password is in CASEMATE_PASSWORD, the bastion's key in known_hosts (or CASEMATE_KNOWN_HOSTS). Where the
policy demands the token as the database password, give it in DATABASE_PASSWORD. The account must be able to make
temporary tables (MySQL: also tables and procedures). Ends with 1 where something is not on record as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from typing import Any

from .case import Place, Ran, differences, run

OVER = 30.0
"""Seconds that a session may take to be closed after its client has left."""


def _ask(auditor: str, *words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "bastion.program", *words, "--json", "--bastion", auditor]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    if printed.returncode:
        raise SystemExit(printed.stderr)
    return [json.loads(line) for line in printed.stdout.splitlines()]


def _session_of(auditor: str, client: str) -> dict[str, Any]:
    end = time.monotonic() + OVER
    while True:
        found = [each for each in _ask(auditor, "sessions") if each["client"].partition(" ")[0] == client]
        if found and found[0]["state"] not in ("opening", "live"):
            return found[0]
        if time.monotonic() > end:
            raise SystemExit(f"the session of {client!r} is not on record as closed")
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.completeness")
    parser.add_argument("engine", choices=("postgresql", "mysql", "mariadb"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--catalog", required=True, help="the database to open on the server")
    parser.add_argument("--user", default="whoever")
    parser.add_argument("--auditor", required=True, help="USER@HOST:PORT; the password in CASEMATE_PASSWORD")
    parser.add_argument("--case", action="append", metavar="NAME", help="this one only; may be given several times")
    arguments = parser.parse_args()
    if arguments.engine == "postgresql":
        from .postgresql import cases
    else:
        from .mysql import cases
    mark, failed = secrets.token_hex(3), 0
    for case in cases.all:
        if case.only not in ("", arguments.engine) or (arguments.case and case.name not in arguments.case):
            continue
        client = f"{case.name}-{mark}"
        password = os.environ.get("DATABASE_PASSWORD", "")
        place = Place(arguments.host, arguments.port, arguments.catalog, arguments.user, password, client)
        ran: Ran = run(case, place)
        session = _session_of(arguments.auditor, client)
        found = differences(ran, session, _ask(arguments.auditor, "audit", "statements", "--session", session["id"]))
        print(f"{'FAILED' if found else 'ok':7}{case.name}: {len(ran.expected)} statements; {case.lost}")
        for difference in found:
            print(f"       {difference}")
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
