"""Errors of python-oracledb: the server's own words and number, and where in the statement they point."""

from __future__ import annotations

import re
from typing import Any

from .interface import DatabaseError

_LINES = re.compile(r"\bline (\d+), column (\d+):")
_HEAD = re.compile(r"(ORA-\d{5}|[A-Z]{3}-\d{4,5}): ?")
_CANCELLED = 1013
_GONE = {28, 31, 600, 1012, 1033, 1034, 1089, 1090, 1092, 2396, 2399, 3113, 3114, 3135, 12537, 12547, 12570, 12571}
"""Oracle Database error messages: the session was killed, is not logged on, has lost its server or its line."""
_DRIVER_GONE = ("DPY-1001", "DPY-4011", "DPY-6")


def error_of(error: Exception, text: str) -> DatabaseError:
    """`text` is the statement that was sent."""
    told: Any = error.args[0] if error.args else None
    number = int(getattr(told, "code", 0) or 0)
    words = str(getattr(told, "message", "") or error or type(error).__name__)
    lines = [line for line in words.splitlines() if line and not line.startswith("Help: ")]
    if number:
        # The driver puts words of its own before some of the server's.
        own = next((place for place, line in enumerate(lines) if line.startswith("ORA-")), 0)
        lines = lines[own:]
    message = "\n".join(lines)
    head = _HEAD.match(message)
    full_code = str(getattr(told, "full_code", ""))
    lost = (
        bool(getattr(told, "is_session_dead", False))
        or number in _GONE
        or full_code.startswith(_DRIVER_GONE)
        or isinstance(error, OSError)
    )
    return DatabaseError(
        message[head.end() :] if head is not None else message,
        code=head.group(1) if head is not None else full_code,
        position=position(text, message, int(getattr(told, "offset", 0) or 0), number) if text else None,
        cancelled=number == _CANCELLED,
        connection_lost=lost,
    )


def position(text: str, message: str, offset: int, number: int) -> int | None:
    """The character that an error is about: of a block the line and column that its words name, else the offset that
    the server gives. None where neither says anything."""
    place = _LINES.search(message)
    if place is not None and number == 6550:
        lines = text.split("\n")
        line, column = int(place.group(1)), int(place.group(2))
        if 1 <= line <= len(lines):
            start = sum(len(each) + 1 for each in lines[: line - 1])
            return start + min(max(column - 1, 0), len(lines[line - 1]))
    if 0 < offset <= len(text):
        return offset
    # Of a statement that cannot be read (ORA-00900 to ORA-00999) the beginning is a place as well.
    return 0 if offset == 0 and 900 <= number < 1000 else None
