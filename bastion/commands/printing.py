"""How answers are printed: aligned columns for people, one JSON object a line for scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bastion.api.plain_text import clean as clean

from .words import Output

CELL = 200
"""Characters of one cell that are shown to people; scripts get everything."""


def json_line(value: Any) -> str:
    """One object as a line."""
    return msgspec.json.encode(value).decode() + "\n"


def width(text: str) -> int:
    """Columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _cell(value: Any) -> str:
    text = clean("" if value is None else str(value))
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def table(output: Output, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Aligned columns under headings."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(width(heading), *(width(row[n]) for row in cells), 0) for n, heading in enumerate(headings)]

    def line(row: Sequence[str]) -> str:
        padded = (text + " " * (columns - width(text)) for text, columns in zip(row, widths, strict=True))
        return "  ".join(padded).rstrip() + "\n"

    output.out(line(headings) + "".join(line(row) for row in cells))


def fields(output: Output, pairs: Iterable[tuple[str, Any]]) -> None:
    """`name  value` lines."""
    shown = [(name, _cell(value)) for name, value in pairs]
    longest = max(width(name) for name, _ in shown)
    output.out("".join(f"{name}{' ' * (longest - width(name))}  {value}\n" for name, value in shown))
