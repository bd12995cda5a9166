"""CREATE TABLE and ALTER TABLE as SQLite reads them: types with their affinity, identity, computed columns."""

from __future__ import annotations

from collections.abc import Sequence

from .sql_lexer import Kind, SyntaxFault, Token
from .sql_types import CHARACTERS, SqlType, parsed, storage
from .translation import Translator, closing, listed, name_at, quoted

_TABLE_LEVEL = ("constraint", "primary", "unique", "foreign", "check", "index")


def create_table(translator: Translator, tokens: Sequence[Token], *, temporary: bool = False, name: str = "") -> str:
    """`tokens` from the table's name on; `name` instead of it, where it is given."""
    at = 0
    if not name:
        chain, at = name_at(tokens, 0)
        name = translator.table_name(chain)
        temporary = temporary or chain[-1].startswith("#")
    if at >= len(tokens) or not tokens[at].is_sign("("):
        raise SyntaxFault(tokens[min(at, len(tokens) - 1)].text, tokens[0].line)
    items = listed(tokens[at + 1 : closing(tokens, at)])
    identity = any(token.is_word("identity") for item in items if not item[0].is_word(*_TABLE_LEVEL) for token in item)
    parts = [column(translator, item) for item in items if not item[0].is_word(*_TABLE_LEVEL)]
    for item in items:
        if item[0].is_word(*_TABLE_LEVEL) and (text := _table_level(translator, item, identity)):
            parts.append(text)
    return f"CREATE {'TEMP ' if temporary else ''}TABLE {name} ({', '.join(parts)})"


def type_at(tokens: Sequence[Token], at: int) -> tuple[SqlType, int]:
    """The type that is declared at `at`, and where it ends. Raises SyntaxFault."""
    chain, end = name_at(tokens, at)
    text = chain[-1]
    if end < len(tokens) and tokens[end].is_sign("("):
        close = closing(tokens, end)
        text += "".join(token.text for token in tokens[end : close + 1])
        end = close + 1
    if text.lower() == "double" and end < len(tokens) and tokens[end].is_word("precision"):
        text, end = "float", end + 1
    found = parsed(text)
    if found is None:
        raise SyntaxFault(text, tokens[at].line)
    return found, end


def column(translator: Translator, item: Sequence[Token]) -> str:
    """A column's declaration."""
    name = item[0].name
    if len(item) > 1 and item[1].is_word("as"):
        expression = translator.expression(_without(item[2:], "persisted"))
        return f"{quoted(name)} GENERATED ALWAYS AS ({expression})"
    sql_type, at = type_at(item, 1)
    rest = list(item[at:])
    parts = [quoted(name), quoted(storage(sql_type))]
    if any(token.is_word("identity") for token in rest):
        return f"{quoted(name)} INTEGER PRIMARY KEY AUTOINCREMENT"
    if sql_type.name in CHARACTERS and sql_type.name != "xml":
        parts.append("COLLATE NOCASE")
    parts.append(_column_rest(translator, rest))
    return " ".join(part for part in parts if part)


def _column_rest(translator: Translator, rest: list[Token]) -> str:
    out = []
    at = 0
    while at < len(rest):
        token = rest[at]
        if token.is_word("default"):
            end = at + 2
            if rest[at + 1].is_sign("("):
                end = closing(rest, at + 1) + 1
            elif end < len(rest) and rest[end].is_sign("("):
                end = closing(rest, end) + 1
            out.append(f"DEFAULT ({translator.expression(rest[at + 1 : end])})")
            at = end
        elif token.is_word("clustered", "nonclustered", "sparse", "rowguidcol"):
            at += 1
        elif token.is_word("collate"):
            at += 2
        elif token.is_word("with") or (token.is_word("on") and not rest[at + 1].is_word("delete", "update")):
            break
        elif token.is_word("references"):
            chain, end = name_at(rest, at + 1)
            out.append(f"REFERENCES {translator.table_name(chain)}")
            at = end
        elif token.is_sign("("):
            end = closing(rest, at)
            out.append(f"({translator.expression(_without(rest[at + 1 : end], 'asc', 'desc'))})")
            at = end + 1
        elif token.kind is Kind.QUOTED:
            out.append(quoted(token.value))
            at += 1
        else:
            out.append(token.text)
            at += 1
    return " ".join(out)


def _table_level(translator: Translator, item: list[Token], identity: bool) -> str:
    if item[0].is_word("index"):
        return ""
    if identity and any(token.is_word("primary") for token in item):
        return ""
    return _column_rest(translator, item)


def _without(tokens: Sequence[Token], *words: str) -> list[Token]:
    return [token for token in tokens if not token.is_word(*words)]


def alter_table(translator: Translator, tokens: Sequence[Token]) -> list[str]:
    """`tokens` from the table's name on; one statement for each column."""
    chain, at = name_at(tokens, 0)
    table = translator.table_name(chain)
    while at < len(tokens) and tokens[at].is_word("with", "check", "nocheck"):
        at += 1
    if at >= len(tokens):
        raise SyntaxFault(tokens[-1].text, tokens[0].line)
    rest = tokens[at + 1 :]
    if tokens[at].is_word("add"):
        made = []
        for item in listed(rest):
            if item[0].is_word(*_TABLE_LEVEL, "default"):
                continue
            made.append(f"ALTER TABLE {table} ADD COLUMN {column(translator, item)}")
        return made
    if tokens[at].is_word("drop"):
        if rest and rest[0].is_word("column"):
            return [f"ALTER TABLE {table} DROP COLUMN {quoted(item[-1].name)}" for item in listed(rest[1:])]
        return []
    return []
