"""Statements with places to fill in: `:name` and `{{name}}`. Values become literals, quoted by the engine's rules.

`{{name}}` may also stand inside a string or a quoted name and is escaped for it there. `:name` is none in strings, in
`::` casts, in `:=` and in array slices (`a[1:n]`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .dialect import Dialect, dialect_for
from .sql_tokens import Token, TokenKind, tokens

_BRACES = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
MOST = 50
"""Different parameters of one statement."""


@dataclass(frozen=True)
class Place:
    """`text[start:end]` stands for the parameter `name`; `within` is the string or name around it."""

    name: str
    start: int
    end: int
    within: Token | None = None


def names(text: str, engine: str) -> list[str]:
    """The parameters of a statement in the order in which they come, each once, at most MOST."""
    return list(dict.fromkeys(place.name for place in places(text, engine)))[:MOST]


def filled(text: str, values: Mapping[str, str], engine: str) -> str:
    """The statement with each parameter's value in its place; one without a value stays.

    A value is written as the person means it: `null` and numbers as they are, everything else as text; what is in
    single quotes is the text inside them (`'007'`, `'null'`).
    """
    dialect = _dialect(engine)
    pieces: list[str] = []
    position = 0
    for place in places(text, engine):
        if place.name not in values:
            continue
        value = values[place.name]
        new = literal(value, dialect) if place.within is None else _escaped(_plain(value), place.within, engine)
        pieces += [text[position : place.start], new]
        position = place.end
    return "".join([*pieces, text[position:]])


def literal(value: str, dialect: Dialect) -> str:
    """The literal for what a person typed."""
    if value.strip().lower() == "null":
        return "NULL"
    if _NUMBER.fullmatch(value.strip()):
        number = value.strip()
        # `1 -:n` with a negative number would otherwise begin a comment.
        return f"({number})" if number.startswith("-") else number
    return dialect.text(_plain(value))


def _plain(value: str) -> str:
    if len(value) >= 2 and value.startswith("'") and value.endswith("'"):
        return value[1:-1].replace("''", "'")
    return value


def _dialect(engine: str) -> Dialect:
    return dialect_for(engine)


def _escaped(value: str, within: Token, engine: str) -> str:
    """For the inside of a string or quoted name."""
    quote = within.text[0]
    if quote == "$":
        # A dollar quote has no escapes: what would end it cannot be in it.
        return value.replace("$", "")
    if within.kind is TokenKind.STRING and engine == "mysql":
        value = value.replace("\\", "\\\\")
    return value.replace(quote, quote * 2)


def places(text: str, engine: str) -> list[Place]:
    """Where parameters stand, in order."""
    found: list[Place] = []
    depth = 0
    every = tokens(text, engine)
    for index, token in enumerate(every):
        if token.kind in (TokenKind.STRING, TokenKind.NAME):
            if _escapes(every, index, engine):
                continue
            for inner in _BRACES.finditer(text, token.start, token.end):
                found.append(Place(inner.group(1), inner.start(), inner.end(), token))
        elif token.kind is TokenKind.SYMBOL:
            depth += (token.text == "[") - (token.text == "]")
            if token.text == "{" and (match := _BRACES.match(text, token.start)) is not None:
                found.append(Place(match.group(1), match.start(), match.end()))
            elif token.text == ":" and depth <= 0 and _begins_name(text, token.start, every, index):
                found.append(Place(every[index + 1].text, token.start, every[index + 1].end))
    return found


def _escapes(every: list[Token], index: int, engine: str) -> bool:
    """Whether a string is one with backslash escapes of its own prefix (`E'…'`): left as it is."""
    before = every[index - 1] if index else None
    return (
        engine == "postgresql"
        and before is not None
        and before.end == every[index].start
        and before.kind is TokenKind.WORD
        and before.text.lower() in ("e", "u", "b", "x")
    )


def _begins_name(text: str, at: int, every: list[Token], index: int) -> bool:
    if index + 1 >= len(every) or every[index + 1].kind is not TokenKind.WORD or every[index + 1].start != at + 1:
        return False
    before = text[at - 1 : at]
    return before != ":" and not (before.isalnum() or before in ("_", "@"))
