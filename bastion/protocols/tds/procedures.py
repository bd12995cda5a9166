"""The procedures that run a statement given as text, or one prepared before ([MS-TDS] 2.2.6.6, Transact-SQL reference).

Each is known by a number and by a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .exchange import Effect


@dataclass(frozen=True, slots=True)
class Procedure:
    """Where its parameters stand: its text, its handle, and where the values begin. None: it has none.

    runs   what it executes or fetches from is that of a handle: `prepared`, `cursor`, or '' where the text is given
    text   place of the statement's text
    """

    name: str
    effect: Effect | None = None
    text: int | None = None
    handle: int | None = None
    values: int | None = None
    runs: str = ""
    prepares: bool = False


BY_NUMBER = {
    1: Procedure("sp_cursor", handle=0, values=3, runs="cursor"),
    2: Procedure("sp_cursoropen", Effect.OPENS, text=1, values=6),
    3: Procedure("sp_cursorprepare", Effect.PREPARES, text=2, values=6, prepares=True),
    4: Procedure("sp_cursorexecute", Effect.OPENS, handle=0, values=5, runs="prepared"),
    5: Procedure("sp_cursorprepexec", Effect.PREPARES_AND_OPENS, text=3, values=7),
    6: Procedure("sp_cursorunprepare", Effect.UNPREPARES, handle=0),
    7: Procedure("sp_cursorfetch", handle=0, values=4, runs="cursor"),
    8: Procedure("sp_cursoroption"),
    9: Procedure("sp_cursorclose", Effect.CLOSES, handle=0),
    10: Procedure("sp_executesql", text=0, values=2),
    11: Procedure("sp_prepare", Effect.PREPARES, text=2, values=4, prepares=True),
    12: Procedure("sp_execute", handle=0, values=1, runs="prepared"),
    13: Procedure("sp_prepexec", Effect.PREPARES, text=2, values=3),
    14: Procedure("sp_prepexecrpc", Effect.PREPARES, text=1, values=2),
    15: Procedure("sp_unprepare", Effect.UNPREPARES, handle=0),
}
_DESCRIBING = (
    Procedure("sp_describe_first_result_set", text=0, prepares=True),
    Procedure("sp_describe_undeclared_parameters", text=0, prepares=True),
    Procedure("sp_describe_parameter_encryption", text=0, prepares=True),
)
"""Drivers ask with them what a statement takes and gives before they run it."""

_BY_NAME = {procedure.name: procedure for procedure in (*BY_NUMBER.values(), *_DESCRIBING)}

_TEXT_NAMES = frozenset(("stmt", "statement", "tsql"))
_DEFINITION_NAMES = frozenset(("params", "paramdef"))
_HANDLE_NAMES = frozenset(("handle", "cursor"))

_PREFIX = re.compile(
    r"(?:(?:\[master\]|master)\s*\.\s*(?:\[?(?:sys|dbo)\]?)?\s*\.|(?:\[?(?:sys|dbo)\]?)\s*\.)?\s*", re.IGNORECASE
)


def known(name: str) -> Procedure | None:
    """The procedure of that name, however it is written; None for one that runs nothing but itself."""
    rest = name[_PREFIX.match(name).end() :].strip()  # type: ignore[union-attr]
    if rest.startswith("[") and rest.endswith("]"):
        rest = rest[1:-1]
    return _BY_NAME.get(rest.partition(";")[0].strip().lower())


def place_of(procedure: Procedure, index: int, name: str) -> int:
    """The place of a parameter that may be given by its name; places behind the procedure's own are its values."""
    values = procedure.values
    if not name or (values is not None and index >= values):
        return index
    word = name.lstrip("@").lower()
    if word in _TEXT_NAMES and procedure.text is not None:
        return procedure.text
    if word in _DEFINITION_NAMES and procedure.text is not None:
        # It has none of what is looked at; any place of the procedure's own that is not the text's will do.
        return -1
    if word in _HANDLE_NAMES and procedure.handle is not None:
        return procedure.handle
    return index


CURSOR_OPERATIONS = ((0x01, "UPDATE"), (0x02, "DELETE"), (0x04, "INSERT"))
"""Bits of sp_cursor's second parameter that change data."""
