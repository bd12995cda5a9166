"""Where in a text a credential may be announced: one compiled expression an engine skips all that cannot do it.

`skipper(...)` matches a run of whole words, literals and comments, and stops in front of an *anchor*: a word after
which the grammar must look for a credential, the end of a statement where that matters, or anything whose end is not
to be seen. Every repetition is possessive and every alternative begins with another character, so a run takes time
in proportion to its length.
"""

from __future__ import annotations

import enum
import re
from functools import cache

from .sql_scanner import Dialect, dialect_of

SIGNS = (
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
    "dblink",
)
"""Text with none of these (in lower case) holds no credential of any kind known here."""

OBJECTS = frozenset(
    {
        "user", "role", "login", "group", "server", "subscription", "foreign", "credential", "database", "pluggable",
        "application", "master", "certificate", "symmetric", "asymmetric", "service", "shared", "public", "link",
        "system", "endpoint", "cryptographic", "column", "profile",
    }
)  # fmt: skip
"""What CREATE, ALTER and DROP may name for the statement to have credentials in it."""

BEFORE_OBJECT = frozenset({"or", "replace", "if", "not", "exists", "definer"})

OPENERS: dict[str, frozenset[str] | None] = {
    "create": OBJECTS,
    "alter": OBJECTS,
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

RUNS_TEXT = frozenset({"do", "prepare", "execute", "exec", "begin", "declare", "call", "set", "if", "create"})
"""Statements whose literals may be statements in their turn."""

ENDS_TRANSACT = frozenset(
    {"select", "insert", "update", "delete", "merge", "exec", "execute", "go", "declare", "print", "if"}
)
"""Transact-SQL needs no semicolon: these words end a statement with credentials."""

PROCEDURES: dict[str, tuple[int, ...]] = {
    "sp_addlogin": (1,),
    "sp_password": (0, 1),
    "sp_addlinkedsrvlogin": (4,),
    "sp_addapprole": (1,),
    "sp_setapprole": (1,),
    "sp_approlepassword": (1,),
    "sp_change_users_login": (3,),
}
"""SQL Server's procedures that take credentials, with the places of these among the arguments."""

BEFORE_STATEMENT = frozenset({";", "begin", "then", "else", "do", "for", "row", "loop", "repeat"})
"""What may stand right before MySQL's SET PASSWORD, beside the beginning of the text."""

PASS_PHRASES = frozenset({"encryptbypassphrase", "decryptbypassphrase"})

SHORTEST_STATEMENT = len("set password=''")
"""Characters of a literal, quotes included, below which there is no statement with a credential in it."""

SHORTEST_CONNECTION = len("'password=x'") - 1

TRIGGERS = re.compile(
    r"\b(?:identified|set|password\s*[(/#-]|openrowset|opendatasource|connection|primary_conninfo|dblink\w*|"
    + "|".join([*OPENERS, *PROCEDURES, *PASS_PHRASES])
    + r")|password\s*=|://"
)
"""Without one of these in the text (in lower case) there is no credential either."""

MAY_CONNECT = re.compile(r"(?i)password\s{0,9}=|\b(?:postgres(?:ql)?|mysql|mariadb)://")
"""Without this no literal says how to connect."""


class Mode(enum.Enum):
    """What the statement at hand is."""

    START = "start"
    """Nothing of it has been seen."""
    PLAIN = "plain"
    OPENED = "opened"
    """One with credentials in it."""
    RUNS = "runs"
    """One whose literals may be statements."""


_CUT = r"[\w$#]*\Z|/\*|[/*-]\Z|--"
"""Where the text ends before it can be told what it is, or a comment whose end is not to be seen."""

_SPACE = r"[\s\0\ufeff]"


def _gap(dialect: Dialect) -> str:
    """Space and comments, as far as their ends are to be seen."""
    parts = [rf"{_SPACE}++"]
    if dialect.executable:
        parts += [r"/\*(?!M?!)(?:[^*]++|\*(?!/))*+\*/", r"/\*M?!\d{0,6}", r"\*/"]
    elif dialect.nested_comments:
        parts.append(r"/\*(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/")
    else:
        parts.append(r"/\*(?:[^*]++|\*(?!/))*+\*/")
    parts += [rf"{line_comment(dialect)}[^\r\n]*+[\r\n]"]
    return f"(?:{'|'.join(parts)})*+"


def line_comment(dialect: Dialect) -> str:
    return r"(?:#|--(?=[\0-\x20\x7f]|\Z))" if dialect.hash_comments else "--"


def _followed(gap: str, what: str) -> str:
    """That `what` follows, or something of which it cannot be told whether it does."""
    return rf"(?={gap}(?:{what}|{_CUT}))"


@cache
def gap_of(engine: str) -> re.Pattern[str]:
    """Space and comments of an engine."""
    return re.compile(_gap(dialect_of(engine)))


@cache
def literal_of(engine: str, *, backslash: bool) -> re.Pattern[str]:
    """A whole literal (and where "…" is one, that) without a prefix."""
    units = r"(?:[^{0}\\]++|\\.|{0}{0})*+" if backslash else "(?:[^{0}]++|{0}{0})*+"
    quotes = "'\"" if dialect_of(engine).double_strings else "'"
    return re.compile("|".join(f"{quote}{units.format(quote)}{quote}(?!{quote})" for quote in quotes), re.DOTALL)


@cache
def literals_of(engine: str, *, backslash: bool) -> re.Pattern[str]:
    """Comments and literals, one after the other; group 1 is there where it is a literal."""
    dialect = dialect_of(engine)
    units = r"(?:[^{0}\\]++|\\.)*+" if backslash else "[^{0}]*+"
    quotes = "'\"" if dialect.double_strings else "'"
    ways = [f"{quote}{units.format(quote)}(?:{quote}|\\Z)" for quote in quotes]
    if dialect.dollar_strings:
        ways.insert(0, r"e'(?:[^'\\]++|\\.)*+(?:'|\Z)|\$(?:[^\W\d]\w*+)?\$.*+")
    if dialect.alternative_strings:
        ways.insert(0, "n?q'.*+")
    comment = (
        r"/\*(?!M?!)(?:[^*]++|\*(?!/))*+(?:\*/|\Z)" if dialect.executable else r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
    )
    return re.compile(rf"{comment}|{line_comment(dialect)}[^\r\n]*+|({'|'.join(ways)})", re.IGNORECASE | re.DOTALL)


@cache
def skipper(engine: str, mode: Mode, *, backslash: bool, literals: bool, final: bool) -> re.Pattern[str]:
    """Matches what need not be looked at, from a place that is in no token; perhaps nothing.

    backslash   in '…' a backslash takes the next character in
    literals    stop in front of literals that may say how to connect
    final       there is no more text: what touches the end is whole
    """
    dialect = dialect_of(engine)
    family = "mysql" if dialect.executable else engine
    gap = _gap(dialect)
    whole = "" if final else r"(?!\Z)"
    end = r"(?![\w$#])"
    words = [_openers(gap, end), f"identified{end}", rf"dblink\w*+{_followed(gap, '[(]')}"]
    quotable = [r"dblink\w*+", "identified"]
    if family == "mysql":
        words += [
            f"set{end}{_followed(gap, 'password')}",
            f"(?:{'|'.join(sorted(BEFORE_STATEMENT - {';'}))}){end}{_followed(gap, 'set')}",
            rf"(?:old_)?password{end}{_followed(gap, '[(]')}", f"connection{end}",
        ]  # fmt: skip
    if family == "sqlserver":
        words += [f"(?:openrowset|opendatasource|{'|'.join([*PROCEDURES, *PASS_PHRASES])}){end}"]
    if mode in (Mode.OPENED, Mode.RUNS):
        value = (
            rf"(?:(?:=|to){gap})?(?:['\"$?]|0x|\w{{1,32}}+(?:&?['\"]|&?\Z)|{_CUT})" if family != "oracle" else r"[^\s]"
        )
        words += [f"primary_conninfo{end}", f"connection{end}", rf"[\w$#]*?password{end}{_followed(gap, value)}"]
        quotable += [r"\w*password", "primary_conninfo", "connection"]
        if family == "sqlserver":
            words += [f"secret{end}", f"(?:{'|'.join(ENDS_TRANSACT)}){end}"]
        if family == "mysql":
            words.append(f"password{end}{_followed(gap, '(?:=|for)')}")
    inner = r"\\" if backslash else ""
    escaped = r"|\\." if backslash else ""
    most = SHORTEST_STATEMENT - 3 if mode is Mode.RUNS else SHORTEST_CONNECTION - 3
    if literals:
        most = min(most, SHORTEST_CONNECTION - 3)
    times = f"{{0,{most}}}+" if literals or mode is Mode.RUNS else "*+"
    parts = [
        r"[^\w'\"`$/\-#\[*;]++",
        rf"'(?:[^'{inner}]{'' if times != '*+' else '++'}{escaped}|''){times}'(?!'){whole}",
        rf"-(?!-|\Z){whole}" if not dialect.hash_comments else rf"-(?!-(?:[\0-\x20\x7f]|\Z)){whole}",
        rf"/(?!\*){whole}",
    ]
    if not dialect.executable:
        parts.append(r"\*")
    else:
        parts.append(rf"\*(?!/){whole}")
    if mode is Mode.START:
        parts.append(";")
    elif mode is Mode.PLAIN:
        runs = rf"{gap}(?:{'|'.join(sorted(RUNS_TEXT))}){end}"
        parts.append(rf";(?!{runs}|{gap}(?:{_CUT})){whole}")
    if dialect.double_strings:
        plus = "" if times != "*+" else "++"
        parts.append(rf'"(?:[^"{inner}]{plus}{escaped}|""){times}"(?!"){whole}')
    else:
        parts.append(rf'"(?!(?:{"|".join(quotable)})")[^"]*+"{whole}')
    if dialect.backticks:
        parts.append(rf"`(?!(?:{'|'.join(quotable)})`)[^`]*+`{whole}")
    if dialect.brackets:
        parts.append(rf"\[(?!(?:{'|'.join(quotable)})\])[^\]]*+\]{whole}")
    else:
        parts.append(r"\[")
    if dialect.nested_comments:
        parts.append(r"/\*(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/")
    elif dialect.executable:
        parts.append(r"/\*(?!M?!)(?:[^*]++|\*(?!/))*+\*/")
    else:
        parts.append(r"/\*(?:[^*]++|\*(?!/))*+\*/")
    parts.append(rf"{line_comment(dialect)}[^\r\n]*+(?:[\r\n]{r'|$(?!.)' if final else ''})")
    if not dialect.hash_comments:
        parts.append("#")
    parts.append(r"\$(?=[\d\s,);])" if dialect.dollar_strings else r"\$")
    if not dialect.backticks:
        parts.append("`")
    if mode is not Mode.START:
        strings = r"(?!e')" if dialect.dollar_strings else r"(?!n?q')" if dialect.alternative_strings else ""
        parts.append(rf"{strings}(?!(?:{'|'.join(words)}))[^\W\d][\w$#]*+{whole}")
    parts.append(rf"\d[\w.]*+{whole}")
    return re.compile(f"(?:{'|'.join(parts)})*+", re.IGNORECASE | re.DOTALL)


def _openers(gap: str, end: str) -> str:
    ways = []
    for word, objects in OPENERS.items():
        if objects is None:
            ways.append(f"{word}{end}")
            continue
        before = rf"(?:(?:{'|'.join(sorted(BEFORE_OBJECT))}){end}{gap})*+"
        following = f"{before}(?:{'|'.join(sorted(objects))}){end}|{before}(?:{_CUT})"
        ways.append(f"{word}{end}{_followed(gap, following)}")
    return "|".join(ways)
