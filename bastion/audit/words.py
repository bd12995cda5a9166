"""The words of a statement, as the index of the record knows them.

A word is a run of letters and digits. An underscore ends one too, so that `orders` is found in `daily_orders`. Scripts
that are written without spaces (Chinese, Japanese, Korean, Thai) have no such runs: there, two characters that stand
side by side are a word, and so is the last one alone, so that 订单 is found in 历史订单表.

Words become terms: lower case, ASCII letters and digits as they are, any other character as `_` and the hex of its
UTF-8 bytes. No database's own idea of a word has a say then, and what begins alike still begins alike. An index of
terms finds more than what was asked for, never less than what begins where a word begins; who asks it looks at the
texts again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from bastion.protocols.sql_shape import shape_of

LONGEST = 64
"""Characters of a word that count, and of a term."""

_RUN = re.compile(r"[^\W_]+")
_PLAIN_RUN = re.compile(r"[a-z0-9]+")
_TOGETHER = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\uac00-\ud7ff"  # Jamo, Hangul, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_PIECE = re.compile(rf"[{_TOGETHER}]+|[^{_TOGETHER}]+")
_WITHOUT_SPACES = re.compile(rf"[{_TOGETHER}]")

_ASKED_OF_A_VALUE = re.compile(r"\b(?:extract|substring|trim|overlay|position)\([^()]*\)")
# Quoted names have an end within reach (the longest of any engine has 128 characters): a statement full of quotes that
# are never closed would be walked once from each of them.
_NAME = r"(?:[^\W\d][\w$#]*|\"[^\"]{1,300}\"|`[^`]{1,300}`|\[[^\]]{1,300}\])"
_QUALIFIED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_LISTED = rf"{_QUALIFIED}(?:(?:\s+as)?(?:\s+[^\W\d]\w*)?\s*,\s*{_QUALIFIED})*"
_TABLES = re.compile(
    r"\b(?:from|join|into|update|truncate\s+table|truncate|table|copy|using)(?:\s+|(?=[`\"\[]))"
    rf"(?:(?:only|if\s+not\s+exists|if\s+exists)(?:\s+|(?=[`\"\[])))*({_LISTED})"
)
_FIRST = re.compile(rf"\s*(?:{_NAME}\s*\.\s*)*({_NAME})")
_NO_TABLE = frozenset({"select", "set", "values", "lateral", "unnest", "stdin", "stdout", "dual", "where", "table"})


def terms_of(text: str) -> set[str]:
    """All terms of a text."""
    if text.isascii():
        return {run[:LONGEST] for run in _PLAIN_RUN.findall(text.lower())}
    terms: set[str] = set()
    for run in _RUN.findall(text.lower()):
        if run.isascii():
            terms.add(run[:LONGEST])
            continue
        for piece in _PIECE.findall(run):
            if _WITHOUT_SPACES.match(piece):
                terms.update(_term(piece[at : at + 2]) for at in range(len(piece)))
            else:
                terms.add(_term(piece[:LONGEST]))
    return terms


def terms_wanted(words: Iterable[str]) -> tuple[set[str], set[str]]:
    """For words that are looked for: terms that must be there, and beginnings of terms that must be there.

    Both are empty where the words have no letter and no digit: no index knows them.
    """
    whole: set[str] = set()
    begins: set[str] = set()
    for word in words:
        pieces = [piece for run in _RUN.findall(word.lower()) for piece in _PIECE.findall(run)]
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1 and word[-1:].isalnum()
            if _WITHOUT_SPACES.match(piece):
                whole.update(_term(piece[at : at + 2]) for at in range(len(piece) - 1))
                if len(piece) == 1:
                    begins.add(_term(piece))
            elif len(piece) <= LONGEST and not last:
                whole.add(_term(piece))
            elif len(piece) > LONGEST:
                begins.add(_term(piece[:LONGEST]))  # an index may have more of it
            else:
                begins.add(_term(piece))
    return whole, begins


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def _term(word: str) -> str:
    return _NOT_ASCII.sub(lambda found: f"_{found[0].encode('utf-8', 'surrogatepass').hex()}", word)


@lru_cache(maxsize=16 * 1024)
def mark(kind: str, name: str) -> str:
    """The term that stands for a fact of a statement (its person, its database, a table) beside those of its text."""
    return f"{kind}_{blake2b(name.lower().encode('utf-8', 'surrogatepass'), digest_size=9).hexdigest()}"


def tables_of(text: str, engine: str) -> frozenset[str]:
    """The tables that a statement names after FROM, JOIN, INTO, UPDATE and the like: their last names, lower case.

    Read from its shape, so not from literals and comments. What a text builds at run time is not among them, and a name
    that only stands where tables do (that of a common table expression) is.
    """
    found: set[str] = set()
    for listed in _TABLES.findall(_ASKED_OF_A_VALUE.sub(" ", shape_of(text, engine))):
        for part in listed.split(","):
            name = _FIRST.match(part)
            if name is not None and (plain := name[1].strip('`"[]')) not in _NO_TABLE:
                found.add(plain)
    return frozenset(found)
