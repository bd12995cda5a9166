"""The SQL editor: its keys, completion, and what is done to lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.document._document import Selection
from textual.message import Message

from backends.completion import Completions, complete
from backends.metadata import SchemaMetadata
from backends.visible_text import visible

from ..words import mark
from .completion import CompletionList
from .editor_document import normal
from .editor_lines import indented, outdented, toggled_comment
from .key_chord import CHORD, ChordHint
from .statement_area import Buffer, StatementArea
from .vim import Vim


class SqlEditor(StatementArea):
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
        Binding("ctrl+space,ctrl+k space,ctrl+@", "complete", mark("Complete the word"), show=False),
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
        self.metadata = SchemaMetadata()
        self.vim: Vim | None = None
        self._chord = False
        self._popup: CompletionList | None = None
        self._hint: ChordHint | None = None
        super().__init__(text, id=id)

    def show_buffer(self, buffer: Buffer) -> None:
        self.hide_completions()
        super().show_buffer(buffer)

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        super()._watch_selection(previous_selection, selection)
        if self.is_mounted and self._popup is not None and self._popup.display:
            self._popup.cursor_moved(self.cursor_offset)

    # -- text in

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.hide_completions()
        if result := self._replace_via_keyboard(visible(normal(event.text)), *self.selection):
            self.move_cursor(result.end_location)
            self.focus()

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

    def step_back(self) -> bool:
        """Takes back the selection."""
        if self.selection.is_empty:
            return False
        self.move_cursor(self.cursor_location)
        return True

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


__all__ = ["Buffer", "SqlEditor"]
