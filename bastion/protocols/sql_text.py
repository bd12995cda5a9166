"""What the bastion reads out of a statement's text: its kind, and the credentials that must not be kept."""

from __future__ import annotations

import re

from .sql_credentials import Redacted, redact
from .sql_scanner import Kind, dialect_of, tokens

__all__ = ["Redacted", "redact", "statement_kind"]

LONGEST_KIND = 32
"""Characters of the longest word that is taken for a keyword."""

_PLAIN_START = re.compile(r"\s*([A-Za-z]{1,32})(?=[\s;(*]|\Z)")
_CHANGE_USER = re.compile(r"\s*change\s+user\s+'", re.IGNORECASE)
"""How the readers write COM_CHANGE_USER, which is no SQL."""

_BEFORE_VERB = frozenset("({;?=")
"""Marks that may stand before the first keyword: brackets, the {? = call …} of ODBC and JDBC, empty statements."""

_MAIN_VERBS = frozenset({"select", "insert", "update", "delete", "merge", "replace", "values", "table"})


def statement_kind(text: str, engine: str) -> str:
    """The first keyword in lower case: select, insert, create, call, …; '' where there is none.

    `with` is resolved to the verb that follows its common table expressions; where none is found it stays `with`.
    """
    plain = _PLAIN_START.match(text)
    if plain is not None:
        kind = plain[1].lower()
        if kind == "change" and _CHANGE_USER.match(text):
            return "change-user"
        if kind != "with":
            return kind
    kind = ""
    depth = 0
    for token in tokens(text, dialect_of(engine)):
        if token.kind is Kind.WORD:
            if kind and depth:
                continue
            word = text[token.start : token.end].lower()
            if not kind:
                if len(word) > LONGEST_KIND or not word.isascii():
                    return ""
                if word != "with":
                    return word
                kind, depth = word, 0
            elif word in _MAIN_VERBS:
                return word
        elif token.kind is Kind.MARK:
            mark = text[token.start]
            if kind:
                depth += 1 if mark == "(" else -1 if mark == ")" else 0
            elif mark not in _BEFORE_VERB:
                return ""
        elif not kind:
            return ""
    return kind
