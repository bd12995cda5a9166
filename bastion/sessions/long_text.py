"""Takes credentials out of a statement's text that comes in parts, also where one lies across two of them.

What cannot be judged before more of the text is there is held back: the part's record then ends before it, and the
next one brings it. The database cannot run a statement before its last byte, and with the last part nothing is held
back any more, so whatever is run is on record whole before.

Held are at most HELD_CLAUSE characters behind a word that announces a credential, HELD_LITERAL of a literal whose end
is to be seen, HELD_STATEMENT of one that may be a statement itself (the body of DO, of a function). Beyond it, text
where a credential may be is withheld to the statement's end rather than recorded: nothing but an attack looks so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bastion.protocols.sql_anchors import RUNS_TEXT
from bastion.protocols.sql_credentials import (
    STAND_IN,
    Reading,
    Redacted,
    may_hold_credentials,
    redact_connection,
    redact_part,
    says_how_to_connect,
)
from bastion.protocols.sql_scanner import dialect_of

HELD_CLAUSE = 64 * 1024
HELD_LITERAL = 4 * 1024
HELD_STATEMENT = 1024 * 1024

WITHHELD = f"{STAND_IN} (the rest is withheld: a credential may be in it)"

_OVERLAP = 64
"""Characters of the part before that are looked at again for a word cut in two."""


@dataclass(slots=True)
class _Inside:
    """The text stands inside of a literal or a comment that need not be looked into, but for its end.

    opening   a quote, the tag of a dollar string, `/*`, or `--`
    pending   what the end of the last part left open: a backslash, a quote that may be doubled, half of a mark
    depth     of nested comments
    """

    opening: str
    backslash: bool = False
    nested: bool = False
    pending: str = ""
    depth: int = 1


class LongText:
    """One statement's text, part after part."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._dialect = dialect_of(engine)
        self._reading = Reading()
        self._held = ""
        self._inside: _Inside | None = None
        self._before = ""
        self._begins = self._connects = self._cut = False
        self._withheld = False

    @property
    def held(self) -> int:
        """Characters that wait for what follows them."""
        return len(self._held)

    def part(self, text: str, *, last: bool) -> Redacted:
        """What is to be recorded now of what has come so far. After `last` nothing is held."""
        recorded: list[str] = []
        secrets: list[str] = []
        if self._withheld:
            return Redacted("")
        text = self._held + text
        self._held = ""
        while text and not self._withheld:
            if self._inside is not None:
                end = self._end_of(self._inside, text)
                recorded.append(self._looked_over(text if end < 0 else text[:end], secrets))
                if end < 0:
                    break
                self._inside, text = None, text[end:]
                continue
            part = redact_part(text, self._engine, self._reading, final=last)
            recorded.append(part.redacted.text)
            secrets += part.redacted.secrets
            rest = text[part.rest :]
            if not rest:
                break
            text = self._rest(rest, literal=part.open_literal is not None, comment=part.open_comment, recorded=recorded)
        return Redacted("".join(recorded), tuple(secrets))

    def _rest(self, rest: str, *, literal: bool, comment: bool, recorded: list[str]) -> str:
        """What to do with text that cannot be judged yet: hold it, go inside of it, or withhold it."""
        statement = literal and self._reading.first in RUNS_TEXT
        most = HELD_STATEMENT if statement else HELD_LITERAL if literal else _OVERLAP if comment else HELD_CLAUSE
        if len(rest) <= most:
            self._held = rest
            return ""
        inside = self._entered(rest) if literal or comment else None
        if inside is None and comment and len(rest) <= HELD_CLAUSE:
            self._held = rest
            return ""
        if inside is None or (statement and may_hold_credentials(rest)):
            self._withhold(recorded)
            return ""
        self._inside, opening = inside
        self._begins, self._connects, self._cut = literal, False, False
        recorded.append(rest[:opening])
        return rest[opening:]

    def _withhold(self, recorded: list[str]) -> None:
        recorded.append(WITHHELD)
        self._withheld = True

    def _entered(self, rest: str) -> tuple[_Inside, int] | None:
        """What the text is inside of that begins with `rest`, and how many characters open it."""
        if self._dialect.executable and rest.startswith(("/*!", "/*M!")):
            return None
        for opening in ("/*", "--", "#"):
            if rest.startswith(opening):
                return _Inside(opening, nested=self._dialect.nested_comments), len(opening)
        if rest[0] == "$":
            tag = rest[: rest.index("$", 1) + 1]
            return _Inside(tag), len(tag)
        found = re.match(r"[\w&]{0,32}(['\"`\[])", rest)
        if found is None:
            return None
        quote = "]" if found[1] == "[" else found[1]
        string = quote == "'" or (quote == '"' and self._dialect.double_strings)
        escapes = string and (self._dialect.backslash or rest[0] in "eE")
        return _Inside(quote, backslash=escapes), found.end()

    def _looked_over(self, text: str, secrets: list[str]) -> str:
        """A part of a literal that goes on record as it is, unless it shows signs of what it should not."""
        seen = self._before + text
        self._before = text[-_OVERLAP:]
        if self._reading.first in RUNS_TEXT and may_hold_credentials(seen):
            self._withheld = True
            return WITHHELD
        if not self._connects:
            self._connects = self._begins and says_how_to_connect(text)
        self._begins = False
        if not self._connects:
            return text
        hidden = redact_connection(f"password={text}" if self._cut else text, self._engine)
        secrets += hidden.secrets
        recorded = hidden.text.removeprefix("password=") if self._cut else hidden.text
        self._cut = recorded.endswith("***")
        return recorded

    def _end_of(self, inside: _Inside, text: str) -> int:
        """The position behind the end of the literal or comment; -1 where it is not in `text`."""
        opening = inside.opening
        if opening in ("--", "#"):
            found = re.search(r"[\r\n]", text)
            return found.end() if found else -1
        if opening == "/*":
            return _comment_end(inside, text)
        if opening[0] == "$":
            return _tag_end(inside, text)
        start = 0
        if inside.pending == "\\":
            start = 1
        elif inside.pending:
            if text[0] != opening:
                return 0
            start = 1
        inside.pending = ""
        found = _units(opening, backslash=inside.backslash).match(text, start)
        end = found.end() if found is not None else start
        if end >= len(text):
            return -1
        if end + 1 == len(text):
            inside.pending = text[end]
            return -1
        return end + 1


@cache
def _units(quote: str, *, backslash: bool) -> re.Pattern[str]:
    quote = re.escape(quote)
    if backslash:
        return re.compile(rf"(?:[^{quote}\\]++|\\.|{quote}{quote})*+", re.DOTALL)
    return re.compile(rf"(?:[^{quote}]++|{quote}{quote})*+", re.DOTALL)


def _comment_end(inside: _Inside, text: str) -> int:
    shift = len(inside.pending)
    seen = inside.pending + text
    position = 0
    for mark in re.finditer(r"/\*|\*/" if inside.nested else r"\*/", seen):
        position = mark.end()
        inside.depth += 1 if mark[0] == "/*" else -1
        if not inside.depth:
            return position - shift
    inside.pending = seen[-1] if position < len(seen) and seen[-1] in "/*" else ""
    return -1


def _tag_end(inside: _Inside, text: str) -> int:
    seen = inside.pending + text
    found = seen.find(inside.opening)
    if found >= 0:
        return found + len(inside.opening) - len(inside.pending)
    inside.pending = seen[-(len(inside.opening) - 1) :]
    return -1
