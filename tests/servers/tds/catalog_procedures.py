"""The server's own procedures that clients ask for a catalog, and some that only tests call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .arguments import Arguments
from .encoding import Value, text_of
from .response import Response
from .schema_model import Model
from .sql_types import SYSNAME, TEXT, ResultColumn, SqlType, parsed
from .view_rows import digits, most_bytes

if TYPE_CHECKING:
    from .procedures import Procedures

SMALL = SqlType("smallint")
INT = SqlType("int")
_ODBC_TYPES = {
    "bit": -7, "tinyint": -6, "smallint": 5, "int": 4, "bigint": -5, "real": 7, "float": 6, "decimal": 3, "numeric": 2,
    "money": 3, "smallmoney": 3, "char": 1, "varchar": 12, "text": -1, "nchar": -8, "nvarchar": -9, "ntext": -10,
    "binary": -2, "varbinary": -3, "image": -4, "uniqueidentifier": -11, "date": 91, "time": -154, "datetime2": 93,
    "datetime": 93, "smalldatetime": 93, "datetimeoffset": -155, "xml": -152, "sql_variant": -150,
}  # fmt: skip
"""SQL data types of ODBC, as Microsoft's driver numbers them."""
_PRECISION = {
    "bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19, "real": 24, "float": 53, "decimal": 38,
    "numeric": 38,
    "money": 19, "smallmoney": 10, "char": 8000, "varchar": 8000, "nchar": 4000, "nvarchar": 4000, "binary": 8000,
    "varbinary": 8000, "uniqueidentifier": 36, "date": 10, "time": 16, "datetime": 23, "datetime2": 27,
    "smalldatetime": 16, "datetimeoffset": 34,
}  # fmt: skip
_FRACTIONS = {
    "time": 7, "datetime": 3, "datetime2": 7, "datetimeoffset": 7, "smalldatetime": 0, "money": 4, "smallmoney": 4,
}  # fmt: skip


def procedures(owner: Procedures) -> dict[str, Callable[[Arguments, Response], int]]:
    """Those of one session, by name."""
    catalog = _CatalogProcedures(owner)
    return {
        "sp_reset_connection": lambda _arguments, _out: 0,
        "sp_who": catalog.who,
        "sp_datatype_info": catalog.types,
        "sp_datatype_info_100": catalog.types,
        "sp_tables": catalog.tables,
        "sp_columns": catalog.columns,
        "sp_columns_100": catalog.columns,
        "xp_test_bad_length": catalog.bad_length,
        "xp_test_close": catalog.close,
    }


class _CatalogProcedures:
    def __init__(self, owner: Procedures) -> None:
        self._owner = owner

    def _result(self, columns: list[ResultColumn], rows: list[tuple[Value, ...]], out: Response) -> int:
        out.columns(columns)
        for row in rows:
            out.row(row)
        out.statement_done(len(rows), 0xC1)
        return 0

    def _asked(self, arguments: Arguments, place: int, name: str) -> str:
        """A pattern of a name; '' where any will do."""
        for each in arguments:
            if each.name == name:
                return "" if each.value is None else text_of(each.value)
        if place < len(arguments) and not arguments[place].name and arguments[place].value is not None:
            return text_of(arguments[place].value)
        return ""

    def who(self, arguments: Arguments, out: Response) -> int:
        text = "select spid, status, loginame, hostname, dbname, cmd from sys.sysprocesses"
        return self._owner.interpreter.run_batch(text, out, {})

    def types(self, arguments: Arguments, out: Response) -> int:
        """sp_datatype_info: one type of ODBC, or all."""
        asked = int(arguments[0].value or 0) if arguments and not arguments[0].name else 0
        rows: list[tuple[Value, ...]] = []
        for name, number in _ODBC_TYPES.items():
            if asked not in (0, number):
                continue
            scale = _FRACTIONS.get(name, 38 if name in ("decimal", "numeric") else None)
            quote = (
                None
                if name in _PRECISION and _PRECISION[name] < 60 and "char" not in name and "date" not in name
                else "'"
            )
            rows.append((name, number, _PRECISION.get(name, 2147483647), quote, quote, None, 1, 0, 3, None, 0, None,
                name,
                         0 if scale is not None else None, scale, number, None, None, None, 0))  # fmt: skip
        names = [
            "TYPE_NAME",
            "DATA_TYPE",
            "PRECISION",
            "LITERAL_PREFIX",
            "LITERAL_SUFFIX",
            "CREATE_PARAMS",
            "NULLABLE",
            "CASE_SENSITIVE",
            "SEARCHABLE",
            "UNSIGNED_ATTRIBUTE",
            "MONEY",
            "AUTO_INCREMENT",
            "LOCAL_TYPE_NAME",
            "MINIMUM_SCALE",
            "MAXIMUM_SCALE",
            "SQL_DATA_TYPE",
            "SQL_DATETIME_SUB",
            "NUM_PREC_RADIX",
            "INTERVAL_PRECISION",
            "USERTYPE",
        ]
        texts = {"TYPE_NAME", "LITERAL_PREFIX", "LITERAL_SUFFIX", "CREATE_PARAMS", "LOCAL_TYPE_NAME"}
        kinds = [SYSNAME if name in texts else INT if name == "PRECISION" else SMALL for name in names]
        return self._result([ResultColumn(name, kind) for name, kind in zip(names, kinds, strict=True)], rows, out)

    def _model(self) -> Model:
        return Model(self._owner.session.connection)

    def tables(self, arguments: Arguments, out: Response) -> int:
        """sp_tables: all of the open database."""
        pattern = self._asked(arguments, 0, "@table_name").replace("%", "").lower()
        rows: list[tuple[Value, ...]] = [
            (self._owner.session.database, each.schema, each.name, "TABLE" if each.kind == "U" else "VIEW", None)
            for each in self._model().of_kind("U", "V")
            if pattern in each.name.lower()
        ]
        names = ("TABLE_QUALIFIER", "TABLE_OWNER", "TABLE_NAME", "TABLE_TYPE", "REMARKS")
        return self._result([ResultColumn(name, SYSNAME) for name in names], rows, out)

    def columns(self, arguments: Arguments, out: Response) -> int:
        """sp_columns: those of one table."""
        table = self._asked(arguments, 0, "@table_name").lower()
        rows: list[tuple[Value, ...]] = []
        for each in self._model().of_kind("U", "V"):
            if table not in ("", "%", each.name.lower()):
                continue
            for one in self._model().columns(each):
                precision, scale = digits(one.type)
                rows.append((self._owner.session.database, each.schema, each.name, one.name,
                             _ODBC_TYPES.get(one.type.name, -9), one.type.name, precision or one.type.length,
                             most_bytes(one.type), scale, 10, int(one.nullable), None, one.default,
                             _ODBC_TYPES.get(one.type.name, -9), None, None, one.number,
                             "YES" if one.nullable else "NO", 0))  # fmt: skip
        names = [
            "TABLE_QUALIFIER",
            "TABLE_OWNER",
            "TABLE_NAME",
            "COLUMN_NAME",
            "DATA_TYPE",
            "TYPE_NAME",
            "PRECISION",
            "LENGTH",
            "SCALE",
            "RADIX",
            "NULLABLE",
            "REMARKS",
            "COLUMN_DEF",
            "SQL_DATA_TYPE",
            "SQL_DATETIME_SUB",
            "CHAR_OCTET_LENGTH",
            "ORDINAL_POSITION",
            "IS_NULLABLE",
            "SS_DATA_TYPE",
        ]
        texts = {"TABLE_QUALIFIER", "TABLE_OWNER", "TABLE_NAME", "COLUMN_NAME", "TYPE_NAME", "REMARKS", "COLUMN_DEF",
                 "IS_NULLABLE"}  # fmt: skip
        kinds = [TEXT if name in texts else INT for name in names]
        return self._result([ResultColumn(name, kind) for name, kind in zip(names, kinds, strict=True)], rows, out)

    # -- for tests of what reads the answers

    def bad_length(self, arguments: Arguments, out: Response) -> int:
        """A token that says that it is longer than it is."""
        out.add(b"\xaa\xff\x7f" + bytes(8))
        return 0

    def close(self, arguments: Arguments, out: Response) -> int:
        """A result that the connection ends in the middle of."""
        column = ResultColumn("a", parsed("int") or INT)
        out.columns([column])
        for number in range(10_000):
            out.row((number,))
        self._owner.session.on_kill()
        return 0
