"""Errors of SQL Server, and what SQLite's become."""

from __future__ import annotations

import re

import apsw

from .encoding import Unfit
from .functions import DivisionByZero
from .sql_lexer import SyntaxFault


class SqlError(Exception):
    """`ends_batch`: nothing more of the batch runs."""

    def __init__(
        self,
        number: int,
        severity: int,
        text: str,
        *,
        state: int = 1,
        line: int = 0,
        ends_batch: bool = False,
        procedure: str = "",
    ) -> None:
        super().__init__(text)
        self.number, self.severity, self.state, self.text = number, severity, state, text
        self.line, self.ends_batch, self.procedure = line, ends_batch, procedure


EXPECTED = (
    SqlError,
    SyntaxFault,
    Unfit,
    DivisionByZero,
    apsw.Error,
    ValueError,
    OverflowError,
    TypeError,
    KeyError,
    IndexError,
)
"""What running a statement can end with; `as_sql_error` knows them."""

_KNOWN = (
    (re.compile(r"no such table: (.*)"), 208, 16, "Invalid object name '{0}'."),
    (re.compile(r"no such column: (.*)"), 207, 16, "Invalid column name '{0}'."),
    (re.compile(r"table (.*) has no column named (.*)"), 207, 16, "Invalid column name '{1}'."),
    (re.compile(r"no such function: (.*)"), 195, 15, "'{0}' is not a recognized built-in function name."),
    (
        re.compile(r"UNIQUE constraint failed: ([^.]*)\.(.*)"),
        2627,
        14,
        "Violation of PRIMARY KEY constraint 'PK_{0}'. Cannot insert duplicate key in object 'dbo.{0}'.",
    ),
    (
        re.compile(r"NOT NULL constraint failed: ([^.]*)\.(.*)"),
        515,
        16,
        "Cannot insert the value NULL into column '{1}', table 'dbo.{0}'; column does not allow nulls. INSERT fails.",
    ),
    (re.compile(r"FOREIGN KEY constraint failed"), 547, 16, "The statement conflicted with a FOREIGN KEY constraint."),
    (
        re.compile(r"CHECK constraint failed: (.*)"),
        547,
        16,
        'The statement conflicted with the CHECK constraint "{0}".',
    ),
    (
        re.compile(r"table \"?(.*?)\"? already exists"),
        2714,
        16,
        "There is already an object named '{0}' in the database.",
    ),
    (re.compile(r'near "(.*)": syntax error'), 102, 15, "Incorrect syntax near '{0}'."),
    (re.compile(r"unrecognized token: \"(.*)"), 102, 15, "Incorrect syntax near '{0}'."),
    (re.compile(r"no such (?:view|index): (.*)"), 3701, 11, "Cannot drop '{0}', because it does not exist."),
)


def as_sql_error(error: Exception, line: int) -> SqlError:
    """What a client is told of an error of SQLite or of a function."""
    if isinstance(error, SqlError):
        if not error.line:
            error.line = line
        return error
    if isinstance(error, SyntaxFault):
        return SqlError(102, 15, str(error), line=error.line, ends_batch=True)
    if isinstance(error, DivisionByZero):
        return SqlError(8134, 16, "Divide by zero error encountered.", line=line)
    if isinstance(error, Unfit):
        number = 8115 if "overflow" in str(error) else 245 if "varchar value" in str(error) else 241
        return SqlError(number, 16, str(error), line=line, ends_batch=number != 8115)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return SqlError(
            1205,
            13,
            "Transaction was deadlocked on lock resources with another process and has been chosen "
            "as the deadlock victim. Rerun the transaction.",
            state=45,
            line=line,
            ends_batch=True,
        )
    if isinstance(error, KeyError):
        return SqlError(137, 15, f'Must declare the scalar variable "@{error.args[0]}".', line=line, ends_batch=True)
    text = str(error).removeprefix("SQLError: ")
    for pattern, number, severity, form in _KNOWN:
        found = pattern.match(text)
        if found is not None:
            return SqlError(number, severity, form.format(*found.groups()), line=line, ends_batch=number in (102, 208))
    return SqlError(50000, 16, f"The test server cannot run this: {text}", line=line)
