"""Whether an UPDATE or a DELETE has no WHERE: it means every row of its table."""

from __future__ import annotations

from .sql_scanner import Kind, dialect_of, tokens

_VERBS = frozenset({"update", "delete"})
_STARTS = _VERBS | {"select", "insert", "merge", "replace", "values", "table"}


def lacks_where(text: str, engine: str, *, whole: bool = True) -> bool:
    """Whether one of the statements in `text` is an UPDATE or a DELETE without a WHERE of its own.

    `whole` False: the text is cut at its end, so its last statement is not judged.
    """
    depth = 0
    verb = ""
    where = False
    for token in tokens(text, dialect_of(engine)):
        if token.kind is Kind.MARK:
            mark = text[token.start]
            if mark == "(":
                depth += 1
            elif mark == ")":
                depth = max(depth - 1, 0)
            elif mark == ";":
                if verb in _VERBS and not where:
                    return True
                depth, verb, where = 0, "", False
        elif token.kind is Kind.WORD and not depth:
            word = text[token.start : token.end].lower()
            if not verb:
                # EXPLAIN, and what else comes before a verb, is not told apart: nothing is lost by a look too many.
                verb = word if word in _STARTS else ""
            elif word == "where":
                where = True
    return whole and verb in _VERBS and not where
