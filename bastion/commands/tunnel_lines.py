"""What `casemate tunnel` prints: where it listens, and the line that uses it."""

from __future__ import annotations

import shlex
from pathlib import Path

from bastion.api import messages as m

from .printing import clean, json_line


def listening(token: m.Token, path: Path | None, port: int | None, *, as_json: bool) -> str:
    """The line on standard output."""
    if as_json:
        return json_line(
            {
                "database": token.database,
                "account": token.account,
                "engine": token.engine,
                "host": None if path is not None else "127.0.0.1",
                "port": port,
                "path": None if path is None else str(path),
                "expires_at": token.expires_at,
                "client": client_line(token, path, port),
            }
        )
    place = str(path) if path is not None else f"127.0.0.1:{port}"
    return f"casemate: {clean(token.database)} on {clean(place)}\n"


def client_line(token: m.Token, path: Path | None, port: int | None) -> str:
    """The stock client's command for this listener."""
    user = "USER" if token.account == "*" else token.account
    if token.engine == "postgresql":
        if path is None:
            return shlex.join(["psql", "-h", "127.0.0.1", "-p", str(port), "-U", user])
        number = path.name.removeprefix(".s.PGSQL.")
        return shlex.join(["psql", "-h", str(path.parent), "-p", number, "-U", user])
    if token.engine == "mysql":
        where = ["-h", "127.0.0.1", "-P", str(port)] if path is None else ["-S", str(path)]
        return shlex.join(["mysql", *where, "-u", user])
    if token.engine == "sqlserver" and path is None:
        return shlex.join(["sqlcmd", "-S", f"127.0.0.1,{port}", "-U", user])
    return f"127.0.0.1:{port}" if path is None else str(path)
