"""Takes credentials out of statements before they are recorded: `ALTER USER x IDENTIFIED BY '***'`.

Only where the statement's own grammar makes a literal a credential; `SELECT 'password'` and `WHERE password = 'x'`
stay as they are. What is taken out is handed back, so that the record can keep a keyed digest of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .sql_scanner import Dialect, Kind, Token, dialect_of, tokens, value_of

STAND_IN = "'***'"
DEEPEST = 3
"""Levels of statements inside the literals of statements (EXECUTE IMMEDIATE, DO, dynamic SQL) that are looked into."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without credentials, and the credentials in their order."""

    text: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


_SIGNS = (
    "password",
    "identified",
    "://",
    "pwd",
    "secret",
    "sp_addlogin",
    "sp_change_users_login",
    "approle",
    "openrowset",
    "passphrase",
)
"""Text with none of these (in lower case) holds no credential of any kind known here."""

_OBJECTS = frozenset(
    {
        "user",
        "role",
        "login",
        "group",
        "server",
        "subscription",
        "foreign",
        "credential",
        "database",
        "pluggable",
        "application",
        "master",
        "certificate",
        "symmetric",
        "asymmetric",
        "service",
        "shared",
        "public",
        "link",
        "system",
        "endpoint",
        "cryptographic",
        "column",
        "profile",
    }
)
"""What CREATE, ALTER and DROP may name for the statement to have credentials in it."""

_BEFORE_OBJECT = frozenset({"or", "replace", "if", "not", "exists", "definer"})

_OPENERS: dict[str, frozenset[str] | None] = {
    "create": _OBJECTS,
    "alter": _OBJECTS,
    "grant": None,
    "change": frozenset({"master", "replication"}),
    "start": frozenset({"slave", "replica", "group_replication", "all"}),
    "open": frozenset({"master", "symmetric"}),
    "close": frozenset({"master", "symmetric"}),
    "backup": None,
    "restore": None,
    "add": frozenset({"signature", "counter"}),
    "administer": frozenset({"key"}),
}
"""First words of statements with credentials, and what must follow (None: anything)."""

_RUNS_TEXT = frozenset({"do", "prepare", "execute", "exec", "begin", "declare", "call", "set", "if", "create"})
"""Statements whose literals may be statements in their turn."""

_ENDS_TRANSACT = frozenset(
    {"select", "insert", "update", "delete", "merge", "exec", "execute", "go", "declare", "print", "if"}
)
"""Transact-SQL needs no semicolon: these words end a statement with credentials."""

_PROCEDURES: dict[str, tuple[int, ...]] = {
    "sp_addlogin": (1,),
    "sp_password": (0, 1),
    "sp_addlinkedsrvlogin": (4,),
    "sp_addapprole": (1,),
    "sp_setapprole": (1,),
    "sp_approlepassword": (1,),
    "sp_change_users_login": (3,),
}
"""SQL Server's procedures that take credentials, with the places of these among the arguments."""

_BEFORE_STATEMENT = frozenset({";", "begin", "then", "else", "do"})
_PASS_PHRASES = frozenset({"encryptbypassphrase", "decryptbypassphrase"})
_NAMED_ARGUMENTS = frozenset({"passwd", "password", "rmtpassword", "old", "new", "newpwd"})

_TRIGGERS = re.compile(
    r"\b(?:identified|set|password\s*[(/#-]|openrowset|opendatasource|connection|primary_conninfo|dblink\w*|"
    + "|".join([*_OPENERS, *_PROCEDURES, *_PASS_PHRASES])
    + r")"
)
"""Without one of these words there is no credential either: data that only talks of passwords is not scanned."""

_CONNECTION_STRING = {
    "postgresql": re.compile(r"(?i)(\b(?:ssl)?password\s{0,9}=\s{0,9})('(?:[^'\\]|\\.){0,1024}'|[^\s&]+)", re.DOTALL),
    "": re.compile(
        r"(?i)(\b(?:password|pwd)\s{0,9}=\s{0,9})('[^']{0,1024}'|\"[^\"]{0,1024}\"|\{[^}]{0,1024}\}|[^;\s&]+)"
    ),
}
_ADDRESS = re.compile(r"(\b[A-Za-z][\w+.-]{0,32}://[^\s:@/]{0,256}:)([^\s@]{1,1024})(?=@)")


def redact(text: str, engine: str) -> Redacted:
    """`text` with `'***'` in the place of every credential. Linear in the text's length."""
    lower = text.lower()
    for sign in _SIGNS:
        if sign in lower:
            break
    else:
        return Redacted(text)
    if _TRIGGERS.search(lower) is None:
        return Redacted(text)
    return _Redaction(text, engine, DEEPEST).result()


class _Redaction:
    """One pass over the tokens of a text, which may hold several statements."""

    def __init__(self, text: str, engine: str, depth: int) -> None:
        self._text = text
        self._engine = "mysql" if engine == "mariadb" else engine
        self._dialect: Dialect = dialect_of(engine)
        self._tokens = list(tokens(text, self._dialect))
        self._depth = depth
        self._changes: list[tuple[int, int, str]] = []
        self._secrets: list[str] = []

    def result(self) -> Redacted:
        self._run()
        parts = []
        position = 0
        for start, end, stand_in in self._changes:
            parts += [self._text[position:start], stand_in]
            position = end
        return Redacted("".join([*parts, self._text[position:]]), tuple(self._secrets))

    # ---------------------------------------------------------------------------------------------------- reading on

    def _word(self, at: int) -> str:
        """The word or mark at `at` in lower case; '' for literals, quoted names and beyond the end."""
        if at >= len(self._tokens):
            return ""
        token = self._tokens[at]
        return self._text[token.start : token.end].lower() if token.kind in (Kind.WORD, Kind.MARK) else ""

    def _name(self, at: int) -> str:
        """The same, with quoted names too."""
        if at < len(self._tokens) and self._tokens[at].kind is Kind.QUOTED:
            return value_of(self._text, self._tokens[at], self._dialect).lower()
        return self._word(at)

    def _token(self, at: int) -> Token | None:
        return self._tokens[at] if at < len(self._tokens) else None

    def _run(self) -> None:
        at = 0
        first = ""
        credentials = False
        taken = 0
        size = len(self._tokens)
        while at < size:
            kind, start, end, _ = self._tokens[at]
            if kind is Kind.MARK:
                if self._text[start] == ";":
                    first, credentials = "", False
                at += 1
                continue
            if kind is Kind.STRING:
                if self._depth and first in _RUNS_TEXT:
                    self._statement_inside(at)
                at += 1
                continue
            if kind is Kind.WORD:
                word = self._text[start:end].lower()
                first = first or word
                if word in _OPENERS and self._opens(at):
                    credentials, taken = True, len(self._secrets)
                elif credentials and word in _ENDS_TRANSACT:
                    credentials = self._engine != "sqlserver" or len(self._secrets) == taken
            at = max(self._credential(at, first, credentials), at + 1)

    def _opens(self, at: int) -> bool:
        objects = _OPENERS[self._word(at)]
        if objects is None:
            return True
        at += 1
        while self._word(at) in _BEFORE_OBJECT:
            at += 1
        return self._word(at) in objects

    def _begins_statement(self, at: int) -> bool:
        """Whether MySQL's SET stands where a statement begins, not in UPDATE … SET."""
        return self._engine == "mysql" and (at == 0 or self._word(at - 1) in _BEFORE_STATEMENT)

    def _credential(self, at: int, first: str, credentials: bool) -> int:
        """Takes out the credential that the token at `at` announces. Returns where to go on, `at` if there is none."""
        word = self._name(at)
        if word == "identified":
            return self._identified(at + 1, first)
        if word == "set" and self._word(at + 1) == "password" and self._begins_statement(at):
            return self._set_password(at + 2)
        if word in ("password", "old_password") and self._word(at + 1) == "(" and self._engine == "mysql":
            return self._value(at + 2)
        if word.startswith("dblink") and self._word(at + 1) == "(":
            return self._arguments_with_connection(at + 2)
        if word in ("openrowset", "opendatasource") and self._word(at + 1) == "(":
            return self._provider(at + 2)
        if word in _PROCEDURES:
            return self._procedure(at + 1, _PROCEDURES[word])
        if word in _PASS_PHRASES and self._word(at + 1) == "(":
            return self._value(at + 2)
        if word == "connection" and (credentials or self._engine == "mysql"):
            return self._connection_string(at + (2 if self._word(at + 1) in ("=", "to") else 1), at)
        if credentials:
            if word == "primary_conninfo":
                return self._connection_string(at + (2 if self._word(at + 1) in ("=", "to") else 1), at)
            if word.endswith("password") or (word == "secret" and self._engine == "sqlserver"):
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
        while at < len(self._tokens) and self._word(at) not in ("=", ";", "to"):
            at += 1
        if self._word(at) != "=":
            return at
        at = self._password_value(at + 1)
        return self._value(at + 1) if self._word(at) == "replace" else at

    def _assigned(self, at: int) -> int:
        """PASSWORD [=] x, with x a literal only: PASSWORD EXPIRE, PASSWORD NULL are none."""
        value = at + 2 if self._word(at + 1) == "=" else at + 1
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
            bare = self._engine == "oracle" and token.kind is Kind.WORD
            hexadecimal = token.kind is Kind.NUMBER and self._text[token.start : token.start + 2].lower() == "0x"
            if not (bare or hexadecimal or (token.kind is Kind.QUOTED and self._engine in ("oracle", "sqlserver"))):
                return at
            end = at + 1
        taken = self._tokens[at:end]
        self._secrets.append("".join(value_of(self._text, token, self._dialect) for token in taken))
        self._changes.append((taken[0].start, taken[-1].end, STAND_IN))
        return end

    def _procedure(self, at: int, places: tuple[int, ...]) -> int:
        """The arguments of a system procedure: by place, or `@name = value`."""
        place = 0
        while at < len(self._tokens) and self._word(at) not in (";", "go", "exec", "execute"):
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
        while at < len(self._tokens) and self._word(at) != ")":
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
        while at < len(self._tokens) and self._word(at) not in (")", ";"):
            at = max(self._connection_string(at, at), at + 1)
        return at

    def _connection_string(self, at: int, otherwise: int) -> int:
        """A literal that says how to connect: `host=… password=…`, `…;PWD=…`, `scheme://user:password@host`."""
        token = self._token(at)
        if token is None or token.kind is not Kind.STRING:
            return otherwise
        said = value_of(self._text, token, self._dialect)
        secrets: list[str] = []

        def hide(found: re.Match[str]) -> str:
            secrets.append(found[2].strip("'\"{}"))
            return found[1] + "***"

        pattern = _CONNECTION_STRING.get(self._engine, _CONNECTION_STRING[""])
        hidden = _ADDRESS.sub(hide, pattern.sub(hide, said))
        if secrets:
            self._replace_literal(token, hidden, tuple(secrets))
        return at + 1

    def _statement_inside(self, at: int) -> None:
        """A literal that is a statement itself: the body of DO, the text of EXECUTE IMMEDIATE or PREPARE."""
        token = self._tokens[at]
        if token.end - token.start < len("set password=''"):
            return
        said = value_of(self._text, token, self._dialect)
        lower = said.lower()
        if any(sign in lower for sign in _SIGNS):
            inside = _Redaction(said, self._engine, self._depth - 1).result()
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
