"""The data dictionary (ALL_ views, DBMS_METADATA) of the tables that SQLite has, and what else is stored by its name.

Each question is answered from views that are filled anew in a database of their own.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from .sql import Database, Session

VIEWS = {
    "all_users": "username",
    "all_objects": "owner, object_name, object_type, status",
    "all_tables": "owner, table_name, num_rows",
    "all_mviews": "owner, mview_name",
    "all_tab_columns": "owner, table_name, column_name, data_type, data_length, data_precision, data_scale, "
    "char_length, nullable, column_id, data_default",
    "all_col_comments": "owner, table_name, column_name, comments",
    "all_tab_comments": "owner, table_name, comments",
    "all_indexes": "owner, index_name, table_owner, table_name, uniqueness, index_type",
    "all_ind_columns": "index_owner, index_name, column_name, column_position, descend",
    "all_constraints": "owner, constraint_name, table_name, constraint_type, search_condition, r_owner, "
    "r_constraint_name, delete_rule, index_name",
    "all_cons_columns": "owner, constraint_name, table_name, column_name, position",
    "all_triggers": "trigger_name, trigger_type, triggering_event, status, table_owner, table_name",
    "all_synonyms": "owner, synonym_name, table_owner, table_name, db_link",
    "all_arguments": "owner, package_name, object_name, argument_name, data_type, in_out, position, sequence, "
    "data_level",
    "all_source": "owner, name, type, line, text",
}
OWNERS = ("APP", "REPORT", "SYS")
ASKED = re.compile(rf"\b(?:{'|'.join(VIEWS)}|dbms_metadata\.get_ddl)\b", re.I)
_STORED = re.compile(
    r"create\s+(?:or\s+replace\s+)?(procedure|function|package\s+body|package|trigger|type|sequence"
    r"|materialized\s+view|synonym)\s+(?:\w+\.)?\"?([\w$]+)\"?",
    re.I,
)
_ARGUMENT = re.compile(r"(\w+)\s+(in\s+out|out|in)?\s*([\w.]+)", re.I)


@dataclass(frozen=True)
class Stored:
    """A thing that SQLite does not know. `text` is its CREATE statement."""

    kind: str
    name: str
    text: str


_stored: WeakKeyDictionary[Database, dict[tuple[str, str], Stored]] = WeakKeyDictionary()


def store(session: Session, text: str) -> bool:
    """Keeps what a CREATE of something else than a table, view or index makes."""
    found = _STORED.match(text)
    if found is None:
        return False
    kind, name = " ".join(found[1].upper().split()), found[2].upper()
    _stored.setdefault(session.database, {})[kind, name] = Stored(kind, name, text)
    return True


def answer(session: Session, text: str) -> sqlite3.Cursor:
    """The rows of a question to the dictionary. Raises sqlite3.Error."""
    views = sqlite3.connect(":memory:")
    views.create_function("sys_context", 2, lambda _space, _name: session.schema)
    views.create_function("get_ddl", 3, lambda kind, name, _owner: _definition(session, kind, name))
    for name, columns in VIEWS.items():
        views.execute(f"create table {name} ({columns})")
    _fill(session, views)
    text = re.sub(r"\bdbms_metadata\.", "", text, flags=re.I)
    return views.execute(re.sub(r"\s+from\s+dual\b", "", text, flags=re.I))


def _definition(session: Session, kind: str, name: str) -> str | None:
    stored = _stored.get(session.database, {}).get((kind.replace("_", " "), name))
    if stored is not None:
        return stored.text
    found = session.connection.execute(
        "select sql from sqlite_master where upper(name) = ? and type = ?", (name, kind.lower())
    ).fetchone()
    return f"\n  {found[0]}" if found else None


def _fill(session: Session, views: sqlite3.Connection) -> None:
    def put(view: str, *values: object) -> None:
        views.execute(f"insert into {view} values ({', '.join('?' * len(values))})", values)

    for owner in OWNERS:
        put("all_users", owner)
    real, owner = session.connection, "APP"
    things = real.execute("select type, name from sqlite_master where name not like 'sqlite_%'").fetchall()
    for kind, name in things:
        put("all_objects", owner, name.upper(), kind.upper(), "VALID")
    for kind, name in things:
        if kind in ("table", "view"):
            _columns(real, put, owner, name)
        if kind == "table":
            put("all_tables", owner, name.upper(), real.execute(f"select count(*) from {name}").fetchone()[0])
            _keys(real, put, owner, name)
    for stored in _stored.get(session.database, {}).values():
        put("all_objects", owner, stored.name, stored.kind, "VALID")
        if stored.kind == "MATERIALIZED VIEW":
            put("all_objects", owner, stored.name, "TABLE", "VALID")
            put("all_mviews", owner, stored.name)
        elif stored.kind == "SYNONYM":
            target = stored.text.split()[-1].upper().split(".")
            put("all_synonyms", owner, stored.name, target[0] if len(target) > 1 else owner, target[-1], None)
        elif stored.kind == "TRIGGER":
            found = re.search(r"\b(before|after)\s+(\w+)\s+on\s+(\w+)", stored.text, re.I)
            assert found is not None, stored.text
            put("all_triggers", stored.name, f"{found[1].upper()} EACH ROW", found[2].upper(), "ENABLED", owner,
                found[3].upper())  # fmt: skip
        if stored.kind in ("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY", "TRIGGER", "TYPE"):
            _source(put, owner, stored)


def _source(put, owner: str, stored: Stored) -> None:  # type: ignore[no-untyped-def]
    text = re.sub(r"^create\s+(?:or\s+replace\s+)?", "", stored.text, flags=re.I)
    for place, line in enumerate(text.splitlines(keepends=True), 1):
        put("all_source", owner, stored.name, stored.kind, place, line)
    head = re.match(r"\w+\s+\w+\s*\(([^)]*)\)", text)
    returned = re.search(r"\)?\s*return\s+(\w+)\s+(?:is|as)\b", text, re.I)
    if returned is not None and stored.kind == "FUNCTION":
        put("all_arguments", owner, None, stored.name, None, returned[1].upper(), "OUT", 0, 1, 0)
    for place, part in enumerate(head[1].split(",") if head else [], 1):
        found = _ARGUMENT.match(part.strip())
        if found is not None and stored.kind in ("PROCEDURE", "FUNCTION"):
            way = "/".join((found[2] or "in").upper().split())
            put("all_arguments", owner, None, stored.name, found[1].upper(), found[3].upper(), way, place, place + 1, 0)


def _columns(real: sqlite3.Connection, put, owner: str, name: str) -> None:  # type: ignore[no-untyped-def]
    for place, column, declared, not_null, default, primary in real.execute(f"pragma table_info({name})").fetchall():
        found = re.match(r"\s*([\w ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*$", declared or "VARCHAR2(4000)")
        kind = found[1].upper() if found else declared.upper()
        first, second = (found[2], found[3]) if found else (None, None)
        text = "CHAR" in kind
        put("all_tab_columns", owner, name.upper(), column.upper(), kind, int(first or 22) if text else 22,
            int(first) if first and not text else None, int(second or 0) if first and not text else None,
            int(first or 0) if text else 0, "N" if not_null or primary else "Y", place + 1, default)  # fmt: skip


def _keys(real: sqlite3.Connection, put, owner: str, name: str) -> None:  # type: ignore[no-untyped-def]
    table = name.upper()
    primary = [row[1].upper() for row in real.execute(f"pragma table_info({name})").fetchall() if row[5]]
    if primary:
        key = f"{table}_PK"
        put("all_constraints", owner, key, table, "P", None, None, None, None, key)
        put("all_indexes", owner, key, owner, table, "UNIQUE", "NORMAL")
        for place, column in enumerate(primary, 1):
            put("all_cons_columns", owner, key, table, column, place)
            put("all_ind_columns", owner, key, column, place, "ASC")
    for _number, index, unique, origin, _partial in real.execute(f"pragma index_list({name})").fetchall():
        if origin != "c":
            continue
        put("all_indexes", owner, index.upper(), owner, table, "UNIQUE" if unique else "NONUNIQUE", "NORMAL")
        for place, _column, column in real.execute(f"pragma index_info({index})").fetchall():
            put("all_ind_columns", owner, index.upper(), column.upper(), place + 1, "ASC")
    for number, place, other, column, _to, _update, on_delete, _match in real.execute(
        f"pragma foreign_key_list({name})"
    ).fetchall():
        key = f"{table}_FK{number}"
        if not place:
            put("all_constraints", owner, key, table, "R", None, owner, f"{other.upper()}_PK", on_delete, None)
        put("all_cons_columns", owner, key, table, column.upper(), place + 1)
