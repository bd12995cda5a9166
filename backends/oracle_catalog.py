"""The catalog of Oracle, from the ALL_ views: what the account may see.

Facts: Oracle Database Reference, "Static Data Dictionary Views"; as of 11g, so no column is asked for that came later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

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
from .dialect import OracleDialect
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

DIALECT = OracleDialect()
SYSTEM = (
    "ANONYMOUS", "APPQOSSYS", "AUDSYS", "CTXSYS", "DBSFWUSER", "DBSNMP", "DGPDB_INT", "DIP", "DVF", "DVSYS", "EXFSYS",
    "GGSYS", "GSMADMIN_INTERNAL", "GSMCATUSER", "GSMROOTUSER", "GSMUSER", "LBACSYS", "MDDATA", "MDSYS", "MGMT_VIEW",
    "OJVMSYS", "OLAPSYS", "ORACLE_OCM", "ORDDATA", "ORDPLUGINS", "ORDSYS", "OUTLN", "OWBSYS", "REMOTE_SCHEDULER_AGENT",
    "SI_INFORMTN_SCHEMA", "SYS", "SYS$UMF", "SYSBACKUP", "SYSDG", "SYSKM", "SYSMAN", "SYSRAC", "SYSTEM", "VECSYS",
    "WMSYS", "XDB", "XS$NULL",
)  # fmt: skip
_OWN = f"owner not in ({', '.join(repr(name) for name in SYSTEM)})"

_SCHEMAS = """select username, case when username = sys_context('userenv', 'current_schema') then 1 else 0 end
from all_users order by username"""
_COUNTS = """select object_type, count(*) from all_objects
where owner = :schema and object_name not like 'BIN$%' group by object_type"""
_OBJECTS = """select object_name, status from (
  select object_name, status, row_number() over (order by object_name) place from all_objects o
  where owner = :schema and object_type = :type and object_name not like 'BIN$%'
  and (object_type <> 'TABLE' or not exists
    (select 1 from all_mviews m where m.owner = o.owner and m.mview_name = o.object_name))
) where place > :offset and place <= :last order by place"""
_ROWS = "select table_name, num_rows from all_tables where owner = :schema"
_SYNONYMS = "select synonym_name, table_owner, table_name, db_link from all_synonyms where owner = :schema"
_ARGUMENTS = """select object_name, argument_name, data_type, in_out, position from all_arguments
where owner = :schema and package_name is null and data_level = 0 order by object_name, sequence"""
_KIND = """select object_type from all_objects
where owner = :schema and object_name = :name and object_type in ('TABLE', 'VIEW', 'MATERIALIZED VIEW')"""
_COLUMNS = """select c.column_name, c.data_type, c.data_length, c.data_precision, c.data_scale, c.char_length,
  c.nullable, m.comments, c.data_default
from all_tab_columns c left join all_col_comments m
  on m.owner = c.owner and m.table_name = c.table_name and m.column_name = c.column_name
where c.owner = :schema and c.table_name = :name order by c.column_id"""
_COMMENT = "select comments from all_tab_comments where owner = :schema and table_name = :name"
_INDEXES = """select i.index_name, i.uniqueness, i.index_type, c.column_name, c.descend, p.constraint_name
from all_indexes i join all_ind_columns c on c.index_owner = i.owner and c.index_name = i.index_name
left join all_constraints p
  on p.owner = i.table_owner and p.table_name = i.table_name and p.index_name = i.index_name and p.constraint_type = 'P'
where i.table_owner = :schema and i.table_name = :name order by i.index_name, c.column_position"""
_CONSTRAINTS = """select c.constraint_name, c.constraint_type, k.column_name, c.search_condition
from all_constraints c
left join all_cons_columns k on k.owner = c.owner and k.constraint_name = c.constraint_name
where c.owner = :schema and c.table_name = :name and c.constraint_type in ('P', 'U', 'C')
order by c.constraint_name, k.position"""
_TRIGGERS = """select trigger_name, trigger_type, triggering_event, status from all_triggers
where table_owner = :schema and table_name = :name order by trigger_name"""
_KEYS = """select c.constraint_name, c.owner, c.table_name, k.column_name, r.owner, r.table_name, rk.column_name,
  c.delete_rule
from all_constraints c
join all_cons_columns k on k.owner = c.owner and k.constraint_name = c.constraint_name
join all_constraints r on r.owner = c.r_owner and r.constraint_name = c.r_constraint_name
join all_cons_columns rk
  on rk.owner = r.owner and rk.constraint_name = r.constraint_name and rk.position = k.position
where c.constraint_type = 'R' and :condition order by c.owner, c.table_name, c.constraint_name, k.position"""
_SOURCE = """select type, text from all_source
where owner = :schema and name = :name and type in (:types) order by type, line"""
_DDL = "select dbms_metadata.get_ddl(:type, :name, :schema) from dual"
_ALL_TABLES = f"""select owner, object_name, object_type from (
  select owner, object_name, object_type, row_number() over (order by owner, object_name, object_type) place
  from all_objects where object_type in ('TABLE', 'VIEW', 'MATERIALIZED VIEW')
  and object_name not like 'BIN$%' and {_OWN}
) where place <= {MOST_TABLES + 1} order by place"""  # noqa: S608
_ALL_COLUMNS = f"""select owner, table_name, column_name, data_type, data_length, data_precision, data_scale,
  char_length from (
  select owner, table_name, column_name, data_type, data_length, data_precision, data_scale, char_length,
    row_number() over (order by owner, table_name, column_id) place
  from all_tab_columns where {_OWN}
) where place <= {MOST_COLUMNS + 1} order by place"""  # noqa: S608
_ALL_ROUTINES = f"""select owner, object_name, object_type from (
  select owner, object_name, object_type, row_number() over (order by owner, object_name) place
  from all_objects where object_type in ('PROCEDURE', 'FUNCTION', 'PACKAGE') and {_OWN}
) where place <= {MOST_FUNCTIONS + 1} order by place"""  # noqa: S608

_GROUPS = {
    "tables": "TABLE", "views": "VIEW", "materialized views": "MATERIALIZED VIEW", "packages": "PACKAGE",
    "procedures": "PROCEDURE", "functions": "FUNCTION", "sequences": "SEQUENCE", "synonyms": "SYNONYM",
}  # fmt: skip
_BELOW = ("indexes", "keys", "foreign keys", "referenced by", "triggers")
_FROM_SOURCE = {
    "procedure": "'PROCEDURE'", "function": "'FUNCTION'", "package": "'PACKAGE', 'PACKAGE BODY'",
    "trigger": "'TRIGGER'",
}  # fmt: skip
_SIZED = {"VARCHAR2", "NVARCHAR2", "CHAR", "NCHAR"}
_ONLY_NOT_NULL = re.compile(r'"[^"]*" IS NOT NULL')


def type_name(name: str, length: int, precision: str, scale: str, characters: int) -> str:
    """A type as a statement writes it. `length` in bytes; `precision` and `scale` are '' where there is none."""
    if name in _SIZED:
        return f"{name}({characters or length})"
    if name == "RAW":
        return f"RAW({length})"
    if name == "NUMBER" and precision:
        return f"NUMBER({precision},{scale})" if scale not in ("", "0") else f"NUMBER({precision})"
    return name


class OracleCatalog(Catalog):
    """Of the database that is open: its schemas are the top of the tree."""

    def __init__(self, query: Query, limit: Callable[[int], None]) -> None:
        self._query, self._limit = query, limit

    def limit_time(self, seconds: int) -> None:
        self._limit(seconds)

    def databases(self) -> list[str]:
        """A connection is to one service; there is no other to open from it."""
        return []

    def _ask(self, query: str, table: TableName) -> list[tuple[str, ...]]:
        values = {"schema": DIALECT.text(table.schema), "name": DIALECT.text(table.name)}
        return [tuple(text_of(cell) for cell in row) for row in self._query(bound(query, values))]

    # -- the tree

    def page(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        if node is None:
            found = [(text_of(name), text_of(current) == "1") for name, current in self._query(_SCHEMAS)]
            found.sort(key=lambda each: (each[0] in SYSTEM, not each[1], each[0]))
            shown = found[offset : offset + PAGE + 1]
            return _cut([top_node("schema", name, current=now, system=name in SYSTEM) for name, now in shown])
        if node.kind == "schema":
            return CatalogPage(self._groups(node.path[0]))
        if node.kind in _GROUPS:
            return self._objects(node, offset)
        table = TableName(*node.path[:2])
        if node.kind in RELATIONS:
            below = [] if node.kind == "view" else [CatalogNode(group, group, table.path) for group in _BELOW]
            return CatalogPage([*self._column_nodes(table), *below])
        return CatalogPage(self._gathered(node.kind, table))

    def _groups(self, schema: str) -> list[CatalogNode]:
        counts = {text_of(kind): number_of(count) for kind, count in self._query(
            bound(_COUNTS, {"schema": DIALECT.text(schema)}))}  # fmt: skip
        # A materialized view is also a table.
        counts["TABLE"] = counts.get("TABLE", 0) - counts.get("MATERIALIZED VIEW", 0)
        return [
            CatalogNode(group, group, (schema,), count=counts[kind])
            for group, kind in _GROUPS.items()
            if counts.get(kind, 0) > 0
        ]

    def _objects(self, node: CatalogNode, offset: int) -> CatalogPage:
        schema = node.path[0]
        values = {
            "schema": DIALECT.text(schema), "type": f"'{_GROUPS[node.kind]}'", "offset": str(offset),
            "last": str(offset + PAGE + 1),
        }  # fmt: skip
        found = [(text_of(name), text_of(status)) for name, status in self._query(bound(_OBJECTS, values))]
        kind = node.kind.removesuffix("s")
        details = self._details(kind, schema) if found else {}
        bare = "()" if kind in ("procedure", "function") else ""
        nodes = []
        for name, status in found:
            detail = details.get(name, bare)
            if status == "INVALID":
                detail = f"{detail} (invalid)".strip()
            nodes.append(CatalogNode(kind, name, (schema, name), detail, leaf=kind not in RELATIONS))
        return _cut(nodes)

    def _details(self, kind: str, schema: str) -> dict[str, str]:
        """What stands behind the names of a group."""
        table = TableName(schema, "")
        if kind == "table":
            return {name: about(number_of(rows)) for name, rows in self._ask(_ROWS, table) if rows}
        if kind == "synonym":
            return {
                name: f"→ {owner}.{target}" + (f"@{link}" if link else "")
                for name, owner, target, link in self._ask(_SYNONYMS, table)
            }
        if kind not in ("procedure", "function"):
            return {}
        found: dict[str, list[str]] = {}
        results: dict[str, str] = {}
        for routine, name, data_type, way, position in self._ask(_ARGUMENTS, table):
            if position == "0":
                results[routine] = f" return {data_type}"
            elif name:
                shown = "" if way == "IN" else f" {way.lower().replace('/', ' ')}"
                found.setdefault(routine, []).append(f"{name}{shown} {data_type}")
        return {
            name: f"({', '.join(found.get(name, []))}){results.get(name, '')}" for name in {**found, **results}
        }  # fmt: skip

    def _column_nodes(self, table: TableName) -> list[CatalogNode]:
        columns = self._columns(table)
        if not columns:
            raise DatabaseError(GONE)
        targets: dict[str, TableName] = {}
        for key in self._own_keys(table):
            for column in key.columns:
                targets.setdefault(column, key.referenced)
        primary = {column for index in self._indexes(table) if index.primary for column in index.columns}
        nodes = []
        for part in columns:
            marks = ["pk"] if part.name in primary else []
            marks += ["fk"] if part.name in targets else []
            marks += ["not null"] if not part.nullable and part.name not in primary else []
            nodes.append(
                CatalogNode(
                    "column", part.name, (*table.path, part.name), part.type_name, leaf=True, marks=tuple(marks),
                    target=targets.get(part.name),
                )
            )  # fmt: skip
        return nodes

    def _gathered(self, kind: str, table: TableName) -> list[CatalogNode]:
        if kind == "indexes":
            return [index_node(table, index) for index in self._indexes(table)]
        if kind == "keys":
            return [constraint_node(table, constraint) for constraint in self._constraints(table)]
        if kind == "triggers":
            return [trigger_node(table, trigger) for trigger in self._triggers(table)]
        if kind == "foreign keys":
            return [foreign_key_node(key) for key in self._own_keys(table)]
        return [reference_node(key, table) for key in self._others_keys(table)]

    # -- a table

    def _columns(self, table: TableName) -> list[TableColumn]:
        return [
            TableColumn(
                name, type_name(kind, number_of(length), precision, scale, number_of(characters)), nullable == "Y",
                default.strip(), comment=comment,
            )
            for name, kind, length, precision, scale, characters, nullable, comment, default in self._ask(
                _COLUMNS, table
            )
        ]  # fmt: skip

    def _indexes(self, table: TableName) -> list[Index]:
        found: dict[str, Index] = {}
        for name, uniqueness, kind, column, descend, primary in self._ask(_INDEXES, table):
            before = found.get(name)
            shown = column + (" desc" if descend == "DESC" else "")
            columns = (*(before.columns if before is not None else ()), shown)
            method = "btree" if kind == "NORMAL" else kind.lower()
            found[name] = Index(name, columns, uniqueness == "UNIQUE", bool(primary), method)
        return list(found.values())

    def _constraints(self, table: TableName) -> list[Constraint]:
        keys: dict[str, tuple[str, list[str]]] = {}
        found: dict[str, Constraint] = {}
        for name, kind, column, condition in self._ask(_CONSTRAINTS, table):
            if kind == "C":
                if not _ONLY_NOT_NULL.fullmatch(condition.strip()):
                    found[name] = Constraint(name, "check", f"check ({condition})")
            else:
                words = "primary key" if kind == "P" else "unique"
                keys.setdefault(name, (words, []))[1].append(column)
        named = [Constraint(name, kind, f"{kind} ({', '.join(columns)})") for name, (kind, columns) in keys.items()]
        return [*named, *found.values()]

    def _triggers(self, table: TableName) -> list[Trigger]:
        return [
            Trigger(name, f"{kind} {event}", status != "DISABLED")
            for name, kind, event, status in self._ask(_TRIGGERS, table)
        ]

    def _own_keys(self, table: TableName) -> list[ForeignKey]:
        return self._foreign_keys("c.owner = :schema and c.table_name = :name", table)

    def _others_keys(self, table: TableName) -> list[ForeignKey]:
        return self._foreign_keys("r.owner = :schema and r.table_name = :name", table)

    def _foreign_keys(self, condition: str, table: TableName) -> list[ForeignKey]:
        found: dict[tuple[str, str, str], ForeignKey] = {}
        for name, schema, own, column, other_schema, other, other_column, on_delete in self._ask(
            _KEYS.replace(":condition", condition), table
        ):
            before = found.get((schema, own, name))
            found[schema, own, name] = ForeignKey(
                name, TableName(schema, own), (*(before.columns if before else ()), column),
                TableName(other_schema, other), (*(before.referenced_columns if before else ()), other_column),
                "" if on_delete == "NO ACTION" else on_delete.lower(),
            )  # fmt: skip
        return list(found.values())

    def describe(self, table: TableName) -> Description:
        kinds = [kind for (kind,) in self._ask(_KIND, table)]
        if not kinds:
            raise DatabaseError(GONE)
        kind = next((one for one in kinds if one != "TABLE"), "TABLE").lower()
        columns = tuple(self._columns(table))
        comment = next((said for (said,) in self._ask(_COMMENT, table)), "")
        if kind == "view":
            return Description(table, kind, columns, comment=comment)
        rows = [count for name, count in self._ask(_ROWS, table) if name == table.name and count]
        facts = (("estimated rows", f"{number_of(rows[0]):,}"),) if rows else ()
        own, others = self.foreign_keys(table)
        return Description(
            table, kind, columns, tuple(self._indexes(table)), tuple(self._constraints(table)), tuple(own),
            tuple(others), tuple(self._triggers(table)), facts, comment,
        )  # fmt: skip

    def definition(self, node: CatalogNode) -> Definition:
        if node.kind in _FROM_SOURCE:
            path = (node.path[0], node.path[-1]) if node.kind == "trigger" else node.path[:2]
            return self._source(TableName(*path), _FROM_SOURCE[node.kind])
        thing, kind = node.table, node.kind
        if kind in ("sequence", "synonym"):
            thing = TableName(*node.path[:2])
        elif thing is not None and kind not in RELATIONS:
            found = [one for (one,) in self._ask(_KIND, thing)]
            kind = next((one for one in found if one != "TABLE"), "TABLE").lower()
        if thing is None or kind == "synonyms":
            raise DatabaseError(NO_DEFINITION)
        words = DIALECT.text(kind.upper().replace(" ", "_"))
        found_ddl = self._ask(_DDL.replace(":type", words), thing)
        text = found_ddl[0][0].strip() if found_ddl else ""
        if not text:
            raise DatabaseError(NOT_SHOWN)
        left_out = ("privileges", "indexes", "triggers", "comments") if kind == "table" else ("privileges",)
        return Definition(text + (";\n" if not text.endswith(";") else "\n"), left_out)

    def _source(self, thing: TableName, types: str) -> Definition:
        parts: dict[str, str] = {}
        for part, line in self._ask(_SOURCE.replace(":types", types), thing):
            parts[part] = parts.get(part, "") + line
        if not parts:
            raise DatabaseError(NOT_SHOWN)
        text = "".join(f"create or replace {each.rstrip()}\n/\n" for each in parts.values())
        return Definition(text, ("privileges",))

    def foreign_keys(self, table: TableName) -> tuple[list[ForeignKey], list[ForeignKey]]:
        return self._own_keys(table), self._others_keys(table)

    def origins(self, origins: Sequence[Origin]) -> dict[Origin, tuple[TableName, str]]:
        """The driver does not say where a column of a result comes from."""
        return {}

    # -- all names

    def metadata(self) -> SchemaMetadata:
        gathering = Gathering()
        seen: dict[tuple[str, str], str] = {}
        for schema, name, kind in self._query(_ALL_TABLES):
            # A materialized view is also a table; its own kind comes first.
            seen.setdefault((text_of(schema), text_of(name)), text_of(kind).lower())
        for (owner, name_of_it), kind_of_it in seen.items():
            gathering.table(f"{owner}.{name_of_it}", owner, name_of_it, kind_of_it)
        for schema, table, column, kind, length, precision, scale, characters in self._query(_ALL_COLUMNS):
            shown = type_name(
                text_of(kind), number_of(length), text_of(precision), text_of(scale), number_of(characters)
            )
            gathering.column(f"{text_of(schema)}.{text_of(table)}", text_of(column), shown)
        routines = self._query(_ALL_ROUTINES)
        if len(routines) > MOST_FUNCTIONS:
            gathering.cut("functions")
        gathering.functions = [
            FunctionMetadata(text_of(schema), text_of(name), text_of(kind).lower())
            for schema, name, kind in routines[:MOST_FUNCTIONS]
        ]
        keys = self._foreign_keys(f"c.{_OWN}", TableName("", ""))
        if len(keys) > MOST_FOREIGN_KEYS:
            gathering.cut("foreign keys")
        gathering.foreign_keys = keys[:MOST_FOREIGN_KEYS]
        schemas = [(text_of(name), text_of(current) == "1") for name, current in self._query(_SCHEMAS)]
        return gathering.metadata([name for name, _ in schemas], [name for name, current in schemas if current])


def _cut(nodes: list[CatalogNode]) -> CatalogPage:
    return CatalogPage(nodes[:PAGE], len(nodes) > PAGE)
