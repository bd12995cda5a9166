"""The text of an editor, so kept that one key costs the same in 30,000 lines as in one: what the library works out anew
over all lines at every edit (the whole text, widths, wrapping) is kept up to date here."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual.document._document import Document, DocumentBase, EditResult, Location
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Offset, Size


def normal(text: str) -> str:
    """Line ends of every system as a line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


class SqlDocument(Document):
    """Lines that end with a line feed and with nothing else: other separators of Unicode are characters of the text."""

    def __init__(self, text: str, tab_width: int) -> None:
        super().__init__("")
        text = normal(text)
        self._newline = "\n"
        self._lines = text.split("\n")
        self._whole: str | None = text
        self._near = (0, 0)
        self._tab_width = tab_width
        self.widest = max(self._width_of(line) for line in self._lines)
        """Cells of the widest line; it only grows while the text is edited."""
        self.on_edit: Callable[[int], None] | None = None
        """Is told the offset from which on the text was changed."""

    def _width_of(self, line: str) -> int:
        return cell_len(line.expandtabs(self._tab_width) if "\t" in line else line)

    @property
    def text(self) -> str:
        if self._whole is None:
            self._whole = "\n".join(self._lines)
        return self._whole

    def get_size(self, tab_width: int) -> Size:
        return Size(self.widest, len(self._lines))

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Replaces what is between the two places."""
        top, bottom = sorted((start, end))
        replaced = self.get_text_range(top, bottom)
        changed_from = self.offset_of(top)  # and what is near is from here on a line that stays
        lines = self._lines
        new = normal(text).split("\n")
        before = lines[top[0]][: top[1]] if top[0] < len(lines) else ""
        after = lines[bottom[0]][bottom[1] :] if bottom[0] < len(lines) else ""
        new[0] = before + new[0]
        end_location = (top[0] + len(new) - 1, len(new[-1]))
        new[-1] += after
        lines[top[0] : bottom[0] + 1] = new
        self.widest = max(self.widest, *(self._width_of(line) for line in new))
        if self.on_edit is not None:
            self.on_edit(changed_from)
        self._whole = None
        return EditResult(end_location, replaced)

    def get_text_range(self, start: Location, end: Location) -> str:
        if start == end:
            return ""
        top, bottom = sorted((start, end))
        if top[0] == bottom[0]:
            return self._lines[top[0]][top[1] : bottom[1]]
        return self.text[self.offset_of(top) : self.offset_of(bottom)]

    # -- places as counts of characters

    # Counted from the line that was asked for last, since the next one is mostly near it.

    def offset_of(self, location: Location) -> int:
        """Characters before a (row, column)."""
        row, column = location
        near, start = self._near
        if row >= near:
            start += sum(map(len, self._lines[near:row])) + row - near
        else:
            start -= sum(map(len, self._lines[row:near])) + near - row
        self._near = row, start
        return start + column

    def location_of(self, offset: int) -> Location:
        """The (row, column) after `offset` characters."""
        text = self.text
        offset = max(0, min(offset, len(text)))
        row, start = self._near
        row += text.count("\n", start, offset) if offset >= start else -text.count("\n", offset, start)
        start = text.rfind("\n", 0, offset) + 1
        self._near = row, start
        return row, offset - start


class _Rows:
    """Which line each row of the screen shows: its own."""

    def __init__(self, document: DocumentBase) -> None:
        self._document = document

    def __getitem__(self, row: int) -> tuple[int, int]:
        count = self._document.line_count
        if row < 0:
            row += count
        if not 0 <= row < count:
            raise IndexError(row)
        return row, 0


class FlatDocument(WrappedDocument):
    """A document whose lines are not wrapped: nothing needs to be kept for each line."""

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        self._width = 0
        if tab_width:
            self._tab_width = tab_width
        self._offset_to_line_info = _Rows(self.document)  # type: ignore[assignment]

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Nothing is wrapped."""

    @property
    def wrapped(self) -> bool:
        return True

    @property
    def height(self) -> int:
        return self.document.line_count

    @property
    def lines(self) -> list[list[str]]:
        return [[line] for line in self.document.lines]

    def offset_to_location(self, offset: Offset) -> Location:
        row = min(max(0, offset.y), self.document.line_count - 1)
        return row, self.get_target_document_column(row, max(0, offset.x), 0)

    def location_to_offset(self, location: Location) -> Offset:
        row = min(max(location[0], 0), self.document.line_count - 1)
        return Offset(cell_len(self.document[row][: location[1]].expandtabs(self._tab_width)), row)

    def get_sections(self, line_index: int) -> list[str]:
        return [self.document[line_index]]

    def get_offsets(self, line_index: int) -> list[int]:
        if not 0 <= line_index < self.document.line_count:
            raise ValueError(f"There is no line {line_index} of {self.document.line_count}.")
        return []

    def get_tab_widths(self, line_index: int) -> list[int]:
        return []


__all__ = ["FlatDocument", "SqlDocument", "normal"]
