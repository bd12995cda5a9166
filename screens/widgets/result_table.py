"""A result in a table on Arrow: rows can be appended while it is looked at, and no value is interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual_fastdatatable import ArrowBackend, DataTable

from backends.interface import Column, Kind
from backends.visible_text import visible_line

from ..words import mark

SHOWN_CHARACTERS = 400
"""Characters of a value that a cell renders; the whole is in the cell view."""
WIDEST_COLUMN = 60
NULL = Text("NULL", style="muted", no_wrap=True)
RIGHT = frozenset({Kind.NUMBER})


class ResultRows(ArrowBackend):
    """Arrow batches as a table's rows; cells are given as literal Text."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.result_columns = tuple(columns)
        self._schema = pa.schema([(str(index), pa.string()) for index in range(len(columns))])
        super().__init__(self._schema.empty_table())
        self._column_content_widths = [max(4, cell_len(visible_line(column.name))) for column in columns]

    def append(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Takes more rows; the widths grow with them. Costs as much as the new rows, not as all."""
        self.data = pa.Table.from_batches([*self.data.to_batches(), *batches], schema=self._schema)
        for batch in batches:
            for index, array in enumerate(batch.columns):
                widest = pc.max(pc.binary_length(array)).as_py() or 0
                self._column_content_widths[index] = max(self._column_content_widths[index], min(widest, WIDEST_COLUMN))

    def value(self, row: int, column: int) -> str | None:
        """The whole value, as the server wrote it."""
        cell: str | None = self.data[column][row].as_py()
        return cell

    def values(self, row: int) -> list[str | None]:
        """A whole row."""
        return [self.value(row, column) for column in range(len(self.result_columns))]

    def get_row_at(self, index: int) -> Sequence[Any]:
        return [self._shown(self.value(index, column), column) for column in range(len(self.result_columns))]

    def get_cell_at(self, row_index: int, column_index: int) -> Any:
        if row_index >= self.row_count:
            raise IndexError(row_index)
        return self._shown(self.value(row_index, column_index), column_index)

    def _shown(self, value: str | None, column: int) -> Text:
        if value is None:
            return NULL
        text = visible_line(value[:SHOWN_CHARACTERS]) + ("…" if len(value) > SHOWN_CHARACTERS else "")
        right = self.result_columns[column].kind in RIGHT
        return Text(text, justify="right" if right else "left", no_wrap=True, overflow="ellipsis", end="")


class ResultTable(DataTable):
    """Shows one result. Enter opens the cell."""

    DEFAULT_CSS = """
    ResultTable { height: 1fr; background: $background; }
    ResultTable > .datatable--header { background: $panel; color: $text; text-style: bold; }
    ResultTable > .datatable--even-row { background: $background; }
    ResultTable:dark > .datatable--even-row { background: $background; }
    ResultTable > .datatable--hover { background: $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
        Binding("c", "copy_value('cell')", mark("Copy cell")),
        Binding("r", "copy_value('row')", mark("Copy row"), show=False),
        Binding("v", "view", mark("View")),
    ]

    class CellViewed(Message):
        """The person wants to see a whole value."""

        def __init__(self, column: Column, value: str | None) -> None:
            super().__init__()
            self.column, self.value = column, value

    class Copied(Message):
        """The person wants `text` on the clipboard."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text, self.what = text, what

    def __init__(self, rows: ResultRows, *, id: str | None = None) -> None:
        super().__init__(
            backend=rows,
            column_labels=[
                Text(visible_line(column.name), justify="right" if column.kind in RIGHT else "left")
                for column in rows.result_columns
            ],
            max_column_content_width=WIDEST_COLUMN,
            render_markup=False,
            cursor_type="cell",
            id=id,
        )
        self.result = rows
        self.show_hover = False

    def rows_arrived(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Appends and shows rows; the cursor and the scroll position stay."""
        first = self.result.row_count == 0
        before = list(self.result.column_content_widths)
        self.result.append(batches)
        # The widget measures again when it is next idle. Its caches of cells hold as long as the widths do.
        if first or before != self.result.column_content_widths:
            self._ordered_columns = None
            self._clear_caches()
        self._require_update_dimensions = True
        self.refresh()

    def action_view(self) -> None:
        self._view()

    def action_select_cursor(self) -> None:
        self._view()

    def _view(self) -> None:
        row, column = self.cursor_coordinate
        if row < self.result.row_count and column < len(self.result.result_columns):
            self.post_message(self.CellViewed(self.result.result_columns[column], self.result.value(row, column)))

    def action_copy_selection(self) -> None:
        self.action_copy_value("cell")

    def action_copy_value(self, what: str) -> None:
        row, column = self.cursor_coordinate
        if row >= self.result.row_count:
            return
        if what == "cell":
            self.post_message(self.Copied(self.result.value(row, column) or "", what))
        else:
            self.post_message(self.Copied("\t".join(value or "" for value in self.result.values(row)), what))
