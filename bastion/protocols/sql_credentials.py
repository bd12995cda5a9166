"""Takes credentials out of statements before they are recorded: `ALTER USER x IDENTIFIED BY '***'`.

Only where the statement's own grammar makes a literal a credential: `SELECT 'password'`, `WHERE password = 'x'` and
`INSERT INTO users (password) VALUES ('x')` stay as they are, since what a table holds is what the audit is about.
One form counts wherever it stands: a literal that says how to connect to a database (`host=h password=p`,
`postgresql://user:p@h`). What is taken out is handed back, so that the record can keep a keyed digest of it.

Whether a backslash escapes in '…' depends on a setting of the server (NO_BACKSLASH_ESCAPES,
standard_conforming_strings). Where a text can be read both ways it is; the other reading counts only for statements
that begin like one with credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .sql_anchors import (
    BEFORE_OBJECT,
    BEFORE_STATEMENT,
    ENDS_TRANSACT,
    MAY_CONNECT,
    OPENERS,
    PASS_PHRASES,
    PROCEDURES,
    RUNS_TEXT,
    SIGNS,
    TRIGGERS,
    Mode,
    gap_of,
    literal_of,
    literals_of,
    skipper,
)
from .sql_connection_strings import Redacted, redact_connection, says_how_to_connect
from .sql_credential_clauses import STAND_IN, Clauses
from .sql_scanner import Dialect, Executable, Kind, Token, dialect_of, tokens, value_of

__all__ = [
    "STAND_IN", "Part", "Reading", "Redacted", "may_hold_credentials", "redact", "redact_connection", "redact_part",
    "says_how_to_connect",
]  # fmt: skip

DEEPEST = 3
"""Levels of statements inside the literals of statements (EXECUTE IMMEDIATE, DO, dynamic SQL) that are looked into."""

MOST_SECRETS = 1000
"""Credentials of one text that are handed back; all of them are taken out."""

FEWEST_ANCHORS, CHARACTERS_AN_ANCHOR = 4000, 100
"""Places of a text that are looked at closely: so many, and one for so many characters. No statement that means
something has more; of one that has, every literal behind them is taken out, whatever it is."""


@dataclass(slots=True)
class Reading:
    """Where the reading of a text stands that comes in parts: what is known of the statement at hand."""

    first: str = ""
    opened: bool = False
    """The statement is one with credentials."""
    begins: bool = True
    """A statement may begin here."""
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a text, redacted up to `rest`: what begins there cannot be judged before more of the text is there.

    `open_literal`: it is a string or a quoted name whose end has not come, and nothing announced a credential in it.
    `open_comment`: it is a comment.
    """

    redacted: Redacted
    rest: int
    open_literal: Token | None = None
    open_comment: bool = False


_STRICT = frozenset({"create", "alter", "grant", "set", "change", "start"})
_ESCAPED_QUOTE = re.compile(r"\\['\"]")
_PARAMETER = re.compile(r"\$(\d{1,5})")
_VARIABLE = re.compile(r"@[\w$#]{1,128}+(?!\s*=)")
_WORD = re.compile(r"[^\W\d][\w$#]*+(?!['\"&])")


def redact(text: str, engine: str) -> Redacted:
    """`text` with `'***'` in the place of every credential. Linear in the text's length."""
    if not may_hold_credentials(text):
        return Redacted(text)
    engine = "mysql" if engine == "mariadb" else engine
    redacted = _Redaction(text, engine, DEEPEST).whole()
    if _ESCAPED_QUOTE.search(text) is None or engine not in ("mysql", "postgresql"):
        return redacted
    dialect = dialect_of(engine)
    other = _Redaction(redacted.text, engine, DEEPEST, replace(dialect, backslash=not dialect.backslash)).whole()
    return replace(redacted, text=other.text, secrets=redacted.secrets + other.secrets)


def may_hold_credentials(text: str) -> bool:
    """False: certainly none. At the speed of a search for a word."""
    lower = text.lower()
    return _any_sign(lower) and TRIGGERS.search(lower) is not None


def _any_sign(lower: str) -> bool:
    for sign in SIGNS:  # noqa: SIM110 - a generator would cost twice as much
        if sign in lower:
            return True
    return False


def redact_part(text: str, engine: str, reading: Reading, *, final: bool) -> Part:
    """Redacts text that goes on from `reading`, which is brought up to where the result's `rest` is."""
    return _Redaction(text, "mysql" if engine == "mariadb" else engine, DEEPEST).part(reading, final=final)


class _Redaction:
    """One pass over a text, which may hold several statements. Tokens are read only around anchors."""

    def __init__(self, text: str, engine: str, depth: int, other: Dialect | None = None) -> None:
        self._text = text
        self._engine = engine
        self._dialect = other or dialect_of(engine)
        self._strict = other is not None
        self._depth = depth
        self._final = True
        self._executable = Executable()
        inside = self._inside if depth else None
        self._clauses = Clauses(text, engine, self._dialect, strict=self._strict, inside=inside)
        self._first = ""
        self._opened = False
        self._taken = 0
        self._boundary = 0
        self._literals = MAY_CONNECT.search(text) is not None

    def whole(self) -> Redacted:
        """The whole text redacted."""
        self._run(0)
        return self._result(len(self._text))

    def part(self, reading: Reading, *, final: bool) -> Part:
        """See `redact_part`."""
        self._final = final
        self._first, self._opened, self._executable.now = reading.first, reading.opened, reading.executable
        self._boundary = 0 if reading.begins else -1
        rest = self._run(0)
        open_literal, open_comment = None, False
        if rest < len(self._text):
            token = self._clauses.tokens[0] if self._clauses.tokens else None
            open_comment = token is None
            if token is not None and token.kind in (Kind.STRING, Kind.QUOTED) and token.end == len(self._text):
                open_literal = token
        reading.first, reading.opened, reading.executable = self._first, self._opened, self._executable.now
        reading.begins = self._begins_statement(rest)
        return Part(self._result(rest), rest, open_literal, open_comment)

    def _result(self, end: int) -> Redacted:
        parts = []
        position = 0
        for start, stop, stand_in in self._clauses.changes:
            parts += [self._text[position:start], stand_in]
            position = stop
        text = "".join([*parts, self._text[position:end]]) if self._clauses.changes else self._text[:end]
        return Redacted(
            text,
            tuple(self._clauses.secrets[:MOST_SECRETS]),
            self._parameters(self._clauses.credential_places),
            self._parameters(self._clauses.connection_places),
            self._variables_at(self._clauses.credential_places),
        )

    def _inside(self, said: str) -> Redacted | None:
        """A literal that may be a statement itself, redacted."""
        return _Redaction(said, self._engine, self._depth - 1).whole() if may_hold_credentials(said) else None

    # ---------------------------------------------------------------------------------------------------- reading on

    def _mode(self) -> Mode:
        if not self._first:
            return Mode.START
        if self._first in RUNS_TEXT and self._depth:
            return Mode.RUNS
        return Mode.OPENED if self._opened or self._strict else Mode.PLAIN

    def _run(self, position: int) -> int:
        """Goes through the text from anchor to anchor; returns where what was judged ends."""
        text, size = self._text, len(self._text)
        left = FEWEST_ANCHORS + size // CHARACTERS_AN_ANCHOR
        while True:
            skip = skipper(
                self._engine, self._mode(), backslash=self._dialect.backslash, literals=self._literals,
                final=self._final,
            )  # fmt: skip
            found = skip.match(text, position)
            position = found.end() if found is not None else position
            if position >= size:
                return size
            if text[position] in "'\"":
                literal = literal_of(self._engine, backslash=self._dialect.backslash).match(text, position)
                if literal is not None and literal.end() < size and not self._tells(literal[0]):
                    position = literal.end()
                    continue
            left -= 1
            if not left:
                self._take_all_literals(position)
                return size
            if text[position] == ";":
                self._first, self._opened = "", False
                position += 1
                self._boundary = position
                continue
            if not self._first:
                word = _WORD.match(text, position)
                if word is not None and word.end() < size and not _FIRST_ANCHORS.fullmatch(word[0]):
                    self._first, position = word[0].lower(), word.end()
                    continue
            done = self._clauses
            before = (len(done.changes), len(done.secrets), self._first, self._opened, self._executable.now)
            following = self._anchor(position)
            if following < 0:
                changes, secrets, self._first, self._opened, self._executable.now = before
                del done.changes[changes:], done.secrets[secrets:]
                return position
            position = following

    def _tells(self, literal: str) -> bool:
        """Whether a literal, with its quotes, has to be looked at closely."""
        if self._mode() is Mode.RUNS:
            return _any_sign(literal.lower())
        return says_how_to_connect(literal[1:])

    def _anchor(self, position: int) -> int:
        """Looks closely at what begins here; returns the position behind it, -1 where that needs more of the text."""
        self._executable.changes.clear()
        executable = self._executable.now
        self._clauses.tokens, self._clauses.ran_out = [], False
        self._clauses.source = tokens(self._text, self._dialect, position, self._executable)
        token = self._clauses.token(0)
        if token is None:
            return -1 if not self._final else len(self._text)
        after = 1
        if token.kind is Kind.STRING:
            if not (self._clauses.ran_out and not self._final):
                self._literal(token)
        elif token.kind is Kind.WORD or token.kind is Kind.QUOTED:
            word = self._clauses.word(0)
            self._first = self._first or word
            if word in OPENERS and self._opens(0):
                self._opened, self._taken = True, len(self._clauses.secrets)
            elif self._opened and word in ENDS_TRANSACT:
                self._opened = self._engine != "sqlserver" or len(self._clauses.secrets) == self._taken
            if not self._strict or self._first in _STRICT:
                after = max(self._credential(0), 1)
            if word in BEFORE_STATEMENT:
                self._boundary = self._clauses.tokens[0].end
        if self._clauses.ran_out and not self._final:
            return -1
        if after > len(self._clauses.tokens):
            return len(self._text)
        end = self._clauses.tokens[after - 1].end
        self._executable.now = executable
        for place, now in self._executable.changes:
            if place <= end:
                self._executable.now = now
        if token.kind is Kind.MARK and self._text[token.start] == ";":
            self._first, self._opened = "", False
            self._boundary = end
        return end

    def _opens(self, at: int) -> bool:
        objects = OPENERS[self._clauses.word(at)]
        if objects is None:
            return True
        at += 1
        while self._clauses.word(at) in BEFORE_OBJECT:
            at += 1
        return self._clauses.word(at) in objects

    def _begins_statement(self, position: int) -> bool:
        """Whether a statement may begin here: nothing but space and comments since one ended."""
        if self._boundary < 0 or self._boundary > position:
            return False
        gap = gap_of(self._engine).match(self._text, self._boundary, position)
        begins = gap is not None and gap.end() == position
        # What has been looked at is not looked at again: many words may ask behind one boundary.
        self._boundary = position if begins else -1
        return begins

    def _take_all_literals(self, position: int) -> None:
        pattern = literals_of(self._engine, backslash=self._dialect.backslash)
        for found in pattern.finditer(self._text, position):
            if found[1] is not None:
                self._clauses.changes.append((found.start(), found.end(), STAND_IN))

    def _parameters(self, places: list[int]) -> frozenset[int]:
        """The numbers (from 0) of the parameters that stand at these places."""
        if not places:
            return frozenset()
        found = set()
        wanted = {place for place in places if self._text[place] == "?"}
        if wanted:
            marks = (t.start for t in tokens(self._text, self._dialect) if self._text[t.start] == "?")
            found = {number for number, start in enumerate(marks) if start in wanted}
        for place in places:
            numbered = _PARAMETER.match(self._text, place)
            if numbered is not None:
                found.add(int(numbered[1]) - 1)
        names = self._variables_at(places)
        if names:
            # Drivers name them in their order; names of arguments (`@name = …`) are none of them.
            variables = [found[0].lower() for found in _VARIABLE.finditer(self._text)]
            found |= {number for number, name in enumerate(dict.fromkeys(variables)) if name in names}
        return frozenset(found)

    def _variables_at(self, places: list[int]) -> frozenset[str]:
        """SQL Server's `@name`s at these places, in lower case."""
        return frozenset(
            found[0].lower() for place in places if (found := _VARIABLE.match(self._text, place)) is not None
        )

    def _literal(self, token: Token) -> None:
        """A literal that no word has announced: it says how to connect, or is a statement, or neither."""
        if self._literals and token.end - token.start < 8000:
            said = value_of(self._text, token, self._dialect)
            if says_how_to_connect(said):
                self._clauses.connection_string(0, 0)
                return
        if self._depth and self._first in RUNS_TEXT:
            self._clauses.statement_inside(0)

    def _credential(self, at: int) -> int:
        """Takes out the credential that the token at `at` announces. Returns where to go on, `at` if there is none."""
        word = self._clauses.name(at)
        engine = self._engine
        if word == "identified":
            return self._clauses.identified(at + 1, self._first)
        if word == "set" and engine == "mysql" and self._clauses.word(at + 1) == "password":
            if self._begins_statement(self._clauses.tokens[at].start):
                return self._clauses.set_password(at + 2)
            return at
        if word in ("password", "old_password") and engine == "mysql":
            if self._clauses.word(at + 1) == "(":
                return self._clauses.value(at + 2)
            if self._first == "set" and self._clauses.word(at + 1) in ("=", "for"):
                return self._clauses.set_password(at + 1)
        if word.startswith("dblink") and self._clauses.word(at + 1) == "(":
            return self._clauses.arguments_with_connection(at + 2)
        if engine == "sqlserver":
            if word in ("openrowset", "opendatasource") and self._clauses.word(at + 1) == "(":
                return self._clauses.provider(at + 2)
            if word in PROCEDURES:
                return self._clauses.procedure(at + 1, PROCEDURES[word])
            if word in PASS_PHRASES and self._clauses.word(at + 1) == "(":
                return self._clauses.value(at + 2)
        if word == "connection" and (self._opened or engine == "mysql"):
            return self._clauses.connection_string(at + (2 if self._clauses.word(at + 1) in ("=", "to") else 1), at)
        if self._opened:
            if word == "primary_conninfo":
                return self._clauses.connection_string(at + (2 if self._clauses.word(at + 1) in ("=", "to") else 1), at)
            if word.endswith("password") or (word == "secret" and engine == "sqlserver"):
                return self._clauses.assigned(at)
        return at


_FIRST_ANCHORS = re.compile(
    "|".join([*BEFORE_STATEMENT, *OPENERS, *PROCEDURES, *PASS_PHRASES, *ENDS_TRANSACT, "identified", "set",
              r"dblink\w*", r"\w*password", "connection", "openrowset", "opendatasource"]),
    re.IGNORECASE,
)  # fmt: skip
"""A statement's first words that are looked at closely."""
