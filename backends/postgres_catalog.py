"""The catalog of PostgreSQL 11 and later.

From pg_catalog and not information_schema, which is slow on large catalogs and hides what one has no right to.
Every query names pg_catalog, so that nobody's search_path or own function of that name changes what it means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from . import postgres_definition as definitions
from .catalog import (
    GONE,
    NO_DEFINITION,
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
from .dialect import postgres_literal
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

SYSTEM = ("pg_catalog", "information_schema")

_RELATION_KINDS = {
    "r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence",
}  # fmt: skip
_ROUTINE_KINDS = {"f": "function", "p": "procedure", "a": "aggregate", "w": "window"}
_ACTIONS = {"a": "", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
_CONSTRAINTS = {"p": "primary key", "u": "unique", "c": "check", "x": "exclude"}

_SCHEMAS = """select nspname, nspname = pg_catalog.current_schema() from pg_catalog.pg_namespace
where nspname !~ '^pg_(toast|temp_|toast_temp_)' and pg_catalog.has_schema_privilege(oid, 'USAGE')
order by nspname in ('pg_catalog', 'information_schema'), 2 desc nulls last, nspname = 'public' desc, nspname"""

_DATABASES = """select datname from pg_catalog.pg_database
where datallowconn and not datistemplate and pg_catalog.has_database_privilege(oid, 'CONNECT')
order by datname = 'postgres', datname"""

_COUNTS = """select c.relkind::text, pg_catalog.count(*)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relkind in ('r', 'p', 'f', 'v', 'm', 'S') and not c.relispartition group by 1
union all select 'routine', pg_catalog.count(*)
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = :schema"""

_RELATIONS = """select c.relname, c.relkind::text, c.reltuples::int8
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relkind in (:kinds) and not c.relispartition
order by c.relname limit :limit offset :offset"""

_ROUTINES = """select p.proname, p.prokind::text, pg_catalog.pg_get_function_identity_arguments(p.oid),
  pg_catalog.pg_get_function_result(p.oid)
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = :schema order by p.proname, 3 limit :limit offset :offset"""

_OID = """(select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :relation)"""

_COLUMNS = f"""select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
  pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, :generated,
  pg_catalog.col_description(a.attrelid, a.attnum),
  exists (select from pg_catalog.pg_index i
          where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey)),
  (select pg_catalog.json_build_array(n.nspname, f.relname) from pg_catalog.pg_constraint k
   join pg_catalog.pg_class f on f.oid = k.confrelid join pg_catalog.pg_namespace n on n.oid = f.relnamespace
   where k.conrelid = a.attrelid and k.contype = 'f' and a.attnum = any (k.conkey)
   order by pg_catalog.cardinality(k.conkey), k.oid limit 1)
from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = {_OID} and a.attnum > 0 and not a.attisdropped
order by a.attnum"""  # noqa: S608

_BELOW_TABLE = f"""select
  (select pg_catalog.count(*) from pg_catalog.pg_index where indrelid = t.oid),
  (select pg_catalog.count(*) from pg_catalog.pg_constraint
   where conrelid = t.oid and contype in ('p', 'u', 'c', 'x')),
  (select pg_catalog.count(*) from pg_catalog.pg_constraint where conrelid = t.oid and contype = 'f'),
  (select pg_catalog.count(*) from pg_catalog.pg_constraint
   where confrelid = t.oid and contype = 'f' and conparentid = 0),
  (select pg_catalog.count(*) from pg_catalog.pg_trigger where tgrelid = t.oid and not tgisinternal),
  (select pg_catalog.count(*) from pg_catalog.pg_inherits where inhparent = t.oid)
from (select {_OID} as oid) t"""  # noqa: S608

_FOREIGN_KEYS = """select k.conname, tn.nspname, t.relname, fn.nspname, f.relname, k.confdeltype::text,
  k.confupdtype::text,
  (select pg_catalog.json_agg(a.attname order by u.n) from pg_catalog.unnest(k.conkey) with ordinality u (num, n)
   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num),
  (select pg_catalog.json_agg(a.attname order by u.n) from pg_catalog.unnest(k.confkey) with ordinality u (num, n)
   join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num)
from pg_catalog.pg_constraint k
join pg_catalog.pg_class t on t.oid = k.conrelid join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
join pg_catalog.pg_class f on f.oid = k.confrelid join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
where k.contype = 'f' and :condition order by tn.nspname, t.relname, k.conname limit :limit"""

_INDEXES = f"""select c.relname, i.indisunique, i.indisprimary, m.amname, pg_catalog.pg_get_expr(i.indpred, i.indrelid),
  (select pg_catalog.json_agg(pg_catalog.pg_get_indexdef(i.indexrelid, n, true) order by n)
   from pg_catalog.generate_series(1, i.indnkeyatts) n)
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
where i.indrelid = {_OID} order by not i.indisprimary, c.relname limit {PAGE}"""  # noqa: S608

_CONSTRAINT_TEXTS = f"""select conname, contype::text, pg_catalog.pg_get_constraintdef(oid, true)
from pg_catalog.pg_constraint where conrelid = {_OID} and contype in ('p', 'u', 'c', 'x')
order by pg_catalog.strpos('puxc', contype::text), conname limit {PAGE}"""  # noqa: S608

_TRIGGERS = f"""select tgname, tgtype::int4, tgenabled::text from pg_catalog.pg_trigger
where tgrelid = {_OID} and not tgisinternal order by tgname limit {PAGE}"""  # noqa: S608

_PARTITIONS = f"""select n.nspname, c.relname, c.relkind::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
from pg_catalog.pg_inherits h join pg_catalog.pg_class c on c.oid = h.inhrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where h.inhparent = {_OID} order by c.relname limit :limit offset :offset"""  # noqa: S608

_FACTS = f"""select c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner), c.reltuples::int8,
  pg_catalog.obj_description(c.oid, 'pg_class'), pg_catalog.pg_get_partkeydef(c.oid)
from pg_catalog.pg_class c where c.oid = {_OID}"""  # noqa: S608

_ORIGINS = """select c.oid, a.attnum, n.nspname, c.relname, a.attname
from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where (c.oid, a.attnum) in (:pairs) and a.attnum > 0 and not a.attisdropped"""

_ALL_TABLES = """select c.oid, n.nspname, c.relname, c.relkind::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
order by n.nspname in ('pg_catalog', 'information_schema'), c.oid limit :limit"""

_ALL_COLUMNS = """select a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
  and a.attnum > 0 and not a.attisdropped
order by n.nspname in ('pg_catalog', 'information_schema'), a.attrelid, a.attnum limit :limit"""

_ALL_ROUTINES = """select n.nspname, p.proname, p.prokind::text,
  case when n.nspname = 'pg_catalog' then '' else pg_catalog.pg_get_function_identity_arguments(p.oid) end,
  case when n.nspname = 'pg_catalog' then '' else pg_catalog.pg_get_function_result(p.oid) end
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname <> 'information_schema' and p.prorettype not in (
  'pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype,
  'pg_catalog.internal'::pg_catalog.regtype)
order by n.nspname = 'pg_catalog', n.nspname, p.proname limit :limit"""


class PostgresCatalog(Catalog):
    """`version` is the server's, as a number like 180001."""

    def __init__(self, query: Query, version: int) -> None:
        self._query, self._version = query, version

    def limit_time(self, seconds: int) -> None:
        self._query(f"set statement_timeout = {seconds * 1000}")

    def databases(self) -> list[str]:
        return [text_of(name) for (name,) in self._query(_DATABASES)]

    # -- the tree

    def page(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        if node is None:
            found = [(text_of(name), current == "t") for name, current in self._query(_SCHEMAS)[offset:]]
            return _cut([top_node("schema", name, current=current, system=name in SYSTEM) for name, current in found])
        if node.kind == "schema":
            return CatalogPage(self._groups(node.path[0]))
        if node.kind in ("tables", "views", "materialized views", "sequences"):
            return self._relations(node, offset)
        if node.kind == "functions":
            return self._routines(node, offset)
        if node.kind == "partitions":
            return self._partitions(node, offset)
        table = TableName(*node.path[:2])
        if node.kind in RELATIONS:
            return CatalogPage([*self._column_nodes(table), *self._below(table)])
        return CatalogPage(self._gathered(node.kind, table))

    def _groups(self, schema: str) -> list[CatalogNode]:
        counted = {
            text_of(kind): number_of(count)
            for kind, count in self._query(bound(_COUNTS, {"schema": postgres_literal(schema)}))
        }
        groups = {
            "tables": sum(counted.get(kind, 0) for kind in "rpf"),
            "views": counted.get("v", 0),
            "materialized views": counted.get("m", 0),
            "functions": counted.get("routine", 0),
            "sequences": counted.get("S", 0),
        }
        return [CatalogNode(kind, kind, (schema,), count=count) for kind, count in groups.items() if count]

    def _relations(self, node: CatalogNode, offset: int) -> CatalogPage:
        kinds = {"tables": "'r', 'p', 'f'", "views": "'v'", "materialized views": "'m'", "sequences": "'S'"}[node.kind]
        values = {
            "schema": postgres_literal(node.path[0]),
            "kinds": kinds,
            "limit": str(PAGE + 1),
            "offset": str(offset),
        }
        nodes = []
        for name, letter, rows in self._query(bound(_RELATIONS, values)):
            kind = _RELATION_KINDS[text_of(letter)]
            detail = ""
            if kind in ("table", "materialized view") and (estimate := number_of(rows)) > 0:
                detail = about(estimate)
            elif kind == "foreign table":
                detail = "foreign"
            path = (node.path[0], text_of(name))
            nodes.append(CatalogNode(kind, path[1], path, detail, leaf=kind == "sequence"))
        return _cut(nodes)

    def _routines(self, node: CatalogNode, offset: int) -> CatalogPage:
        values = {"schema": postgres_literal(node.path[0]), "limit": str(PAGE + 1), "offset": str(offset)}
        nodes = []
        for name, letter, arguments, result in self._query(bound(_ROUTINES, values)):
            detail = f"({text_of(arguments)})" + (f" → {text_of(result)}" if result else "")
            kind = _ROUTINE_KINDS.get(text_of(letter), "function")
            kind = "aggregate" if kind == "window" else kind
            path = (node.path[0], text_of(name))
            nodes.append(CatalogNode(kind, path[1], path, detail, leaf=True, specific=text_of(arguments)))
        return _cut(nodes)

    def _partitions(self, node: CatalogNode, offset: int) -> CatalogPage:
        values = _named(TableName(*node.path[:2])) | {"limit": str(PAGE + 1), "offset": str(offset)}
        nodes = []
        for schema, name, letter, condition in self._query(bound(_PARTITIONS, values)):
            path = (text_of(schema), text_of(name))
            nodes.append(CatalogNode(_RELATION_KINDS.get(text_of(letter), "table"), path[1], path, text_of(condition)))
        return _cut(nodes)

    def _column_nodes(self, table: TableName) -> list[CatalogNode]:
        nodes = []
        for row in self._column_rows(table):
            name, type_name, not_null, _default, _identity, _generated, _comment, primary, other = row
            marks = ["pk"] if primary == "t" else []
            target = None
            if other:
                target = TableName(*json.loads(text_of(other)))
                marks.append("fk")
            if not_null == "t" and primary != "t":
                marks.append("not null")
            path = (*table.path, text_of(name))
            nodes.append(
                CatalogNode("column", path[2], path, text_of(type_name), leaf=True, marks=tuple(marks), target=target)
            )
        return nodes

    def _below(self, table: TableName) -> list[CatalogNode]:
        [counts] = self._query(bound(_BELOW_TABLE, _named(table)))
        kinds = ("indexes", "keys", "foreign keys", "referenced by", "triggers", "partitions")
        return [
            CatalogNode(kind, kind, table.path, count=number)
            for kind, count in zip(kinds, counts, strict=True)
            if (number := number_of(count))
        ]

    def _gathered(self, kind: str, table: TableName) -> list[CatalogNode]:
        if kind == "indexes":
            return [index_node(table, index) for index in self._indexes(table)]
        if kind == "keys":
            return [constraint_node(table, constraint) for constraint in self._constraints(table)]
        if kind == "triggers":
            return [trigger_node(table, trigger) for trigger in self._triggers(table)]
        own, others = self.foreign_keys(table)
        if kind == "foreign keys":
            return [foreign_key_node(key) for key in own]
        return [reference_node(key, table) for key in others]

    # -- a table

    def describe(self, table: TableName) -> Description:
        facts = self._query(bound(_FACTS, _named(table)))
        if not facts:
            raise DatabaseError(GONE)
        letter, owner, rows, comment, partitioned = facts[0]
        own, others = self.foreign_keys(table)
        shown = [("owner", text_of(owner))]
        if (estimate := number_of(rows)) >= 0:
            shown.append(("estimated rows", f"{estimate:,}"))
        if partitioned:
            shown.append(("partitioned by", text_of(partitioned)))
        return Description(
            table,
            _RELATION_KINDS.get(text_of(letter), "table"),
            tuple(self._table_columns(table)),
            tuple(self._indexes(table)),
            tuple(self._constraints(table)),
            tuple(own),
            tuple(others),
            tuple(self._triggers(table)),
            tuple(shown),
            text_of(comment),
        )

    def definition(self, node: CatalogNode) -> Definition:
        if node.kind in ("function", "procedure", "aggregate"):
            return definitions.routine(self._query, node)
        if node.kind == "sequence":
            return definitions.sequence(self._query, node)
        if node.kind == "trigger":
            return definitions.trigger(self._query, node)
        if node.table is None:
            raise DatabaseError(NO_DEFINITION)
        return definitions.relation(self._query, node.table, self._version)

    def foreign_keys(self, table: TableName) -> tuple[list[ForeignKey], list[ForeignKey]]:
        oid = bound(_OID, _named(table))
        found = self._keys(f"(k.conrelid = {oid} or (k.confrelid = {oid} and k.conparentid = 0))", PAGE)
        return [key for key in found if key.table == table], [key for key in found if key.referenced == table]

    def origins(self, origins: Sequence[Origin]) -> dict[Origin, tuple[TableName, str]]:
        asked = {(origin.table_oid, origin.column_number): origin for origin in origins if origin.table_oid}
        if not asked:
            return {}
        pairs = ", ".join(f"({oid:d}, {number:d})" for oid, number in asked)
        return {
            asked[number_of(oid), number_of(number)]: (TableName(text_of(schema), text_of(table)), text_of(column))
            for oid, number, schema, table, column in self._query(bound(_ORIGINS, {"pairs": pairs}))
        }

    def _column_rows(self, table: TableName) -> list[tuple[str | bytes | None, ...]]:
        generated = "a.attgenerated::text" if self._version >= 120000 else "''"
        return self._query(bound(_COLUMNS, _named(table) | {"generated": generated}))

    def _table_columns(self, table: TableName) -> list[TableColumn]:
        columns = []
        for row in self._column_rows(table):
            name, type_name, not_null, default, identity, generated, comment, _primary, _other = row
            expression, extra = text_of(default), ""
            if identity:
                extra = f"generated {'always' if identity == 'a' else 'by default'} as identity"
            elif generated:
                extra = f"generated always as ({expression}) {'stored' if generated == 's' else 'virtual'}"
                expression = ""
            columns.append(
                TableColumn(text_of(name), text_of(type_name), not_null != "t", expression, extra, text_of(comment))
            )
        return columns

    def _indexes(self, table: TableName) -> list[Index]:
        return [
            Index(
                text_of(name),
                tuple(json.loads(text_of(columns) or "[]")),
                unique == "t",
                primary == "t",
                text_of(method),
                text_of(condition),
            )
            for name, unique, primary, method, condition, columns in self._query(bound(_INDEXES, _named(table)))
        ]

    def _constraints(self, table: TableName) -> list[Constraint]:
        return [
            Constraint(text_of(name), _CONSTRAINTS[text_of(letter)], text_of(text))
            for name, letter, text in self._query(bound(_CONSTRAINT_TEXTS, _named(table)))
        ]

    def _triggers(self, table: TableName) -> list[Trigger]:
        return [
            Trigger(text_of(name), trigger_time(number_of(bits)), enabled != "D")
            for name, bits, enabled in self._query(bound(_TRIGGERS, _named(table)))
        ]

    def _keys(self, condition: str, limit: int) -> list[ForeignKey]:
        # Not through `bound`: the names in the condition may hold what looks like a parameter.
        query = _FOREIGN_KEYS.replace(":limit", str(limit)).replace(":condition", condition)
        return [
            ForeignKey(
                text_of(name),
                TableName(text_of(schema), text_of(table)),
                tuple(json.loads(text_of(columns) or "[]")),
                TableName(text_of(other_schema), text_of(other)),
                tuple(json.loads(text_of(other_columns) or "[]")),
                _ACTIONS.get(text_of(on_delete), ""),
                _ACTIONS.get(text_of(on_update), ""),
            )
            for name, schema, table, other_schema, other, on_delete, on_update, columns, other_columns in self._query(
                query
            )
        ]

    # -- all names

    def metadata(self) -> SchemaMetadata:
        gathering = Gathering()
        for oid, schema, name, letter in self._query(bound(_ALL_TABLES, {"limit": str(MOST_TABLES + 1)})):
            place = text_of(schema)
            gathering.table(oid, place, text_of(name), _RELATION_KINDS[text_of(letter)], system=place in SYSTEM)
        for oid, name, type_name in self._query(bound(_ALL_COLUMNS, {"limit": str(MOST_COLUMNS + 1)})):
            gathering.column(oid, text_of(name), text_of(type_name))
        routines = self._query(bound(_ALL_ROUTINES, {"limit": str(MOST_FUNCTIONS + 1)}))
        own = set()
        for schema, name, letter, arguments, result in routines[:MOST_FUNCTIONS]:
            place, called = text_of(schema), text_of(name)
            if place == "pg_catalog":
                # The server's own are many and have many forms: once each is enough to be found.
                if called in own:
                    continue
                own.add(called)
            kind = _ROUTINE_KINDS.get(text_of(letter), "function")
            gathering.functions.append(
                FunctionMetadata(place, called, kind, text_of(arguments), text_of(result), place == "pg_catalog")
            )
        if len(routines) > MOST_FUNCTIONS:
            gathering.cut("functions")
        keys = self._keys("k.conparentid = 0", MOST_FOREIGN_KEYS + 1)
        if len(keys) > MOST_FOREIGN_KEYS:
            gathering.cut("foreign keys")
        gathering.foreign_keys = keys[:MOST_FOREIGN_KEYS]
        schemas = [text_of(name) for name, _current in self._query(_SCHEMAS)]
        [(path,)] = self._query("select pg_catalog.array_to_json(pg_catalog.current_schemas(false))")
        return gathering.metadata(schemas, [str(name) for name in json.loads(text_of(path) or "[]")])


def _named(table: TableName) -> dict[str, str]:
    return {"schema": postgres_literal(table.schema), "relation": postgres_literal(table.name)}


def _cut(nodes: list[CatalogNode]) -> CatalogPage:
    return CatalogPage(nodes[:PAGE], len(nodes) > PAGE)


def trigger_time(bits: int) -> str:
    """`tgtype` of pg_trigger (pg_trigger.h) in words."""
    when = "instead of" if bits & 64 else "before" if bits & 2 else "after"
    events = [word for bit, word in ((4, "insert"), (16, "update"), (8, "delete"), (32, "truncate")) if bits & bit]
    return f"{when} {' or '.join(events)}"
