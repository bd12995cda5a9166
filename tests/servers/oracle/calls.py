"""What an execution says, as it comes from the client, and the binds behind it."""

from __future__ import annotations

from dataclasses import dataclass

from . import columns as values
from .columns import Bind, Value
from .wire import Wire

PARSE, EXECUTE, COMMIT, BATCH_ERRORS = 0x1, 0x20, 0x100, 0x80000
COUNTS_ROWS = 0x4000
LONGEST_STRING = 32767


@dataclass(frozen=True)
class Execution:
    """`count`: executions, or rows for a query."""

    options: int
    cursor: int
    text: str | None
    prefetch: int
    is_query: bool
    count: int
    counts_rows: bool
    binds: list[Bind]
    defines: list[Bind]


def read_execution(wire: Wire, fields: int) -> Execution:
    """The fields behind the header of the call, up to its binds."""
    options, cursor, has_text = wire.number(), wire.number(), wire.byte()
    wire.number()
    wire.byte()
    wire.number()
    wire.take(2)
    wire.number()
    prefetch = wire.number()
    wire.number()
    has_binds, bind_count = wire.byte(), wire.number()
    wire.take(5)
    has_defines, define_count = wire.byte(), wire.number()
    wire.number()
    wire.take(3)
    wire.number()
    wire.byte()
    wire.number()
    wire.number()
    if fields >= 7:
        wire.byte()
        wire.number()
        wire.byte()
    if fields >= 8:
        for is_pointer in (True, False, True, False, True):
            wire.byte() if is_pointer else wire.number()
    if fields >= 9:
        wire.byte()
        wire.number()
    text = (wire.string() or b"").decode("utf-8", "replace").rstrip("\0") if has_text else None
    words = [wire.number() for _ in range(13)]
    binds = [values.bind_description(wire, fields) for _ in range(bind_count)] if has_binds else []
    defines = [values.bind_description(wire, fields) for _ in range(define_count)] if has_defines else []
    return Execution(
        options, cursor, text, prefetch, words[7] == 1, words[1], bool(words[9] & COUNTS_ROWS), binds, defines
    )


def read_row(wire: Wire, binds: list[Bind], *, is_block: bool) -> list[Value | list[Value]]:
    """One row of values: those of a statement that are longer than any string come last."""
    assert wire.byte() == 7
    last = [place for place, bind in enumerate(binds) if not is_block and bind.size > LONGEST_STRING]
    found: dict[int, Value | list[Value]] = {}
    for place in [*(place for place in range(len(binds)) if place not in last), *last]:
        bind = binds[place]
        if bind.array:
            found[place] = [values.bind_value(wire, bind) for _ in range(wire.number())]
        else:
            found[place] = values.bind_value(wire, bind)
    return [found[place] for place in range(len(binds))]
