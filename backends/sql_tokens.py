"""The words of a statement that is still being written: never fails, whatever is unfinished.

For completion, bracket matching and parameters; what a statement does is judged by the bastion alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from .plsql_units import alternative_quote_end
from .statements import after_comment, after_quoted

_WORD = re.compile(r"[^\W\d][\w$#]*")
_NUMBER = re.compile(r"\d[\w.]*")
_SPACE = re.compile(r"\s+")


class TokenKind(Enum):
    WORD = "word"
    NAME = "name"
    """A quoted identifier."""
    STRING = "string"
    NUMBER = "number"
    SYMBOL = "symbol"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Token:
    """`text[start:end]`. `name`: what an identifier means, without quotes, in the engine's case. `open`: unfinished."""

    kind: TokenKind
    text: str
    start: int
    end: int
    name: str = ""
    open: bool = False

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, written in lower case."""
        return self.kind is TokenKind.WORD and self.text.lower() in words

    @property
    def identifies(self) -> bool:
        """Whether it can be a name."""
        return self.kind in (TokenKind.WORD, TokenKind.NAME)


def tokens(text: str, engine: str) -> list[Token]:
    """Every token of `text`, comments too, white space left out."""
    found: list[Token] = []
    position, length = 0, len(text)
    while position < length:
        if (match := _SPACE.match(text, position)) is not None:
            position = match.end()
            continue
        if engine == "oracle" and (end := alternative_quote_end(text, position)) is not None:
            found.append(Token(TokenKind.STRING, text[position:end], position, end, open=text[end - 1] != "'"))
            position = end
            continue
        if (match := _WORD.match(text, position)) is not None:
            word = match.group()
            found.append(Token(TokenKind.WORD, word, position, match.end(), folded(word, engine)))
            position = match.end()
            continue
        if (match := _NUMBER.match(text, position)) is not None:
            found.append(Token(TokenKind.NUMBER, match.group(), position, match.end()))
            position = match.end()
            continue
        token = _other(text, position, engine)
        found.append(token)
        position = token.end
    return found


def folded(word: str, engine: str) -> str:
    """A name without quotes, in the case in which the engine looks it up."""
    return word.upper() if engine == "oracle" else word.lower() if engine == "postgresql" else word


def _other(text: str, at: int, engine: str) -> Token:
    mark = text[at : at + 2] if text[at : at + 2] in ("--", "/*") else text[at]
    end = after_comment(text, at, mark, engine)
    if end is not None:
        # A line comment that reaches the end of the text goes on with what is typed next.
        unfinished = end == len(text) and (not text.endswith("*/") if mark == "/*" else not text.endswith("\n"))
        return Token(TokenKind.COMMENT, text[at:end], at, end, open=unfinished)
    first = text[at]
    if first in "'\"`[$":
        end = after_quoted(text, at, first, engine)
        if end > at + 1 or (first != "$" and _quotes(first, engine)):
            piece = text[at:end]
            name_quote = _is_name_quote(first, engine)
            closing = "]" if first == "[" else piece[: piece.find("$", 1) + 1] if first == "$" else first
            unfinished = len(piece) < 2 * len(closing) or not piece.endswith(closing)
            if not name_quote:
                return Token(TokenKind.STRING, piece, at, end, open=unfinished)
            # A doubled quote inside a name ends one piece and begins another.
            while not unfinished and text[end : end + 1] == closing and first != "[":
                more = after_quoted(text, end, first, engine)
                if more <= end + 1:
                    unfinished = True
                    more = len(text)
                end = more
            inner = text[at + 1 : end if unfinished else end - 1]
            return Token(TokenKind.NAME, text[at:end], at, end, inner.replace(closing * 2, closing), unfinished)
    return Token(TokenKind.SYMBOL, first, at, at + 1)


def _quotes(mark: str, engine: str) -> bool:
    return mark in ("'", '"') or (mark == "`" and engine == "mysql") or (mark == "[" and engine == "sqlserver")


def _is_name_quote(mark: str, engine: str) -> bool:
    return mark in {"postgresql": '"', "mysql": "`", "sqlserver": '"[', "oracle": '"'}.get(engine, '"')


OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = {closing: opening for opening, closing in OPENING.items()}


def matching_bracket(text: str, offset: int, engine: str) -> int | None:
    """The offset of the bracket that belongs to the one at `offset`; brackets in strings and comments are none."""
    stack: list[Token] = []
    for token in tokens(text, engine):
        if token.kind is not TokenKind.SYMBOL:
            continue
        if token.text in OPENING:
            stack.append(token)
        elif token.text in CLOSING:
            partner = stack.pop() if stack else None
            if partner is None or partner.text != CLOSING[token.text]:
                if token.start == offset or (partner is not None and partner.start == offset):
                    return None
                continue
            if token.start == offset:
                return partner.start
            if partner.start == offset:
                return token.start
    return None
