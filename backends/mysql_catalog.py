"""The catalog of MySQL and MariaDB, from information_schema and SHOW CREATE.

MariaDB opens every table that a query of information_schema does not name by schema and name, so each query names what
it can, and what would open all of them is asked for only when somebody wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .catalog import (
    GONE,
    NO_DEFINITION,
    NOT_SHOWN,
    PAGE,
    RELATIONS,
    Catalog,
    CatalogNode,
    CatalogPage,
    Constraint,
    Definition,
    Description,
    ForeignKey,
    Index,
    Query,
    TableColumn,
    TableName,
    Trigger,
    bound,
    number_of,
    text_of,
)
from .catalog_nodes import constraint_node, foreign_key_node, index_node, reference_node, top_node, trigger_node
from .dialect import MysqlDialect, mysql_literal
from .interface import DatabaseError, Origin
from .metadata import (
    MOST_COLUMNS,
    MOST_FOREIGN_KEYS,
    MOST_FUNCTIONS,
    MOST_TABLES,
    FunctionMetadata,
    Gathering,
    SchemaMetadata,
)

DIALECT = MysqlDialect()
SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
_OWN = "('information_schema', 'mysql', 'performance_schema', 'sys')"

_DATABASES = f"""select schema_name, schema_name = database() from information_schema.schemata
order by schema_name in {_OWN}, schema_name"""  # noqa: S608

_COUNTS = """select table_type, count(*) from information_schema.tables where table_schema = :database group by 1
union all select routine_type, count(*) from information_schema.routines where routine_schema = :database group by 1
union all select 'EVENT', count(*) from information_schema.events where event_schema = :database"""

_TABLES = """select table_name, table_type from information_schema.tables
where table_schema = :database and table_type in (:types) order by table_name limit :limit offset :offset"""

_ROUTINES = """select routine_name, routine_type, dtd_identifier from information_schema.routines
where routine_schema = :database and routine_type = :type order by routine_name limit :limit offset :offset"""

_EVENTS = """select event_name, status from information_schema.events
where event_schema = :database order by event_name limit :limit offset :offset"""

_PARAMETERS = """select specific_schema, specific_name, routine_type, parameter_mode, parameter_name, dtd_identifier
from information_schema.parameters where :condition and ordinal_position > 0
order by specific_schema, specific_name, ordinal_position limit :limit"""

_COLUMNS = """select column_name, column_type, is_nullable, column_default, extra, column_comment, column_key,
  generation_expression
from information_schema.columns where table_schema = :database and table_name = :table order by ordinal_position"""

_INDEXES = """select index_name, non_unique, index_type, column_name, sub_part, :expression
from information_schema.statistics where table_schema = :database and table_name = :table
order by index_name <> 'PRIMARY', index_name, seq_in_index limit 2000"""

_KEYS = """select constraint_name, table_schema, table_name, column_name, referenced_table_schema,
  referenced_table_name, referenced_column_name
from information_schema.key_column_usage where :condition and referenced_table_name is not null
order by table_schema, table_name, constraint_name, ordinal_position limit :limit"""

_ACTIONS = """select constraint_name, delete_rule, update_rule from information_schema.referential_constraints
where constraint_schema = :database and table_name = :table"""

_CONSTRAINTS = """select constraint_name, constraint_type from information_schema.table_constraints
where table_schema = :database and table_name = :table and constraint_type <> 'FOREIGN KEY'
order by field(constraint_type, 'PRIMARY KEY', 'UNIQUE', 'CHECK'), constraint_name limit 2000"""

_CHECKS = """select constraint_name, check_clause from information_schema.check_constraints
where constraint_schema = :database :table_too limit 20000"""

_TRIGGERS = """select trigger_name, action_timing, event_manipulation from information_schema.triggers
where event_object_schema = :database and event_object_table = :table
order by action_timing, event_manipulation, action_order limit 2000"""

_FACTS = """select table_type, engine, table_collation, table_rows, table_comment, auto_increment, create_options
from information_schema.tables where table_schema = :database and table_name = :table"""

_ALL_TABLES = f"""select table_schema, table_name, table_type from information_schema.tables
where table_schema not in {_OWN} limit {MOST_TABLES + 1}"""  # noqa: S608

_ALL_COLUMNS = f"""select table_schema, table_name, column_name, column_type from information_schema.columns
where table_schema not in {_OWN} order by table_schema, table_name, ordinal_position
limit {MOST_COLUMNS + 1}"""  # noqa: S608

_ALL_ROUTINES = f"""select routine_schema, routine_name, routine_type, dtd_identifier from information_schema.routines
where routine_schema not in {_OWN} limit {MOST_FUNCTIONS + 1}"""  # noqa: S608

_KINDS = {
    "BASE TABLE": "table", "SYSTEM VERSIONED": "table", "TEMPORARY": "table", "VIEW": "view", "SYSTEM VIEW": "view",
    "SEQUENCE": "sequence",
}  # fmt: skip
_GROUP_OF = {
    "table": "tables", "view": "views", "sequence": "sequences", "FUNCTION": "functions", "PROCEDURE": "procedures",
    "EVENT": "events",
}  # fmt: skip


class MysqlCatalog(Catalog):
    """`version` as the server gives it: `9.7.0`, `10.11.6-MariaDB-…`."""

    def __init__(self, query: Query, version: str) -> None:
        self._query = query
        self._mariadb = "mariadb" in version.lower()
        plain = version.removeprefix("5.5.5-") if self._mariadb else version
        major = plain.partition(".")[0]
        self._major = int(major) if major.isdigit() else 8

    def limit_time(self, seconds: int) -> None:
        if self._mariadb:
            self._query(f"set session max_statement_time = {seconds}")
        else:
            self._query(f"set session max_execution_time = {seconds * 1000}")

    def databases(self) -> list[str]:
        return [name for name in self._names(_DATABASES) if name not in SYSTEM]

    # -- the tree

    def page(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        if node is None:
            found = [(text_of(name), current == "1") for name, current in self._query(_DATABASES)[offset:]]
            return _cut([top_node("database", name, current=current, system=name in SYSTEM) for name, current in found])
        if node.kind == "database":
            return CatalogPage(self._groups(node.path[0]))
        if node.kind in ("tables", "views", "sequences"):
            return self._relations(node, offset)
        if node.kind in ("functions", "procedures"):
            return self._routines(node, offset)
        if node.kind == "events":
            values = {"database": mysql_literal(node.path[0]), "limit": str(PAGE + 1), "offset": str(offset)}
            rows = self._query(bound(_EVENTS, values))
            return _cut(
                [
                    CatalogNode(
                        "event", text_of(name), (node.path[0], text_of(name)), text_of(state).lower(), leaf=True
                    )
                    for name, state in rows
                ]
            )
        table = TableName(*node.path[:2])
        if node.kind in RELATIONS:
            return CatalogPage([*self._column_nodes(table), *self._below(node.kind, table)])
        return CatalogPage(self._gathered(node.kind, table))

    def _groups(self, database: str) -> list[CatalogNode]:
        counts: dict[str, int] = {}
        for kind, count in self._query(bound(_COUNTS, {"database": mysql_literal(database)})):
            word = text_of(kind)
            group = _GROUP_OF.get(_KINDS.get(word, word), "tables")
            counts[group] = counts.get(group, 0) + number_of(count)
        order = ("tables", "views", "procedures", "functions", "sequences", "events")
        return [CatalogNode(kind, kind, (database,), count=counts[kind]) for kind in order if counts.get(kind)]

    def _relations(self, node: CatalogNode, offset: int) -> CatalogPage:
        kind = node.kind.removesuffix("s")
        types = ", ".join(f"'{word}'" for word, meant in _KINDS.items() if meant == kind)
        values = {
            "database": mysql_literal(node.path[0]),
            "types": types,
            "limit": str(PAGE + 1),
            "offset": str(offset),
        }
        nodes = []
        for name, word in self._query(bound(_TABLES, values)):
            path = (node.path[0], text_of(name))
            detail = "versioned" if word == "SYSTEM VERSIONED" else ""
            nodes.append(CatalogNode(kind, path[1], path, detail, leaf=kind == "sequence"))
        return _cut(nodes)

    def _routines(self, node: CatalogNode, offset: int) -> CatalogPage:
        kind = node.kind.removesuffix("s")
        values = {
            "database": mysql_literal(node.path[0]),
            "type": f"'{kind.upper()}'",
            "limit": str(PAGE + 1),
            "offset": str(offset),
        }
        rows = self._query(bound(_ROUTINES, values))
        arguments = self._arguments(f"specific_schema = {mysql_literal(node.path[0])}") if rows else {}
        nodes = []
        for name, word, result in rows:
            path = (node.path[0], text_of(name))
            detail = f"({arguments.get((*path, text_of(word)), '')})" + (f" → {text_of(result)}" if result else "")
            nodes.append(CatalogNode(kind, path[1], path, detail, leaf=True))
        return _cut(nodes)

    def _arguments(self, condition: str) -> dict[tuple[str, str, str], str]:
        """Of routines by schema, name and kind."""
        # Not through `bound`: the names in the condition may hold what looks like a parameter.
        query = _PARAMETERS.replace(":limit", str(MOST_FUNCTIONS)).replace(":condition", condition)
        found: dict[tuple[str, str, str], str] = {}
        for schema, routine, word, mode, name, type_name in self._query(query):
            key = (text_of(schema), text_of(routine), text_of(word))
            way = f"{text_of(mode).lower()} " if mode and mode != "IN" else ""
            one = f"{way}{text_of(name)} {text_of(type_name)}"
            found[key] = f"{found[key]}, {one}" if key in found else one
        return found

    def _column_nodes(self, table: TableName) -> list[CatalogNode]:
        targets: dict[str, TableName] = {}
        for key in self._foreign_keys(_of(table)):
            for column in key.columns:
                targets.setdefault(column, key.referenced)
        nodes = []
        for name, type_name, nullable, _default, _extra, _comment, key_word, _expression in self._query(
            bound(_COLUMNS, _named(table))
        ):
            called = text_of(name)
            marks = ["pk"] if key_word == "PRI" else []
            marks += ["fk"] if called in targets else []
            marks += ["not null"] if nullable == "NO" and key_word != "PRI" else []
            nodes.append(
                CatalogNode(
                    "column",
                    called,
                    (*table.path, called),
                    text_of(type_name),
                    leaf=True,
                    marks=tuple(marks),
                    target=targets.get(called),
                )
            )
        return nodes

    def _below(self, kind: str, table: TableName) -> list[CatalogNode]:
        if kind == "view" or table.schema in SYSTEM:
            return []
        # Counted only when they are opened: in MariaDB each count would open the table again.
        kinds = ("indexes", "keys", "foreign keys", "referenced by", "triggers")
        return [CatalogNode(group, group, table.path) for group in kinds]

    def _gathered(self, kind: str, table: TableName) -> list[CatalogNode]:
        if kind == "indexes":
            return [index_node(table, index) for index in self._indexes(table)]
        if kind == "keys":
            return [constraint_node(table, constraint) for constraint in self._constraints(table)]
        if kind == "triggers":
            return [trigger_node(table, trigger) for trigger in self._triggers(table)]
        if kind == "foreign keys":
            return [foreign_key_node(key) for key in self._foreign_keys(_of(table))]
        return [reference_node(key, table) for key in self._foreign_keys(_to(table))]

    # -- a table

    def describe(self, table: TableName) -> Description:
        found = self._query(bound(_FACTS, _named(table)))
        if not found:
            raise DatabaseError(GONE)
        word, engine, collation, rows, comment, next_number, options = found[0]
        kind = _KINDS.get(text_of(word), "table")
        facts = [("engine", text_of(engine)), ("collation", text_of(collation)), ("options", text_of(options))]
        if kind == "table" and rows:
            facts.append(("estimated rows", f"{number_of(rows):,}"))
        if next_number:
            facts.append(("next auto_increment", text_of(next_number)))
        columns = tuple(self._table_columns(table))
        if kind == "view":
            return Description(table, kind, columns)
        own, others = self.foreign_keys(table)
        return Description(
            table,
            kind,
            columns,
            tuple(self._indexes(table)),
            tuple(self._constraints(table)),
            tuple(own),
            tuple(others),
            tuple(self._triggers(table)),
            tuple(fact for fact in facts if fact[1]),
            text_of(comment),
        )

    def definition(self, node: CatalogNode) -> Definition:
        table = node.table
        what, path, place = node.kind, node.path, 1
        if node.kind == "trigger":
            path, place = (node.path[0], node.path[2]), 2
        elif node.kind in ("procedure", "function"):
            place = 2
        elif node.kind == "event":
            place = 3
        elif node.kind != "sequence":
            if table is None:
                raise DatabaseError(NO_DEFINITION)
            # SHOW CREATE TABLE answers for views too.
            what, path = "table", table.path
        rows = self._query(f"show create {what} {DIALECT.qualified(path)}")
        text = text_of(rows[0][place]) if rows and len(rows[0]) > place else ""
        if not text:
            raise DatabaseError(NOT_SHOWN)
        left_out = ["privileges"]
        if what == "table" and table is not None and node.kind in ("table", *RELATIONS) and self._triggers(table):
            left_out.append(f"{len(self._triggers(table))} triggers")
        return Definition(text.rstrip().removesuffix(";") + ";\n", tuple(left_out))

    def foreign_keys(self, table: TableName) -> tuple[list[ForeignKey], list[ForeignKey]]:
        own = self._foreign_keys(_of(table))
        if own:
            rules = {
                text_of(name): (_action(on_delete), _action(on_update))
                for name, on_delete, on_update in self._query(bound(_ACTIONS, _named(table)))
            }
            own = [
                replace(key, on_delete=rule[0], on_update=rule[1]) if (rule := rules.get(key.name)) else key
                for key in own
            ]
        return own, self._foreign_keys(_to(table))

    def origins(self, origins: Sequence[Origin]) -> dict[Origin, tuple[TableName, str]]:
        # The driver tells the names themselves.
        return {
            origin: (TableName(origin.schema, origin.table), origin.column)
            for origin in origins
            if origin.schema and origin.table and origin.column
        }

    def _table_columns(self, table: TableName) -> list[TableColumn]:
        columns = []
        for name, type_name, nullable, default, extra, comment, _key, expression in self._query(
            bound(_COLUMNS, _named(table))
        ):
            more = text_of(extra).lower().replace("default_generated", "").strip()
            if expression:
                more = f"{more} as ({text_of(expression)})"
            value = text_of(default)
            if value == "NULL":
                # MariaDB writes the default that every nullable column has anyway.
                value = ""
            columns.append(
                TableColumn(text_of(name), text_of(type_name), nullable == "YES", value, more, text_of(comment))
            )
        return columns

    def _indexes(self, table: TableName) -> list[Index]:
        expression = "expression" if not self._mariadb and self._major >= 8 else "null"
        gathered: dict[str, tuple[list[str], bool, str]] = {}
        for name, non_unique, method, column, part, formula in self._query(
            bound(_INDEXES, _named(table) | {"expression": expression})
        ):
            columns, _unique, _method = gathered.setdefault(
                text_of(name), ([], number_of(non_unique) == 0, text_of(method).lower())
            )
            what = text_of(column) or f"({text_of(formula)})"
            columns.append(f"{what}({text_of(part)})" if part else what)
        return [
            Index(name, tuple(columns), unique, name == "PRIMARY", method)
            for name, (columns, unique, method) in gathered.items()
        ]

    def _constraints(self, table: TableName) -> list[Constraint]:
        found = self._query(bound(_CONSTRAINTS, _named(table)))
        checks: dict[str, str] = {}
        if any(kind == "CHECK" for _name, kind in found):
            too = "and table_name = :table" if self._mariadb else ""
            query = bound(_CHECKS.replace(":table_too", too), _named(table))
            checks = {text_of(name): text_of(clause) for name, clause in self._query(query)}
        columns = {index.name: ", ".join(index.columns) for index in self._indexes(table)}
        constraints = []
        for name, kind in found:
            called, word = text_of(name), text_of(kind).lower()
            text = f"check ({checks.get(called, '')})" if word == "check" else f"{word} ({columns.get(called, '')})"
            constraints.append(Constraint(called, word, text))
        return constraints

    def _triggers(self, table: TableName) -> list[Trigger]:
        return [
            Trigger(text_of(name), f"{text_of(time)} {text_of(event)}".lower())
            for name, time, event in self._query(bound(_TRIGGERS, _named(table)))
        ]

    def _foreign_keys(self, condition: str, limit: int = PAGE) -> list[ForeignKey]:
        # Not through `bound`: the names in the condition may hold what looks like a parameter.
        query = _KEYS.replace(":limit", str(limit)).replace(":condition", condition)
        gathered: dict[tuple[str, str, str], tuple[TableName, list[str], list[str]]] = {}
        for row in self._query(query):
            name, schema, table, column, other_schema, other, other_column = (text_of(cell) for cell in row)
            _referenced, columns, others = gathered.setdefault(
                (schema, table, name), (TableName(other_schema, other), [], [])
            )
            columns.append(column)
            others.append(other_column)
        return [
            ForeignKey(name, TableName(schema, table), tuple(columns), referenced, tuple(others))
            for (schema, table, name), (referenced, columns, others) in gathered.items()
        ]

    # -- all names

    def metadata(self) -> SchemaMetadata:
        gathering = Gathering()
        for schema, name, word in self._query(_ALL_TABLES):
            if (kind := _KINDS.get(text_of(word), "table")) != "sequence":
                gathering.table((schema, name), text_of(schema), text_of(name), kind)
        for schema, name, column, type_name in self._query(_ALL_COLUMNS):
            gathering.column((schema, name), text_of(column), text_of(type_name))
        routines = self._query(_ALL_ROUTINES)
        arguments = self._arguments(f"specific_schema not in {_OWN}") if routines else {}
        for schema, name, word, result in routines[:MOST_FUNCTIONS]:
            key = (text_of(schema), text_of(name), text_of(word))
            gathering.functions.append(
                FunctionMetadata(key[0], key[1], key[2].lower(), arguments.get(key, ""), text_of(result))
            )
        if len(routines) > MOST_FUNCTIONS:
            gathering.cut("functions")
        keys = self._foreign_keys(f"table_schema not in {_OWN}", MOST_FOREIGN_KEYS + 1)
        if len(keys) > MOST_FOREIGN_KEYS:
            gathering.cut("foreign keys")
        gathering.foreign_keys = keys[:MOST_FOREIGN_KEYS]
        opened = [text_of(name) for (name,) in self._query("select database()") if name]
        return gathering.metadata(self._names(_DATABASES), opened)

    def _names(self, query: str) -> list[str]:
        return [text_of(row[0]) for row in self._query(query)]


def _named(table: TableName) -> dict[str, str]:
    return {"database": mysql_literal(table.schema), "table": mysql_literal(table.name)}


def _of(table: TableName) -> str:
    return f"table_schema = {mysql_literal(table.schema)} and table_name = {mysql_literal(table.name)}"


def _to(table: TableName) -> str:
    schema, name = mysql_literal(table.schema), mysql_literal(table.name)
    return f"referenced_table_schema = {schema} and referenced_table_name = {name}"


def _action(word: object) -> str:
    """What happens to the referencing rows; '' where it is what happens anyway."""
    text = text_of(word).lower()
    return "" if text in ("no action", "restrict") else text


def _cut(nodes: list[CatalogNode]) -> CatalogPage:
    return CatalogPage(nodes[:PAGE], len(nodes) > PAGE)
