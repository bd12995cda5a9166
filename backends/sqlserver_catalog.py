"""The catalog of SQL Server, from the sys views of the open database.

Facts: Microsoft's documentation of the catalog views; `max_length` counts bytes, -1 is unlimited.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from .catalog_nodes import about, constraint_node, foreign_key_node, index_node, reference_node, top_node, trigger_node
from .dialect import SqlserverDialect, sqlserver_literal
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
from .sqlserver_definition import Part, create_table, type_name

DIALECT = SqlserverDialect()
SYSTEM = ("master", "model", "msdb", "tempdb")
SYSTEM_SCHEMAS = ("sys", "INFORMATION_SCHEMA", "guest")

_DATABASES = "select name from sys.databases where state = 0 order by name"
_SCHEMAS = """select s.name, case when s.name = schema_name() then 1 else 0 end from sys.schemas s
where s.name not like N'db[_]%' order by s.name"""
_COUNTS = """select o.type, count(*) from sys.objects o join sys.schemas s on s.schema_id = o.schema_id
where s.name = :schema group by o.type"""
_OBJECTS = """select o.name, o.object_id from sys.objects o join sys.schemas s on s.schema_id = o.schema_id
where s.name = :schema and o.type in (:types) order by o.name
offset :offset rows fetch next :limit rows only"""
_ROWS = """select p.object_id, sum(p.rows) from sys.partitions p join sys.objects o on o.object_id = p.object_id
join sys.schemas s on s.schema_id = o.schema_id
where s.name = :schema and p.index_id < 2 group by p.object_id"""
_PARAMETERS = """select o.object_id, p.name, t.name, p.max_length, p.precision, p.scale, p.is_output
from sys.parameters p join sys.objects o on o.object_id = p.object_id join sys.schemas s on s.schema_id = o.schema_id
join sys.types t on t.user_type_id = p.user_type_id
where s.name = :schema order by o.object_id, p.parameter_id"""
_NUMBER = """select o.object_id, o.type, o.create_date, o.modify_date from sys.objects o
join sys.schemas s on s.schema_id = o.schema_id where s.name = :schema and o.name = :name"""
_COLUMNS = """select c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable, c.is_identity, c.is_computed,
  d.definition, m.definition
from sys.columns c join sys.types t on t.user_type_id = c.user_type_id
left join sys.default_constraints d on d.object_id = c.default_object_id
left join sys.computed_columns m on m.object_id = c.object_id and m.column_id = c.column_id
where c.object_id = :number order by c.column_id"""
_INDEXES = """select i.name, i.type_desc, i.is_unique, i.is_primary_key, i.is_unique_constraint, c.name,
  k.is_included_column, k.is_descending_key, i.filter_definition
from sys.indexes i join sys.index_columns k on k.object_id = i.object_id and k.index_id = i.index_id
join sys.columns c on c.object_id = k.object_id and c.column_id = k.column_id
where i.object_id = :number and i.index_id > 0
order by i.index_id, k.is_included_column, k.key_ordinal, k.index_column_id"""
_CHECKS = "select name, definition from sys.check_constraints where parent_object_id = :number order by name"
_TRIGGERS = """select t.name, t.is_disabled, t.is_instead_of_trigger, e.type_desc
from sys.triggers t left join sys.trigger_events e on e.object_id = t.object_id where t.parent_id = :number order by
t.name"""
_KEYS = """select f.name, ps.name, p.name, pc.name, rs.name, r.name, rc.name, f.delete_referential_action_desc,
  f.update_referential_action_desc
from sys.foreign_keys f join sys.foreign_key_columns k on k.constraint_object_id = f.object_id
join sys.objects p on p.object_id = f.parent_object_id join sys.schemas ps on ps.schema_id = p.schema_id
join sys.objects r on r.object_id = f.referenced_object_id join sys.schemas rs on rs.schema_id = r.schema_id
join sys.columns pc on pc.object_id = k.parent_object_id and pc.column_id = k.parent_column_id
join sys.columns rc on rc.object_id = k.referenced_object_id and rc.column_id = k.referenced_column_id
where :condition order by ps.name, p.name, f.name, k.constraint_column_id"""
_MODULE = "select definition from sys.sql_modules where object_id = :number"
_ALL_TABLES = f"""select top ({MOST_TABLES + 1}) o.object_id, s.name, o.name, o.type
from sys.objects o join sys.schemas s on s.schema_id = o.schema_id where o.type in ('U', 'V') order by s.name, o.name"""  # noqa: S608
_ALL_COLUMNS = f"""select top ({MOST_COLUMNS + 1}) c.object_id, c.name, t.name, c.max_length, c.precision, c.scale
from sys.columns c join sys.objects o on o.object_id = c.object_id join sys.types t on t.user_type_id = c.user_type_id
where o.type in ('U', 'V') order by c.object_id, c.column_id"""  # noqa: S608
_ALL_ROUTINES = f"""select top ({MOST_FUNCTIONS + 1}) s.name, o.name, o.type
from sys.objects o join sys.schemas s on s.schema_id = o.schema_id
where o.type in ('P', 'FN', 'IF', 'TF', 'PC', 'FS', 'FT', 'AF') order by s.name, o.name"""  # noqa: S608

_GROUPS = {
    "tables": ("U",), "views": ("V",), "procedures": ("P", "PC", "X"), "functions": ("FN", "IF", "TF", "FS", "FT",
    "AF"),
    "sequences": ("SO",),
}  # fmt: skip
_KIND_OF = {"U": "table", "V": "view", "P": "procedure", "PC": "procedure", "AF": "aggregate"}


class SqlserverCatalog(Catalog):
    """Of the open database: its schemas are the top of the tree."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def limit_time(self, seconds: int) -> None:
        """SQL Server has no limit for statements; locks at least are not waited for longer."""
        self._query(f"set lock_timeout {seconds * 1000}")

    def databases(self) -> list[str]:
        return [name for (cell,) in self._query(_DATABASES) if (name := text_of(cell)).lower() not in SYSTEM]

    # -- the tree

    def page(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        if node is None:
            found = [(text_of(name), text_of(current) == "1") for name, current in self._query(_SCHEMAS)]
            found.sort(key=lambda each: (each[0] in SYSTEM_SCHEMAS, each[0]))
            shown = found[offset : offset + PAGE + 1]
            return _cut([top_node("schema", name, current=now, system=name in SYSTEM_SCHEMAS) for name, now in shown])
        if node.kind == "schema":
            return CatalogPage(self._groups(node.path[0]))
        if node.kind in _GROUPS:
            return self._objects(node, offset)
        table = TableName(*node.path[:2])
        if node.kind in RELATIONS:
            return CatalogPage([*self._column_nodes(table), *self._below(node.kind, table)])
        return CatalogPage(self._gathered(node.kind, table))

    def _groups(self, schema: str) -> list[CatalogNode]:
        counts: dict[str, int] = {}
        for kind, count in self._query(bound(_COUNTS, {"schema": sqlserver_literal(schema)})):
            group = next((name for name, kinds in _GROUPS.items() if text_of(kind).strip() in kinds), "")
            counts[group] = counts.get(group, 0) + number_of(count)
        return [CatalogNode(kind, kind, (schema,), count=counts[kind]) for kind in _GROUPS if counts.get(kind)]

    def _objects(self, node: CatalogNode, offset: int) -> CatalogPage:
        schema = node.path[0]
        values = {
            "schema": sqlserver_literal(schema), "types": ", ".join(f"'{one}'" for one in _GROUPS[node.kind]),
            "offset": str(offset), "limit": str(PAGE + 1),
        }  # fmt: skip
        found = [(text_of(name), text_of(number)) for name, number in self._query(bound(_OBJECTS, values))]
        kind = node.kind.removesuffix("s")
        details: dict[str, str] = {}
        if found and kind == "table":
            rows = self._query(bound(_ROWS, {"schema": sqlserver_literal(schema)}))
            details = {text_of(number): about(number_of(count)) for number, count in rows}
        elif found and kind in ("procedure", "function"):
            details = self._arguments(schema)
        bare = "()" if kind in ("procedure", "function") else ""
        leaf = kind not in ("table", "view")
        return _cut(
            [CatalogNode(kind, name, (schema, name), details.get(number, bare), leaf=leaf) for name, number in found]
        )

    def _arguments(self, schema: str) -> dict[str, str]:
        """Of routines by number."""
        found: dict[str, list[str]] = {}
        for number, name, kind, length, precision, scale, output in self._query(
            bound(_PARAMETERS, {"schema": sqlserver_literal(schema)})
        ):
            if text_of(name):
                way = " output" if text_of(output) == "1" else ""
                shown = type_name(text_of(kind), number_of(length), number_of(precision), number_of(scale))
                found.setdefault(text_of(number), []).append(f"{text_of(name)} {shown}{way}")
        return {number: f"({', '.join(parts)})" for number, parts in found.items()}

    def _number(self, table: TableName) -> tuple[str, str]:
        """The object_id and the type of an object. Raises DatabaseError where it is gone."""
        values = {"schema": sqlserver_literal(table.schema), "name": sqlserver_literal(table.name)}
        found = self._query(bound(_NUMBER, values))
        if not found:
            raise DatabaseError(GONE)
        return text_of(found[0][0]), text_of(found[0][1]).strip()

    def _parts(self, number: str) -> list[Part]:
        return [
            Part(
                text_of(name), type_name(text_of(kind), number_of(length), number_of(precision), number_of(scale)),
                text_of(nullable) == "1", text_of(default), text_of(identity) == "1", text_of(computed),
            )
            for name, kind, length, precision, scale, nullable, identity, _computed, default, computed in self._query(
                bound(_COLUMNS, {"number": number})
            )
        ]  # fmt: skip

    def _column_nodes(self, table: TableName) -> list[CatalogNode]:
        number, kind = self._number(table)
        targets: dict[str, TableName] = {}
        primary: set[str] = set()
        if kind == "U":
            for key in self._foreign_keys(f"f.parent_object_id = {number}"):
                for column in key.columns:
                    targets.setdefault(column, key.referenced)
            primary = {column for index in self._indexes(number) if index.primary for column in index.columns}
        nodes = []
        for part in self._parts(number):
            marks = ["pk"] if part.name in primary else []
            marks += ["fk"] if part.name in targets else []
            marks += ["not null"] if not part.nullable and part.name not in primary else []
            nodes.append(
                CatalogNode("column", part.name, (*table.path, part.name), part.type_name, leaf=True,
                    marks=tuple(marks),
                            target=targets.get(part.name))
            )  # fmt: skip
        return nodes

    def _below(self, kind: str, table: TableName) -> list[CatalogNode]:
        if kind == "view" or table.schema in SYSTEM_SCHEMAS:
            return []
        kinds = ("indexes", "keys", "foreign keys", "referenced by", "triggers")
        return [CatalogNode(group, group, table.path) for group in kinds]

    def _gathered(self, kind: str, table: TableName) -> list[CatalogNode]:
        number, _kind = self._number(table)
        if kind == "indexes":
            return [index_node(table, index) for index in self._indexes(number)]
        if kind == "keys":
            return [constraint_node(table, constraint) for constraint in self._constraints(number)]
        if kind == "triggers":
            return [trigger_node(table, trigger) for trigger in self._triggers(number)]
        if kind == "foreign keys":
            return [foreign_key_node(key) for key in self._foreign_keys(f"f.parent_object_id = {number}")]
        return [reference_node(key, table) for key in self._foreign_keys(f"f.referenced_object_id = {number}")]

    # -- a table

    def _indexes(self, number: str) -> list[Index]:
        found: dict[str, Index] = {}
        for name, kind, unique, primary, _constraint, column, included, descending, where in self._query(
            bound(_INDEXES, {"number": number})
        ):
            shown = text_of(column) + (" desc" if text_of(descending) == "1" else "")
            called = text_of(name)
            before = found.get(called)
            columns = before.columns if before is not None else ()
            if text_of(included) != "1":
                columns = (*columns, shown)
            found[called] = Index(called, columns, text_of(unique) == "1", text_of(primary) == "1",
                text_of(kind).lower(),
                                  text_of(where))  # fmt: skip
        return list(found.values())

    def _constraints(self, number: str) -> list[Constraint]:
        found = []
        keys: dict[str, tuple[str, list[str]]] = {}
        for name, _kind, _unique, primary, constraint, column, *_rest in self._query(
            bound(_INDEXES, {"number": number})
        ):
            if text_of(primary) == "1" or text_of(constraint) == "1":
                kind = "primary key" if text_of(primary) == "1" else "unique"
                keys.setdefault(text_of(name), (kind, []))[1].append(text_of(column))
        for called, (kind, columns) in keys.items():
            found.append(Constraint(called, kind, f"{kind} ({', '.join(columns)})"))
        for name, text in self._query(bound(_CHECKS, {"number": number})):
            found.append(Constraint(text_of(name), "check", f"check {text_of(text)}"))
        return found

    def _triggers(self, number: str) -> list[Trigger]:
        found: dict[str, tuple[str, bool, list[str]]] = {}
        for name, disabled, instead, event in self._query(bound(_TRIGGERS, {"number": number})):
            when = "INSTEAD OF" if text_of(instead) == "1" else "AFTER"
            found.setdefault(text_of(name), (when, text_of(disabled) != "1", []))[2].append(text_of(event))
        return [
            Trigger(name, f"{when} {' OR '.join(events)}", enabled) for name, (when, enabled, events) in found.items()
        ]

    def _foreign_keys(self, condition: str) -> list[ForeignKey]:
        found: dict[tuple[str, str, str], ForeignKey] = {}
        for name, schema, table, column, other_schema, other, other_column, on_delete, on_update in self._query(
            _KEYS.replace(":condition", condition)
        ):
            key = (text_of(schema), text_of(table), text_of(name))
            before = found.get(key)
            found[key] = ForeignKey(
                text_of(name), TableName(*key[:2]),
                (*(before.columns if before else ()), text_of(column)),
                TableName(text_of(other_schema), text_of(other)),
                (*(before.referenced_columns if before else ()), text_of(other_column)),
                _action(on_delete), _action(on_update),
            )  # fmt: skip
        return list(found.values())

    def describe(self, table: TableName) -> Description:
        number, kind = self._number(table)
        columns = tuple(
            TableColumn(part.name, part.type_name, part.nullable, part.default, part.extra)
            for part in self._parts(number)
        )
        if kind == "V":
            return Description(table, "view", columns)
        rows = self._query(f"select sum(rows) from sys.partitions where object_id = {number} and index_id < 2")  # noqa: S608
        facts = (("estimated rows", f"{number_of(rows[0][0]):,}"),) if rows and rows[0][0] else ()
        own, others = self.foreign_keys(table)
        return Description(
            table, "table", columns, tuple(self._indexes(number)), tuple(self._constraints(number)), tuple(own),
            tuple(others), tuple(self._triggers(number)), facts,
        )  # fmt: skip

    def definition(self, node: CatalogNode) -> Definition:
        table = node.table
        if node.kind in ("procedure", "function", "aggregate"):
            table = TableName(*node.path[:2])
        if node.kind == "trigger":
            table = TableName(node.path[0], node.path[2])
        if table is None:
            raise DatabaseError(NO_DEFINITION)
        number, kind = self._number(table)
        if kind != "U":
            found = self._query(bound(_MODULE, {"number": number}))
            text = text_of(found[0][0]) if found else ""
            if not text:
                raise DatabaseError(NOT_SHOWN)
            return Definition(text.rstrip() + "\n", ("privileges",))
        own = self._foreign_keys(f"f.parent_object_id = {number}")
        text = create_table(table, self._parts(number), self._indexes(number), self._constraints(number), own)
        left_out = ["privileges", "filegroups", "names of defaults"]
        if triggers := self._triggers(number):
            left_out.append(f"{len(triggers)} triggers")
        return Definition(text, tuple(left_out))

    def foreign_keys(self, table: TableName) -> tuple[list[ForeignKey], list[ForeignKey]]:
        number, _kind = self._number(table)
        own = self._foreign_keys(f"f.parent_object_id = {number}")
        return own, self._foreign_keys(f"f.referenced_object_id = {number}")

    def origins(self, origins: Sequence[Origin]) -> dict[Origin, tuple[TableName, str]]:
        """The driver does not say where a column of a result comes from."""
        return {}

    # -- all names

    def metadata(self) -> SchemaMetadata:
        gathering = Gathering()
        for number, schema, name, kind in self._query(_ALL_TABLES):
            gathering.table(text_of(number), text_of(schema), text_of(name), _KIND_OF[text_of(kind).strip()])
        for number, name, kind, length, precision, scale in self._query(_ALL_COLUMNS):
            shown = type_name(text_of(kind), number_of(length), number_of(precision), number_of(scale))
            gathering.column(text_of(number), text_of(name), shown)
        routines = self._query(_ALL_ROUTINES)
        if len(routines) > MOST_FUNCTIONS:
            gathering.cut("functions")
        gathering.functions = [
            FunctionMetadata(text_of(schema), text_of(name), _KIND_OF.get(text_of(kind).strip(), "function"))
            for schema, name, kind in routines[:MOST_FUNCTIONS]
        ]
        keys = self._foreign_keys("1 = 1")
        if len(keys) > MOST_FOREIGN_KEYS:
            gathering.cut("foreign keys")
        gathering.foreign_keys = keys[:MOST_FOREIGN_KEYS]
        schemas = [(text_of(name), text_of(current) == "1") for name, current in self._query(_SCHEMAS)]
        return gathering.metadata([name for name, _ in schemas], [name for name, current in schemas if current])


def _action(word: object) -> str:
    """What happens to the referencing rows; '' where it is what happens anyway."""
    text = text_of(word).lower().replace("_", " ")
    return "" if text == "no action" else text


def _cut(nodes: list[CatalogNode]) -> CatalogPage:
    return CatalogPage(nodes[:PAGE], len(nodes) > PAGE)
