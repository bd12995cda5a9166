"""Keys of two strokes: Ctrl+K and one more. What can follow is shown until it is pressed.

There are too few single keys that tmux, screen, browsers and terminals leave alone.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from textual.app import RenderResult
from textual.geometry import Offset
from textual.widget import Widget

from bastion.api.language import translate as _

CHORD = "ctrl+k"
NAMES = {"slash": "/", "up": "↑", "down": "↓", "left": "←", "right": "→"}


def stroke(key: str) -> str:
    """The second key of a chord as a person reads it."""
    return NAMES.get(key, key)


class ChordHint(Widget):
    """What can follow Ctrl+K here, at the foot of the editor."""

    DEFAULT_CSS = """
    ChordHint {
        overlay: screen; constrain: inside inside; width: auto; height: auto; background: $panel; color: $text;
        padding: 0 1; display: none;
    }
    """
    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[tuple[str, str]] = []

    def show(self, below: Widget) -> None:
        """Lists the chords that work now."""
        found: dict[str, tuple[str, str]] = {}
        for key, active in self.screen.active_bindings.items():
            if key.startswith(f"{CHORD} ") and active.enabled and active.binding.action not in found:
                found[active.binding.action] = (stroke(key.partition(" ")[2]), _(active.binding.description))
        if any(words == _("Editor by its number") for _key, words in found.values()):
            count = sum(action.startswith("editor(") for action in found)
            found = {action: entry for action, entry in found.items() if not action.startswith("editor(")}
            if count > 1:
                found["editor"] = (f"1-{count}", _("Editor by its number"))
        self._entries = sorted(found.values(), key=lambda entry: (len(entry[0]) > 1, entry[0].lower()))
        rows = -(-len(self._entries) // self._columns())
        # Above the status line and the keys, whatever is there.
        self.absolute_offset = Offset(below.region.x, max(self.screen.size.height - rows - 2, 0))
        self.display = True
        self.refresh(layout=True)

    def _columns(self) -> int:
        return max(self.screen.size.width // (self._widest() + 4), 1)

    def _widest(self) -> int:
        return max((cell_len(key) + cell_len(words) + 2 for key, words in self._entries), default=10)

    def get_content_width(self, container: object, viewport: object) -> int:
        return min(self._columns(), max(len(self._entries), 1)) * (self._widest() + 2)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(-(-len(self._entries) // self._columns()), 1)

    def render(self) -> RenderResult:
        columns = self._columns()
        rows = -(-len(self._entries) // columns)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for _column in range(columns):
            grid.add_column(width=self._widest(), no_wrap=True)
        for row in range(rows):
            cells = []
            for column in range(columns):
                place = column * rows + row
                if place < len(self._entries):
                    key, words = self._entries[place]
                    cells.append(Text.assemble((key, "accent"), "  ", words))
                else:
                    cells.append(Text(""))
            grid.add_row(*cells)
        return grid
