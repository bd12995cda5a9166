"""What could be typed next in the audit's filter line: keys with what they mean, and names that occur in the record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bastion.api import messages as m
from bastion.api.audit_filter import ALIASES, KEYS, SESSION_KEYS, SESSION_SORTS, SESSION_STATES, SORTS, STATES
from bastion.api.language import translate as _

from .words import mark

MEANINGS = {
    "user": mark("the person who requested the token"),
    "db": mark("the database, as it is declared"),
    "table": mark("a table that the statement names"),
    "kind": mark("select, insert, update, delete, drop, …"),
    "error": mark("it failed; error:no, it did not"),
    "rows": mark("rows>1000, rows<10, rows:0"),
    "ms": mark("how long it took: ms>500, ms>2s"),
    "since": mark("2h, 3d, today, 09:30, 2026-11-22"),
    "until": mark("the same, the end"),
    "account": mark("the database account of the token"),
    "source": mark("the address that the person came from"),
    "client": mark("part of the client program's words"),
    "session": mark("a session's id"),
    "token": mark("a token's id: what it was used for"),
    "state": mark("done, failed, cancelled, refused, …"),
    "verdict": mark("allowed, or the code of a refusal"),
    "like": mark("SESSION/NUMBER: the same but for values"),
    "tool": mark("tool:no leaves out programs' start-up"),
    "sort": mark("newest, oldest, rows, duration"),
    "unread": mark("sessions with bytes that nobody understood"),
}
MOST = 8
"""Suggestions in view."""

_TYPED = re.compile(r"(-?)([^\W\d_]*)(?:(>=|<=|[:：><=])(.*))?", re.S)
_PLAIN = re.compile(r'[^\s",，]+')


@dataclass(frozen=True)
class Suggestion:
    """`text` takes the place of what is typed from `start` to the cursor; `meaning` explains it."""

    text: str
    meaning: str
    start: int


def suggestions(line: str, cursor: int, names: m.AuditNames, what: str) -> list[Suggestion]:
    """What fits behind the cursor, the best first; [] where nothing is to be said."""
    start = _word_start(line, cursor)
    typed = _TYPED.fullmatch(line[start:cursor])
    if typed is None:
        return []
    minus, key, sign, value = typed[1], typed[2].lower(), typed[3], typed[4]
    if sign is None:
        keys = KEYS if what == "statements" else SESSION_KEYS
        return [
            Suggestion(f"{minus}{each}{_sign(each)}", _(MEANINGS[each]), start)
            for each in keys
            if each.startswith(key) and each != key
        ][:MOST]
    last = value.rpartition(",")[2].lstrip('"')
    place = cursor - len(value.rpartition(",")[2])
    known = _values(ALIASES.get(key, key), names, what)
    # What cannot be typed is not offered: a name may hold anything.
    matching = [each for each in known if last.lower() in each.lower() and each != last and each.isprintable()]
    matching.sort(key=lambda each: not each.lower().startswith(last.lower()))
    return [Suggestion(_quoted(each), "", place) for each in matching[:MOST]]


def _word_start(line: str, cursor: int) -> int:
    """Where the term under the cursor begins; a space within quotes does not end one."""
    start, quoted = 0, False
    for place, character in enumerate(line[:cursor]):
        if character == '"':
            quoted = not quoted
        elif character.isspace() and not quoted:
            start = place + 1
    return start


def _sign(key: str) -> str:
    return ">" if key in ("rows", "ms") else ":"


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', '""') + '"'


def _values(key: str, names: m.AuditNames, what: str) -> list[str]:
    of_statements = what == "statements"
    return {
        "user": names.users, "db": names.databases, "account": names.accounts, "source": names.sources,
        "client": names.clients, "table": names.tables, "kind": names.kinds,
        "state": list(STATES if of_statements else SESSION_STATES),
        "sort": list(SORTS if of_statements else SESSION_SORTS),
        "since": ["30m", "2h", "today", "yesterday", "1d", "7d", "30d"], "until": ["1h", "today", "yesterday"],
        "error": ["yes", "no"], "tool": ["no", "yes"], "unread": ["yes"], "verdict": ["allowed"],
    }.get(key, [])  # fmt: skip
