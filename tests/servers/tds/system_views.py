"""sys.* and INFORMATION_SCHEMA as clients and the workstation ask for them, filled for each statement that asks.

The columns are the ones that are asked for, with the meaning of SQL Server's documentation of each view.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable

from .arguments import declared_parameters, output_parameters
from .encoding import Value
from .functions import moment_text
from .schema_model import ColumnFacts, Model
from .sql_errors import SqlError
from .sql_types import BINARIES, CHARACTERS, INTEGERS, NATIONAL, SqlType
from .state import Session
from .translation import quoted

Row = tuple[Value, ...]
COLLATION = "SQL_Latin1_General_CP1_CI_AS"
MADE = "2026-01-01 00:00:00.000"

TYPES = {
    "image": 34, "text": 35, "uniqueidentifier": 36, "date": 40, "time": 41, "datetime2": 42, "datetimeoffset": 43,
    "tinyint": 48, "smallint": 52, "int": 56, "smalldatetime": 58, "real": 59, "money": 60, "datetime": 61, "float": 62,
    "sql_variant": 98, "ntext": 99, "bit": 104, "decimal": 106, "numeric": 108, "smallmoney": 122, "bigint": 127,
    "varbinary": 165, "varchar": 167, "binary": 173, "char": 175, "timestamp": 189, "nvarchar": 231, "sysname": 256,
    "nchar": 239, "xml": 241,
}  # fmt: skip
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
    sizes = {**INTEGERS, "bit": 1, "float": 8, "real": 4, "money": 8, "smallmoney": 4, "datetime": 8, "date": 3,
             "smalldatetime": 4, "uniqueidentifier": 16, "sql_variant": 8016, "decimal": 9, "numeric": 9,
             "datetime2": 8,
             "datetimeoffset": 10, "time": 5, "timestamp": 8}  # fmt: skip
    return sizes.get(sql_type.name, 16)


def digits(sql_type: SqlType) -> tuple[int, int]:
    """Precision and scale of sys.columns."""
    fixed = {"int": 10, "bigint": 19, "smallint": 5, "tinyint": 3, "bit": 1, "float": 53, "real": 24}
    if sql_type.name in ("money", "smallmoney"):
        return (19 if sql_type.name == "money" else 10), 4
    if sql_type.name in fixed:
        return fixed[sql_type.name], 0
    return sql_type.precision, sql_type.scale


def _databases(session: Session, model: Model) -> Iterable[Row]:
    for name in session.shared.databases.names():
        yield name, session.shared.databases.number(name), 0, "ONLINE", COLLATION, 160, 0, MADE, 1, "FULL", 0


def _objects(kinds: tuple[str, ...]) -> Callable[[Session, Model], Iterable[Row]]:
    def rows(session: Session, model: Model) -> Iterable[Row]:
        for each in model.of_kind(*kinds):
            yield (each.name, each.number, model.schema_number(each.schema), each.kind, _KIND_NAMES[each.kind], 0, MADE,
                   MADE, 0, None)  # fmt: skip

    return rows


def _columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        for one in model.columns(each):
            precision, scale = digits(one.type)
            number = TYPES.get(one.type.name, 231)
            default = each.number * 1000 + one.number + (1 << 27) if one.default is not None else 0
            yield (each.number, one.name, one.number, number, number, most_bytes(one.type), precision, scale,
                   COLLATION if one.type.name in CHARACTERS else None, int(one.nullable), int(one.identity),
                   int(one.generated), default, 0)  # fmt: skip


def _types(session: Session, model: Model) -> Iterable[Row]:
    for name, number in TYPES.items():
        yield name, 231 if name == "sysname" else number, number, 4, most_bytes(SqlType(name)), 0, 0, 1, 0


def _schemas(session: Session, model: Model) -> Iterable[Row]:
    return [(name, number, number) for number, name in enumerate(model.schemas, 1)]


def _indexes(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        found = model.indexes(each)
        if not any(number == 1 for number, *_ in found):
            yield each.number, None, 0, 0, "HEAP", 0, 0, 0, 0, None, 0
        for number, name, unique, origin, _columns_of in found:
            yield (each.number, name, number, 1 if number == 1 else 2, "CLUSTERED" if number == 1 else "NONCLUSTERED",
                   int(unique), int(origin == "pk"), int(origin == "u"), 0, None, 0)  # fmt: skip


def _place(columns: list[ColumnFacts], name: str) -> int:
    return next((one.number for one in columns if one.name == name), 0)


def _index_columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        known = model.columns(each)
        for number, _name, _unique, _origin, columns in model.indexes(each):
            for place, column in enumerate(columns, 1):
                yield each.number, number, place, _place(known, column), place, 0, 0


def _key_constraints(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, name, _unique, origin, _columns_of in model.indexes(each):
            if origin in ("pk", "u"):
                kind, words = ("PK", "PRIMARY_KEY_CONSTRAINT") if origin == "pk" else ("UQ", "UNIQUE_CONSTRAINT")
                yield (name, each.number * 100 + number + (1 << 26), model.schema_number(each.schema), each.number,
                    kind,
                       words, number)  # fmt: skip


_ACTIONS = {"NO ACTION": 0, "CASCADE": 1, "SET NULL": 2, "SET DEFAULT": 3, "RESTRICT": 0}


def _foreign_keys(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, name, target, _pairs, on_delete, on_update in model.foreign_keys(each):
            words = [action.replace(" ", "_").replace("RESTRICT", "NO_ACTION") for action in (on_delete, on_update)]
            yield (name, number, model.schema_number(each.schema), each.number, target.number, 1,
                   _ACTIONS[on_delete], words[0], _ACTIONS[on_update], words[1], 0)  # fmt: skip


def _foreign_key_columns(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for number, _name, target, pairs, _on_delete, _on_update in model.foreign_keys(each):
            ours, theirs = model.columns(each), model.columns(target)
            for place, (column, other) in enumerate(pairs, 1):
                yield number, place, each.number, _place(ours, column), target.number, _place(theirs, other)


def _defaults(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        for one in model.columns(each):
            if one.default is not None:
                number = each.number * 1000 + one.number + (1 << 27)
                yield (f"DF_{each.name}_{one.name}", number, model.schema_number(each.schema), each.number, one.number,
                       f"({one.default.replace('tsql_', '')})")  # fmt: skip


def _modules(session: Session, model: Model) -> Iterable[Row]:
    return [(each.number, each.sql) for each in model.of_kind("V", "P", "FN", "TR") if each.sql]


def _parameters(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("P", "FN"):
        module = session.module(each.kept)
        definition = module[1] if module else ""
        outputs = output_parameters(definition)
        for place, (name, sql_type, default) in enumerate(declared_parameters(definition), 1):
            number = TYPES.get(sql_type.name, 231)
            precision, scale = digits(sql_type)
            yield (each.number, name, place, number, number, most_bytes(sql_type), precision, scale,
                int(name in outputs),
                   int(default is not None))  # fmt: skip


def _partitions(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U"):
        has_key = any(one.key for one in model.columns(each))
        yield each.number, int(has_key), 1, model.row_count(each), each.number


def _sessions(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        began = moment_text(datetime.datetime.fromtimestamp(each.began, datetime.UTC))
        yield (spid, began, each.login.host, each.login.application, each.login.user,
               "running" if each.running else "sleeping", each.database, 1, each.transactions)  # fmt: skip


def _requests(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        if each.running:
            yield spid, 0, "running", each.running, each.transactions


def _processes(session: Session, model: Model) -> Iterable[Row]:
    for spid, each in list(session.shared.sessions.items()):
        yield (
            spid,
            "running" if each.running else "sleeping",
            each.login.user,
            each.login.host,
            each.database,
            each.running,
        )


def _tables_of_standard(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        yield session.database, each.schema, each.name, "BASE TABLE" if each.kind == "U" else "VIEW"


def _columns_of_standard(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("U", "V"):
        for one in model.columns(each):
            precision, scale = digits(one.type)
            length = one.type.length if one.type.name in CHARACTERS | BINARIES else None
            yield (session.database, each.schema, each.name, one.name, one.number, one.default,
                   "YES" if one.nullable else "NO", one.type.name, length, precision or None, scale)  # fmt: skip


def _routines(session: Session, model: Model) -> Iterable[Row]:
    for each in model.of_kind("P", "FN"):
        yield session.database, each.schema, each.name, "PROCEDURE" if each.kind == "P" else "FUNCTION", each.sql


def _schemata(session: Session, model: Model) -> Iterable[Row]:
    return [(session.database, name, name) for name in model.schemas]


def _nothing(session: Session, model: Model) -> Iterable[Row]:
    return []


_OBJECT = ("name sysname, object_id int, schema_id int, type char(2), type_desc nvarchar(60), is_ms_shipped bit, "
           "create_date datetime, modify_date datetime, parent_object_id int, principal_id int")  # fmt: skip
VIEWS: dict[str, tuple[str, Callable[[Session, Model], Iterable[Row]]]] = {
    "sys.databases": ("name sysname, database_id int, state tinyint, state_desc nvarchar(60), collation_name sysname, "
                      "compatibility_level tinyint, is_read_only bit, create_date datetime, owner_sid int, "
                      "recovery_model_desc nvarchar(60), user_access tinyint", _databases),
    "sys.schemas": ("name sysname, schema_id int, principal_id int", _schemas),
    "sys.objects": (_OBJECT, _objects(("U", "V", "P", "FN", "TR"))),
    "sys.all_objects": (_OBJECT, _objects(("U", "V", "P", "FN", "TR"))),
    "sys.tables": (_OBJECT, _objects(("U",))),
    "sys.views": (_OBJECT, _objects(("V",))),
    "sys.all_views": (_OBJECT, _objects(("V",))),
    "sys.procedures": (_OBJECT, _objects(("P",))),
    "sys.triggers": ("name sysname, object_id int, parent_id int, is_disabled bit, is_instead_of_trigger bit",
    _nothing),
    "sys.trigger_events": ("object_id int, type_desc nvarchar(60)", _nothing),
    "sys.synonyms": (_OBJECT + ", base_object_name nvarchar(1035)", _nothing),
    "sys.sequences": (_OBJECT, _nothing),
    "sys.columns": ("object_id int, name sysname, column_id int, system_type_id tinyint, user_type_id int, "
                    "max_length smallint, precision tinyint, scale tinyint, collation_name sysname, is_nullable bit, "
                    "is_identity bit, is_computed bit, default_object_id int, is_hidden bit", _columns),
    "sys.all_columns": ("object_id int, name sysname, column_id int, system_type_id tinyint, user_type_id int, "
                        "max_length smallint, precision tinyint, scale tinyint, collation_name sysname, is_nullable "
                        "bit, "
                        "is_identity bit, is_computed bit, default_object_id int, is_hidden bit", _columns),
    "sys.types": ("name sysname, system_type_id tinyint, user_type_id int, schema_id int, max_length smallint, "
                  "precision tinyint, scale tinyint, is_nullable bit, is_user_defined bit", _types),
    "sys.indexes": ("object_id int, name sysname, index_id int, type tinyint, type_desc nvarchar(60), is_unique bit, "
                    "is_primary_key bit, is_unique_constraint bit, has_filter bit, filter_definition nvarchar(max), "
                    "is_hypothetical bit", _indexes),
    "sys.index_columns": ("object_id int, index_id int, index_column_id int, column_id int, key_ordinal tinyint, "
                          "is_descending_key bit, is_included_column bit", _index_columns),
    "sys.key_constraints": ("name sysname, object_id int, schema_id int, parent_object_id int, type char(2), "
                            "type_desc nvarchar(60), unique_index_id int", _key_constraints),
    "sys.check_constraints": ("name sysname, object_id int, schema_id int, parent_object_id int, "
                              "definition nvarchar(max), parent_column_id int", _nothing),
    "sys.default_constraints": ("name sysname, object_id int, schema_id int, parent_object_id int, parent_column_id "
                                "int, "
                                "definition nvarchar(max)", _defaults),
    "sys.foreign_keys": ("name sysname, object_id int, schema_id int, parent_object_id int, referenced_object_id int, "
                         "key_index_id int, delete_referential_action tinyint, delete_referential_action_desc "
                         "nvarchar(60), "
                         "update_referential_action tinyint, update_referential_action_desc nvarchar(60), "
                         "is_disabled bit",
                         _foreign_keys),
    "sys.foreign_key_columns": ("constraint_object_id int, constraint_column_id int, parent_object_id int, "
                                "parent_column_id int, referenced_object_id int, referenced_column_id int",
                                _foreign_key_columns),
    "sys.computed_columns": ("object_id int, column_id int, name sysname, definition nvarchar(max), is_persisted bit",
    _nothing),
    "sys.identity_columns": ("object_id int, column_id int, name sysname, seed_value bigint, increment_value bigint",
    _nothing),
    "sys.extended_properties": ("class tinyint, major_id int, minor_id int, name sysname, value sql_variant", _nothing),
    "sys.sql_modules": ("object_id int, definition nvarchar(max)", _modules),
    "sys.all_sql_modules": ("object_id int, definition nvarchar(max)", _modules),
    "sys.parameters": ("object_id int, name sysname, parameter_id int, system_type_id tinyint, user_type_id int, "
                       "max_length smallint, precision tinyint, scale tinyint, is_output bit, has_default_value bit",
                       _parameters),
    "sys.partitions": ("object_id int, index_id int, partition_number int, rows bigint, partition_id bigint",
    _partitions),
    "sys.dm_exec_sessions": ("session_id smallint, login_time datetime, host_name nvarchar(128), "
                             "program_name nvarchar(128), login_name nvarchar(128), status nvarchar(30), "
                             "database_name nvarchar(128), is_user_process bit, open_transaction_count int", _sessions),
    "sys.dm_exec_requests": ("session_id smallint, request_id int, status nvarchar(30), command nvarchar(4000), "
                             "open_transaction_count int", _requests),
    "sys.sysprocesses": ("spid smallint, status nvarchar(30), loginame nvarchar(128), hostname nvarchar(128), "
                         "dbname nvarchar(128), cmd nvarchar(4000)", _processes),
    "information_schema.tables": ("TABLE_CATALOG sysname, TABLE_SCHEMA sysname, TABLE_NAME sysname, TABLE_TYPE "
                                  "varchar(10)",
                                  _tables_of_standard),
    "information_schema.columns": ("TABLE_CATALOG sysname, TABLE_SCHEMA sysname, TABLE_NAME sysname, COLUMN_NAME "
                                   "sysname, "
                                   "ORDINAL_POSITION int, COLUMN_DEFAULT nvarchar(4000), IS_NULLABLE varchar(3), "
                                   "DATA_TYPE sysname, CHARACTER_MAXIMUM_LENGTH int, NUMERIC_PRECISION tinyint, "
                                   "NUMERIC_SCALE int", _columns_of_standard),
    "information_schema.routines": ("ROUTINE_CATALOG sysname, ROUTINE_SCHEMA sysname, ROUTINE_NAME sysname, "
                                    "ROUTINE_TYPE nvarchar(20), ROUTINE_DEFINITION nvarchar(4000)", _routines),
    "information_schema.schemata": ("CATALOG_NAME sysname, SCHEMA_NAME sysname, SCHEMA_OWNER sysname", _schemata),
}  # fmt: skip


def fill(session: Session, database: str, view: str) -> None:
    """Makes the view readable in the session's connection under its whole name. Raises SqlError where there is none."""
    if view not in VIEWS:
        raise SqlError(208, 16, f"Invalid object name '{view}'.", ends_batch=True)
    connection = session.connection
    if database:
        session.attach(database)
    declared, rows = VIEWS[view]
    name = quoted(f"{database}:{view}" if database else view)
    columns = []
    for part in declared.replace(", ", "\n").split("\n"):
        column, _space, kind = part.partition(" ")
        collated = " COLLATE NOCASE" if kind == "sysname" or "char" in kind else ""
        columns.append(f"{quoted(column)} {quoted(kind)}{collated}")
    connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
    connection.execute(f"CREATE TEMP TABLE {name} ({', '.join(columns)})")
    model = Model(connection, quoted(database) if database else "main")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO temp.{name} VALUES ({marks})", list(rows(session, model)))
