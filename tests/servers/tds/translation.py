"""Transact-SQL queries and expressions as SQLite reads them.

Token by token, without a grammar: what is not known here goes to SQLite as it is, whose error is then the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .sql_lexer import Kind, SyntaxFault, Token
from .sql_types import CHARACTERS, SqlType, parsed

SYSTEM_SCHEMAS = ("sys", "information_schema")


@dataclass
class Names:
    """What names mean in a session, and what a translation found out.

    schemas     of the open database, in lower case
    databases   that three-part names may name: lower case to their real name
    database    the open one
    variables   their types, by name with @
    system      views of the server that the statement reads: database ('' the open one) and `schema.view`
    attached    other databases that it reads
    """

    schemas: frozenset[str]
    databases: dict[str, str]
    database: str = ""
    variables: dict[str, SqlType] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()
    system: set[tuple[str, str]] = field(default_factory=set)
    attached: set[str] = field(default_factory=set)


_SEPARATORS = {
    "select", "from", "where", "and", "or", "when", "then", "else", "as", "on", "order", "by", "case", "end", "in",
    "like", "between", "is", "not", "set", "values", "group", "having", "union", "into", "join", "limit", "offset",
    "returning", "all", "distinct", "escape", "exists",
}  # fmt: skip
_TEXT_FUNCTIONS = {
    "left", "right", "substring", "upper", "lower", "ltrim", "rtrim", "trim", "replace", "replicate", "space", "str",
    "char", "nchar", "concat", "quotename", "db_name", "suser_sname", "host_name", "datename", "format", "stuff",
    "error_message", "app_name", "user_name", "reverse", "schema_name", "object_name", "parsename",
}  # fmt: skip
DATE_PARTS = {"dateadd", "datediff", "datepart", "datename", "datediff_big", "datetrunc", "date_bucket"}
_BARE_FUNCTIONS = {
    "current_timestamp": "tsql_getdate()", "system_user": "suser_sname()", "session_user": "user_name()",
    "current_user": "user_name()", "user": "user_name()",
}  # fmt: skip
_RENAMED = {
    "left": "tsql_left", "right": "tsql_right", "len": "tsql_len", "isnull": "ifnull", "getdate": "tsql_getdate",
    "getutcdate": "tsql_getdate", "count_big": "count", "round": "tsql_round", "char": "tsql_char",
    "nchar": "tsql_char",
    "replace": "replace", "log": "ln", "ceiling": "ceil", "stdev": "avg", "year": "tsql_year", "month": "tsql_month",
    "day": "tsql_day", "format": "tsql_format", "power": "pow", "rand": "tsql_rand", "concat": "concat",
}  # fmt: skip
_HINTS = {
    "nolock", "readpast", "readuncommitted", "readcommitted", "repeatableread", "serializable", "holdlock", "updlock",
    "xlock", "tablock", "tablockx", "rowlock", "paglock", "nowait", "noexpand", "forceseek", "forcescan", "snapshot",
    "index", "keepidentity", "keepdefaults", "ignore_constraints", "ignore_triggers",
}  # fmt: skip
_BEFORE_TABLE = {"from", "join", "into", "update", "table", "apply", "references"}


def closing(tokens: Sequence[Token], at: int) -> int:
    """The place of the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += tokens[place].is_sign("(") - tokens[place].is_sign(")")
        if depth == 0:
            return place
    raise SyntaxFault(tokens[-1].text, tokens[-1].line)


def operand_end(tokens: Sequence[Token], at: int) -> int:
    """Where the operand ends that begins at `at`: a value, a name, a call, or what stands in brackets."""
    if tokens[at].kind in (Kind.WORD, Kind.QUOTED):
        at = name_at(tokens, at)[1] - 1
        if at + 1 < len(tokens) and tokens[at + 1].is_sign("("):
            return closing(tokens, at + 1) + 1
    elif tokens[at].is_sign("("):
        return closing(tokens, at) + 1
    elif tokens[at].is_sign("-", "+"):
        return operand_end(tokens, at + 1) if at + 1 < len(tokens) else at + 1
    return at + 1


def listed(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts between commas outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_sign("(") - token.is_sign(")")
        if token.is_sign(",") and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if parts != [[]] else []


def quoted(name: str) -> str:
    """As an identifier of SQLite."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """As a string of SQLite."""
    if "\0" in text:
        return f"CAST(x'{text.encode().hex()}' AS TEXT)"
    return "'" + text.replace("'", "''") + "'"


class Translator:
    """Of one statement."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._special: dict[str, Callable[[list[list[Token]]], str]] = {
            "convert": lambda parts: self._convert(parts, strict=True),
            "try_convert": lambda parts: self._convert(parts, strict=False),
            "iif": lambda parts: f"iif({', '.join(map(self.expression, parts))})",
        }

    def expression(self, tokens: Sequence[Token]) -> str:
        """An expression, or a whole query without what stands around it."""
        tokens = list(tokens)
        joins = _text_joins(tokens, self.names.variables)
        parts: list[str] = []
        limit = ""
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.is_word("select"):
                parts.append("SELECT")
                at += 1
                at, distinct = self._skip(tokens, at, "distinct")
                parts += ["DISTINCT"] if distinct else []
                at, _all = self._skip(tokens, at, "all")
                at, limit = self._top(tokens, at, limit)
                at, items = self._select_list(tokens, at)
                parts.append(items)
            elif token.is_word("offset") and at + 1 < len(tokens):
                at, limit = self._offset(tokens, at)
            elif token.is_word("option", "for") and _is_query_end(tokens, at):
                break
            elif (
                token.is_word("with")
                and at + 1 < len(tokens)
                and tokens[at + 1].is_sign("(")
                and _hinted(tokens, at + 1)
            ):
                at = closing(tokens, at + 1) + 1
            elif token.is_word("collate"):
                at += 2
            elif token.is_sign("("):
                end = closing(tokens, at)
                if at and _hinted(tokens, at) and tokens[at - 1].kind in (Kind.WORD, Kind.QUOTED):
                    at = end + 1
                    continue
                parts.append(f"({self.expression(tokens[at + 1 : end])})")
                at = end + 1
            elif token.kind in (Kind.WORD, Kind.QUOTED):
                at = self._name(tokens, at, parts)
            elif token.is_sign("/", "%") and at + 1 < len(tokens):
                end = operand_end(tokens, at + 1)
                parts.append(f"{token.value} tsql_divisor({self.expression(tokens[at + 1 : end])})")
                at = end
            else:
                parts.append("||" if at in joins else self._plain(token, tokens, at))
                at += 1
        return " ".join(parts) + limit

    @staticmethod
    def _skip(tokens: Sequence[Token], at: int, word: str) -> tuple[int, bool]:
        found = at < len(tokens) and tokens[at].is_word(word)
        return at + found, found

    def _top(self, tokens: Sequence[Token], at: int, limit: str) -> tuple[int, str]:
        if at >= len(tokens) or not tokens[at].is_word("top"):
            return at, limit
        if tokens[at + 1].is_sign("("):
            end = closing(tokens, at + 1)
            count = self.expression(tokens[at + 2 : end])
            at = end + 1
        else:
            count = self.expression(tokens[at + 1 : at + 2])
            at += 2
        at, percent = self._skip(tokens, at, "percent")
        if at + 1 < len(tokens) and tokens[at].is_word("with") and tokens[at + 1].is_word("ties"):
            at += 2
        return at, "" if percent else f" LIMIT {count}"

    def _offset(self, tokens: Sequence[Token], at: int) -> tuple[int, str]:
        end = at + 1
        while end < len(tokens) and not tokens[end].is_word("row", "rows"):
            end += 1
        skipped = self.expression(tokens[at + 1 : end])
        end += 1
        count = "-1"
        if end < len(tokens) and tokens[end].is_word("fetch"):
            start = end + 2
            end = start
            while end < len(tokens) and not tokens[end].is_word("row", "rows"):
                end += 1
            count = self.expression(tokens[start:end])
            end += 2
        return end, f" LIMIT {count} OFFSET {skipped}"

    def _select_list(self, tokens: Sequence[Token], at: int) -> tuple[int, str]:
        items = []
        end = select_list_end(tokens, at)
        for part in listed(tokens[at:end]):
            value, name = named(part)
            rendered = self.expression(value)
            items.append(f"{rendered} AS {quoted(name)}" if name is not None else rendered)
        return end, ", ".join(items)

    def _plain(self, token: Token, tokens: Sequence[Token], at: int) -> str:
        if token.kind is Kind.STRING:
            return literal(token.value)
        if token.kind is Kind.BINARY:
            digits = token.text[2:]
            return f"x'{'0' * (len(digits) % 2)}{digits}'"
        if token.kind is Kind.VARIABLE:
            before = tokens[at - 1] if at else None
            if token.value in self.names.tables and before is not None and before.is_word(*_BEFORE_TABLE, "insert"):
                return quoted(token.value)
            if token.value.startswith("@@"):
                return f"tsql_global('{token.value[2:]}')"
            return token.value if token.value.isascii() else f"@{token.value.encode().hex()}"
        if token.kind is Kind.NUMBER and len(token.text) > 16 and "." in token.text:
            return literal(token.text)  # SQLite would make a float of it
        if token.is_sign("!<", "!>"):
            return ">=" if token.value == "!<" else "<="
        return token.text

    def _name(self, tokens: Sequence[Token], at: int, parts: list[str]) -> int:
        """A keyword, a name of several parts, or a function with its arguments."""
        chain, end = name_at(tokens, at)
        first = tokens[at]
        called = end < len(tokens) and tokens[end].is_sign("(")
        before = tokens[at - 1] if at else None
        table = before is not None and before.is_word(*_BEFORE_TABLE)
        if (
            called
            and not table
            and not (first.is_word(*_SEPARATORS) and len(chain) == 1 and first.value not in ("left", "right"))
        ):
            close = closing(tokens, end)
            parts.append(self._function(chain[-1], tokens[end + 1 : close], first))
            return close + 1
        if len(chain) == 1:
            if first.is_word() and first.value in _BARE_FUNCTIONS and not table:
                parts.append(_BARE_FUNCTIONS[first.value])
            elif first.kind is Kind.QUOTED or "#" in first.text or "$" in first.text:
                parts.append(quoted(first.name))
            else:
                parts.append(first.text)
            return end
        parts.append(self.qualified(chain, tokens[end : end + 1]))
        return end

    def qualified(self, chain: list[str], after: Sequence[Token] = ()) -> str:
        """A name of several parts: a table's with its schema and database, or a column's."""
        names = self.names
        folded = [part.lower() for part in chain]
        star = bool(after) and after[0].is_sign("*") and chain[-1] == ""
        database, whole = "", False
        if len(chain) >= 3 and folded[0] in names.databases and (folded[1] in ("", "dbo", *SYSTEM_SCHEMAS) or
                                                                 folded[1] in names.schemas):  # fmt: skip
            whole = True
            database = "" if folded[0] == names.database.lower() else names.databases[folded[0]]
            chain, folded = chain[1:], folded[1:]
        if len(chain) >= 2 and (folded[0] in names.schemas or folded[0] in SYSTEM_SCHEMAS or (whole and not folded[0])):
            table = self._table(database, folded[0], chain[1])
            rest = [quoted(part) for part in chain[2:] if part]
            return ".".join([table, *rest]) + ("." if star else "")
        return ".".join(quoted(part) for part in chain if part) + ("." if star else "")

    def _table(self, database: str, schema: str, name: str) -> str:
        if schema in SYSTEM_SCHEMAS:
            view = f"{schema}.{name.lower()}"
            self.names.system.add((database, view))
            return quoted(f"{database}:{view}" if database else view)
        plain = name if schema in ("dbo", "") else f"{schema}.{name}"
        if database:
            self.names.attached.add(database)
            return f"{quoted(database)}.{quoted(plain)}"
        return quoted(plain)

    def table_name(self, chain: list[str]) -> str:
        """The name of a table that is created, dropped or filled."""
        if len(chain) == 1:
            return quoted(chain[0])
        return self.qualified(chain)

    def _function(self, name: str, inside: Sequence[Token], token: Token) -> str:
        folded = name.lower()
        parts = listed(inside)
        if folded in ("cast", "try_cast"):
            place = max(index for index, one in enumerate(inside) if one.is_word("as"))
            kind = "".join(one.text for one in inside[place + 1 :])
            return self._converted(kind, self.expression(inside[:place]), "", strict=folded == "cast")
        if folded in self._special:
            return self._special[folded](parts)
        if folded in DATE_PARTS and parts:
            rest = "".join(f", {self.expression(part)}" for part in parts[1:])
            return f"tsql_{folded.removesuffix('_big')}({literal(parts[0][0].value)}{rest})"
        if folded == "count" or folded == "count_big":
            return f"count({self.expression(inside)})"
        if token.is_word(*_SEPARATORS) and folded not in ("left", "right"):
            return f"{token.text} ({self.expression(inside)})"
        arguments = ", ".join(self.expression(part) for part in parts)
        return f"{_RENAMED.get(folded, folded)}({arguments})"

    def _convert(self, parts: list[list[Token]], *, strict: bool) -> str:
        kind = "".join(one.text for one in parts[0])
        style = self.expression(parts[2]) if len(parts) > 2 else ""
        return self._converted(kind, self.expression(parts[1]), style, strict=strict)

    @staticmethod
    def _converted(kind: str, value: str, style: str, *, strict: bool) -> str:
        sql_type = parsed(kind)
        if sql_type is None:
            raise SyntaxFault(kind)
        name = "tsql_convert" if strict else "tsql_try_convert"
        return f"{name}({literal(sql_type.declared)}, {value}{', ' + style if style else ''})"


def name_at(tokens: Sequence[Token], at: int) -> tuple[list[str], int]:
    """The name of several parts that begins at `at`, and where it ends; an empty part where two dots stand."""
    chain = [tokens[at].name]
    at += 1
    while at + 1 < len(tokens) and tokens[at].is_sign("."):
        if tokens[at + 1].is_sign("."):
            chain.append("")
            at += 1
        elif tokens[at + 1].is_sign("*"):
            chain.append("")
            return chain, at + 1
        elif tokens[at + 1].kind in (Kind.WORD, Kind.QUOTED):
            chain.append(tokens[at + 1].name)
            at += 2
        else:
            break
    return chain, at


def select_list_end(tokens: Sequence[Token], at: int) -> int:
    """Where the list of a SELECT ends whose first item is at `at`."""
    depth = 0
    while at < len(tokens):
        token = tokens[at]
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_word("from", "where", "into", "union", "except", "intersect", "order", "group",
                                        "having", "option", "for"):  # fmt: skip
            return at
        at += 1
    return at


def named(item: list[Token]) -> tuple[list[Token], str | None]:
    """An item of a select list without its name: `x AS n`, `n = x`, `x 'n'`, `x n`; None where it has none."""
    if len(item) > 2 and item[-2].is_word("as"):
        return item[:-2], item[-1].value if item[-1].kind is Kind.STRING else item[-1].name
    if len(item) > 2 and item[1].is_sign("=") and item[0].kind in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        return item[2:], item[0].value if item[0].kind is Kind.STRING else item[0].name
    if len(item) > 1 and (
        item[-1].kind is Kind.QUOTED or (item[-1].is_word() and item[-1].value not in ("end", "null"))
    ):
        before = item[-2]
        if (
            not before.is_sign(".")
            and (before.kind is not Kind.SIGN or before.is_sign(")"))
            and not (
                before.is_word(*_SEPARATORS - {"end"})
                or (before.is_word("collate", "over", "null") and before.is_word("collate"))
            )
        ):
            return item[:-1], item[-1].name
    if len(item) > 1 and item[-1].kind is Kind.STRING and (item[-2].kind is not Kind.SIGN or item[-2].is_sign(")")):
        return item[:-1], item[-1].value
    return item, None


def _is_query_end(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if after is None:
        return False
    return after.is_sign("(") if token.is_word("option") else after.is_word("browse", "xml", "json", "update", "read")


def _hinted(tokens: Sequence[Token], at: int) -> bool:
    """Whether the brackets at `at` hold a table's hints."""
    return at + 1 < len(tokens) and tokens[at + 1].is_word(*_HINTS)


def _text_joins(tokens: Sequence[Token], variables: dict[str, SqlType]) -> set[int]:
    """The places of + that join texts: those of an expression that has a text somewhere."""
    found: set[int] = set()
    pluses: list[int] = []
    has_text = False
    depth = 0
    for at, token in enumerate(tokens):
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and (token.is_sign(",", "=", "<", ">", "<=", ">=", "<>", "!=") or token.is_word(*_SEPARATORS)):
            if has_text:
                found |= set(pluses)
            pluses, has_text = [], False
        elif depth == 0 and token.is_sign("+"):
            pluses.append(at)
        elif token.kind is Kind.STRING or (
            token.kind is Kind.VARIABLE and token.value in ("@@version", "@@servername")
        ):
            has_text = has_text or depth == 0
        elif token.kind is Kind.VARIABLE and token.value in variables and depth == 0:
            has_text = has_text or variables[token.value].name in CHARACTERS
        elif token.is_word(*_TEXT_FUNCTIONS) and depth == 0:
            has_text = True
        elif token.is_word("cast", "convert", "try_cast", "try_convert") and depth == 0 and at + 1 < len(tokens):
            end = closing(tokens, at + 1) if tokens[at + 1].is_sign("(") else at + 1
            has_text = has_text or any(one.is_word("varchar", "nvarchar", "char", "nchar") for one in tokens[at:end])
    return found | set(pluses) if has_text else found
