"""Which type of SQL Server a column of a result has: of the table's column it comes from, of how it is written in the
select list, or of its first value."""

from __future__ import annotations

from collections.abc import Sequence

from .encoding import Value
from .script import Statement
from .sql_lexer import Kind, Token
from .sql_types import BIGINT, FLOAT, INT, MAX, SYSNAME, TEXT, SqlType, parsed
from .translation import closing, listed, named, select_list_end

_OF_FUNCTIONS = {
    **dict.fromkeys(("getdate", "getutcdate", "dateadd", "current_timestamp"), SqlType("datetime")),
    **dict.fromkeys(("sysdatetime", "sysutcdatetime"), SqlType("datetime2", scale=7)),
    "sysdatetimeoffset": SqlType("datetimeoffset", scale=7),
    **dict.fromkeys(("newid", "newsequentialid"), SqlType("uniqueidentifier")),
    **dict.fromkeys(
        (
            "db_name",
            "suser_sname",
            "suser_name",
            "user_name",
            "schema_name",
            "object_name",
            "host_name",
            "app_name",
            "original_login",
            "type_name",
            "col_name",
            "system_user",
            "quotename",
        ),
        SYSNAME,
    ),
    **dict.fromkeys(
        (
            "count",
            "datediff",
            "datepart",
            "year",
            "month",
            "day",
            "len",
            "charindex",
            "object_id",
            "db_id",
            "schema_id",
            "error_number",
            "datalength",
            "ascii",
            "unicode",
            "is_srvrolemember",
            "is_member",
            "has_dbaccess",
            "columnproperty",
            "error_severity",
            "error_state",
            "error_line",
            "row_number",
        ),
        INT,
    ),
    **dict.fromkeys(("count_big", "datediff_big"), BIGINT),
    **dict.fromkeys(("scope_identity", "ident_current"), SqlType("numeric", precision=38)),
    **dict.fromkeys(
        (
            "upper",
            "lower",
            "concat",
            "replace",
            "substring",
            "left",
            "right",
            "ltrim",
            "rtrim",
            "error_message",
            "datename",
            "stuff",
            "reverse",
        ),
        TEXT,
    ),
    "replicate": SqlType("nvarchar", 4000),
    "serverproperty": SqlType("sql_variant"),
    "databasepropertyex": SqlType("sql_variant"),
    "connectionproperty": SqlType("sql_variant"),
    "session_context": SqlType("sql_variant"),
    **dict.fromkeys(("sqrt", "pow", "power", "exp", "log", "rand"), FLOAT),
    "hashbytes": SqlType("varbinary", 8000),
    "xact_state": SqlType("smallint"),
}
_OF_GLOBALS = {
    "@@version": SqlType("nvarchar", 300),
    "@@servername": SYSNAME,
    "@@language": SYSNAME,
    "@@identity": SqlType("numeric", precision=38),
    "@@servicename": SYSNAME,
    "@@spid": SqlType("smallint"),
    "@@options": INT,
    "@@max_precision": SqlType("tinyint"),
    "@@dbts": SqlType("varbinary", 8),
}


def of_value(value: Value) -> SqlType:
    """What fits a value of which nothing else is known."""
    if isinstance(value, int):
        return INT if -(1 << 31) <= value < 1 << 31 else BIGINT
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, bytes):
        return SqlType("varbinary", MAX if len(value) > 8000 else 8000)
    if isinstance(value, str) and len(value) > 4000:
        return SqlType("nvarchar", MAX)
    return TEXT


def of_item(item: Sequence[Token], variables: dict[str, SqlType]) -> SqlType | None:
    """The type of an expression, where its form tells; None where it does not."""
    if not item:
        return None
    first = item[0]
    if len(item) == 1:
        return _of_one(first, variables)
    if first.is_sign("-", "+") and len(item) == 2:
        return _of_one(item[1], variables)
    if first.is_sign("(") and closing(item, 0) == len(item) - 1:
        return of_item(item[1:-1], variables)
    if first.kind is Kind.WORD and item[1].is_sign("("):
        end = closing(item, 1)
        over = end + 1 < len(item) and item[end + 1].is_word("over")
        if end == len(item) - 1 or over:
            return _of_call(first.value, item[2:end], variables)
    return None


def _of_one(token: Token, variables: dict[str, SqlType]) -> SqlType | None:
    if token.kind is Kind.NUMBER:
        if "e" in token.text.lower():
            return FLOAT
        if "." in token.text:
            whole, _, fraction = token.text.partition(".")
            return SqlType("numeric", precision=max(len(whole.lstrip("0")) + len(fraction), 1), scale=len(fraction))
        return of_value(int(token.text))
    if token.kind is Kind.STRING:
        national = token.text[0] in "nN"
        most = 4000 if national else 8000
        length = max(len(token.value), 1)
        return SqlType("nvarchar" if national else "varchar", length if length <= most else MAX)
    if token.kind is Kind.BINARY:
        return SqlType("varbinary", max((len(token.text) - 1) // 2, 1))
    if token.kind is Kind.VARIABLE:
        return _OF_GLOBALS.get(token.value, INT) if token.value.startswith("@@") else variables.get(token.value)
    if token.is_word("null"):
        return INT
    return _OF_FUNCTIONS.get(token.value) if token.kind is Kind.WORD else None


def _of_call(name: str, inside: Sequence[Token], variables: dict[str, SqlType]) -> SqlType | None:
    if name in ("cast", "try_cast"):
        place = max(index for index, one in enumerate(inside) if one.is_word("as"))
        return parsed("".join(one.text for one in inside[place + 1 :]))
    if name in ("convert", "try_convert"):
        return parsed("".join(one.text for one in listed(inside)[0]))
    if name in ("isnull", "coalesce", "iif", "max", "min", "sum", "nullif"):
        parts = listed(inside)
        chosen = parts[1:] if name == "iif" else parts
        return next((found for part in chosen if (found := of_item(part, variables)) is not None), None)
    if name == "replicate":
        inner = of_item(listed(inside)[0], variables)
        return inner if inner is not None and inner.length == MAX else None
    return _OF_FUNCTIONS.get(name)


def of_select(statement: Statement, variables: dict[str, SqlType]) -> list[SqlType | None] | None:
    """Of each item of the first select list; None where it holds a star."""
    tokens = statement.tokens
    depth = 0
    for at, token in enumerate(tokens):  # noqa: B007
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_word("select"):
            break
    else:
        return None
    at += 1
    while at < len(tokens) and tokens[at].is_word("distinct", "all"):
        at += 1
    if at < len(tokens) and tokens[at].is_word("top"):
        at = closing(tokens, at + 1) + 1 if tokens[at + 1].is_sign("(") else at + 2
    found: list[SqlType | None] = []
    for item in listed(tokens[at : select_list_end(tokens, at)]):
        if item and item[-1].is_sign("*"):
            return None
        value, _name = named(item)
        found.append(of_item(value, variables))
    return found


def settled(
    declared: Sequence[str | None], written: list[SqlType | None] | None, first: tuple[Value, ...] | None
) -> list[SqlType]:
    """The type of each column, from what is known best to what is known least."""
    types = []
    for index, name in enumerate(declared):
        found = parsed(name) if name else None
        if found is None and written is not None and len(written) == len(declared):
            found = written[index]
        if found is None:
            found = of_value(first[index]) if first is not None else TEXT
        if found is INT and first is not None and isinstance(whole := first[index], int) and abs(whole) >= 1 << 31:
            found = BIGINT
        types.append(found)
    return types
