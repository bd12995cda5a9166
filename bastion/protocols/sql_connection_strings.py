"""Texts that say how to connect to a database, and their passwords: `host=h password=p`, `…;PWD=p`, `scheme://u:p@h`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without credentials, and the credentials in their order.

    credential_binds  places (from 0) of the parameters that are bound where a credential stands
    connection_binds  the same, where a text stands that says how to connect
    credential_names  names of parameters (`@name`) as credential_binds, for values that are sent with their names
    """

    text: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    credential_binds: frozenset[int] = frozenset()
    connection_binds: frozenset[int] = frozenset()
    credential_names: frozenset[str] = frozenset()


_CONNECTION_STRING = {
    "postgresql": re.compile(r"(?i)(\b(?:ssl)?password\s{0,9}=\s{0,9})('(?:[^'\\]|\\.){0,1024}'|[^\s&]+)", re.DOTALL),
    "": re.compile(
        r"(?i)(\b(?:password|pwd)\s{0,9}=\s{0,9})('[^']{0,1024}'|\"[^\"]{0,1024}\"|\{[^}]{0,1024}\}|[^;\s&]+)"
    ),
}
_ADDRESS = re.compile(r"(\b[A-Za-z][\w+.-]{0,32}://[^\s:@/]{0,256}:)([^\s@]{1,1024})(?=@)")
_NAMES_PASSWORD = re.compile(r"(?i)\bpassword\s{0,9}=")
_NAMES_DATABASE = re.compile(r"(?i)\b(?:host|hostaddr|dbname|user|port|service)\s{0,9}=")
_BEGINS_LIKE_CONNECTION = re.compile(r"\s{0,99}[A-Za-z_]{1,32}\s{0,9}=")
_DATABASE_ADDRESS = re.compile(r"(?i)\s{0,99}(?:postgres(?:ql)?|mysql|mariadb)://")


def says_how_to_connect(text: str) -> bool:
    """Whether a text by itself is what libpq takes for a connection: `key=value …` with a password, or an address."""
    if _DATABASE_ADDRESS.match(text) is not None:
        return True
    return (
        _BEGINS_LIKE_CONNECTION.match(text) is not None
        and _NAMES_PASSWORD.search(text) is not None
        and _NAMES_DATABASE.search(text) is not None
    )


def redact_connection(text: str, engine: str) -> Redacted:
    """A text that says how to connect (a bound value, an argument) without its password."""
    secrets: list[str] = []

    def hide(found: re.Match[str]) -> str:
        secrets.append(found[2].strip("'\"{}"))
        return found[1] + "***"

    pattern = _CONNECTION_STRING.get(engine, _CONNECTION_STRING[""])
    return Redacted(_ADDRESS.sub(hide, pattern.sub(hide, text)), tuple(secrets))
