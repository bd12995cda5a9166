"""The text area below the editor: keeps large texts, colours what is in view, shows which statement would run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.segment import Segment
from textual.document._document import Location, Selection
from textual.document._document_navigator import DocumentNavigator
from textual.document._history import EditHistory
from textual.geometry import Size
from textual.strip import Strip
from textual.widgets import TextArea

from backends.sql_tokens import matching_bracket
from backends.statements import Boundaries, Span
from backends.visible_text import visible

from .editor_document import FlatDocument, SqlDocument, normal
from .editor_highlight import parts
from .editor_theme import NAME, editor_theme, style_of

MARGIN_LINES = 20
"""Lines highlighted above and below what is visible."""
BRACKETS_WITHIN = 20_000
"""Characters of a statement in which the partner of a bracket is looked for."""
MOST_DRAWN = 500
"""Lines that are kept drawn."""
STATEMENT_SIGN, PLAIN_SIGN = "▎", ">"
"""Beside the lines of the statement that would run; the second one on plain pages."""


@dataclass
class Buffer:
    """A text with its undo steps, and where somebody was in it."""

    document: SqlDocument
    history: EditHistory
    selection: Selection = field(default_factory=lambda: Selection.cursor((0, 0)))
    top: int = 0


class StatementArea(TextArea):
    """A TextArea for statements, of any length. `engine` says where they end."""

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        self._error: tuple[int, int, int] | None = None
        self._marked: tuple[int, int] | None = None
        self._built: tuple[int, int] | None = None
        self._matches: Sequence[tuple[int, int]] = ()
        self._match_here = -1
        self._drawn: dict[int, tuple[object, Strip]] = {}
        """The lines as they were drawn last, each with what it depends on."""
        self._boundaries = Boundaries("")
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

    def on_mount(self) -> None:
        self._take_theme()
        self.watch(self.app, "theme", self._take_theme, init=False)

    def _take_theme(self) -> None:
        self.register_theme(editor_theme(self.app.console))
        if self.theme == NAME:
            self._set_theme(NAME)
        else:
            self.theme = NAME
        self._drawn.clear()
        self.refresh()

    # -- the database it is for

    @property
    def engine(self) -> str:
        """Whose rules say where statements end and names are quoted; '' before a database is open."""
        return self._boundaries.engine

    @engine.setter
    def engine(self, engine: str) -> None:
        if engine != self._boundaries.engine:
            self._boundaries = Boundaries(engine)
            self._listen_to_edits()
            self._mark_statement()

    def statement(self) -> Span | None:
        """The one that would run: at the cursor."""
        return self._boundaries.at(self.text, self.cursor_offset)

    def statements(self) -> list[Span]:
        """All of them."""
        return self._boundaries.all(self.text)

    # -- large documents

    def _set_document(self, text: str, language: str | None) -> None:
        self._highlight_query = None
        self._take_document(SqlDocument(text, self.indent_width))
        self._build_highlight_map()
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()
        if self.is_mounted:
            self._mark_statement()

    def new_buffer(self, text: str = "", cursor: tuple[int, int] = (0, 0)) -> Buffer:
        """A text of its own, to be shown later."""
        history = self.history
        document = SqlDocument(visible(text), self.indent_width)
        row = min(cursor[0], document.line_count - 1)
        place = row, min(cursor[1], len(document[row]))
        return Buffer(
            document,
            EditHistory(history.max_checkpoints, history.checkpoint_timer, history.checkpoint_max_characters),
            Selection.cursor(place),
            max(row - 3, 0),
        )

    def buffer(self) -> Buffer:
        """What is in the editor now."""
        assert isinstance(self.document, SqlDocument)
        return Buffer(self.document, self.history, self.selection, self.scroll_offset.y)

    def show_buffer(self, buffer: Buffer) -> None:
        """Shows another text; the one before stays as it was in its own buffer."""
        self._error = None
        self._take_document(buffer.document)
        self.history = buffer.history
        self._rewrap_and_refresh_virtual_size()
        self.selection = buffer.selection
        self.scroll_to(y=buffer.top, animate=False, immediate=True, force=True)
        self._build_highlight_map()
        self._cursor_offset = self.wrapped_document.location_to_offset(self.cursor_location)
        self._mark_statement()
        self.refresh()

    def _take_document(self, document: SqlDocument) -> None:
        if isinstance(self.document, SqlDocument):
            self.document.on_edit = None
        self.document = document
        self._boundaries = Boundaries(self._boundaries.engine)
        self._listen_to_edits()
        self._marked = self._built = None
        self._drawn.clear()
        self._matches, self._match_here = (), -1
        self.wrapped_document = FlatDocument(document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)

    def _listen_to_edits(self) -> None:
        if isinstance(self.document, SqlDocument):
            self.document.on_edit = self._boundaries.edited

    def _refresh_size(self) -> None:
        width, height = self.document.get_size(self.indent_width)
        width += self.gutter_width + 1  # one for the cursor behind the end of a line
        if width > self.size.width:
            width = -(-width // 16) * 16  # in steps: all lines in view are drawn anew for another width
        self.virtual_size = Size(width, height)
        self._refresh_scrollbars()

    # -- highlighting

    def _build_highlight_map(self) -> None:
        """Reads what is in view, and a little around it; run again when the window moves."""
        highlights = self._highlights
        highlights.clear()
        top, bottom = self._visible_line_indices
        first, last = max(top - MARGIN_LINES, 0), bottom + MARGIN_LINES
        self._built = (first, last)
        last = min(last, self.document.line_count - 1)
        start = self._boundaries.start(self.text, self.offset_of((min(first, last), 0)))
        for row, left, right, name in parts(self.document.lines, self.location_of(start)[0], first, last):
            highlights[row].append((left, right, name))
        self._add_matches(first, last)
        if self._error is not None:
            row, start, end = self._error
            highlights[row].append((start, end, "error"))

    def _add_matches(self, first: int, last: int) -> None:
        if not self._matches:
            return
        low = self.offset_of((first, 0))
        high = self.offset_of((min(last, self.document.line_count - 1), 0))
        for number, (start, end) in enumerate(self._matches):
            if end < low or start > high:
                continue
            name = "found.here" if number == self._match_here else "found"
            (row, column), (end_row, end_column) = self.location_of(start), self.location_of(end)
            for line in range(row, end_row + 1):
                text = self.document[line]
                left = len(text[: column if line == row else 0].encode())
                right = len(text[: end_column if line == end_row else len(text)].encode())
                if right > left:
                    self._highlights[line].append((left, right, name))

    def show_matches(self, matches: Sequence[tuple[int, int]], here: int = -1) -> None:
        """Marks what a search found, as offsets from and to; `here` is the one that the cursor is at."""
        self._matches, self._match_here = matches, here
        self._build_highlight_map()
        self.refresh()

    def _watch_scroll_y(self) -> None:
        super()._watch_scroll_y()
        top, bottom = self._visible_line_indices
        if self._built is None or top < self._built[0] or bottom > self._built[1]:
            self._build_highlight_map()

    def _on_resize(self) -> None:
        super()._on_resize()
        self._build_highlight_map()

    def render_line(self, y: int) -> Strip:
        """A line is drawn anew only where something of it has changed: the library draws all in view at every edit."""
        row = y + self.scroll_offset.y
        if row >= self.document.line_count:
            return super().render_line(y)
        selection, bracket = self.selection, self._matching_bracket_location
        top, bottom = sorted((selection.start[0], selection.end[0]))
        at_cursor = row == selection.end[0]
        marked = ""
        if self._marked is not None and self._marked[0] <= row <= self._marked[1]:
            marked = PLAIN_SIGN if getattr(self.app, "plain", False) else STATEMENT_SIGN
        look = (
            self.document[row],
            tuple(self._highlights.get(row, ())),
            selection if top <= row <= bottom else None,
            bracket if bracket is not None and (at_cursor or bracket[0] == row) else None,
            at_cursor and self._draw_cursor,
            marked,
            self.scroll_offset.x,
            self.size,
            self.gutter_width,
            self.virtual_size.width,
        )
        kept = self._drawn.get(row)
        if kept is not None and kept[0] == look:
            return kept[1]
        self._line_cache.clear()
        strip = super().render_line(y)
        if marked:
            segments = list(strip)
            gutter = segments[0]
            style = style_of(self.app.console, "accent")
            sign = Segment(marked, gutter.style + style if gutter.style is not None else style)
            strip = Strip([Segment(gutter.text[:-1], gutter.style), sign, *segments[1:]], strip.cell_length)
        if len(self._drawn) > MOST_DRAWN:
            self._drawn.clear()
        self._drawn[row] = look, strip
        return strip

    def _mark_statement(self) -> None:
        """Shows beside the lines which statement would run."""
        span = self.statement() if self.selection.is_empty else None
        marked = None if span is None else (self.location_of(span.start)[0], self.location_of(span.end)[0])
        if marked != self._marked:
            self._marked = marked
            self.refresh()

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        super()._watch_selection(previous_selection, selection)
        if self.is_mounted:
            self._mark_statement()

    # -- positions

    @property
    def cursor_offset(self) -> int:
        """Characters before the cursor."""
        return self.offset_of(self.cursor_location)

    def offset_of(self, location: tuple[int, int]) -> int:
        """Characters before a (row, column)."""
        assert isinstance(self.document, SqlDocument)
        return self.document.offset_of(location)

    def location_of(self, offset: int) -> tuple[int, int]:
        """The (row, column) after `offset` characters."""
        assert isinstance(self.document, SqlDocument)
        return self.document.location_of(offset)

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        """Within the statement; brackets in strings and comments have no part in it."""
        if bracket not in "()[]{}" or not bracket:
            return None
        offset = self.offset_of(search_from)
        span = self._boundaries.at(self.text, offset)
        if span is None or not span.start <= offset < span.end or span.end - span.start > BRACKETS_WITHIN:
            return None
        found = matching_bracket(self.text[span.start : span.end], offset - span.start, self.engine)
        return None if found is None else self.location_of(span.start + found)

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
        self._mark_statement()

    # -- text in

    def put(self, text: str) -> None:
        """Inserts `text` at the cursor, with nothing in it that a terminal would obey."""
        self.insert(visible(normal(text)))

    def replace_span(self, start: int, end: int, text: str) -> None:
        """Replaces the characters from `start` to `end` as one step of undo; the cursor is behind the new text."""
        result = self.replace(
            visible(normal(text)), self.location_of(start), self.location_of(end), maintain_selection_offset=False
        )
        self.move_cursor(result.end_location)
