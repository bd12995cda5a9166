"""Which databases a text opens by USE, where only some may be opened (Transact-SQL reference, USE).

USE may stand anywhere in a batch, as statements need nothing between them. In brackets it is a hint of a query.
"""

from __future__ import annotations

import re

from bastion.protocols.contract import Refusal
from bastion.protocols.sql_scanner import Kind, dialect_of, tokens

from .exchange import Exchange

_DIALECT = dialect_of("sqlserver")
_MAY_OPEN = re.compile(r"\buse\b", re.IGNORECASE)

TOO_LONG = Refusal(
    "database-name-not-allowed",
    "Only some databases may be opened here, and the statement is too long to be looked through for USE. "
    "Send it in parts.",
)


def opened(text: str) -> list[str]:
    """The names that a whole text opens, in order; '' for one that cannot be read."""
    if _MAY_OPEN.search(text) is None:
        return []
    found: list[str] = []
    depth = 0
    awaited = False
    for token in tokens(text, _DIALECT):
        word = text[token.start : token.end]
        if awaited:
            awaited = False
            if token.kind is Kind.QUOTED:
                closing = word[-1]
                found.append(word[1:-1].replace(closing * 2, closing))
                continue
            found.append(word if token.kind is Kind.WORD else "")
            if token.kind is Kind.WORD:
                continue
        if token.kind is Kind.MARK:
            depth += (word == "(") - (word == ")")
        elif token.kind is Kind.WORD and depth <= 0 and word.lower() == "use":
            awaited = True
    return [*found, ""] if awaited else found


def other_database(exchange: Exchange, text: str) -> Refusal | None:
    """Why a text may not be sent where only some databases may be opened."""
    for name in opened(text):
        if name.lower() not in (allowed.lower() for allowed in exchange.databases):
            return Refusal(
                "database-name-not-allowed",
                f"The database {name!r:.200} may not be opened here; allowed are: {', '.join(exchange.databases)}.",
            )
    return None
