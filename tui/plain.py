"""Plain pages, for screen readers: no frames, no bars, no signs that are only drawn; the terminal's cursor stands where
the keys go, which is where a screen reader reads.

Lists number their lines themselves (`Workstation.plain`); states are told in words on every page anyway.
"""

from __future__ import annotations

from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import DataTable, OptionList, Tree

from screens.widgets.catalog_tree import CatalogTree
from screens.widgets.lines_view import LinesView
from screens.widgets.record_list import RecordList
from screens.widgets.result_table import ResultTable

CLASS = "-plain"
CSS = """
App.-plain * { scrollbar-size-vertical: 0; scrollbar-size-horizontal: 0; }
.-plain Dialog > Vertical, .-plain CatalogTree, .-plain Toast { border: none; }
.-plain Toast { background: $background; }
/* Of the page behind a dialog nothing is left beside it: it would be read out. */
.-plain ModalScreen { background: $background; }
.-plain Screen * { border: none; outline: none; }
"""

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def _ascii() -> dict[int, str]:
    """Box drawing and block elements (U+2500 to U+259F) by what stands for them in one cell."""
    table = dict.fromkeys(range(0x2500, 0x25A0), " ")
    table |= dict.fromkeys((0x2500, 0x2501, 0x2504, 0x2505, 0x2508, 0x2509, 0x254C, 0x254D, 0x2550), "-")
    table |= dict.fromkeys((0x2502, 0x2503, 0x2506, 0x2507, 0x250A, 0x250B, 0x254E, 0x254F, 0x2551), "|")
    table |= dict.fromkeys(range(0x25A0, 0x25B0), "#")
    table |= {0x25B6: ">", 0x25B8: ">", 0x25B7: ">", 0x25BC: "v", 0x25BE: "v", 0x25C0: "<", 0x25C6: "*", 0x25AB: "-"}
    return table


ASCII = _ascii()


def reading_place(focused: Widget | None) -> Offset | None:
    """Where the keys go, on the screen; None where the widget says so itself (inputs and editors do)."""
    if focused is None:
        return None
    line = _line_of(focused)
    if line is None:
        return None
    region = focused.content_region
    row = line - focused.scroll_offset.y
    return Offset(region.x, region.y + min(max(row, 0), max(region.height - 1, 0)))


def _line_of(widget: Widget) -> int | None:
    """The line of a list, tree or table that the cursor is on."""
    if isinstance(widget, DataTable):
        return widget.cursor_row + (widget.header_height if widget.show_header else 0)
    if isinstance(widget, ResultTable):
        # Below the heads of the columns.
        return widget.cursor_row + 1
    if isinstance(widget, RecordList):
        return widget.cursor + 1
    if isinstance(widget, Tree | LinesView):
        return widget.cursor_line
    if isinstance(widget, CatalogTree):
        return widget.cursor
    return widget.highlighted if isinstance(widget, OptionList) else None
