"""The current database as the client's texts change it: what a query opens if it succeeds, and whether it may.

Also the encoding of the texts, which `SET NAMES` changes in the same way.
"""

from __future__ import annotations

import contextlib
import re

from bastion.protocols.contract import Refusal

from .character_sets import codec_of_name
from .codec import Malformed
from .exchange import Command, Exchange
from .use_statements import MAYBE, UNREADABLE, opened

_USE = re.compile(r"\s*use\s+(?:`((?:[^`]|``)+)`|([^\s;`]+))\s*;?\s*\Z", re.IGNORECASE)
_SET_NAMES = re.compile(
    r"\s*set\s+(?:names|character\s+set|charset|character_set_client\s*=)\s*['\"]?(\w+)", re.IGNORECASE
)


def schema_of(text: str) -> str | None:
    """The name in a text that is one plain USE; None for every other text."""
    found = _USE.match(text)
    if found is None:
        return None
    return found[1].replace("``", "`") if found[1] else str(found[2])


def watch_text(exchange: Exchange, command: Command, text: str) -> None:
    """What a query changes about the session if it succeeds, as far as its text alone tells."""
    first = text[:1]
    if first in "uU" or first.isspace():
        command.schema = schema_of(text)
        if command.schema is not None:
            return
    if first in "sS" or first.isspace():
        found = _SET_NAMES.match(text)
        if found:
            command.codec = codec_of_name(found[1])
    if MAYBE(text):
        with contextlib.suppress(Malformed):
            command.opens = tuple(opened(text, backslash=exchange.backslash, dynamic=exchange.mariadb))
            command.followed = bool(command.opens)


def other_database_in(exchange: Exchange, text: str) -> Refusal | None:
    """Why `text` may not be sent where only some databases may be opened: it opens another one, or may do so."""
    if not MAYBE(text):
        return None
    names: list[str] = []
    readings = {exchange.backslash, True, False} if "sql_mode" in text.lower() else {exchange.backslash}
    try:
        for backslash in readings:
            names += [each.name for each in opened(text, backslash=backslash, dynamic=exchange.mariadb)]
    except Malformed as error:
        return Refusal(
            "database-name-not-allowed", f"The statement is not sent, as the bastion cannot read it: {error}."
        )
    for name in names:
        if name == UNREADABLE:
            return MADE_AT_RUN_TIME
        if name not in exchange.databases:
            return other_database(exchange, name)
    return None


MADE_AT_RUN_TIME = Refusal(
    "database-name-not-allowed",
    "Only some databases may be opened here, so a statement that is put together at run time (EXECUTE IMMEDIATE or "
    "PREPARE of anything but one string) is not sent. Send it as it is.",
)


def other_database(exchange: Exchange, name: str) -> Refusal:
    """That name is not among the databases that may be opened."""
    allowed = ", ".join(exchange.databases)
    message = f"Access denied: the database {name!r:.200} may not be opened here; allowed are: {allowed}."
    return Refusal("database-name-not-allowed", message)
