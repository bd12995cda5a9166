"""What a call is as a statement: its text, its cursor, its columns and rows of binds."""

from __future__ import annotations

from bastion.protocols.contract import TEXT_PART

from . import constants as c
from .calls import Call
from .columns import Described
from .exchange import CURSOR_TEXT_BEGINNING, Cursor
from .placeholders import first_word, given_back, is_block

_LOB_OPERATIONS = {
    0x1: "length", 0x2: "read", 0x20: "trim", 0x40: "write", 0x100: "open BFILE", 0x200: "close BFILE",
    0x110: "create temporary", 0x111: "free temporary", 0x8000: "open", 0x10000: "close",
}  # fmt: skip
_FETCHES = (c.FETCH,)
RE_EXECUTES = (c.RE_EXECUTE, c.RE_EXECUTE_AND_FETCH)
_PARSED_ONLY = frozenset((
    "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN", "DECLARE", "CALL", "EXPLAIN",
))  # fmt: skip
"""Statements that parsing does not do. A definition is done when it is parsed, and whatever else may be."""


def executed(call: Call, known: Cursor | None, statement: int | None) -> Cursor:
    """The cursor that an execution makes or uses."""
    if call.text is not None:
        binds = call.binds or ()
        text = call.text
        returned = given_back(text, len(binds)) if binds and len(text) <= TEXT_PART else 0
        block = is_block(text)
        if len(text) > TEXT_PART:
            text = f"{text[:CURSOR_TEXT_BEGINNING]}… (the whole text is that of statement {statement})"
        return Cursor(text, call.is_query, binds, is_block=block, given_back=returned, counts_rows=call.counts_rows)
    if known is None:
        return Cursor(f"cursor {call.cursor}, whose text is not known", call.is_query, call.binds or ())
    if call.binds:
        known.binds = call.binds
    known.counts_rows = call.counts_rows
    return known


def columns_of(call: Call, cursor: Cursor | None) -> tuple[Described, ...]:
    """The columns that are expected, in the forms that the client wants."""
    if cursor is None:
        return ()
    if call.defines and len(call.defines) == len(cursor.columns):
        cursor.columns = call.defines
    return cursor.columns


def rows_of(call: Call, cursor: Cursor | None) -> int:
    """Rows of binds behind the call."""
    if call.function in RE_EXECUTES:
        return 1 if cursor is not None and cursor.is_query else call.rows
    return call.rows


def text_of(call: Call, cursor: Cursor | None) -> str:
    """What stands in the record; '' for a call that is no statement."""
    if call.function == c.COMMIT:
        return "COMMIT"
    if call.function == c.ROLLBACK:
        return "ROLLBACK"
    if call.said:
        return call.said
    if call.function == c.LOB_OPERATION:
        return f"LOB {_LOB_OPERATIONS.get(call.operation, f'operation {call.operation:#x}')}"
    if call.text is not None and call.function == c.EXECUTE:
        return call.text
    if call.function in (c.EXECUTE, *RE_EXECUTES, *_FETCHES):
        return cursor.text if cursor is not None else f"cursor {call.cursor}, whose text is not known"
    return ""


def only_prepares(call: Call, text: str) -> bool:
    """Whether the statement is parsed and not run."""
    if call.function != c.EXECUTE or call.options & c.OPTION_EXECUTE:
        return False
    return first_word(text) in _PARSED_ONLY
