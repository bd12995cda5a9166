"""How an engine writes names, values and "the first rows": what statements are built with.

Reserved words: PostgreSQL 18 manual, appendix C (reserved, and reserved but usable as function or type); MySQL 9 and
MariaDB 11 manuals, "Keywords and Reserved Words".
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from .interface import Kind
from .visible_text import visible_line

SAMPLE_ROWS = 100

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")


class Dialect(ABC):
    """Names and values as an engine reads them. SQL Server: [name], N'text', `select top (n)`; Oracle: "NAME", 'text',
    `fetch first n rows only`."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """`name` as an identifier, quoted where it has to be."""

    @abstractmethod
    def text(self, value: str) -> str:
        """`value` as a literal, whatever is in it and however the connection is set."""

    @abstractmethod
    def binary(self, digits: str) -> str:
        """Bytes, given in hexadecimal digits, as a literal."""

    def qualified(self, path: Sequence[str]) -> str:
        """`path` with a dot between its quoted parts."""
        return ".".join(self.quote(part) for part in path)

    def literal(self, value: str, kind: Kind) -> str:
        """A value of a result as a literal: numbers bare, all else quoted. Binary values are `0x…` or `\\x…`."""
        if kind is Kind.NUMBER and _NUMBER.fullmatch(value):
            return value
        if kind is Kind.BINARY and re.fullmatch(r"(?:0x|\\x)(?:[0-9a-fA-F]{2})*", value):
            return self.binary(value[2:])
        return self.text(value)

    def rows_of(self, path: Sequence[str], where: str = "", count: int = SAMPLE_ROWS) -> str:
        """A statement that reads some rows of a table."""
        condition = f" where {where}" if where else ""
        return f"select * from {self.qualified(path)}{condition} limit {count};"  # noqa: S608


class PostgresDialect(Dialect):
    def quote(self, name: str) -> str:
        if _PLAIN_POSTGRES.fullmatch(name) and name not in POSTGRES_RESERVED:
            return name
        quoted = name.replace('"', '""')
        if visible_line(name) == name:
            return f'"{quoted}"'
        # What a terminal would obey, or nobody can type, is written as its number.
        return 'U&"' + _numbered(quoted, "\\") + '"'

    def text(self, value: str) -> str:
        quoted = value.replace("'", "''")
        if "\\" not in value and visible_line(value) == value:
            return f"'{quoted}'"
        # An escape string, so that standard_conforming_strings does not matter.
        return "E'" + _numbered(quoted, "\\u") + "'"

    def binary(self, digits: str) -> str:
        return f"decode('{digits}', 'hex')"


def _numbered(text: str, mark: str) -> str:
    """`text` with backslashes doubled, and with `mark` and the number for each character that is no text."""
    doubled = text.replace("\\", "\\\\")
    return "".join(one if visible_line(one) == one else f"{mark}{ord(one):04x}" for one in doubled)


class MysqlDialect(Dialect):
    def quote(self, name: str) -> str:
        if _PLAIN_MYSQL.fullmatch(name) and name.lower() not in MYSQL_RESERVED:
            return name
        return "`" + name.replace("`", "``") + "`"

    def text(self, value: str) -> str:
        if "\\" in value or visible_line(value) != value:
            # Hexadecimal, so that no SQL mode changes what a backslash means.
            return f"_utf8mb4 x'{value.encode().hex()}'"
        return "'" + value.replace("'", "''") + "'"

    def binary(self, digits: str) -> str:
        return f"x'{digits}'"


class SqlserverDialect(Dialect):
    """Microsoft's documentation, "Database identifiers" and "Constants"."""

    def quote(self, name: str) -> str:
        if _PLAIN_SQLSERVER.fullmatch(name) and name.lower() not in SQLSERVER_RESERVED:
            return name
        return "[" + name.replace("]", "]]") + "]"

    def text(self, value: str) -> str:
        if visible_line(value) != value:
            # UTF-16 in hexadecimal: what a terminal would obey is neither shown nor sent.
            return f"cast(0x{value.encode('utf-16-le', 'replace').hex()} as nvarchar(max))"
        quoted = value.replace("'", "''")
        return f"'{quoted}'" if value.isascii() else f"N'{quoted}'"

    def binary(self, digits: str) -> str:
        return f"0x{digits}"

    def rows_of(self, path: Sequence[str], where: str = "", count: int = SAMPLE_ROWS) -> str:
        condition = f" where {where}" if where else ""
        return f"select top ({count}) * from {self.qualified(path)}{condition};"  # noqa: S608


class OracleDialect(Dialect):
    """Oracle SQL Language Reference, "Database Object Names and Qualifiers", "Literals" and UNISTR."""

    def quote(self, name: str) -> str:
        return name if _PLAIN_ORACLE.fullmatch(name) and name not in ORACLE_RESERVED else f'"{name}"'

    def text(self, value: str) -> str:
        if visible_line(value) != value:
            # What a terminal would obey is written as its number, in UTF-16.
            units = value.encode("utf-16-be", "replace")
            return "unistr('" + "".join(f"\\{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + "')"
        return "'" + value.replace("'", "''") + "'"

    def binary(self, digits: str) -> str:
        return f"hextoraw('{digits}')"

    def literal(self, value: str, kind: Kind) -> str:
        # A string would be read by the session's date format.
        moment = _MOMENT.fullmatch(value) if kind is Kind.TIME else None
        return f"timestamp '{value}'" if moment is not None else super().literal(value, kind)

    def rows_of(self, path: Sequence[str], where: str = "", count: int = SAMPLE_ROWS) -> str:
        condition = f"({where}) and " if where else ""
        return f"select * from {self.qualified(path)} where {condition}rownum <= {count};"  # noqa: S608


def sqlserver_literal(text: str) -> str:
    """Always of Unicode."""
    quoted = text.replace("'", "''")
    return f"N'{quoted}'"


def dialect_for(engine: str) -> Dialect:
    """How the engine writes names and values; as PostgreSQL (standard SQL) where it has none of its own here."""
    return _DIALECTS.get(engine, PostgresDialect)()


def postgres_literal(text: str) -> str:
    """Always an escape string, so that standard_conforming_strings does not matter."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def mysql_literal(text: str) -> str:
    """Hexadecimal, so that no SQL mode changes what a backslash means."""
    return f"_utf8mb4 x'{text.encode('utf-8', 'replace').hex()}'" if text else "''"


_PLAIN_POSTGRES = re.compile(r"[a-z_][a-z0-9_$]*")
_PLAIN_SQLSERVER = re.compile(r"[A-Za-z_][A-Za-z0-9_$#@]*")
_PLAIN_ORACLE = re.compile(r"[A-Z][A-Z0-9_$#]*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?")
_DIALECTS: dict[str, type[Dialect]] = {
    "postgresql": PostgresDialect, "mysql": MysqlDialect, "sqlserver": SqlserverDialect, "oracle": OracleDialect,
}  # fmt: skip
_PLAIN_MYSQL = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

POSTGRES_RESERVED = frozenset(
    """all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
    unique user using variadic verbose when where window with""".split()  # noqa: SIM905
)
MYSQL_RESERVED = frozenset(
    """accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade
    case change char character check collate column condition constraint continue convert create cross cube
    cume_dist current_date current_role current_time current_timestamp current_user cursor database databases
    day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete delete_domain_id
    dense_rank desc describe deterministic distinct distinctrow div do_domain_ids double drop dual each else
    elseif empty enclosed escaped except exists exit explain false fetch first_value float float4 float8 for
    force foreign from fulltext function general generated get grant group grouping groups having high_priority
    hour_microsecond hour_minute hour_second if ignore ignore_domain_ids ignore_server_ids in index infile inner
    inout insensitive insert int int1 int2 int3 int4 int8 integer intersect interval into io_after_gtids
    io_before_gtids is iterate join json_table key keys kill lag last_value lateral lead leading leave left
    library like limit linear lines load localtime localtimestamp lock long longblob longtext loop low_priority
    manual master_bind master_heartbeat_period master_ssl_verify_server_cert match maxvalue mediumblob mediumint
    mediumtext middleint minute_microsecond minute_second mod modifies natural not no_write_to_binlog nth_value
    ntile null numeric of offset on optimize optimizer_costs option optionally or order out outer outfile over
    page_checksum parallel parse_vcol_expr partition percent_rank position precision primary procedure purge
    qualify range rank read reads read_write real recursive ref_system_id references regexp release rename
    repeat replace require resignal restrict return returning revoke right rlike row rows row_number schema
    schemas second_microsecond select sensitive separator set show signal slow smallint spatial specific sql
    sqlexception sqlstate sqlwarning sql_big_result sql_calc_found_rows sql_small_result ssl starting
    stats_auto_recalc stats_persistent stats_sample_pages stored straight_join system table tablesample
    terminated then tinyblob tinyint tinytext to trailing trigger true undo union unique unlock unsigned update
    usage use using utc_date utc_time utc_timestamp values varbinary varchar varcharacter varying vector virtual
    when where while window with write xor year_month zerofill""".split()  # noqa: SIM905
)
SQLSERVER_RESERVED = frozenset(
    """add all alter and any as asc authorization backup begin between break browse bulk by cascade case check
    checkpoint close clustered coalesce collate column commit compute constraint contains containstable continue
    convert create cross current current_date current_time current_timestamp current_user cursor database dbcc
    deallocate declare default delete deny desc disk distinct distributed double drop dump else end errlvl
    escape except exec execute exists exit external fetch file fillfactor for foreign freetext freetexttable
    from full function goto grant group having holdlock identity identity_insert identitycol if in index inner
    insert intersect into is join key kill left like lineno load merge national nocheck nonclustered not null
    nullif of off offsets on open opendatasource openquery openrowset openxml option or order outer over percent
    pivot plan precision primary print proc procedure public raiserror read readtext reconfigure references
    replication restore restrict return revert revoke right rollback rowcount rowguidcol rule save schema
    securityaudit select semantickeyphrasetable semanticsimilaritydetailstable semanticsimilaritytable
    session_user set setuser shutdown some statistics system_user table tablesample textsize then to top tran
    transaction trigger truncate try_convert tsequal union unique unpivot update updatetext use user values
    varying view waitfor when where while with within writetext""".split()  # noqa: SIM905
)
"""Microsoft's documentation, "Reserved keywords (Transact-SQL)"."""
ORACLE_RESERVED = frozenset(
    """ACCESS ADD ALL ALTER AND ANY AS ASC AUDIT BETWEEN BY CHAR CHECK CLUSTER COLUMN COLUMN_VALUE COMMENT COMPRESS
    CONNECT CREATE CURRENT DATE DECIMAL DEFAULT DELETE DESC DISTINCT DROP ELSE EXCLUSIVE EXISTS FILE FLOAT FOR FROM
    GRANT GROUP HAVING IDENTIFIED IMMEDIATE IN INCREMENT INDEX INITIAL INSERT INTEGER INTERSECT INTO IS LEVEL LIKE LOCK
    LONG MAXEXTENTS MINUS MLSLABEL MODE MODIFY NESTED_TABLE_ID NOAUDIT NOCOMPRESS NOT NOWAIT NULL NUMBER OF OFFLINE ON
    ONLINE OPTION OR ORDER PCTFREE PRIOR PUBLIC RAW RENAME RESOURCE REVOKE ROW ROWID ROWNUM ROWS SELECT SESSION SET
    SHARE SIZE SMALLINT START SUCCESSFUL SYNONYM SYSDATE TABLE THEN TO TRIGGER UID UNION UNIQUE UPDATE USER VALIDATE
    VALUES VARCHAR VARCHAR2 VIEW WHENEVER WHERE WITH""".split()  # noqa: SIM905
)
"""Oracle SQL Language Reference, appendix "Oracle SQL Reserved Words"."""
