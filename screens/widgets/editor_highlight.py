"""Which parts of the lines in view are keywords, strings and so on: tree-sitter reads the statements in view, and no
others. A tree over the whole text would take 70 ms a key in 30,000 lines, also where it is brought up to date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import tree_sitter_sql
from textual import widgets
from tree_sitter import Language, Parser, Query, QueryCursor

LONG_STATEMENT = 1_000
"""Lines of a statement above the view that are read for its sake; of a longer one the last few are."""
NEAR = 200

Part = tuple[int, int, int | None, str]
"""Row, first byte in it, the byte behind (None: to the end of the line), and what it is."""


@cache
def _grammar() -> tuple[Parser, Query]:
    """Made once: it takes 20 ms."""
    language = Language(tree_sitter_sql.language())
    queries = Path(widgets.__file__).parent.parent / "tree-sitter" / "highlights"
    return Parser(language), Query(language, (queries / "sql.scm").read_text(encoding="utf-8"))


def parts(lines: Sequence[str], start: int, first: int, last: int) -> Iterator[Part]:
    """The parts of the lines from `first` to `last`; at line `start` their first statement begins."""
    if first - start > LONG_STATEMENT:
        start = first - NEAR
    parser, query = _grammar()
    window = "\n".join(lines[start : last + 1])
    tree = parser.parse(window.encode("utf-8", "replace"))
    cursor = QueryCursor(query)
    cursor.set_point_range((first - start, 0), (last - start + 1, 0))
    for name, nodes in cursor.captures(tree.root_node).items():
        for node in nodes:
            (row, column), (end_row, end_column) = node.start_point, node.end_point
            row, end_row = row + start, end_row + start
            if row == end_row:
                yield row, column, end_column, name
                continue
            if row >= first:
                yield row, column, None, name
            for between in range(max(row + 1, first), min(end_row, last + 1)):
                yield between, 0, None, name
            if end_row <= last:
                yield end_row, 0, end_column, name
