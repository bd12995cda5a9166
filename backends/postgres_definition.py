"""DDL of PostgreSQL's things, from the server's own pg_get_* functions; a table's is put together from them.

It is for reading and for making a like thing elsewhere, not a backup: what it leaves out is named each time.
"""

from __future__ import annotations

from .catalog import GONE, CatalogNode, Definition, Query, TableName, bound, number_of, text_of
from .dialect import PostgresDialect, postgres_literal
from .interface import DatabaseError

DIALECT = PostgresDialect()

_RELATION = """select c.oid::int8, c.relkind::text, c.relpersistence::text, c.relispartition,
  pg_catalog.pg_get_partkeydef(c.oid), pg_catalog.pg_get_expr(c.relpartbound, c.oid),
  pg_catalog.array_to_string(c.reloptions, ', '), pg_catalog.obj_description(c.oid, 'pg_class'),
  (select pg_catalog.string_agg(h.inhparent::pg_catalog.regclass::text, ', ' order by h.inhseqno)
   from pg_catalog.pg_inherits h where h.inhrelid = c.oid),
  (select pg_catalog.quote_ident(s.srvname) || coalesce(' options (' || (
     select pg_catalog.string_agg(pg_catalog.quote_ident(o.option_name) || ' ' ||
       pg_catalog.quote_literal(o.option_value), ', ')
     from pg_catalog.pg_options_to_table(t.ftoptions) o) || ')', '')
   from pg_catalog.pg_foreign_table t join pg_catalog.pg_foreign_server s on s.oid = t.ftserver
   where t.ftrelid = c.oid),
  case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid, true) end
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :relation"""

_COLUMNS = """select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
  :generated, pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attislocal,
  case when a.attcollation <> t.typcollation then (
    select pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname)
    from pg_catalog.pg_collation co join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
    where co.oid = a.attcollation) end,
  pg_catalog.col_description(a.attrelid, a.attnum)
from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = :oid and a.attnum > 0 and not a.attisdropped order by a.attnum"""

_CONSTRAINTS = """select conname, pg_catalog.pg_get_constraintdef(oid, true) from pg_catalog.pg_constraint
where conrelid = :oid and contype in ('p', 'u', 'c', 'x', 'f') and conislocal
order by pg_catalog.strpos('pucxf', contype::text), conname"""

_INDEXES = """select pg_catalog.pg_get_indexdef(i.indexrelid) from pg_catalog.pg_index i
where i.indrelid = :oid and not exists (
  select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
order by i.indexrelid"""

_TRIGGERS = """select pg_catalog.pg_get_triggerdef(oid, true) from pg_catalog.pg_trigger
where tgrelid = :oid and not tgisinternal order by tgname"""

_BESIDE = """select
  (select pg_catalog.count(*) from pg_catalog.pg_policy where polrelid = :oid),
  (select pg_catalog.count(*) from pg_catalog.pg_rewrite where ev_class = :oid and rulename <> '_RETURN'),
  (select pg_catalog.count(*) from pg_catalog.pg_inherits where inhparent = :oid),
  (select pg_catalog.count(*) from pg_catalog.pg_statistic_ext where stxrelid = :oid)"""

_ROUTINE = """select p.prokind::text, pg_catalog.obj_description(p.oid, 'pg_proc'),
  case when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid) end,
  a.aggtransfn::text, pg_catalog.format_type(a.aggtranstype, null), a.aggfinalfn::text, a.agginitval
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
left join pg_catalog.pg_aggregate a on a.aggfnoid = p.oid
where n.nspname = :schema and p.proname = :name
  and pg_catalog.pg_get_function_identity_arguments(p.oid) = :arguments"""

_SEQUENCE = """select pg_catalog.format_type(s.seqtypid, null), s.seqincrement, s.seqmin, s.seqmax, s.seqstart,
  s.seqcache, s.seqcycle,
  (select k.refobjid::pg_catalog.regclass::text || '.' || pg_catalog.quote_ident(a.attname)
   from pg_catalog.pg_depend k join pg_catalog.pg_attribute a on a.attrelid = k.refobjid and a.attnum = k.refobjsubid
   where k.objid = c.oid and k.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
     and k.deptype in ('a', 'i') limit 1)
from pg_catalog.pg_sequence s join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :name"""

_TRIGGER = """select pg_catalog.pg_get_triggerdef(t.oid, true)
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :relation and t.tgname = :name and not t.tgisinternal"""

ALWAYS_LEFT_OUT = ("owner", "privileges", "tablespace")


def relation(query: Query, table: TableName, version: int) -> Definition:
    """A table, view, materialized view or foreign table with its constraints, indexes, triggers and comments."""
    found = query(
        bound(_RELATION, {"schema": postgres_literal(table.schema), "relation": postgres_literal(table.name)})
    )
    if not found:
        raise DatabaseError(GONE)
    oid, letter, persistence, is_partition, partition_key, partition_bound, options, comment, parents, server, view = (
        found[0]
    )
    oid_text = str(number_of(oid))
    name = DIALECT.qualified(table.path)
    generated = "a.attgenerated::text" if version >= 120000 else "''"
    columns = query(bound(_COLUMNS, {"oid": oid_text, "generated": generated}))
    indexes = [f"{text_of(text)};" for (text,) in query(bound(_INDEXES, {"oid": oid_text}))]
    triggers = [f"{text_of(text)};" for (text,) in query(bound(_TRIGGERS, {"oid": oid_text}))]
    storage = f" with ({text_of(options)})" if options else ""
    if letter in ("v", "m"):
        what = "view" if letter == "v" else "materialized view"
        body = text_of(view).strip().removesuffix(";")
        start = f"create or replace view {name}" if letter == "v" else f"create materialized view {name}"
        head = f"{start}{storage} as\n{body};"
    else:
        what = "foreign table" if letter == "f" else "table"
        lines = [_column_line(row) for row in columns if is_partition == "t" or row[6] == "t"]
        constraints = query(bound(_CONSTRAINTS, {"oid": oid_text}))
        lines += [f"constraint {DIALECT.quote(text_of(called))} {text_of(text)}" for called, text in constraints]
        unlogged = "unlogged " if persistence == "u" else ""
        kind = "foreign table" if letter == "f" else f"{unlogged}table"
        inside = " (\n  " + ",\n  ".join(lines) + "\n)" if lines else " ()"
        if is_partition == "t":
            # A partition has its parent's columns; what is its own is attached afterwards.
            head = f"create {kind} {name} partition of {text_of(parents)} {text_of(partition_bound)}"
        else:
            head = f"create {kind} {name}{inside}" + (f" inherits ({text_of(parents)})" if parents else "")
        head += f" partition by {text_of(partition_key)}" if partition_key else ""
        head += f" server {text_of(server)}" if server else ""
        head += f"{storage};"
    comments = _comments(what, name, text_of(comment), [(text_of(row[0]), text_of(row[8])) for row in columns])
    parts = [head, "\n".join(indexes), "\n\n".join(triggers), "\n".join(comments)]
    return Definition(
        "\n\n".join(part for part in parts if part) + "\n", _left_out(query, oid_text, is_partition == "t")
    )


def _column_line(row: tuple[str | bytes | None, ...]) -> str:
    name, type_name, not_null, identity, generated, default, _local, collation, _comment = row
    line = f"{DIALECT.quote(text_of(name))} {text_of(type_name)}"
    if collation:
        line += f" collate {text_of(collation)}"
    if generated:
        line += f" generated always as ({text_of(default)}) {'stored' if generated == 's' else 'virtual'}"
    elif identity:
        line += f" generated {'always' if identity == 'a' else 'by default'} as identity"
    elif default:
        line += f" default {text_of(default)}"
    return line + (" not null" if not_null == "t" else "")


def _comments(what: str, name: str, comment: str, columns: list[tuple[str, str]]) -> list[str]:
    found = [f"comment on {what} {name} is {DIALECT.text(comment)};"] if comment else []
    return found + [
        f"comment on column {name}.{DIALECT.quote(column)} is {DIALECT.text(text)};" for column, text in columns if text
    ]


def _left_out(query: Query, oid: str, is_partition: bool) -> tuple[str, ...]:
    [(policies, rules, children, statistics)] = query(bound(_BESIDE, {"oid": oid}))
    beside = [
        (number_of(policies), "row security policies"),
        (number_of(rules), "rules"),
        (number_of(children), "partitions and inheriting tables"),
        (number_of(statistics), "extended statistics"),
    ]
    found = [f"{count} {what}" for count, what in beside if count]
    if is_partition:
        found.append("what the partition has beside its parent's columns and constraints")
    return (*ALWAYS_LEFT_OUT, *found)


def routine(query: Query, node: CatalogNode) -> Definition:
    """A function, procedure or aggregate."""
    values = {
        "schema": postgres_literal(node.path[0]),
        "name": postgres_literal(node.path[1]),
        "arguments": postgres_literal(node.specific),
    }
    found = query(bound(_ROUTINE, values))
    if not found:
        raise DatabaseError(GONE)
    kind, comment, text, transition, state, final, initial = (text_of(cell) for cell in found[0])
    name = f"{DIALECT.qualified(node.path[:2])}({node.specific})"
    left_out: tuple[str, ...] = ("owner", "privileges")
    if kind == "a":
        parts = [f"sfunc = {transition}", f"stype = {state}"]
        if final and final != "-":
            parts.append(f"finalfunc = {final}")
        if initial:
            parts.append(f"initcond = {DIALECT.text(initial)}")
        text = f"create aggregate {name} (\n  " + ",\n  ".join(parts) + "\n)"
        left_out += ("options of parallel and moving aggregates", "sort operator")
    what = {"p": "procedure", "a": "aggregate"}.get(kind, "function")
    text = text.rstrip() + ";\n"
    if comment:
        text += f"\ncomment on {what} {name} is {DIALECT.text(comment)};\n"
    return Definition(text, left_out)


def sequence(query: Query, node: CatalogNode) -> Definition:
    """A sequence, without the number that it is at."""
    found = query(bound(_SEQUENCE, {"schema": postgres_literal(node.path[0]), "name": postgres_literal(node.path[1])}))
    if not found:
        raise DatabaseError(GONE)
    type_name, increment, least, most, start, cache, cycle, owner = (text_of(cell) for cell in found[0])
    name = DIALECT.qualified(node.path[:2])
    lines = [
        f"create sequence {name} as {type_name}",
        f"increment by {increment} minvalue {least} maxvalue {most}",
        f"start with {start} cache {cache}{' cycle' if cycle == 't' else ''}",
    ]
    text = "\n  ".join(lines) + ";\n"
    if owner:
        text += f"\nalter sequence {name} owned by {owner};\n"
    return Definition(text, ("owner", "privileges", "the number that it is at"))


def trigger(query: Query, node: CatalogNode) -> Definition:
    """One trigger of a table."""
    schema, table, name = node.path[:3]
    found = query(
        bound(
            _TRIGGER,
            {"schema": postgres_literal(schema), "relation": postgres_literal(table), "name": postgres_literal(name)},
        )
    )
    if not found:
        raise DatabaseError(GONE)
    return Definition(f"{text_of(found[0][0])};\n", ("its function",))
