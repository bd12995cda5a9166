"""Server-side cursors: the sp_cursor family. A cursor's rows are read when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .encoding import text_of
from .response import Response
from .sql_errors import SqlError
from .sql_types import INT, ResultColumn
from .state import Cursor

if TYPE_CHECKING:
    from .procedures import Arguments, Procedures

FORWARD_ONLY, READ_ONLY = 0x10, 0x01
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

    def _opened(self, text: str, out: Response) -> tuple[int, Cursor]:
        columns, rows = self._owner.interpreter.queries.rows_of(text, {})
        number = next(self._session.handles) + 180150000
        cursor = self._session.cursors[number] = Cursor(list(columns), rows)
        out.columns(columns)
        out.statement_done(0, 0xC1)
        return number, cursor

    def open(self, arguments: Arguments, out: Response) -> int:
        number, cursor = self._opened(text_of(arguments[1].value), out)
        self._told(arguments, 0, number, cursor, 2)
        return 0

    @staticmethod
    def _told(arguments: Arguments, place: int, number: int, cursor: Cursor, options: int) -> None:
        arguments[place].type, arguments[place].value = INT, number
        for at, value in ((options, FORWARD_ONLY), (options + 1, READ_ONLY), (options + 2, len(cursor.rows))):
            if at < len(arguments) and arguments[at].output:
                arguments[at].type, arguments[at].value = INT, value

    def prepare(self, arguments: Arguments, out: Response) -> int:
        handle = self._owner.keep(text_of(arguments[2].value), "")
        arguments[0].type, arguments[0].value = INT, handle
        return 0

    def execute(self, arguments: Arguments, out: Response) -> int:
        number, cursor = self._opened(self._owner.prepared(arguments[0]).text, out)
        self._told(arguments, 1, number, cursor, 2)
        return 0

    def prepare_and_execute(self, arguments: Arguments, out: Response) -> int:
        text = text_of(arguments[3].value)
        arguments[0].type, arguments[0].value = INT, self._owner.keep(text, "")
        number, cursor = self._opened(text, out)
        self._told(arguments, 1, number, cursor, 4)
        return 0

    def _cursor(self, arguments: Arguments) -> Cursor:
        found = self._session.cursors.get(int(arguments[0].value or 0))
        if found is None:
            raise SqlError(16916, 16, f"A cursor with the name '{arguments[0].value}' does not exist.")
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
        out.columns([*columns, ResultColumn("ROWSTAT", INT)])
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
