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
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .sql_anchors import (
    BEFORE_OBJECT,
    BEFORE_STATEMENT,
    ENDS_TRANSACT,
    MAY_CONNECT,
    OPENERS,
    PASS_PHRASES,
    PROCEDURES,
    RUNS_TEXT,
    SHORTEST_STATEMENT,
    SIGNS,
    TRIGGERS,
    Mode,
    gap_of,
    literal_of,
    literals_of,
    skipper,
)
from .sql_scanner import Dialect, Executable, Kind, Token, dialect_of, tokens, value_of

STAND_IN = "'***'"
DEEPEST = 3
"""Levels of statements inside the literals of statements (EXECUTE IMMEDIATE, DO, dynamic SQL) that are looked into."""

MOST_SECRETS = 1000
"""Credentials of one text that are handed back; all of them are taken out."""

FEWEST_ANCHORS, CHARACTERS_AN_ANCHOR = 4000, 100
"""Places of a text that are looked at closely: so many, and one for so many characters. No statement that means
something has more; of one that has, every literal behind them is taken out, whatever it is."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without credentials, and the credentials in their order.

    credential_binds  places (from 0) of the parameters that are bound where a credential stands
    connection_binds  the same, where a text stands that says how to connect
    """

    text: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    credential_binds: frozenset[int] = frozenset()
    connection_binds: frozenset[int] = frozenset()


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


_NAMED_ARGUMENTS = frozenset({"passwd", "password", "rmtpassword", "old", "new", "newpwd"})
_STRICT = frozenset({"create", "alter", "grant", "set", "change", "start"})
_ESCAPED_QUOTE = re.compile(r"\\['\"]")
_TAG_BEGUN = re.compile(r"\$\w{0,64}\Z")
_PARAMETER = re.compile(r"\$(\d{1,5})")
_WORD = re.compile(r"[^\W\d][\w$#]*+(?!['\"&])")

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


class _Redaction:
    """One pass over a text, which may hold several statements. Tokens are read only around anchors."""

    def __init__(self, text: str, engine: str, depth: int, other: Dialect | None = None) -> None:
        self._text = text
        self._engine = engine
        self._dialect = other or dialect_of(engine)
        self._strict = other is not None
        self._depth = depth
        self._final = True
        self._changes: list[tuple[int, int, str]] = []
        self._secrets: list[str] = []
        self._credential_places: list[int] = []
        self._connection_places: list[int] = []
        self._tokens: list[Token] = []
        self._source: Iterator[Token] = iter(())
        self._executable = Executable()
        self._ran_out = False
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
            token = self._tokens[0] if self._tokens else None
            open_comment = token is None
            if token is not None and token.kind in (Kind.STRING, Kind.QUOTED) and token.end == len(self._text):
                open_literal = token
        reading.first, reading.opened, reading.executable = self._first, self._opened, self._executable.now
        reading.begins = self._begins_statement(rest)
        return Part(self._result(rest), rest, open_literal, open_comment)

    def _result(self, end: int) -> Redacted:
        parts = []
        position = 0
        for start, stop, stand_in in self._changes:
            parts += [self._text[position:start], stand_in]
            position = stop
        text = "".join([*parts, self._text[position:end]]) if self._changes else self._text[:end]
        return Redacted(
            text,
            tuple(self._secrets[:MOST_SECRETS]),
            self._parameters(self._credential_places),
            self._parameters(self._connection_places),
        )

    # ---------------------------------------------------------------------------------------------------- reading on

    def _token(self, at: int) -> Token | None:
        """The token `at` of the window; None where the text ends before it."""
        while at >= len(self._tokens):
            token = next(self._source, None)
            if token is None:
                self._ran_out = True
                return None
            self._ran_out = self._ran_out or self._may_go_on(token)
            self._tokens.append(token)
        return self._tokens[at]

    def _may_go_on(self, token: Token) -> bool:
        """Whether more text may make another token of it."""
        left = len(self._text) - token.end
        if token.kind is Kind.WORD:
            return left < 2  # the prefix of a string: U&'…'
        if token.kind is Kind.MARK and self._text[token.start] == "$" and self._dialect.dollar_strings:
            return _TAG_BEGUN.match(self._text, token.start) is not None
        return left == 0

    def _word(self, at: int) -> str:
        """The word or mark at `at` in lower case; '' for literals, quoted names and beyond the end."""
        token = self._token(at)
        if token is None:
            return ""
        return self._text[token.start : token.end].lower() if token.kind in (Kind.WORD, Kind.MARK) else ""

    def _name(self, at: int) -> str:
        """The same, with quoted names too."""
        token = self._token(at)
        if token is not None and token.kind is Kind.QUOTED:
            return value_of(self._text, token, self._dialect).lower()
        return self._word(at)

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
            before = (len(self._changes), len(self._secrets), self._first, self._opened, self._executable.now)
            following = self._anchor(position)
            if following < 0:
                changes, secrets, self._first, self._opened, self._executable.now = before
                del self._changes[changes:], self._secrets[secrets:]
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
        self._tokens, self._ran_out = [], False
        self._source = tokens(self._text, self._dialect, position, self._executable)
        token = self._token(0)
        if token is None:
            return -1 if not self._final else len(self._text)
        after = 1
        if token.kind is Kind.STRING:
            if not (self._ran_out and not self._final):
                self._literal(token)
        elif token.kind is Kind.WORD or token.kind is Kind.QUOTED:
            word = self._word(0)
            self._first = self._first or word
            if word in OPENERS and self._opens(0):
                self._opened, self._taken = True, len(self._secrets)
            elif self._opened and word in ENDS_TRANSACT:
                self._opened = self._engine != "sqlserver" or len(self._secrets) == self._taken
            if not self._strict or self._first in _STRICT:
                after = max(self._credential(0), 1)
            if word in BEFORE_STATEMENT:
                self._boundary = self._tokens[0].end
        if self._ran_out and not self._final:
            return -1
        if after > len(self._tokens):
            return len(self._text)
        end = self._tokens[after - 1].end
        self._executable.now = executable
        for place, now in self._executable.changes:
            if place <= end:
                self._executable.now = now
        if token.kind is Kind.MARK and self._text[token.start] == ";":
            self._first, self._opened = "", False
            self._boundary = end
        return end

    def _opens(self, at: int) -> bool:
        objects = OPENERS[self._word(at)]
        if objects is None:
            return True
        at += 1
        while self._word(at) in BEFORE_OBJECT:
            at += 1
        return self._word(at) in objects

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
                self._changes.append((found.start(), found.end(), STAND_IN))

    def _parameters(self, places: list[int]) -> frozenset[int]:
        """The numbers (from 0) of the parameters that stand at these places."""
        found = set()
        wanted = {place for place in places if self._text[place] == "?"}
        if wanted:
            marks = (t.start for t in tokens(self._text, self._dialect) if self._text[t.start] == "?")
            found = {number for number, start in enumerate(marks) if start in wanted}
        for place in places:
            numbered = _PARAMETER.match(self._text, place)
            if numbered is not None:
                found.add(int(numbered[1]) - 1)
        return frozenset(found)

    def _parameter(self, at: int, places: list[int]) -> bool:
        """Whether the token is a parameter (`?`, `$1`); its place is kept."""
        word = self._word(at)
        if word != "?" and not (word == "$" and self._engine == "postgresql"):
            return False
        places.append(self._tokens[at].start)
        return True

    def _literal(self, token: Token) -> None:
        """A literal that no word has announced: it says how to connect, or is a statement, or neither."""
        if self._literals and token.end - token.start < 8000:
            said = value_of(self._text, token, self._dialect)
            if says_how_to_connect(said):
                self._connection_string(0, 0)
                return
        if self._depth and self._first in RUNS_TEXT:
            self._statement_inside(0)

    def _credential(self, at: int) -> int:
        """Takes out the credential that the token at `at` announces. Returns where to go on, `at` if there is none."""
        word = self._name(at)
        engine = self._engine
        if word == "identified":
            return self._identified(at + 1, self._first)
        if word == "set" and engine == "mysql" and self._word(at + 1) == "password":
            if self._begins_statement(self._tokens[at].start):
                return self._set_password(at + 2)
            return at
        if word in ("password", "old_password") and engine == "mysql":
            if self._word(at + 1) == "(":
                return self._value(at + 2)
            if self._first == "set" and self._word(at + 1) in ("=", "for"):
                return self._set_password(at + 1)
        if word.startswith("dblink") and self._word(at + 1) == "(":
            return self._arguments_with_connection(at + 2)
        if engine == "sqlserver":
            if word in ("openrowset", "opendatasource") and self._word(at + 1) == "(":
                return self._provider(at + 2)
            if word in PROCEDURES:
                return self._procedure(at + 1, PROCEDURES[word])
            if word in PASS_PHRASES and self._word(at + 1) == "(":
                return self._value(at + 2)
        if word == "connection" and (self._opened or engine == "mysql"):
            return self._connection_string(at + (2 if self._word(at + 1) in ("=", "to") else 1), at)
        if self._opened:
            if word == "primary_conninfo":
                return self._connection_string(at + (2 if self._word(at + 1) in ("=", "to") else 1), at)
            if word.endswith("password") or (word == "secret" and engine == "sqlserver"):
                return self._assigned(at)
        return at

    # ------------------------------------------------------------------------------------- the grammars of credentials

    def _identified(self, at: int, first: str) -> int:
        """IDENTIFIED BY [PASSWORD | VALUES] x [REPLACE y]; IDENTIFIED WITH | VIA plugin BY | AS | USING x [OR …]."""
        if self._word(at) in ("with", "via"):
            while True:
                at += 2
                if self._word(at) in ("by", "as", "using"):
                    at = self._password_value(at + 1)
                if self._word(at) != "or":
                    break
        elif self._word(at) == "by":
            at = self._password_value(at + 1)
            while self._engine == "oracle" and first == "grant" and self._word(at) == ",":
                at = self._value(at + 1)
        if self._word(at) == "replace":
            at = self._value(at + 1)
        return at

    def _password_value(self, at: int) -> int:
        word = self._word(at)
        if word in ("password", "old_password") and self._word(at + 1) == "(":
            return self._value(at + 2) + 1
        if word == "random":
            return at + 2
        if word in ("password", "values"):
            token = self._token(at + 1)
            if token is not None and token.kind is Kind.STRING:
                at += 1
        return self._value(at)

    def _set_password(self, at: int) -> int:
        """SET PASSWORD [FOR user] = x | PASSWORD(x) [REPLACE y]."""
        while self._token(at) is not None and self._word(at) not in ("=", ";", "to"):
            at += 1
        if self._word(at) != "=":
            return at
        at = self._password_value(at + 1)
        return self._value(at + 1) if self._word(at) == "replace" else at

    def _assigned(self, at: int) -> int:
        """PASSWORD [= | TO] x, with x a literal only: PASSWORD EXPIRE, PASSWORD NULL are none."""
        value = at + 2 if self._word(at + 1) in ("=", "to") else at + 1
        token = self._token(value)
        if token is None or token.kind is Kind.WORD:
            return at
        after = self._value(value)
        return after if after > value else at

    def _value(self, at: int) -> int:
        """Takes out the value at `at`: a literal and those right after it, or in Oracle a bare or quoted name."""
        end = at
        while (token := self._token(end)) is not None and token.kind is Kind.STRING:
            end += 1
        if end == at:
            token = self._token(at)
            if token is None:
                return at
            if self._parameter(at, self._credential_places):
                return at + 1
            bare = self._engine == "oracle" and token.kind is Kind.WORD
            hexadecimal = token.kind is Kind.NUMBER and self._text[token.start : token.start + 2].lower() == "0x"
            if not (bare or hexadecimal or (token.kind is Kind.QUOTED and self._engine in ("oracle", "sqlserver"))):
                return at
            end = at + 1
        taken = self._tokens[at:end]
        if self._strict and self._text[taken[0].start : taken[-1].end] == STAND_IN:
            return end  # the first reading has taken it out
        self._secrets.append("".join(value_of(self._text, token, self._dialect) for token in taken))
        self._changes.append((taken[0].start, taken[-1].end, STAND_IN))
        return end

    def _procedure(self, at: int, places: tuple[int, ...]) -> int:
        """The arguments of a system procedure: by place, or `@name = value`."""
        place = 0
        while self._token(at) is not None and self._word(at) not in (";", "go", "exec", "execute"):
            word = self._word(at)
            if word == "@" and self._word(at + 2) == "=":
                at = self._value(at + 3) if self._word(at + 1) in _NAMED_ARGUMENTS else at + 4
                continue
            if word == ",":
                place += 1
            elif place in places:
                after = self._value(at)
                if after > at:
                    at = after
                    continue
            at += 1
        return at

    def _provider(self, at: int) -> int:
        """OPENROWSET('provider', 'server'; 'user'; 'password', …) or with one connection string."""
        semicolons = 0
        while self._token(at) is not None and self._word(at) != ")":
            if self._word(at) == ";":
                semicolons += 1
            elif semicolons == 2:
                after = self._value(at)
                if after > at:
                    return after
            else:
                self._connection_string(at, at)
            at += 1
        return at

    def _arguments_with_connection(self, at: int) -> int:
        """dblink_connect([name,] connection), dblink(connection, sql), dblink_exec(name, sql)."""
        while (token := self._token(at)) is not None and self._word(at) not in (")", ";"):
            if token.kind is Kind.STRING:
                changes = len(self._changes)
                self._connection_string(at, at)
                if len(self._changes) == changes and self._depth:
                    self._statement_inside(at)
            elif self._parameter(at, self._connection_places):
                pass
            at += 1
        return at

    def _connection_string(self, at: int, otherwise: int) -> int:
        """A literal that says how to connect: `host=… password=…`, `…;PWD=…`, `scheme://user:password@host`."""
        token = self._token(at)
        if token is not None and self._parameter(at, self._connection_places):
            return at + 1
        if token is None or token.kind is not Kind.STRING:
            return otherwise
        hidden = redact_connection(value_of(self._text, token, self._dialect), self._engine)
        if hidden.secrets:
            self._replace_literal(token, hidden.text, hidden.secrets)
        return at + 1

    def _statement_inside(self, at: int) -> None:
        """A literal that is a statement itself: the body of DO, the text of EXECUTE IMMEDIATE or PREPARE."""
        token = self._tokens[at]
        if token.end - token.start < SHORTEST_STATEMENT:
            return
        said = value_of(self._text, token, self._dialect)
        if may_hold_credentials(said):
            inside = _Redaction(said, self._engine, self._depth - 1).whole()
            if inside.secrets:
                self._replace_literal(token, inside.text, inside.secrets)

    def _replace_literal(self, token: Token, said: str, secrets: tuple[str, ...]) -> None:
        if self._text[token.start] == "$":
            tag = self._text[token.start : token.inner]
            literal = f"{tag}{said}{tag}"
        else:
            if self._dialect.backslash:
                said = said.replace("\\", "\\\\")
            literal = "'" + said.replace("'", "''") + "'"
        self._changes.append((token.start, token.end, literal))
        self._secrets += secrets


_FIRST_ANCHORS = re.compile(
    "|".join([*BEFORE_STATEMENT, *OPENERS, *PROCEDURES, *PASS_PHRASES, *ENDS_TRANSACT, "identified", "set",
              r"dblink\w*", r"\w*password", "connection", "openrowset", "opendatasource"]),
    re.IGNORECASE,
)  # fmt: skip
"""A statement's first words that are looked at closely."""
