"""Server-side cursors: the sp_cursor family. A cursor's rows are read when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .arguments import Argument, Arguments, declared_parameters
from .encoding import text_of
from .response import Response
from .script import statements_of
from .sql_errors import SqlError
from .sql_types import INT, TEXT, ResultColumn
from .state import Cursor, Variables

if TYPE_CHECKING:
    from .procedures import Procedures

FORWARD_ONLY, READ_ONLY = 0x10, 0x01
ROW_STATUS = ResultColumn("ROWSTAT", INT)
"""Behind the query's own columns: whether the row is there."""
FIRST, NEXT, PREVIOUS, LAST, ABSOLUTE, RELATIVE, REFRESH, INFO = 1, 2, 4, 8, 16, 32, 128, 256


def procedures(owner: Procedures) -> dict[str, Callable[[Arguments, Response], int]]:
    """Those of one session, by name."""
    cursors = _Cursors(owner)
    return {
        "sp_cursoropen": cursors.open,
        "sp_cursorprepare": cursors.prepare,
        "sp_cursorexecute": cursors.execute,
        "sp_cursorprepexec": cursors.prepare_and_execute,
        "sp_cursorfetch": cursors.fetch,
        "sp_cursorclose": cursors.close,
        "sp_cursorunprepare": cursors.unprepare,
        "sp_cursoroption": lambda _arguments, _out: 0,
        "sp_cursor": cursors.change,
    }


class _Cursors:
    def __init__(self, owner: Procedures) -> None:
        self._owner = owner
        self._session = owner.session

    def _opened(self, text: str, parameters: Arguments, out: Response) -> tuple[int, Cursor]:
        statements = statements_of(text)
        if len(statements) != 1 or not statements[0].tokens[0].is_word("select", "with"):
            raise SqlError(16937, 16,
                "A server cursor cannot be opened on the given statement or statements. Use a default "
                           "result set or client cursor.")  # fmt: skip
        columns, rows = self._owner.interpreter.queries.rows_of(text, self._values(parameters))
        number = next(self._session.handles) + 180150000
        cursor = self._session.cursors[number] = Cursor(list(columns), rows)
        out.columns([*columns, ROW_STATUS])
        out.statement_done(0, 0xC1)
        return number, cursor

    def open(self, arguments: Arguments, out: Response) -> int:
        number, cursor = self._opened(text_of(arguments[1].value), arguments[5:], out)
        self._told(arguments, 0, number, cursor, 2)
        return 0

    @staticmethod
    def _values(parameters: Arguments) -> Variables:
        """A definition, and the values behind it."""
        if not parameters or not parameters[0].value:
            return {}
        declared = declared_parameters(text_of(parameters[0].value))
        return {name: (kind, given.value) for (name, kind, _), given in zip(declared, parameters[1:], strict=False)}

    @staticmethod
    def _told(arguments: Arguments, place: int, number: int, cursor: Cursor, options: int) -> None:
        arguments[place].type, arguments[place].value = INT, number
        for at, value in ((options, FORWARD_ONLY), (options + 1, READ_ONLY), (options + 2, len(cursor.rows))):
            if at < len(arguments) and arguments[at].output:
                # What kind of cursor it is stays as it was asked. Which parameters there are (0x1000) it is not told.
                asked = arguments[at].value
                kept = int(asked) & 0x0F if isinstance(asked, int) and at < options + 2 else 0
                arguments[at].type, arguments[at].value = INT, kept or value

    def prepare(self, arguments: Arguments, out: Response) -> int:
        handle = self._owner.keep(text_of(arguments[2].value), text_of(arguments[1].value or ""))
        arguments[0].type, arguments[0].value = INT, handle
        return 0

    def execute(self, arguments: Arguments, out: Response) -> int:
        found = self._owner.prepared(arguments[0])
        number, cursor = self._opened(found.text, [Argument("", TEXT, found.definition), *arguments[5:]], out)
        self._told(arguments, 1, number, cursor, 2)
        return 0

    def prepare_and_execute(self, arguments: Arguments, out: Response) -> int:
        text = text_of(arguments[3].value)
        arguments[0].type, arguments[0].value = INT, self._owner.keep(text, text_of(arguments[2].value or ""))
        number, cursor = self._opened(text, [arguments[2], *arguments[7:]], out)
        self._told(arguments, 1, number, cursor, 4)
        return 0

    def _cursor(self, arguments: Arguments) -> Cursor:
        found = self._session.cursors.get(int(arguments[0].value or 0))
        if found is None:
            raise SqlError(16916, 16, f"A cursor with the name '{arguments[0].value!r}' does not exist.")
        return found

    def fetch(self, arguments: Arguments, out: Response) -> int:
        cursor = self._cursor(arguments)
        kind = int(arguments[1].value or NEXT) if len(arguments) > 1 else NEXT
        row = int(arguments[2].value or 0) if len(arguments) > 2 else 0
        count = int(arguments[3].value or 1) if len(arguments) > 3 else 1
        if kind == INFO:
            for place, value in ((2, cursor.at), (3, len(cursor.rows))):
                if place < len(arguments) and arguments[place].output:
                    arguments[place].type, arguments[place].value = INT, value
            return 0
        if kind == FIRST:
            cursor.at = 0
        elif kind == PREVIOUS:
            cursor.at = max(cursor.at - 2 * count, 0)
        elif kind == LAST:
            cursor.at = max(len(cursor.rows) - count, 0)
        elif kind == ABSOLUTE:
            cursor.at = max(row - 1 if row > 0 else len(cursor.rows) + row, 0)
        elif kind == RELATIVE:
            cursor.at = max(cursor.at + row - 1, 0)
        taken = cursor.rows[cursor.at : cursor.at + count]
        columns = [each for each in cursor.columns if isinstance(each, ResultColumn)]
        out.columns([*columns, ROW_STATUS])
        for each in taken:
            out.row((*each, 1))
        cursor.at += len(taken)
        out.statement_done(len(taken), 0xC1)
        return 0

    def close(self, arguments: Arguments, out: Response) -> int:
        self._cursor(arguments)
        self._session.cursors.pop(int(arguments[0].value or 0))
        return 0

    def unprepare(self, arguments: Arguments, out: Response) -> int:
        self._owner.prepared(arguments[0])
        self._session.prepared.pop(int(arguments[0].value or 0), None)
        return 0

    def change(self, arguments: Arguments, out: Response) -> int:
        """A positioned change: it is taken, nothing is changed."""
        self._cursor(arguments)
        return 0
