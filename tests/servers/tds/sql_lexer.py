"""Transact-SQL as tokens; comments and white space are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    WORD = "word"
    QUOTED = "quoted"
    """[name] or "name"."""
    STRING = "string"
    NUMBER = "number"
    BINARY = "binary"
    VARIABLE = "variable"
    """@name or @@name."""
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is without quotes, and folded to lower case for words and variables; `text` is as it was written."""

    kind: Kind
    text: str
    value: str
    start: int
    line: int

    @property
    def end(self) -> int:
        """Where the next one can begin."""
        return self.start + len(self.text)

    @property
    def name(self) -> str:
        """As an identifier."""
        return self.text if self.kind is Kind.WORD else self.value

    def is_word(self, *words: str) -> bool:
        """Whether it is one of the words, in lower case; any word where none is given."""
        return self.kind is Kind.WORD and (not words or self.value in words)

    def is_sign(self, *signs: str) -> bool:
        """Whether it is one of the signs."""
        return self.kind is Kind.SIGN and self.value in signs


class SyntaxFault(Exception):
    """What SQL Server would not take; `near` is for the message."""

    def __init__(self, near: str, line: int = 1) -> None:
        super().__init__(f"Incorrect syntax near '{near}'.")
        self.line = line


_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
    |(?P<comment>/\*)
    |(?P<string>[nN]?'(?:[^']|'')*')
    |(?P<quoted>\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*")
    |(?P<binary>0[xX][0-9a-fA-F]*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<variable>@@?[\w$#@]+|@)
    |(?P<word>[^\W\d]?[\w$#@]*[\w$#])
    |(?P<sign><>|!=|<=|>=|!<|!>|\+=|-=|\*=|/=|%=|\|\||::|.)""",
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> list[Token]:
    """Raises SyntaxFault for an open string, name or comment."""
    found: list[Token] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        group, piece = match.lastgroup, match.group()
        if group == "comment":
            end = _comment_end(text, at, line)
            line += text.count("\n", at, end)
            at = end
            continue
        if group != "space":
            found.append(_token(group or "", piece, at, line))
        line += piece.count("\n")
        at = match.end()
    return found


def _comment_end(text: str, at: int, line: int) -> int:
    depth, place = 0, at
    while True:
        opened, closed = text.find("/*", place), text.find("*/", place)
        if closed < 0:
            raise SyntaxFault("/*", line)
        if 0 <= opened < closed:
            depth, place = depth + 1, opened + 2
            continue
        depth, place = depth - 1, closed + 2
        if not depth:
            return place


def _token(group: str, piece: str, at: int, line: int) -> Token:
    if group == "sign" and piece in ("'", '"', "["):
        raise SyntaxFault(piece, line)
    value = piece
    if group == "string":
        value = piece[piece.index("'") + 1 : -1].replace("''", "'")
    elif group == "quoted":
        value = piece[1:-1].replace(piece[-1] * 2, piece[-1])
    elif group in ("word", "variable"):
        value = piece.lower()
    return Token(Kind(group), piece, value, at, line)
