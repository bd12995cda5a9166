"""The grammars of credentials: what follows the word that announces one, and which literal of it is taken out.

Tokens are read as far as a clause needs them. Each method is given the place of a token in the window and answers with
the place to go on from, the same one where there is no credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .sql_anchors import SHORTEST_STATEMENT
from .sql_connection_strings import Redacted, redact_connection
from .sql_scanner import Dialect, Kind, Token, value_of

STAND_IN = "'***'"

_NAMED_ARGUMENTS = frozenset({"passwd", "password", "rmtpassword", "old", "new", "newpwd"})
_TAG_BEGUN = re.compile(r"\$\w{0,64}\Z")


class Clauses:
    """A window of a text's tokens, and what was found in it.

    inside   redacts a literal that is a statement itself; None: such literals are not looked into
    changes  parts of the text to be replaced, in their order: from, to, by what
    source   gives the tokens behind the window; `ran_out`: more text might make others of them
    """

    def __init__(
        self, text: str, engine: str, dialect: Dialect, *, strict: bool, inside: Callable[[str], Redacted | None] | None
    ) -> None:
        self._text = text
        self._engine = engine
        self._dialect = dialect
        self._strict = strict
        self.inside = inside
        self.changes: list[tuple[int, int, str]] = []
        self.secrets: list[str] = []
        self.credential_places: list[int] = []
        self.connection_places: list[int] = []
        self.tokens: list[Token] = []
        self.source: Iterator[Token] = iter(())
        self.ran_out = False

    def token(self, at: int) -> Token | None:
        """The token `at` of the window; None where the text ends before it."""
        while at >= len(self.tokens):
            token = next(self.source, None)
            if token is None:
                self.ran_out = True
                return None
            self.ran_out = self.ran_out or self._may_go_on(token)
            self.tokens.append(token)
        return self.tokens[at]

    def _may_go_on(self, token: Token) -> bool:
        """Whether more text may make another token of it."""
        left = len(self._text) - token.end
        if token.kind is Kind.WORD:
            return left < 2  # the prefix of a string: U&'…'
        if token.kind is Kind.MARK and self._text[token.start] == "$" and self._dialect.dollar_strings:
            return _TAG_BEGUN.match(self._text, token.start) is not None
        return left == 0

    def word(self, at: int) -> str:
        """The word or mark at `at` in lower case; '' for literals, quoted names and beyond the end."""
        token = self.token(at)
        if token is None:
            return ""
        return self._text[token.start : token.end].lower() if token.kind in (Kind.WORD, Kind.MARK) else ""

    def name(self, at: int) -> str:
        """The same, with quoted names too."""
        token = self.token(at)
        if token is not None and token.kind is Kind.QUOTED:
            return value_of(self._text, token, self._dialect).lower()
        return self.word(at)

    def parameter(self, at: int, places: list[int]) -> bool:
        """Whether the token is a parameter (`?`, `$1`, SQL Server's `@name`); its place is kept."""
        word = self.word(at)
        if word == "@" and self._engine == "sqlserver":
            named = self.token(at + 1)
            if named is not None and named.kind is Kind.WORD and named.start == self.tokens[at].end:
                places.append(self.tokens[at].start)
                return True
            return False
        if word != "?" and not (word == "$" and self._engine == "postgresql"):
            return False
        places.append(self.tokens[at].start)
        return True

    def identified(self, at: int, first: str) -> int:
        """IDENTIFIED BY [PASSWORD | VALUES] x [REPLACE y]; IDENTIFIED WITH | VIA plugin BY | AS | USING x [OR …]."""
        if self.word(at) in ("with", "via"):
            while True:
                at += 2
                if self.word(at) in ("by", "as", "using"):
                    at = self._password_value(at + 1)
                if self.word(at) != "or":
                    break
        elif self.word(at) == "by":
            at = self._password_value(at + 1)
            while self._engine == "oracle" and first == "grant" and self.word(at) == ",":
                at = self.value(at + 1)
        if self.word(at) == "replace":
            at = self.value(at + 1)
        return at

    def _password_value(self, at: int) -> int:
        word = self.word(at)
        if word in ("password", "old_password") and self.word(at + 1) == "(":
            return self.value(at + 2) + 1
        if word == "random":
            return at + 2
        if word in ("password", "values"):
            token = self.token(at + 1)
            if token is not None and token.kind is Kind.STRING:
                at += 1
        return self.value(at)

    def set_password(self, at: int) -> int:
        """SET PASSWORD [FOR user] = x | PASSWORD(x) [REPLACE y]."""
        while self.token(at) is not None and self.word(at) not in ("=", ";", "to"):
            at += 1
        if self.word(at) != "=":
            return at
        at = self._password_value(at + 1)
        return self.value(at + 1) if self.word(at) == "replace" else at

    def assigned(self, at: int) -> int:
        """PASSWORD [= | TO] x, with x a literal only: PASSWORD EXPIRE, PASSWORD NULL are none."""
        value = at + 2 if self.word(at + 1) in ("=", "to") else at + 1
        token = self.token(value)
        if token is None or token.kind is Kind.WORD:
            return at
        after = self.value(value)
        return after if after > value else at

    def value(self, at: int) -> int:
        """Takes out the value at `at`: a literal and those right after it, or in Oracle a bare or quoted name."""
        end = at
        while (token := self.token(end)) is not None and token.kind is Kind.STRING:
            end += 1
        if end == at:
            token = self.token(at)
            if token is None:
                return at
            if self.parameter(at, self.credential_places):
                return at + 1
            bare = self._engine == "oracle" and token.kind is Kind.WORD
            hexadecimal = token.kind is Kind.NUMBER and self._text[token.start : token.start + 2].lower() == "0x"
            if not (bare or hexadecimal or (token.kind is Kind.QUOTED and self._engine in ("oracle", "sqlserver"))):
                return at
            end = at + 1
        taken = self.tokens[at:end]
        if self._strict and self._text[taken[0].start : taken[-1].end] == STAND_IN:
            return end  # the first reading has taken it out
        self.secrets.append("".join(value_of(self._text, token, self._dialect) for token in taken))
        self.changes.append((taken[0].start, taken[-1].end, STAND_IN))
        return end

    def procedure(self, at: int, places: tuple[int, ...]) -> int:
        """The arguments of a system procedure: by place, or `@name = value`."""
        place = 0
        while self.token(at) is not None and self.word(at) not in (";", "go", "exec", "execute"):
            word = self.word(at)
            if word == "@" and self.word(at + 2) == "=":
                at = self.value(at + 3) if self.word(at + 1) in _NAMED_ARGUMENTS else at + 4
                continue
            if word == ",":
                place += 1
            elif place in places:
                after = self.value(at)
                if after > at:
                    at = after
                    continue
            at += 1
        return at

    def provider(self, at: int) -> int:
        """OPENROWSET('provider', 'server'; 'user'; 'password', …) or with one connection string."""
        semicolons = 0
        while self.token(at) is not None and self.word(at) != ")":
            if self.word(at) == ";":
                semicolons += 1
            elif semicolons == 2:
                after = self.value(at)
                if after > at:
                    return after
            else:
                self.connection_string(at, at)
            at += 1
        return at

    def arguments_with_connection(self, at: int) -> int:
        """dblink_connect([name,] connection), dblink(connection, sql), dblink_exec(name, sql)."""
        while (token := self.token(at)) is not None and self.word(at) not in (")", ";"):
            if token.kind is Kind.STRING:
                changes = len(self.changes)
                self.connection_string(at, at)
                if len(self.changes) == changes and self.inside is not None:
                    self.statement_inside(at)
            elif self.parameter(at, self.connection_places):
                pass
            at += 1
        return at

    def connection_string(self, at: int, otherwise: int) -> int:
        """A literal that says how to connect: `host=… password=…`, `…;PWD=…`, `scheme://user:password@host`."""
        token = self.token(at)
        if token is not None and self.parameter(at, self.connection_places):
            return at + 1
        if token is None or token.kind is not Kind.STRING:
            return otherwise
        hidden = redact_connection(value_of(self._text, token, self._dialect), self._engine)
        if hidden.secrets:
            self._replace_literal(token, hidden.text, hidden.secrets)
        return at + 1

    def statement_inside(self, at: int) -> None:
        """A literal that is a statement itself: the body of DO, the text of EXECUTE IMMEDIATE or PREPARE."""
        token = self.tokens[at]
        if token.end - token.start < SHORTEST_STATEMENT:
            return
        said = value_of(self._text, token, self._dialect)
        inside = None if self.inside is None else self.inside(said)
        if inside is not None and inside.secrets:
            self._replace_literal(token, inside.text, inside.secrets)

    def _replace_literal(self, token: Token, said: str, secrets: tuple[str, ...]) -> None:
        if self._text[token.start] == "$":
            tag = self._text[token.start : token.inner]
            literal = f"{tag}{said}{tag}"
        else:
            if self._dialect.backslash:
                said = said.replace("\\", "\\\\")
            literal = "'" + said.replace("'", "''") + "'"
        self.changes.append((token.start, token.end, literal))
        self.secrets += secrets
