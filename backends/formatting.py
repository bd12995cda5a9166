"""Laying a statement out anew without changing what it means; where that is not sure it is refused.

sqlglot reads and writes it in the engine's dialect. What it wrote is read again and must be the same tree, and every
name, string and number of the one must be in the other, since a tree can have lost something that both lack.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise

from sqlglot import exp
from sqlglot.errors import SqlglotError

from .bounded_parser import parse
from .engine_words import words_of
from .parameters import places
from .sql_tokens import Token, TokenKind, tokens

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what is refused here

HIDDEN = "zz_kept_"
"""What parameters, and functions that keep their name, are called while sqlglot has them."""
LONGEST = 100_000
"""Characters of a statement."""
DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "sqlserver": "tsql", "oracle": "oracle"}
SAME = frozenset(
    """as asc inner outer cast convert int integer int2 int4 int8 smallint bigint decimal numeric dec varchar character
    varying char timestamp timestamptz timetz time with without zone bool boolean float float4 float8 double
    precision real distinct ilike like substring for from position in and not is null between offset fetch first
    next row rows only limit all work to table column text datetime""".split()  # noqa: SIM905
)
"""Words that the same statement can be written with or without; each pair was looked at in both engines' manuals."""


class NotFormatted(ValueError):
    """The statement stays as it is; the message is a sentence, `detail` what the parser said."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


TOO_LONG = "The statement is too long to be formatted."
NOT_READ = "The statement is not formatted: it could not be read."
NOT_KNOWN = "The statement is not formatted: this kind of statement is not known well enough."
COMMENTS = "The statement is not formatted: a comment in it would be lost."
CHANGED = "The statement is not formatted: it would not be the same statement any more."


def formatted(text: str, engine: str) -> str:
    """`text`, one statement without its semicolon, laid out. Raises NotFormatted."""
    if len(text) > LONGEST:
        raise NotFormatted(TOO_LONG)
    if HIDDEN in text:
        raise NotFormatted(NOT_KNOWN)
    hidden = [(place.start, place.end) for place in places(text, engine) if place.within is None]
    try:
        return _laid_out(text, engine, hidden)
    except _Renamed as renamed:
        # sqlglot writes some functions under another name of theirs: hidden, they keep the one that they have.
        old = tokens(text, engine)
        calls = [
            (token.start, token.end)
            for token, following in pairwise(old)
            if token.kind is TokenKind.WORD and token.text.lower() in renamed.words and following.text == "("
        ]
        try:
            return _laid_out(text, engine, sorted([*hidden, *calls]))
        except _Renamed as still:
            raise NotFormatted(CHANGED) from still


class _Renamed(Exception):
    """Words of the statement are not the same any more."""

    def __init__(self, words: set[str]) -> None:
        super().__init__(", ".join(sorted(words)))
        self.words = words


def _laid_out(text: str, engine: str, hidden: list[tuple[int, int]]) -> str:
    """Formats with the pieces of `hidden` as they are. Raises also _Renamed."""
    dialect = DIALECTS.get(engine)
    pieces, position = [], 0
    for number, (start, end) in enumerate(hidden):
        pieces += [text[position:start], f"{HIDDEN}{number}x"]
        position = end
    source = "".join([*pieces, text[position:]])
    before = _tree(source, dialect)
    if before.find(exp.Command) is not None:
        raise NotFormatted(NOT_KNOWN)
    try:
        new = before.sql(dialect=dialect, pretty=True, indent=2, pad=2, normalize_functions=False, max_text_width=80)
    except (SqlglotError, RecursionError) as error:
        raise NotFormatted(NOT_READ, _first_line(error)) from error
    old_tokens, new_tokens = tokens(source, engine), tokens(new, engine)
    if _comments(old_tokens) != _comments(new_tokens):
        raise NotFormatted(COMMENTS)
    if _tree(new, dialect) != before or _exact(old_tokens) != _exact(new_tokens):
        raise NotFormatted(CHANGED)
    if differing := _differing(old_tokens, new_tokens):
        raise _Renamed(differing)
    new = _written_as_before(old_tokens, new, new_tokens, engine)
    for number, (start, end) in enumerate(hidden):
        new = new.replace(f"{HIDDEN}{number}x", text[start:end])
    return new


def _tree(text: str, dialect: str | None) -> exp.Expression:
    try:
        trees = parse(text, dialect)
    except (SqlglotError, RecursionError) as error:
        raise NotFormatted(NOT_READ, _first_line(error)) from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise NotFormatted(NOT_KNOWN)
    return trees[0]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


def _comments(found: list[Token]) -> Counter[str]:
    return Counter("".join(token.text.strip("-#*/ \n").split()) for token in found if token.kind is TokenKind.COMMENT)


def _exact(found: list[Token]) -> Counter[tuple[str, str]]:
    """What must not change by a letter; of `interval '1 day'` the case may."""
    kinds = (TokenKind.STRING, TokenKind.NUMBER, TokenKind.NAME)
    return Counter(
        (token.kind.value, token.text.lower() if before is not None and before.is_word("interval") else token.text)
        for before, token in pairwise([None, *found])
        if token is not None and token.kind in kinds
    )


def _differing(old: list[Token], new: list[Token]) -> set[str]:
    """Words that are in one of them more often than in the other, but for those that say nothing."""
    one, other = _words(old), _words(new)
    return set((one - other) + (other - one)) - SAME


def _words(found: list[Token]) -> Counter[str]:
    return Counter(token.text.lower() for token in found if token.kind is TokenKind.WORD)


def _written_as_before(old: list[Token], new: str, new_tokens: list[Token], engine: str) -> str:
    """Words as the statement has them; others in small letters where its first word is. sqlglot writes capitals, and
    sometimes several blanks."""
    known = set(words_of(engine).keywords)
    written = {token.text.lower(): token.text for token in reversed(old) if token.kind is TokenKind.WORD}
    exact = {token.text for token in old if token.kind is TokenKind.WORD}
    small = next((token.text for token in old if token.kind is TokenKind.WORD), "").islower()
    pieces: list[str] = []
    position = 0
    for token in new_tokens:
        between, word = new[position : token.start], token.text
        pieces.append(between if "\n" in between else between[:1])
        if token.kind is TokenKind.WORD and word not in exact:
            lower = word.lower()
            word = written.get(lower, lower if small and lower in known else word)
        pieces.append(word)
        position = token.end
    return "".join(pieces)
