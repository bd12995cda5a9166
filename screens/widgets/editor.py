"""The SQL editor: only what is visible is highlighted, so that 30,000 lines are edited as fast as one."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Size
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from backends.visible_text import visible

from ..words import mark

THEME = TextAreaTheme(
    name="casemate",
    syntax_styles={
        "keyword": Style(color="#7aa2f7", bold=True),
        "keyword.operator": Style(color="#7aa2f7", bold=True),
        "conditional": Style(color="#7aa2f7", bold=True),
        "string": Style(color="#9ece6a"),
        "number": Style(color="#ff9e64"),
        "float": Style(color="#ff9e64"),
        "boolean": Style(color="#ff9e64"),
        "comment": Style(color="#7f849c", italic=True),
        "function.call": Style(color="#7dcfff"),
        "type": Style(color="#2ac3de"),
        "type.builtin": Style(color="#2ac3de"),
        "type.qualifier": Style(color="#2ac3de"),
        "attribute": Style(color="#2ac3de"),
        "storageclass": Style(color="#2ac3de"),
        "parameter": Style(color="#e0af68"),
        "error": Style(color="#ffffff", bgcolor="#b3374a", bold=True, underline=True),
    },
)

MARGIN_LINES = 20
"""Lines highlighted above and below what is visible."""


class FlatDocument(WrappedDocument):
    """A document whose lines are not wrapped: its height is known without a walk over all lines, which every drawn line
    would otherwise make."""

    @property
    def height(self) -> int:
        return self.document.line_count if self._width == 0 else super().height


class SqlEditor(TextArea):
    """A TextArea for SQL. F6 leaves it; the keys of the console work in it."""

    DEFAULT_CSS = """
    SqlEditor { border: none; padding: 0; height: 1fr; background: $surface; }
    SqlEditor:focus { border: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f6", "screen.next_pane", mark("Pane")),
        Binding("f7", "screen.history", mark("History")),
        Binding("ctrl+z", "undo", mark("Undo"), show=False),
        Binding("ctrl+y", "redo", mark("Redo"), show=False),
    ]

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        self._error: tuple[int, int, int] | None = None
        self._measured_lines = -1
        self._widest = 0
        super().__init__(
            text,
            language="sql",
            soft_wrap=False,
            tab_behavior="indent",
            show_line_numbers=True,
            highlight_cursor_line=False,
            id=id,
            compact=True,
        )
        self.cursor_blink = False
        self.indent_width = 2
        self.register_theme(THEME)
        self.theme = "casemate"

    # -- large documents

    def _set_document(self, text: str, language: str | None) -> None:
        self._measured_lines = -1
        super()._set_document(text, language)
        self.wrapped_document = FlatDocument(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._rewrap_and_refresh_virtual_size()

    def _refresh_size(self) -> None:
        """Measures all lines when their number changes, else the one at the cursor; the width only grows meanwhile."""
        count = self.document.line_count
        if count != self._measured_lines:
            self._widest, _height = self.document.get_size(self.indent_width)
            self._measured_lines = count
        else:
            line = self.document[min(self.cursor_location[0], count - 1)]
            self._widest = max(self._widest, cell_len(line.expandtabs(self.indent_width)))
        # One more for the cursor behind the end of a line.
        self.virtual_size = Size(self._widest + self.gutter_width + 1, count)
        self._refresh_scrollbars()

    # -- highlighting

    def _build_highlight_map(self) -> None:
        """Queries the syntax tree for the visible window only; run again when the window moves."""
        self._line_cache.clear()
        highlights = self._highlights
        highlights.clear()
        if self._highlight_query:
            top, bottom = self._visible_line_indices
            first, last = max(top - MARGIN_LINES, 0), bottom + MARGIN_LINES
            captures = self.document.query_syntax_tree(self._highlight_query, (first, 0), (last, 0))
            for name, nodes in captures.items():
                for node in nodes:
                    start_row, start_column = node.start_point
                    end_row, end_column = node.end_point
                    if start_row == end_row:
                        highlights[start_row].append((start_column, end_column, name))
                        continue
                    if first <= start_row <= last:
                        highlights[start_row].append((start_column, None, name))
                    for row in range(max(start_row + 1, first), min(end_row, last + 1)):
                        highlights[row].append((0, None, name))
                    if first <= end_row <= last:
                        highlights[end_row].append((0, end_column, name))
        if self._error is not None:
            row, start, end = self._error
            highlights[row].append((start, end, "error"))

    def _watch_scroll_y(self) -> None:
        super()._watch_scroll_y()
        self._build_highlight_map()

    def _on_resize(self) -> None:
        super()._on_resize()
        self._build_highlight_map()

    # -- positions

    @property
    def cursor_offset(self) -> int:
        """Characters before the cursor."""
        return self.offset_of(self.cursor_location)

    def offset_of(self, location: tuple[int, int]) -> int:
        """Characters before a (row, column)."""
        row, column = location
        lines = self.document.lines
        return sum(len(line) for line in lines[:row]) + row * len(self.document.newline) + column

    def location_of(self, offset: int) -> tuple[int, int]:
        """The (row, column) after `offset` characters."""
        before = self.text[:offset]
        newline = self.document.newline
        row = before.count(newline)
        start = before.rfind(newline)
        return row, len(before) if start < 0 else len(before) - start - len(newline)

    def show_error(self, offset: int) -> None:
        """Marks the word at `offset` and puts the cursor there."""
        row, column = self.location_of(min(offset, len(self.text)))
        line = self.document[row]
        end = column
        while end < len(line) and (line[end].isalnum() or line[end] == "_"):
            end += 1
        if end == column:
            end = min(column + 1, len(line))
        if end == column and column:
            column -= 1
        self._error = (row, len(line[:column].encode()), len(line[:end].encode()))
        self.move_cursor((row, column))
        self._build_highlight_map()
        self.refresh()

    def clear_error(self) -> None:
        """Takes the mark away."""
        if self._error is not None:
            self._error = None
            self._build_highlight_map()
            self.refresh()

    def on_text_area_changed(self) -> None:
        self.clear_error()

    def put(self, text: str) -> None:
        """Inserts `text` at the cursor, with nothing in it that a terminal would obey."""
        self.insert(visible(text))
