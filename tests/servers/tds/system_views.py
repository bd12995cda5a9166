"""sys.* and INFORMATION_SCHEMA as clients and the workstation ask for them, filled for each statement that asks.

The columns are the ones that are asked for, with the meaning of SQL Server's documentation of each view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import view_rows
from .schema_model import Model
from .sql_errors import SqlError
from .state import Session
from .translation import quoted
from .view_rows import Row

_OBJECT = (
    "name sysname, object_id int, schema_id int, type char(2), type_desc nvarchar(60), is_ms_shipped bit, "
    "create_date datetime, modify_date datetime, parent_object_id int, principal_id int"
)
VIEWS: dict[str, tuple[str, Callable[[Session, Model], Iterable[Row]]]] = {
    "sys.databases": (
        "name sysname, database_id int, state tinyint, state_desc nvarchar(60), collation_name sysname, "
        "compatibility_level tinyint, is_read_only bit, create_date datetime, owner_sid int, "
        "recovery_model_desc nvarchar(60), user_access tinyint",
        view_rows.databases,
    ),
    "sys.schemas": ("name sysname, schema_id int, principal_id int", view_rows.schemas),
    "sys.objects": (_OBJECT, view_rows.objects(("U", "V", "P", "FN", "TR"))),
    "sys.all_objects": (_OBJECT, view_rows.objects(("U", "V", "P", "FN", "TR"))),
    "sys.tables": (_OBJECT, view_rows.objects(("U",))),
    "sys.views": (_OBJECT, view_rows.objects(("V",))),
    "sys.all_views": (_OBJECT, view_rows.objects(("V",))),
    "sys.procedures": (_OBJECT, view_rows.objects(("P",))),
    "sys.triggers": (
        "name sysname, object_id int, parent_id int, is_disabled bit, is_instead_of_trigger bit",
        view_rows.nothing,
    ),
    "sys.trigger_events": ("object_id int, type_desc nvarchar(60)", view_rows.nothing),
    "sys.synonyms": (_OBJECT + ", base_object_name nvarchar(1035)", view_rows.nothing),
    "sys.sequences": (_OBJECT, view_rows.nothing),
    "sys.columns": (
        "object_id int, name sysname, column_id int, system_type_id tinyint, user_type_id int, "
        "max_length smallint, precision tinyint, scale tinyint, collation_name sysname, is_nullable bit, "
        "is_identity bit, is_computed bit, default_object_id int, is_hidden bit",
        view_rows.columns,
    ),
    "sys.all_columns": (
        "object_id int, name sysname, column_id int, system_type_id tinyint, user_type_id int, "
        "max_length smallint, precision tinyint, scale tinyint, collation_name sysname, is_nullable "
        "bit, "
        "is_identity bit, is_computed bit, default_object_id int, is_hidden bit",
        view_rows.columns,
    ),
    "sys.types": (
        "name sysname, system_type_id tinyint, user_type_id int, schema_id int, max_length smallint, "
        "precision tinyint, scale tinyint, is_nullable bit, is_user_defined bit",
        view_rows.types,
    ),
    "sys.indexes": (
        "object_id int, name sysname, index_id int, type tinyint, type_desc nvarchar(60), is_unique bit, "
        "is_primary_key bit, is_unique_constraint bit, has_filter bit, filter_definition nvarchar(max), "
        "is_hypothetical bit",
        view_rows.indexes,
    ),
    "sys.index_columns": (
        "object_id int, index_id int, index_column_id int, column_id int, key_ordinal tinyint, "
        "is_descending_key bit, is_included_column bit",
        view_rows.index_columns,
    ),
    "sys.key_constraints": (
        "name sysname, object_id int, schema_id int, parent_object_id int, type char(2), "
        "type_desc nvarchar(60), unique_index_id int",
        view_rows.key_constraints,
    ),
    "sys.check_constraints": (
        "name sysname, object_id int, schema_id int, parent_object_id int, "
        "definition nvarchar(max), parent_column_id int",
        view_rows.nothing,
    ),
    "sys.default_constraints": (
        "name sysname, object_id int, schema_id int, parent_object_id int, parent_column_id "
        "int, "
        "definition nvarchar(max)",
        view_rows.defaults,
    ),
    "sys.foreign_keys": (
        "name sysname, object_id int, schema_id int, parent_object_id int, referenced_object_id int, "
        "key_index_id int, delete_referential_action tinyint, delete_referential_action_desc "
        "nvarchar(60), "
        "update_referential_action tinyint, update_referential_action_desc nvarchar(60), "
        "is_disabled bit",
        view_rows.foreign_keys,
    ),
    "sys.foreign_key_columns": (
        "constraint_object_id int, constraint_column_id int, parent_object_id int, "
        "parent_column_id int, referenced_object_id int, referenced_column_id int",
        view_rows.foreign_key_columns,
    ),
    "sys.computed_columns": (
        "object_id int, column_id int, name sysname, definition nvarchar(max), is_persisted bit",
        view_rows.nothing,
    ),
    "sys.identity_columns": (
        "object_id int, column_id int, name sysname, seed_value bigint, increment_value bigint",
        view_rows.nothing,
    ),
    "sys.extended_properties": (
        "class tinyint, major_id int, minor_id int, name sysname, value sql_variant",
        view_rows.nothing,
    ),
    "sys.sql_modules": ("object_id int, definition nvarchar(max)", view_rows.modules),
    "sys.all_sql_modules": ("object_id int, definition nvarchar(max)", view_rows.modules),
    "sys.parameters": (
        "object_id int, name sysname, parameter_id int, system_type_id tinyint, user_type_id int, "
        "max_length smallint, precision tinyint, scale tinyint, is_output bit, has_default_value bit",
        view_rows.parameters,
    ),
    "sys.partitions": (
        "object_id int, index_id int, partition_number int, rows bigint, partition_id bigint",
        view_rows.partitions,
    ),
    "sys.dm_exec_sessions": (
        "session_id smallint, login_time datetime, host_name nvarchar(128), "
        "program_name nvarchar(128), login_name nvarchar(128), status nvarchar(30), "
        "database_name nvarchar(128), is_user_process bit, open_transaction_count int",
        view_rows.sessions,
    ),
    "sys.dm_exec_requests": (
        "session_id smallint, request_id int, status nvarchar(30), command nvarchar(4000), open_transaction_count int",
        view_rows.requests,
    ),
    "sys.sysprocesses": (
        "spid smallint, status nvarchar(30), loginame nvarchar(128), hostname nvarchar(128), "
        "dbname nvarchar(128), cmd nvarchar(4000)",
        view_rows.processes,
    ),
    "information_schema.tables": (
        "TABLE_CATALOG sysname, TABLE_SCHEMA sysname, TABLE_NAME sysname, TABLE_TYPE varchar(10)",
        view_rows.tables_of_standard,
    ),
    "information_schema.columns": (
        "TABLE_CATALOG sysname, TABLE_SCHEMA sysname, TABLE_NAME sysname, COLUMN_NAME "
        "sysname, "
        "ORDINAL_POSITION int, COLUMN_DEFAULT nvarchar(4000), IS_NULLABLE varchar(3), "
        "DATA_TYPE sysname, CHARACTER_MAXIMUM_LENGTH int, NUMERIC_PRECISION tinyint, "
        "NUMERIC_SCALE int",
        view_rows.columns_of_standard,
    ),
    "information_schema.routines": (
        "ROUTINE_CATALOG sysname, ROUTINE_SCHEMA sysname, ROUTINE_NAME sysname, "
        "ROUTINE_TYPE nvarchar(20), ROUTINE_DEFINITION nvarchar(4000)",
        view_rows.routines,
    ),
    "information_schema.schemata": (
        "CATALOG_NAME sysname, SCHEMA_NAME sysname, SCHEMA_OWNER sysname",
        view_rows.schemata,
    ),
}


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
