"""sqlglot's parser for statements of any origin: how deep they are nested is looked at before they are parsed.

The parser is compiled and goes down once for each level, with no limit of its own: on Python 3.12 and later some
thousand levels overrun the thread's stack, which ends the process. Of `array[` it tries each level twice, so that
twenty of them take a minute, and nothing else of the process goes on meanwhile.
"""

from __future__ import annotations

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError

DEEPEST = 200
"""Brackets of all kinds within each other."""

DEEPEST_ARRAY = 8
"""Square brackets within each other. An array of PostgreSQL has 6 dimensions at most (MAXDIM)."""

MOST_WORDS = 500
"""Of the words that nest without brackets, wherever they stand: where one of them ends, only a parser knows."""

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_NESTING = {TokenType.CASE, TokenType.JOIN, TokenType.STRAIGHT_JOIN}


class TooDeep(ParseError):
    """The statement is nested too deeply to be parsed."""


def parse(text: str, dialect: str | None) -> list[exp.Expr | None]:
    """The trees of the statements in `text`. Raises SqlglotError; TooDeep is one."""
    rules = Dialect.get_or_raise(dialect)
    found = rules.tokenize(text)
    _refuse_deep(found)
    trees: list[exp.Expr | None] = rules.parser().parse(found, text)
    return trees


def _refuse_deep(found: list[Token]) -> None:
    depth = arrays = words = 0
    for token in found:
        kind = token.token_type
        if kind in _OPENING:
            depth += 1
            arrays += kind is TokenType.L_BRACKET
        elif kind in _CLOSING:
            depth = max(depth - 1, 0)
            arrays = max(arrays - (kind is TokenType.R_BRACKET), 0)
        elif kind in _NESTING:
            words += 1
        elif kind is TokenType.HINT:  # the parser reads its text as a piece of its own
            words += token.text.count("(") + token.text.lower().count("case")
            arrays += token.text.count("[")
        if depth > DEEPEST or arrays > DEEPEST_ARRAY or words > MOST_WORDS:
            raise TooDeep("It is nested too deeply.")
