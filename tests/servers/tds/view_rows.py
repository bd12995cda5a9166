"""The rows of the server's own views, read from a database's schema and from the sessions that there are.

The columns are those of `system_views.VIEWS`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable

from .arguments import declared_parameters, output_parameters
from .encoding import Value
from .functions import moment_text
from .schema_model import ColumnFacts, Model
from .sql_types import BINARIES, CHARACTERS, INTEGERS, NATIONAL, SqlType
from .state import Session

Row = tuple[Value, ...]
COLLATION = "SQL_Latin1_General_CP1_CI_AS"
MADE = "2026-01-01 00:00:00.000"

TYPES = {
    "image": 34,
    "text": 35,
    "uniqueidentifier": 36,
    "date": 40,
    "time": 41,
    "datetime2": 42,
    "datetimeoffset": 43,
    "tinyint": 48,
    "smallint": 52,
    "int": 56,
    "smalldatetime": 58,
    "real": 59,
    "money": 60,
    "datetime": 61,
    "float": 62,
    "sql_variant": 98,
    "ntext": 99,
    "bit": 104,
    "decimal": 106,
    "numeric": 108,
    "smallmoney": 122,
    "bigint": 127,
    "varbinary": 165,
    "varchar": 167,
    "binary": 173,
    "char": 175,
    "timestamp": 189,
    "nvarchar": 231,
    "sysname": 256,
    "nchar": 239,
    "xml": 241,
}
"""user_type_id by name; system_type_id is the same but for sysname."""
_KIND_NAMES = {
    "U": "USER_TABLE",
    "V": "VIEW",
    "P": "SQL_STORED_PROCEDURE",
    "FN": "SQL_SCALAR_FUNCTION",
    "TR": "SQL_TRIGGER",
}


def most_bytes(sql_type: SqlType) -> int:
    """max_length of sys.columns."""
    if sql_type.length < 0 or sql_type.name in ("xml",):
        return -1
    if sql_type.name in CHARACTERS | BINARIES and sql_type.length:
        return sql_type.length * (2 if sql_type.name in NATIONAL else 1)
    sizes = {
        **INTEGERS,
        "bit": 1,
        "float": 8,
        "real": 4,
        "money": 8,
        "smallmoney": 4,
        "datetime": 8,
        "date": 3,
        "smalldatetime": 4,
        "uniqueidentifier": 16,
        "sql_variant": 8016,
        "decimal": 9,
        "numeric": 9,
        "datetime2": 8,
        "datetimeoffset": 10,
        "time": 5,
        "timestamp": 8,
    }
    return sizes.get(sql_type.name, 16)


def digits(sql_type: SqlType) -> tuple[int, int]:
    """Precision and scale of sys.columns."""
    fixed = {"int": 10, "bigint": 19, "smallint": 5, "tinyint": 3, "bit": 1, "float": 53, "real": 24}
    if sql_type.name in ("money", "smallmoney"):
        return (19 if sql_type.name == "money" else 10), 4
    if sql_type.name in fixed:
        return fixed[sql_type.name], 0
    return sql_type.precision, sql_type.scale


def databases(session: Session, model: Model) -> Iterable[Row]:
    for name in session.shared.databases.names():
        yield name, session.shared.databases.number(name), 0, "ONLINE", COLLATION, 160, 0, MADE, 1, "FULL", 0


def objects(kinds: tuple[str, ...]) -> Callable[[Session, Model], Iterable[Row]]:
    def rows(session: Session, model: Model) -> Iterable[Row]:
        for each in model.of_kind(*kinds):
            yield (
                each.name,
                each.number,
                model.schema_number(each.schema),
                each.kind,
                _KIND_NAMES[each.kind],
                0,
                MADE,
                MADE,
                0,
                None,
            )

    return rows


def columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        for one in model.columns(each):
            precision, scale = digits(one.type)
            number = TYPES.get(one.type.name, 231)
            default = each.number * 1000 + one.number + (1 << 27) if one.default is not None else 0
            yield (
                each.number,
                one.name,
                one.number,
                number,
                number,
                most_bytes(one.type),
                precision,
                scale,
                COLLATION if one.type.name in CHARACTERS else None,
                int(one.nullable),
                int(one.identity),
                int(one.generated),
                default,
                0,
            )


def types(session: Session, model: Model) -> Iterable[Row]:
    for name, number in TYPES.items():
        yield name, 231 if name == "sysname" else number, number, 4, most_bytes(SqlType(name)), 0, 0, 1, 0


def schemas(session: Session, model: Model) -> Iterable[Row]:
    return [(name, number, number) for number, name in enumerate(model.schemas, 1)]


def indexes(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        found = model.indexes(each)
        if not any(number == 1 for number, *_ in found):
            yield each.number, None, 0, 0, "HEAP", 0, 0, 0, 0, None, 0
        for number, name, unique, origin, _columns_of in found:
            yield (
                each.number,
                name,
                number,
                1 if number == 1 else 2,
                "CLUSTERED" if number == 1 else "NONCLUSTERED",
                int(unique),
                int(origin == "pk"),
                int(origin == "u"),
                0,
                None,
                0,
            )


def place_of(columns: list[ColumnFacts], name: str) -> int:
    return next((one.number for one in columns if one.name == name), 0)


def index_columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        known = model.columns(each)
        for number, _name, _unique, _origin, columns in model.indexes(each):
            for place, column in enumerate(columns, 1):
                yield each.number, number, place, place_of(known, column), place, 0, 0


def key_constraints(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, name, _unique, origin, _columns_of in model.indexes(each):
            if origin in ("pk", "u"):
                kind, words = ("PK", "PRIMARY_KEY_CONSTRAINT") if origin == "pk" else ("UQ", "UNIQUE_CONSTRAINT")
                yield (
                    name,
                    each.number * 100 + number + (1 << 26),
                    model.schema_number(each.schema),
                    each.number,
                    kind,
                    words,
                    number,
                )


_ACTIONS = {"NO ACTION": 0, "CASCADE": 1, "SET NULL": 2, "SET DEFAULT": 3, "RESTRICT": 0}


def foreign_keys(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, name, target, _pairs, on_delete, on_update in model.foreign_keys(each):
            words = [action.replace(" ", "_").replace("RESTRICT", "NO_ACTION") for action in (on_delete, on_update)]
            yield (
                name,
                number,
                model.schema_number(each.schema),
                each.number,
                target.number,
                1,
                _ACTIONS[on_delete],
                words[0],
                _ACTIONS[on_update],
                words[1],
                0,
            )


def foreign_key_columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, _name, target, pairs, _on_delete, _on_update in model.foreign_keys(each):
            ours, theirs = model.columns(each), model.columns(target)
            for place, (column, other) in enumerate(pairs, 1):
                yield number, place, each.number, place_of(ours, column), target.number, place_of(theirs, other)


def defaults(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for one in model.columns(each):
            if one.default is not None:
                number = each.number * 1000 + one.number + (1 << 27)
                yield (
                    f"DF_{each.name}_{one.name}",
                    number,
                    model.schema_number(each.schema),
                    each.number,
                    one.number,
                    f"({one.default.replace('tsql_', '')})",
                )


def modules(session: Session, model: Model) -> Iterable[Row]:
    return [(each.number, each.sql) for each in model.of_kind("V", "P", "FN", "TR") if each.sql]


def parameters(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("P", "FN"):
        module = session.module(each.kept)
        definition = module[1] if module else ""
        outputs = output_parameters(definition)
        for place, (name, sql_type, default) in enumerate(declared_parameters(definition), 1):
            number = TYPES.get(sql_type.name, 231)
            precision, scale = digits(sql_type)
            yield (
                each.number,
                name,
                place,
                number,
                number,
                most_bytes(sql_type),
                precision,
                scale,
                int(name in outputs),
                int(default is not None),
            )


def partitions(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        has_key = any(one.key for one in model.columns(each))
        yield each.number, int(has_key), 1, model.row_count(each), each.number


def sessions(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        began = moment_text(datetime.datetime.fromtimestamp(each.began, datetime.UTC))
        yield (
            spid,
            began,
            each.login.host,
            each.login.application,
            each.login.user,
            "running" if each.running else "sleeping",
            each.database,
            1,
            each.transactions,
        )


def requests(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        if each.running:
            yield spid, 0, "running", each.running, each.transactions


def processes(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        yield (
            spid,
            "running" if each.running else "sleeping",
            each.login.user,
            each.login.host,
            each.database,
            each.running,
        )


def tables_of_standard(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        yield session.database, each.schema, each.name, "BASE TABLE" if each.kind == "U" else "VIEW"


def columns_of_standard(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        for one in model.columns(each):
            precision, scale = digits(one.type)
            length = one.type.length if one.type.name in CHARACTERS | BINARIES else None
            yield (
                session.database,
                each.schema,
                each.name,
                one.name,
                one.number,
                one.default,
                "YES" if one.nullable else "NO",
                one.type.name,
                length,
                precision or None,
                scale,
            )


def routines(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("P", "FN"):
        yield session.database, each.schema, each.name, "PROCEDURE" if each.kind == "P" else "FUNCTION", each.sql


def schemata(session: Session, model: Model) -> Iterable[Row]:
    return [(session.database, name, name) for name in model.schemas]


def nothing(session: Session, model: Model) -> Iterable[Row]:
    return []
