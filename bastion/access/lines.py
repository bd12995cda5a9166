"""Ready-made commands for a token: the tunnel, and the engine's own client through it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from bastion.api import messages as m


@dataclass(frozen=True)
class Target:
    """What the lines lead to. `login` is the database user to type; `catalog` what to open, '' for the default."""

    engine: str
    host: str
    port: int
    user: str
    login: str
    catalog: str
    service: str
    sid: str
    asks_password: bool


def local_port(port: int) -> int:
    """The near end's port: 10,000 above the database's, or below it where that is no port."""
    return port + 10_000 if port + 10_000 <= 65_535 else port - 10_000


def lines_for(target: Target, bastion: m.Address) -> m.Lines:
    """The `ssh -N -L` that opens the tunnel and the client's command that uses it."""
    near = local_port(target.port)
    host = f"[{target.host}]" if ":" in target.host else target.host
    forward = shlex.quote(f"{near}:{host}:{target.port}")
    ssh = f"ssh -N -L {forward} {shlex.quote(f'{target.user}@{bastion.host}')} -p {bastion.port}"
    return m.Lines(ssh=ssh, client=_client(target, near))


def _client(target: Target, near: int) -> str:
    if target.engine == "postgresql":
        pairs = [("host", "127.0.0.1"), ("port", str(near)), ("user", target.login)]
        pairs.append(("dbname", target.catalog or "postgres"))
        text = " ".join(f"{key}={_libpq(value)}" for key, value in pairs)
        return f'psql "{text}"' if not set(text) & set('"$`\\!') else f"psql {shlex.quote(text)}"
    if target.engine == "mysql":
        words = ["mysql", "-h", "127.0.0.1", "-P", str(near), "-u", target.login]
        if target.asks_password:
            words.append("-p")
        return shlex.join([*words, target.catalog] if target.catalog else words)
    if target.engine == "sqlserver":
        words = ["sqlcmd", "-S", f"127.0.0.1,{near}", "-U", target.login]
        return shlex.join([*words, "-d", target.catalog] if target.catalog else words)
    if target.sid:
        place = f"(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT={near}))(CONNECT_DATA=(SID={target.sid})))"
        return shlex.join(["sqlplus", f"{target.login}@{place}"])
    return shlex.join(["sqlplus", f"{target.login}@//127.0.0.1:{near}/{target.service}"])


def _libpq(value: str) -> str:
    """A value of a connection string: quoted where it has blanks or is empty (libpq, "Keyword/Value Strings")."""
    if value and not set(value) & set(" '\\"):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
