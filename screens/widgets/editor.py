"""The SQL editor: only what is visible is highlighted, so that 30,000 lines are edited as fast as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.document._document import Location, Selection
from textual.document._document_navigator import DocumentNavigator
from textual.document._history import EditHistory
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea

from backends.completion import Completions, complete
from backends.metadata import SchemaMetadata
from backends.sql_tokens import matching_bracket
from backends.statements import Boundaries, Span
from backends.visible_text import visible

from ..words import mark
from .completion import CompletionList
from .editor_document import FlatDocument, SqlDocument, normal
from .editor_highlight import parts
from .editor_lines import indented, outdented, toggled_comment
from .editor_theme import NAME, editor_theme, style_of
from .key_chord import CHORD, ChordHint
from .vim import Vim

MARGIN_LINES = 20
"""Lines highlighted above and below what is visible."""
BRACKETS_WITHIN = 20_000
"""Characters of a statement in which the partner of a bracket is looked for."""
MOST_DRAWN = 500
"""Lines that are kept drawn."""
STATEMENT_SIGN = "▎"


@dataclass
class Buffer:
    """A text with its undo steps, and where somebody was in it."""

    document: SqlDocument
    history: EditHistory
    selection: Selection = field(default_factory=lambda: Selection.cursor((0, 0)))
    top: int = 0


class SqlEditor(TextArea):
    """A TextArea for SQL. F6 leaves it; the keys of the console work in it.

    `engine` and `metadata` say what can be completed and where statements end.
    """

    DEFAULT_CSS = """
    SqlEditor { border: none; padding: 0; height: 1fr; background: $surface; }
    SqlEditor:focus { border: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f6", "screen.next_pane", mark("Pane")),
        Binding("f7", "screen.history", mark("History")),
        Binding("ctrl+e", "screen.explain", mark("Plan")),
        Binding("ctrl+z", "undo", mark("Undo"), show=False),
        Binding("ctrl+y", "redo", mark("Redo"), show=False),
        Binding("ctrl+o,ctrl+space,ctrl+@", "complete", mark("Complete the word"), show=False),
        Binding("ctrl+f", "find", mark("Find"), show=False),
        Binding("ctrl+r", "replace_text", mark("Find and replace"), show=False),
        Binding("ctrl+l", "go_to_line", mark("Go to a line"), show=False),
        Binding("ctrl+k c,ctrl+underscore,ctrl+slash", "toggle_comment", mark("Comment on or off"), show=False),
        Binding("ctrl+k f", "format", mark("Format the statement"), show=False),
        Binding("ctrl+k d,ctrl+d", "duplicate", mark("Double the line or selection"), show=False),
        Binding("ctrl+k up,alt+up", "move_lines(-1)", mark("Move the lines up"), show=False),
        Binding("ctrl+k down,alt+down", "move_lines(1)", mark("Move the lines down"), show=False),
        Binding("ctrl+k i", "indent", mark("Indent the lines"), show=False),
        Binding("ctrl+k u,shift+tab", "outdent", mark("Outdent the lines"), show=False),
        Binding("ctrl+k b", "matching_bracket", mark("Go to the other bracket"), show=False),
        Binding("ctrl+home", "document_start", mark("To the beginning"), show=False),
        Binding("ctrl+end", "document_end", mark("To the end"), show=False),
        Binding("ctrl+k k", "delete_to_end_of_line_or_delete_line", mark("Delete to the end of the line"), show=False),
        Binding("ctrl+k x", "delete_line", mark("Delete the line"), show=False),
        Binding("ctrl+k a", "select_all", mark("Select all"), show=False),
        Binding("ctrl+k v", "vim", mark("Vim keys on or off"), show=False),
        Binding("ctrl+k e", "external_editor", mark("Edit in $EDITOR"), show=False),
    ]

    class Wanted(Message):
        """Something that needs more than the editor: `find`, `replace`, `line`, `format`, `external`, `vim`."""

        def __init__(self, editor: SqlEditor, what: str) -> None:
            super().__init__()
            self.editor, self.what = editor, what

        @property
        def control(self) -> SqlEditor:
            return self.editor

    class ModeChanged(Message):
        """The mode of the vim keys, '' when they are off; `pending` is what was typed of a command."""

        def __init__(self, mode: str, pending: str) -> None:
            super().__init__()
            self.mode, self.pending = mode, pending

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        self._error: tuple[int, int, int] | None = None
        self._marked: tuple[int, int] | None = None
        self._built: tuple[int, int] | None = None
        self._matches: Sequence[tuple[int, int]] = ()
        self._match_here = -1
        self._drawn: dict[int, tuple[object, Strip]] = {}
        """The lines as they were drawn last, each with what it depends on."""
        self._boundaries = Boundaries("")
        self.metadata = SchemaMetadata()
        self.vim: Vim | None = None
        self._chord = False
        self._popup: CompletionList | None = None
        self._hint: ChordHint | None = None
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
        self.hide_completions()
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
        marked = self._marked is not None and self._marked[0] <= row <= self._marked[1]
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
            sign = Segment(STATEMENT_SIGN, gutter.style + style if gutter.style is not None else style)
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
            if self._popup is not None and self._popup.display:
                self._popup.cursor_moved(self.cursor_offset)

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

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.hide_completions()
        if result := self._replace_via_keyboard(visible(normal(event.text)), *self.selection):
            self.move_cursor(result.end_location)
            self.focus()

    def replace_span(self, start: int, end: int, text: str) -> None:
        """Replaces the characters from `start` to `end` as one step of undo; the cursor is behind the new text."""
        result = self.replace(
            visible(normal(text)), self.location_of(start), self.location_of(end), maintain_selection_offset=False
        )
        self.move_cursor(result.end_location)

    # -- keys

    async def _on_key(self, event: events.Key) -> None:
        if self._chord:
            event.stop()
            event.prevent_default()
            await self._finish_chord(event.key)
            return
        if event.key == CHORD:
            event.stop()
            event.prevent_default()
            self._begin_chord()
            return
        if self._popup is not None and self._popup.display and self._key_for_popup(event.key):
            event.stop()
            event.prevent_default()
            return
        if self.vim is not None and self.vim.key(event.key, event.character):
            event.stop()
            event.prevent_default()
            return
        if event.key == "tab" and not self.selection.is_empty and self.selection.start[0] != self.selection.end[0]:
            event.stop()
            event.prevent_default()
            self.action_indent()
            return
        if event.key == "escape":
            # The page decides: the library would go to the next widget.
            event.prevent_default()
            return
        await super()._on_key(event)
        if event.is_printable and event.character is not None:
            if event.character.isalnum() or event.character in "_.$":
                self._offer(by_key=False)
            else:
                self.hide_completions()

    def action_delete_left(self) -> None:
        super().action_delete_left()
        if self._popup is not None and self._popup.display:
            self._offer(by_key=False)

    # -- chords

    def _begin_chord(self) -> None:
        self.hide_completions()
        self._chord = True
        if self._hint is None:
            self._hint = ChordHint()
            self.screen.mount(self._hint)
        self._hint.show(self)

    async def _finish_chord(self, key: str) -> None:
        self._chord = False
        if self._hint is not None:
            self._hint.display = False
        found = self.screen.active_bindings.get(f"{CHORD} {key}")
        if found is not None and found.enabled:
            await self.app.run_action(found.binding.action, found.node)

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        self.hide_completions()
        self._chord = False
        if self._hint is not None:
            self._hint.display = False

    # -- completion

    def action_complete(self) -> None:
        self._offer(by_key=True)

    def completions(self) -> Completions:
        """What could be typed at the cursor."""
        text, offset = self.text, self.cursor_offset
        start = self._boundaries.start(text, offset)
        span = self._boundaries.at(text, offset)
        end = span.end if span is not None and span.start <= offset < span.end else offset
        found = complete(text[start:end], offset - start, self.engine, self.metadata)
        return Completions(found.start + start, found.end + start, found.typed, found.items, found.qualified)

    def _offer(self, *, by_key: bool) -> None:
        if self.vim is not None and not self.vim.inserts:
            return
        found = self.completions()
        items = found.items
        if not by_key:
            if not found.typed and not found.qualified:
                items = []
            # Nothing is left to type of it.
            items = [item for item in items if item.insert.casefold() != found.typed.casefold()]
            if items and items[0].insert.rstrip("(").casefold() == found.typed.casefold():
                items = items[1:]
        if not items:
            self.hide_completions()
            return
        if self._popup is None:
            self._popup = CompletionList()
            self.screen.mount(self._popup)
        self._popup.show(self, found, items, entered=by_key)

    def hide_completions(self) -> None:
        """Closes the list."""
        if self._popup is not None:
            self._popup.display = False

    def _key_for_popup(self, key: str) -> bool:
        """Up and down lead the list, Tab takes from it; Enter does once somebody is in it, else it ends the line."""
        popup = self._popup
        assert popup is not None
        if key in ("up", "down", "pageup", "pagedown"):
            popup.move(key)
            return True
        if key == "escape":
            self.hide_completions()
            return self.vim is None  # to vim it is the end of insert mode too
        if key == "tab" or (key == "enter" and popup.entered):
            found, item = popup.chosen()
            self.hide_completions()
            self.replace_span(found.start, found.end, item.insert)
            return True
        if key in ("enter", "left", "right", "home", "end"):
            self.hide_completions()
        return False

    # -- lines

    def _rows(self) -> tuple[int, int]:
        """The first and the last line of the selection; of the cursor where there is none."""
        start, end = sorted(self.selection)
        last = end[0] - 1 if end[1] == 0 and end[0] > start[0] else end[0]
        return start[0], last

    def _change_lines(self, change: Callable[[list[str]], list[str]]) -> None:
        """Replaces the selected lines as one step; the same text stays selected."""
        first, last = self._rows()
        old = [self.document[row] for row in range(first, last + 1)]
        new = change(old)
        if new == old:
            return
        anchor, cursor = self.selection
        self.replace("\n".join(new), (first, 0), (last, len(old[-1])), maintain_selection_offset=False)

        def moved(place: tuple[int, int]) -> tuple[int, int]:
            row, column = place
            if not first <= row <= last:
                return place
            return row, min(max(column + len(new[row - first]) - len(old[row - first]), 0), len(new[row - first]))

        self.selection = Selection(moved(anchor), moved(cursor))

    def action_toggle_comment(self) -> None:
        self._change_lines(toggled_comment)

    def action_indent(self) -> None:
        self._change_lines(lambda lines: indented(lines, self.indent_width))

    def action_outdent(self) -> None:
        self._change_lines(lambda lines: outdented(lines, self.indent_width))

    def action_duplicate(self) -> None:
        """What is selected, else the line."""
        start, end = sorted(self.selection)
        if start != end:
            text = self.selected_text
            result = self.replace(text, end, end, maintain_selection_offset=False)
            self.selection = Selection(end, result.end_location)
            return
        row, column = self.cursor_location
        line = self.document[row]
        self.replace(f"\n{line}", (row, len(line)), (row, len(line)), maintain_selection_offset=False)
        self.move_cursor((row + 1, column))

    def action_move_lines(self, by: int) -> None:
        """Changes places with the line above or below."""
        first, last = self._rows()
        if first + by < 0 or last + by >= self.document.line_count:
            return
        anchor, cursor = self.selection
        top, bottom = (first - 1, last) if by < 0 else (first, last + 1)
        lines = [self.document[row] for row in range(top, bottom + 1)]
        lines = [*lines[1:], lines[0]] if by < 0 else [lines[-1], *lines[:-1]]
        end = (bottom, len(self.document[bottom]))
        self.replace("\n".join(lines), (top, 0), end, maintain_selection_offset=False)
        self.selection = Selection((anchor[0] + by, anchor[1]), (cursor[0] + by, cursor[1]))

    def action_matching_bracket(self) -> None:
        row, column = self.cursor_location
        for place in ((row, column), (row, column - 1)):
            character = self.document[place[0]][place[1] : place[1] + 1] if place[1] >= 0 else ""
            other = self.find_matching_bracket(character, place) if character else None
            if other is not None:
                self.move_cursor(other)
                return

    def action_document_start(self) -> None:
        self.move_cursor((0, 0))

    def action_document_end(self) -> None:
        self.move_cursor(self.document.end)

    # -- what others do

    def action_find(self) -> None:
        self.post_message(self.Wanted(self, "find"))

    def action_replace_text(self) -> None:
        self.post_message(self.Wanted(self, "replace"))

    def action_go_to_line(self) -> None:
        self.post_message(self.Wanted(self, "line"))

    def action_format(self) -> None:
        self.post_message(self.Wanted(self, "format"))

    def action_external_editor(self) -> None:
        self.post_message(self.Wanted(self, "external"))

    def action_vim(self) -> None:
        self.post_message(self.Wanted(self, "vim"))

    def use_vim(self, on: bool) -> None:
        """Turns the vim keys on or off."""
        self.vim = Vim(self, self._mode_changed) if on else None
        self._mode_changed("NORMAL" if on else "", "")

    def _mode_changed(self, mode: str, pending: str) -> None:
        self.post_message(self.ModeChanged(mode, pending))
