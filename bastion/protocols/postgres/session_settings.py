"""Follows search_path and role through SET, RESET, transactions and savepoints (documentation, "SET", "SET ROLE").

The server reports search_path by itself from PostgreSQL 18 on; before that, and for the role, the statements that the
server has confirmed are all there is to go by. What a function changes (`set_config`) is not seen that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bastion.protocols.sql_scanner import Kind, dialect_of, tokens, value_of

LONGEST_TEXT = 64 * 1024
"""Characters of a statement that is looked at; a longer one is not followed."""

MOST_WAITING = 100
"""Simple queries under way whose text is kept for this; those behind it are not followed."""

TAGS = frozenset(
    (
        b"SET\0", b"RESET\0", b"DISCARD ALL\0", b"DEALLOCATE ALL\0", b"COMMIT\0", b"ROLLBACK\0", b"SAVEPOINT\0",
        b"RELEASE\0", b"PREPARE TRANSACTION\0",
    )
)  # fmt: skip
"""Tags of the commands that change something here."""

SEARCH_PATH, ROLE = "search_path", "role"

_AUTHORIZATION = [(True, "session"), (True, "authorization")]
_DIALECT = dialect_of("postgresql")
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*\Z")

Word = tuple[bool, str]
"""Whether it is a bare word (not quoted), and what it says: bare words in lower case."""


@dataclass(slots=True)
class _Scope:
    """Settings: `session` outlives the transaction, `local` does not."""

    session: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)

    def copy(self) -> _Scope:
        return _Scope(dict(self.session), dict(self.local))


class SessionSettings:
    """`schema` and `role` as they are now; '' where nothing is known of them. `reported`: the server tells the path."""

    def __init__(self, schema: str = "", *, reported: bool = False) -> None:
        self.schema = schema
        self.role = ""
        self.open = False
        """A transaction under way has changed something, or has savepoints; its end must be told."""
        self.reported = reported
        self._default = schema
        self._account = self._user = ""
        self._now = _Scope()
        self._before: _Scope | None = None
        self._savepoints: list[tuple[str, _Scope]] = []

    def report(self, name: bytes, value: str) -> None:
        """The server's own word (ParameterStatus)."""
        if name == b"search_path":
            self.reported = True
            self.schema = value
        elif name == b"session_authorization":
            self._account = self._account or value
            self._user = value
            self._settle()

    def completed(self, tag: bytes, text: str, place: int) -> None:
        """The server has carried out the statement at `place` (from 0) of `text` and named it `tag` (one of TAGS)."""
        words = _statement(text, place)
        if tag in (b"COMMIT\0", b"PREPARE TRANSACTION\0"):
            self.ended(rolled_back=False)
            return
        if tag == b"ROLLBACK\0":
            name = _rolled_back_to(words)
            if name is None:
                self.ended(rolled_back=True)
            else:
                self._roll_back_to(name)
            return
        if self._before is None:
            self._before = self._now.copy()
        self.open = True
        if tag == b"DISCARD ALL\0":
            self._now = _Scope()
        elif tag == b"SAVEPOINT\0":
            self._savepoints.append((_name(words[1:2]), self._now.copy()))
        elif tag == b"RELEASE\0":
            self._release(_name(words[-1:]))
        elif words:
            self._set(words)
        self._settle()

    def ended(self, *, rolled_back: bool) -> None:
        """The transaction is over."""
        if rolled_back and self._before is not None:
            self._now = self._before
        self._now.local.clear()
        self._before = None
        self._savepoints.clear()
        self.open = False
        self._settle()

    def _settle(self) -> None:
        now = {**self._now.session, **self._now.local}
        if not self.reported:
            self.schema = now.get(SEARCH_PATH, self._default)
        self.role = now.get(ROLE) or ("" if self._user == self._account else self._user)

    # ------------------------------------------------------------------------------------------------------ savepoints

    def _find(self, name: str) -> int | None:
        places = [place for place, (known, _) in enumerate(self._savepoints) if known == name]
        return places[-1] if places else None

    def _roll_back_to(self, name: str) -> None:
        place = self._find(name)
        if place is not None:
            self._now = self._savepoints[place][1].copy()
            del self._savepoints[place + 1 :]
        self._settle()

    def _release(self, name: str) -> None:
        place = self._find(name)
        if place is not None:
            del self._savepoints[place:]

    # ------------------------------------------------------------------------------------------------------- SET, RESET

    def _set(self, words: Sequence[Word]) -> None:
        verb, rest = words[0][1], list(words[1:])
        if verb not in ("set", "reset"):
            # A rule of the database made more answers than there are statements: nobody knows which one this is.
            return
        if _AUTHORIZATION in (rest[:2], rest[1:3]):
            # The new user is reported; he has no role set.
            self._put(ROLE, None, is_local=False)
            return
        is_local = False
        if rest[:1] in ([(True, "local")], [(True, "session")]):
            is_local = rest.pop(0)[1] == "local"
        if not rest:
            return
        what, values = rest[0][1], rest[1:]
        if what == "schema" or (what == "all" and verb == "reset"):
            what = SEARCH_PATH
        elif what in (SEARCH_PATH, ROLE) and values[:1] in ([(True, "to")], [(False, "=")]):
            values = values[1:]
        if what not in (SEARCH_PATH, ROLE):
            return
        to_default = verb == "reset" or values == [(True, "default")]
        if what == ROLE and values == [(True, "none")]:
            to_default = True
        if to_default:
            self._put(what, None, is_local)
        elif values:
            shown = values[0][1] if what == ROLE else ", ".join(_quoted(value) for _, value in values if value != ",")
            self._put(what, shown, is_local)

    def _put(self, what: str, value: str | None, is_local: bool) -> None:
        default = self._default if what == SEARCH_PATH else ""
        if is_local:
            self._now.local[what] = default if value is None else value
            return
        self._now.local.pop(what, None)
        if value is None:
            self._now.session.pop(what, None)
        else:
            self._now.session[what] = value


def _statement(text: str, place: int) -> list[Word]:
    """The words of one statement of a text, empty ones not counted."""
    for number, words in enumerate(_statements(text)):
        if number == place:
            return words
    return []


def _statements(text: str) -> Iterator[list[Word]]:
    words: list[Word] = []
    for token in tokens(text, _DIALECT):
        if token.kind is Kind.MARK and text[token.start] == ";":
            if words:
                yield words
            words = []
        elif token.kind is Kind.WORD:
            words.append((True, text[token.start : token.end].lower()))
        else:
            words.append((False, value_of(text, token, _DIALECT)))
    if words:
        yield words


def _rolled_back_to(words: Sequence[Word]) -> str | None:
    """The savepoint of ROLLBACK TO; None where the whole transaction is rolled back."""
    return _name(words[-1:]) if (True, "to") in words else None


def _name(words: Sequence[Word]) -> str:
    return words[0][1] if words else ""


def _quoted(name: str) -> str:
    """A name as the server shows it in search_path."""
    return name if _PLAIN_NAME.match(name) else '"' + name.replace('"', '""') + '"'
