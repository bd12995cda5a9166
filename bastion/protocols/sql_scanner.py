"""A scanner of SQL text: splits any input into tokens, in linear time, without judging whether it is SQL.

What starts and ends a comment, a string or a quoted name differs by engine; a `Dialect` says how. An opening without
an end runs to the end of the text. Sources: MySQL manual 11.1-11.7 (literals, comments), PostgreSQL manual 4.1 (lexical
structure), Transact-SQL reference (constants, delimited identifiers), Oracle SQL reference (literals, comments).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Kind(enum.Enum):
    """What a token is. Space and comments are never handed out."""

    WORD = "word"
    NUMBER = "number"
    STRING = "string"
    QUOTED = "quoted"
    """A quoted name: "…", `…` or […]."""
    MARK = "mark"
    """Any other single character."""


class Token(NamedTuple):
    """`text[start:end]` is the token with its quotes and prefix; `inner` begins after them."""

    kind: Kind
    start: int
    end: int
    inner: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine's text is read.

    backslash        in '…' a backslash takes the next character in (PostgreSQL: only in E'…')
    double_strings   "…" is a string, not a name
    hash_comments    # starts a comment; and -- only when a space follows
    nested_comments  /* /* */ */
    executable       /*! … */ and /*M! … */ hold code
    """

    backslash: bool = False
    double_strings: bool = False
    hash_comments: bool = False
    nested_comments: bool = False
    executable: bool = False
    backticks: bool = False
    brackets: bool = False
    dollar_strings: bool = False
    alternative_strings: bool = False
    """Oracle's q'[…]'."""
    prefixes: frozenset[str] = frozenset()
    """What may stand right before the quote of a string, lower case."""


_MYSQL = Dialect(
    backslash=True, double_strings=True, hash_comments=True, executable=True, backticks=True,
    prefixes=frozenset({"n", "x", "b"}),
)  # fmt: skip

DIALECTS = {
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "postgresql": Dialect(
        nested_comments=True, dollar_strings=True, prefixes=frozenset({"e", "x", "b", "n", "u&"})
    ),
    "sqlserver": Dialect(nested_comments=True, brackets=True, prefixes=frozenset({"n"})),
    "oracle": Dialect(alternative_strings=True, prefixes=frozenset({"n", "q", "nq", "u"})),
}  # fmt: skip


def dialect_of(engine: str) -> Dialect:
    """The dialect of an engine's name; of an unknown one the plain one of the standard."""
    return DIALECTS.get(engine, Dialect())


_PLAIN = re.compile(r"([\s\0\ufeff]+)|([^\W\d][\w$#]*)|(\d[\w.]*)|([(),;=.<>+*%!?:&|~^@{}\]])")
"""Space, a word, a number, a mark that starts nothing longer: what most of a text consists of."""
_SPACE, _WORD, _NUMBER, _MARK = 1, 2, 3, 4
_DOLLAR = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_NESTING = re.compile(r"/\*|\*/")
_EXECUTABLE = re.compile(r"/\*M?!\d{0,6}")
_LINE_END = re.compile(r"[\r\n]")
_AFTER_PREFIX = ("'", '"', "&")
_QUOTE_OR_BACKSLASH = {quote: re.compile(f"[{quote}\\\\]") for quote in "'\""}
_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}


@dataclass(slots=True)
class Executable:
    """Whether a place is inside of a comment that holds code. `changes` are the places where that began or ended."""

    now: bool = False
    changes: list[tuple[int, bool]] = field(default_factory=list)


def tokens(text: str, dialect: Dialect, position: int = 0, state: Executable | None = None) -> Iterator[Token]:
    """The tokens of `text` in order from `position` on, which must not be within one; `state` is kept up to date."""
    size = len(text)
    state = state or Executable()
    executable = state.now
    plain = _PLAIN.match
    while position < size:
        found = plain(text, position)
        group = found.lastindex if found is not None else None
        if found is not None and not (executable and text.startswith("*/", position)):
            start, position = position, found.end()
            if group == _WORD:
                if text[position : position + 1] in _AFTER_PREFIX:
                    quoted = _prefixed_string(text, start, position, dialect)
                    if quoted is not None:
                        yield quoted
                        position = quoted.end
                        continue
                yield Token(Kind.WORD, start, position, start)
            elif group != _SPACE:
                yield Token(Kind.MARK if group == _MARK else Kind.NUMBER, start, position, start)
            continue
        char = text[position]
        if char == "/" and text.startswith("/*", position):
            code = _EXECUTABLE.match(text, position) if dialect.executable else None
            if code is not None:
                executable = state.now = True
                position = code.end()
                state.changes.append((position, True))
            else:
                position = comment_end(text, position + 2, dialect.nested_comments)
            continue
        if executable and text.startswith("*/", position):
            executable = state.now = False
            position += 2
            state.changes.append((position, False))
            continue
        if _starts_line_comment(text, position, dialect):
            line_end = _LINE_END.search(text, position)
            position = line_end.end() if line_end else size
            continue
        token = _quoted(text, position, dialect)
        yield token
        position = token.end


def value_of(text: str, token: Token, dialect: Dialect) -> str:
    """What a string or quoted name says, its quotes and escapes undone (escapes of control characters stay letters)."""
    if token.kind not in (Kind.STRING, Kind.QUOTED):
        return text[token.start : token.end]
    quote = text[token.inner - 1]
    if text[token.start] == "$":
        tag = text[token.start : token.inner]
        inner = text[token.inner : token.end]
        return inner[: -len(tag)] if inner.endswith(tag) else inner
    prefix = text[token.start : token.inner - 1].lower()
    if dialect.alternative_strings and "q" in prefix:
        return text[token.inner + 1 : token.end - 2]
    close = _CLOSING.get(quote, quote)
    inner = text[token.inner : token.end]
    inner = inner[:-1] if inner.endswith(close) else inner
    inner = inner.replace(close + close, close)
    if (dialect.backslash and quote in "'\"") or prefix == "e":
        inner = re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
    return inner


def _starts_line_comment(text: str, position: int, dialect: Dialect) -> bool:
    if text.startswith("--", position):
        if not dialect.hash_comments:
            return True
        following = text[position + 2 : position + 3]
        return following <= " " or following == "\x7f"
    return dialect.hash_comments and text[position] == "#"


def comment_end(text: str, position: int, nested: bool) -> int:
    if not nested:
        end = text.find("*/", position)
        return end + 2 if end >= 0 else len(text)
    depth = 1
    for mark in _NESTING.finditer(text, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def string_end(text: str, position: int, quote: str, backslash: bool) -> int:
    """Where the string ends whose first character is at `position`; a doubled quote does not end it."""
    while True:
        if backslash:
            found = _QUOTE_OR_BACKSLASH[quote].search(text, position)
            at = found.start() if found else -1
        else:
            at = text.find(quote, position)
        if at < 0:
            return len(text)
        if (text[at] == "\\" and quote != "\\") or text[at + 1 : at + 2] == quote:
            position = at + 2
            continue
        return at + 1


def _prefixed_string(text: str, start: int, end: int, dialect: Dialect) -> Token | None:
    """The string that the word `text[start:end]` is the prefix of, if it is one."""
    if text.startswith("&'", end) and "u&" in dialect.prefixes and text[start:end] in "uU":
        return Token(Kind.STRING, start, string_end(text, end + 2, "'", False), end + 2)
    quote = text[end : end + 1]
    if quote != "'" and not (quote == '"' and dialect.double_strings):
        return None
    prefix = text[start:end].lower()
    if prefix not in dialect.prefixes and not (dialect.executable and prefix.startswith("_")):
        return None
    inner = end + 1
    if dialect.alternative_strings and prefix in ("q", "nq"):
        opening = text[inner : inner + 1]
        found = text.find(_CLOSING.get(opening, opening) + "'", inner + 1) if opening else -1
        return Token(Kind.STRING, start, found + 2 if found >= 0 else len(text), inner)
    return Token(Kind.STRING, start, string_end(text, inner, quote, dialect.backslash or prefix == "e"), inner)


def _quoted(text: str, position: int, dialect: Dialect) -> Token:
    char = text[position]
    inner = position + 1
    if char == "'" or (char == '"' and dialect.double_strings):
        return Token(Kind.STRING, position, string_end(text, inner, char, dialect.backslash), inner)
    if char == '"' or (char == "`" and dialect.backticks):
        return Token(Kind.QUOTED, position, string_end(text, inner, char, False), inner)
    if char == "[" and dialect.brackets:
        return Token(Kind.QUOTED, position, string_end(text, inner, "]", False), inner)
    if char == "$" and dialect.dollar_strings:
        tag = _DOLLAR.match(text, position)
        if tag is not None:
            end = text.find(tag[0], tag.end())
            return Token(Kind.STRING, position, end + len(tag[0]) if end >= 0 else len(text), tag.end())
    return Token(Kind.MARK, position, inner, position)
